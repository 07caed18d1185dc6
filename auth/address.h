/* address.h - the grammar of MAIL and RCPT arguments, and the classifier of recipients. Session and auth use
 * the same functions; auth alone is believed. RFC 5321 4.1.2, 4.1.3, RFC 6531 3.3. */
#ifndef AUTH_ADDRESS_H
#define AUTH_ADDRESS_H

#include "auth/reason.h"
#include "store/netaddr.h"

enum {
    ADDRESS_LOCAL_MAX = 64,   /* RFC 5321 4.5.3.1.1 */
    ADDRESS_DOMAIN_MAX = 255, /* 4.5.3.1.2 */
    ADDRESS_MAX = 320
};

/* An address as parsed: views into the argument. */
struct address {
    bool empty;            /* <> */
    bool postmaster;       /* <postmaster> without a domain, any case, RFC 5321 4.5.1 */
    bool literal;          /* domain is an address literal, with its brackets */
    bool utf8;             /* holds octets above 127 */
    struct span local;     /* as written, quotes included */
    struct span domain;    /* as written, without trailing dot */
    struct span whole;     /* local@domain as written, source route cut */
};

/* Parses the path at the start of `argument` ("<a@b> SIZE=1"): `rest_out` is what follows it, trimmed. A source route
 * is stripped (RFC 5321 4.1.1.3, appendix C). `null_allowed`: <> (MAIL); otherwise <postmaster> may lack a domain (RCPT).
 * False when malformed. Control octets, bare 8-bit without valid UTF-8, and lengths over the limits are malformed. */
bool address_parse(struct address *out, struct span argument, bool null_allowed, struct span *rest_out) MUST_USE;

/* A plain address ("alice@example.test") from configuration or the command line. */
bool address_parse_plain(struct address *out, struct span text) MUST_USE;

/* Writes the normal form of the local part: unquoted where quoting is not needed, ASCII lower case. False when it does not fit. */
bool address_local_normal(const struct address *address, struct buf *out) MUST_USE;

/* Writes the domain in lower case without trailing dot; a domain in UTF-8 is left to auth (auth/domain_idn.h). */
void address_domain_lower(const struct address *address, struct buf *out);

/* A set of our domains (A-labels, lower case). Entries are views that must outlive it. */
struct domain_set {
    const struct span *domains;
    size_t n;
};

bool domain_set_holds(const struct domain_set *set, struct span domain_lower);

/* What the octets alone say: the domain is what follows the last unquoted @. */
enum address_class {
    ADDRESS_CLASS_ASK = 0, /* cannot be told here (UTF-8 domain): ask auth */
    ADDRESS_CLASS_LOCAL,   /* local domain, bare postmaster, or literal: ask auth too */
    ADDRESS_CLASS_RELAY,   /* a domain we back up: ask auth */
    ADDRESS_CLASS_FOREIGN  /* plain foreign: the verdict that came with MAIL holds */
};
enum address_class address_classify(const struct address *address, const struct domain_set *local,
                                    const struct domain_set *relay) MUST_USE;

/* The parameters of MAIL and RCPT: RFC 1870, 6152, 6531, 3461, 4954. Zero: not given. */
enum body_type { BODY_DEFAULT = 0, BODY_7BIT, BODY_8BITMIME };
enum dsn_return { DSN_RETURN_DEFAULT = 0, DSN_RETURN_FULL, DSN_RETURN_HEADERS };
enum dsn_notify { DSN_NOTIFY_DEFAULT = 0, DSN_NOTIFY_NEVER = 1, DSN_NOTIFY_SUCCESS = 2, DSN_NOTIFY_FAILURE = 4, DSN_NOTIFY_DELAY = 8 };

struct mail_parameters {
    uint64_t size_bytes;
    bool size_given;
    enum body_type body;
    bool smtputf8;
    enum dsn_return ret;
    struct span envid; /* xtext as written, checked */
    struct span auth;  /* value of AUTH= as written, checked; accepted and not believed, RFC 4954 5 */
};
struct rcpt_parameters {
    unsigned notify;    /* DSN_NOTIFY_ bits */
    struct span orcpt;  /* type;xtext as written, checked */
};

/* Parse what follows the path. REASON_SENDER_ACCEPTED when well formed, else BAD_PARAMETER or UNKNOWN_PARAMETER.
 * A parameter given twice is malformed. `esmtp` false (after HELO): any parameter is unknown. */
enum reason address_mail_parameters(struct mail_parameters *out, struct span rest, bool esmtp) MUST_USE;
enum reason address_rcpt_parameters(struct rcpt_parameters *out, struct span rest, bool esmtp) MUST_USE;

#endif
