/* facts.h - establishing the facts of the relay decision, and deciding: one set of functions for the live answer and
 * for explain. */
#ifndef AUTH_FACTS_H
#define AUTH_FACTS_H

#include "auth/expand.h"
#include "auth/grant.h"
#include "auth/quota.h"
#include "auth/relay.h"
#include "auth/system_user.h"

/* Who asks, as auth itself knows. */
struct facts_client {
    enum relay_role role;
    struct netaddr address;
    int64_t user_id;                  /* identity by AUTH; 0: none */
    int64_t credential_id;            /* by which; 0: not known */
    int64_t granted_id;               /* explain: this user has a live grant here; 0: as the grants say */
    const struct system_user *system; /* identity on LOCAL; NULL: none */
};

struct facts_sender {
    struct relay_facts facts;
    struct address address; /* views into the argument */
    struct span rest;       /* parameters */
    struct key key;
    uint8_t login[ADDRESS_MAX]; /* of the principal */
    size_t login_n;
    struct quota_principal payer; /* whose quota it is; views into the client's system user */
    int64_t grant_id;             /* by which facts.granted is YES; 0: none, or explain's */
    bool granted_others;          /* there is a live grant for this address, which is no good for this sender */
    bool budget_used;             /* of the grant, and not of the quota: no more messages */
};

/* At MAIL: parses what follows "FROM:", looks up what the rules need, decides. */
enum reason facts_mail(const struct house *house, const struct facts_client *client, struct span argument,
                       struct facts_sender *out) MUST_USE;

struct facts_recipient {
    struct address address;
    struct span rest;
    uint8_t original[ADDRESS_MAX]; /* as the client wrote it */
    size_t original_n;
    bool no_postmaster;  /* not decided because there is no user who could get it */
    bool no_way_out;     /* accepted by the rules, refused as relay-denied: this installation sends nothing abroad */
    bool no_local_relay; /* the same: the owner lets system users not relay */
};

/* At RCPT, with the facts of MAIL: sets facts->recipient, decides, and where accepted leaves the ends in
 * *ends_out. */
enum reason facts_rcpt(const struct house *house, struct relay_facts *facts, struct span argument,
                       struct facts_recipient *out, struct expansion *ends_out) MUST_USE;

/* The verdict for a plain foreign recipient. */
enum reason facts_foreign(const struct house *house, const struct relay_facts *facts) MUST_USE;

/* Whether the principal may send at all: NO when the account is gone, disabled or suspended. YES without a
 * principal. `payer`: as facts_mail found it. */
enum fact facts_enabled(const struct house *house, const struct facts_client *client,
                        const struct quota_principal *payer) MUST_USE;

/* Whether the principal may use the address as a sender; NO without one. `payer`: likewise. */
enum fact facts_may_use(const struct house *house, const struct facts_client *client,
                        const struct quota_principal *payer, const struct key *address) MUST_USE;

/* For mail of the queue's own: where a bounce to this address goes; an empty one is postmaster. FAILED: try later. */
enum expand_outcome facts_route(const struct house *house, struct span plain, struct expansion *ends_out) MUST_USE;

/* Who logs in by this name: a full address, or the local part alone where there is one local domain. False:
 * nobody. */
bool facts_login_name(const struct house *house, struct span name, struct key *out) MUST_USE;

#endif
