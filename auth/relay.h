/* relay.h - may this client send as this sender, and to this recipient? Pure functions: facts in, reason out.
 * They read no clock, file or pointer chain, allocate nothing and log nothing (DESIGN: the relay decision). */
#ifndef AUTH_RELAY_H
#define AUTH_RELAY_H

#include "auth/reason.h"

/* A fact that is not established is UNKNOWN (zero, or any number that is no member); the first rule that needs it,
 * because no other fact settles it, gives REASON_NOT_DECIDED. */
enum fact { FACT_UNKNOWN = 0, FACT_NO, FACT_YES };

/* LOCAL: a system user of this host, by the local socket; the identity is what the kernel says of the peer. */
enum relay_role {
    RELAY_ROLE_UNKNOWN = 0,
    RELAY_ROLE_MX,
    RELAY_ROLE_SUBMISSION,
    RELAY_ROLE_SUBMISSIONS,
    RELAY_ROLE_LOCAL,
    /* Sessions that send nothing: to the rules these are no members, so whatever is asked for one is not decided. */
    RELAY_ROLE_POP3,
    RELAY_ROLE_POP3S
};

/* What the classifier found of an address (auth/address.h) after the look-up in the store. */
enum relay_recipient {
    RECIPIENT_UNKNOWN = 0,    /* not looked up, or the look-up failed */
    RECIPIENT_MALFORMED,      /* does not parse */
    RECIPIENT_POSTMASTER,     /* bare, or at a local domain */
    RECIPIENT_SECOND_ROUTING, /* local or relay domain, local part with % ! or @, no exact entry */
    RECIPIENT_LOCAL,          /* a user or alias of ours */
    RECIPIENT_FORWARD,        /* an alias that forwards abroad, made with --forward */
    RECIPIENT_NOBODY,         /* local domain, nobody of that name */
    RECIPIENT_LITERAL,        /* an address literal that is not ours */
    RECIPIENT_RELAY_DOMAIN,   /* a domain that we back up, recipient listed or verified */
    RECIPIENT_FOREIGN         /* every other domain */
};

struct relay_facts {
    enum relay_role role;
    enum fact identity;  /* AUTH has succeeded in this session, or LOCAL: the peer's uid is a known system user's */
    enum fact granted;   /* a live grant whose user owns the sender; <> is nobody's own: NO. With identity: NO */
    enum fact suspended; /* the principal is suspended; needed only with a principal */
    enum fact sender_parses;
    enum fact sender_empty;         /* MAIL FROM:<> */
    enum fact sender_allowed;       /* own or allowed to the principal; needed only with a principal */
    enum fact sender_local;         /* the sender's domain is one of ours and asks for AUTH (per domain); NO for <> */
    enum fact local_sender_host;    /* client is listed in local_sender_hosts */
    enum fact trusted_network;      /* client is listed in trusted_networks */
    enum fact message_quota_left;   /* needed only with a principal; a grant's budget counts too */
    enum fact recipient_quota_left; /* likewise */
    enum relay_recipient recipient; /* at RCPT only */
};

/* The principal is an identity or a grant: facts marked "needed only with a principal" are not looked at without.
 * "Foreign" is FOREIGN or RELAY_DOMAIN: a principal's mail to a domain that we back up is relay-authenticated. */

/* At MAIL: REASON_SENDER_ACCEPTED or the refusal. */
enum reason relay_decide_sender(const struct relay_facts *facts) MUST_USE;

/* At RCPT, after a MAIL that was accepted with the same facts (it does not ask again): first rule that applies. */
enum reason relay_decide_recipient(const struct relay_facts *facts) MUST_USE;

/* For explain: what one rule says on these facts, and why, in words ("foreign recipient, no identity").
 * `why_out` is a constant string. FACT_UNKNOWN: the rule needs a fact that is not known. A reason that is no rule of
 * that table: FACT_NO. */
enum fact relay_rule_sender(enum reason rule, const struct relay_facts *facts, const char **why_out);
enum fact relay_rule_recipient(enum reason rule, const struct relay_facts *facts, const char **why_out);

/* The rules in order of evaluation, each list ended by REASON_NOT_DECIDED. */
extern const enum reason relay_sender_rules[];
extern const enum reason relay_recipient_rules[];

#endif
