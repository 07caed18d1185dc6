/* grant.h - POP-before-SMTP: who has just logged in to its mail from an address may send from there for a while,
 * without AUTH, as itself (DESIGN 4). A grant is one user's at one address (or IPv6 network, by the setup); it is
 * judged at each use on the wall clock and on the boot clock, and void after a reboot, so nothing here waits for a
 * disk: what a power cut takes back was void with it. */
#ifndef AUTH_GRANT_H
#define AUTH_GRANT_H

#include "auth/account.h"
#include "auth/grant_address.h"
#include "auth/relay.h"

/* A user has no more grants than GRANTS_PER_USER at a time: a new one ends the one that is the soonest over. Nor is
 * it remembered from more than GRANT_LOGINS_PER_USER addresses, a larger number, that he logged in. */
enum {
    GRANT_HELD_MAX_MS = 12 * 3600 * 1000,
    GRANT_CANDIDATES = 16,
    GRANTS_PER_USER = 64,
    GRANT_LOGINS_PER_USER = 256
};

/* How a login came to be known: our own POP3 server, a report of another server's, the owner's word. */
enum grant_source { GRANT_SOURCE_NONE = 0, GRANT_SOURCE_POP3, GRANT_SOURCE_HOOK, GRANT_SOURCE_OWNER };

enum grant_result {
    GRANT_UNDECIDED = 0, /* the database failed (logged); nothing is granted */
    GRANT_MADE,
    GRANT_RENEWED,
    GRANT_OFF,                 /* grant.enabled is false, or this boot has no name */
    GRANT_ADDRESS_MEANINGLESS, /* loopback, private and the like: it says nothing of who it is */
    GRANT_ADDRESS_SHARED,      /* several users logged in from it lately: they must use AUTH */
    GRANT_USER_REFUSED         /* no such user, disabled or suspended */
};

/* A login that keeps its grant alive as long as it lasts; a member of the session's struct. Zero: holds nothing. */
struct grant_hold {
    struct grant_hold *next;
    int64_t grant_id;  /* 0: none */
    uint64_t until_ms; /* boot clock */
};

struct grants {
    struct database *db;
    const struct grant_limits *limits;           /* as configured just now */
    uint64_t (*boot_ms)(void), (*wall_ms)(void); /* store/clock.h's, or a test's */
    struct grant_hold *holds;
    uint64_t renew_at_ms, sweep_at_ms; /* boot clock */
    /* Told of each grant that was ended before its time, so that what rests on it ends too; or NULL. */
    void (*ended)(void *context, int64_t grant_id);
    void *context;
};

/* Begins with what the database has; sees to it that changes of accounts end grants (account_watch). -1: logged; the
 * caller sets limits->enabled to false, and nothing is granted. */
int grant_open(struct grants *grants, struct database *db, const struct grant_limits *limits) MUST_USE;

/* The limits are others: no grant outlives the lifetime that is configured now. -1: likewise. */
int grant_limit(struct grants *grants) MUST_USE;

/* A successful login of this user from this address: makes or renews its grant, with a fresh budget, and logs what
 * was done, or why not. */
enum grant_result grant_login(struct grants *grants, int64_t user_id, const struct netaddr *address,
                              enum grant_source source);

/* A successful login that makes no grant (AUTH): it counts for who shares the address. */
void grant_note(struct grants *grants, int64_t user_id, const struct netaddr *address);

/* The same for a login by what is not good for sending; it is logged. */
void grant_withhold(struct grants *grants, int64_t user_id, const struct netaddr *address, enum grant_source source);

/* After grant_login, whatever came of it: the session stays open, and the grant, where there is one, is renewed until
 * release, GRANT_HELD_MAX_MS at most; its budget is not, and one that was ended is not made anew. `hold` stays where
 * it is. Release also what never was held. */
void grant_hold(struct grants *grants, struct grant_hold *hold, int64_t user_id, const struct netaddr *address);
void grant_release(struct grants *grants, struct grant_hold *hold);

/* Renews what is held and forgets what is over, when it is time; returns ms until it is again, or -1. */
int grant_round(struct grants *grants);

/* A live grant. */
struct grant {
    int64_t id, user_id;
    struct network network;
    enum grant_source source;
    uint64_t since_ms, until_ms; /* wall clock; `since` is the login that made it */
    uint64_t left_ms;            /* by whichever clock is the sooner */
    uint32_t messages_left, recipients_left;
};

/* The live grants of an address, at most GRANT_CANDIDATES, in *out; FAILED: it is not known. None at all where there
 * are more: so many users share it. */
enum account_found grant_find(struct grants *grants, const struct netaddr *address,
                              struct grant out[GRANT_CANDIDATES], size_t *n_out) MUST_USE;

/* Whether it is live still. */
enum fact grant_live(struct grants *grants, int64_t id) MUST_USE;

/* Takes a message, a recipient elsewhere, or both of what is left; NO: it is used up, or over. Not given back. */
enum fact grant_take(struct grants *grants, int64_t id, bool message, bool recipient) MUST_USE;

/* Whether a login to the mail would help a client at this address: neither meaningless nor shared. */
bool grant_helps(struct grants *grants, const struct netaddr *address) MUST_USE;

/* Ends grants: of a user (0: anybody's) at addresses in the network (NULL: everywhere). `why` is for the log. How
 * many there were, or -1 (logged). */
int grant_end(struct grants *grants, int64_t user_id, const struct network *network, const char *why) MUST_USE;

/* Live grants, by user and address, until `each` returns false; it must not call back here. */
enum account_found grant_walk(struct grants *grants, bool (*each)(void *context, const struct grant *grant),
                              void *context) MUST_USE;

const char *grant_source_word(enum grant_source source);

#endif
