/* address.h - the grammar of MAIL and RCPT arguments, and the classifier of recipients. Session and auth use
 * the same functions; auth alone is believed. RFC 5321 4.1.2, 4.1.3, RFC 6531 3.3. */
#ifndef AUTH_ADDRESS_H
#define AUTH_ADDRESS_H

#include "auth/reason.h"
#include "store/envelope.h"

enum {
    ADDRESS_LOCAL_MAX = 64,   /* RFC 5321 4.5.3.1.1 */
    ADDRESS_DOMAIN_MAX = 255, /* 4.5.3.1.2 */
    ADDRESS_LABEL_MAX = 63,   /* of an ASCII label, RFC 1035 2.3.4 */
    ADDRESS_WHOLE_MAX = 254,  /* 4.5.3.1.3: a path of 256 with its brackets; a source route is not counted */
    ADDRESS_MAX = 320         /* storage that holds any address or normal form of one */
};

/* An address as parsed: views into the argument. */
struct address {
    bool empty;         /* <> */
    bool postmaster;    /* <postmaster> without a domain, any case, RFC 5321 4.5.1: local is it, domain is empty */
    bool literal;       /* domain is an address literal, with its brackets */
    bool utf8;          /* holds octets above 127 */
    struct span local;  /* as written, quotes included */
    struct span domain; /* as written, without trailing dot */
    struct span whole;  /* local@domain as written, source route and trailing dot cut */
};

/* Parses the path at the start of `argument` (what follows the colon: "<a@b> SIZE=1"): `rest_out` is what follows it,
 * trimmed. Blanks before the path are skipped; it needs its angle brackets, and a blank or the end after them.
 * A source route is stripped (RFC 5321 4.1.1.3, appendix C). `null_allowed`: <> (MAIL); otherwise <postmaster> may
 * lack a domain (RCPT). False, with *out all zero, when malformed: also control octets anywhere in the argument (C1
 * too), 8-bit that is not UTF-8, lengths over the limits, literals with another tag than IPv6 (none is registered),
 * an empty quoted local part, an empty label. */
bool address_parse(struct address *out, struct span argument, bool null_allowed, struct span *rest_out) MUST_USE;

/* What a log line shows of the argument: the path with its brackets, without parameters; all of what does not parse,
 * cut to ADDRESS_MAX octets. */
struct span address_path(struct span argument, bool null_allowed);

/* A plain address ("alice@example.test") from configuration or the command line: all of `text`, no brackets. */
bool address_parse_plain(struct address *out, struct span text) MUST_USE;

/* Whether `domain` is a domain name without trailing dot: labels of letters, digits, hyphens (not at their ends),
 * octets above 127, and underscores, which RFC 5321 4.1.2 lacks but senders' host names have: one rule for both
 * sides. */
bool address_domain_valid(struct span domain) MUST_USE;

/* Writes the normal form of the local part: unquoted where quoting is not needed, else quoted with no more escapes
 * than needed; ASCII lower case. False when it does not fit. */
bool address_local_normal(const struct address *address, struct buf *out) MUST_USE;

/* Writes the domain in lower case without trailing dot; a domain in UTF-8 is left to auth (auth/domain_idn.h). */
void address_domain_lower(const struct address *address, struct buf *out);

/* Whether the local part, quoted or not, holds % ! or @: to another host it may name a further recipient. */
bool address_second_routing(const struct address *address);

/* A set of our domains (A-labels, lower case, no trailing dot), sorted by domain_compare without repetition: a set
 * that is not may miss what it holds. Entries are views that must outlive it. */
struct domain_set {
    const struct span *domains;
    size_t n;
};

/* Order of octets, a prefix first: below, at or above zero. */
int domain_compare(struct span a, struct span b);

bool domain_set_holds(const struct domain_set *set, struct span domain_lower);

/* What the octets alone say: the domain is what follows the last unquoted @. */
enum address_class {
    ADDRESS_CLASS_ASK = 0, /* cannot be told here (UTF-8 domain, address literal, bare postmaster, <>): ask auth */
    ADDRESS_CLASS_LOCAL,   /* the domain is in `local`: ask auth too */
    ADDRESS_CLASS_RELAY,   /* a domain we back up: ask auth */
    ADDRESS_CLASS_FOREIGN  /* plain foreign: the verdict that came with MAIL holds */
};
enum address_class address_classify(const struct address *address, const struct domain_set *local,
                                    const struct domain_set *relay) MUST_USE;

/* The parameters of MAIL and RCPT: RFC 1870, 6152, 6531, 3461, 4954. Zero: not given. */
enum body_type { BODY_DEFAULT = 0, BODY_7BIT, BODY_8BITMIME };

struct mail_parameters {
    uint64_t size_bytes; /* 0 means no declaration too, RFC 1870 6.1; UINT64_MAX when it does not fit 64 bits */
    bool size_given;
    enum body_type body;
    bool smtputf8;
    enum dsn_return dsn_return;
    struct span envid; /* xtext as written, checked: at most 100 octets, RFC 3461 4.4 */
    struct span auth;  /* value of AUTH= as written, checked; accepted and not believed, RFC 4954 5 */
};
struct rcpt_parameters {
    unsigned notify;   /* DSN_NOTIFY_ bits */
    struct span orcpt; /* type;xtext as written, checked: at most 500 octets, RFC 3461 4.2; utf-8; may hold UTF-8 */
};

/* Parse what follows the path. REASON_SENDER_ACCEPTED when well formed, else BAD_PARAMETER or UNKNOWN_PARAMETER.
 * A parameter given twice is malformed. `esmtp` false (after HELO): any parameter is unknown. */
enum reason address_mail_parameters(struct mail_parameters *out, struct span rest, bool esmtp) MUST_USE;
enum reason address_rcpt_parameters(struct rcpt_parameters *out, struct span rest, bool esmtp) MUST_USE;

#endif
