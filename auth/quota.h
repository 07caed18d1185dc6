/* quota.h - how many messages, and how many recipients elsewhere, somebody may send in an hour and in a day.
 * What is given out is counted here, for all sessions of a user together; the row of the database is ahead of it by a
 * block of a hundredth of the limit (for recipients in a group up to a twentieth; at least 1), so that a crash
 * forfeits what is left of the block, and what was open, and lets nobody send more. A database that cannot be read or
 * written makes it unknown what is left. Time is the quota's own: the wall clock, but it never goes back, not over a
 * restart either (the rows have it), and goes on while the wall clock has been set back. */
#ifndef AUTH_QUOTA_H
#define AUTH_QUOTA_H

#include "auth/address.h"
#include "auth/quota_window.h"
#include "auth/relay.h"
#include "store/database.h"
#include "store/log.h"

/* Limits of one user or credential in place of the configured ones; QUOTA_GENERAL where it has none of its own. */
enum { QUOTA_GENERAL = -1, QUOTA_MOST_MAX = 1000000000 };
struct quota_own {
    int64_t most[QUOTA_WHATS][QUOTA_PERIODS];
    int64_t suspend_after;
};

/* Who is counted: a user; one of its credentials but the mailbox password (what it sends counts for the user too); a
 * system user of this host who is no user here, by its address. */
enum quota_kind { QUOTA_NOBODY = 0, QUOTA_USER, QUOTA_CREDENTIAL, QUOTA_SYSTEM };

struct quota_holder {
    enum quota_kind kind;
    int64_t id;       /* of the user or credential; else 0 */
    struct span name; /* of the system user; else empty */
};

struct quota_tally {
    struct quota_tally *next;
    struct quota_holder holder;
    uint8_t name[ADDRESS_MAX];
    struct quota_window used[QUOTA_WHATS], refused;
    uint64_t
        durable_slot; /* of the row, when it was written last; then what it says was used in that slot, which is */
    uint32_t durable[QUOTA_WHATS]; /* no less than what was */
    bool warned[QUOTA_WHATS][QUOTA_PERIODS];
    struct quota_own own;
    bool uncounted;       /* the mailbox password: as its user */
    uint64_t suspended_s; /* wall clock; 0: not. Of a user users.suspended has it */
    uint32_t open;        /* reservations */
};

enum { QUOTA_PAYERS = 2, QUOTA_BUCKETS = 4096 };

/* What a transaction has taken; it is given back unless the queue has the message. */
struct quota_reservation {
    struct quota_reservation *next;
    uint8_t transaction[TRANSACTION_BYTES];
    struct quota_tally *payers[QUOTA_PAYERS]; /* NULL: no more */
    struct {
        uint64_t slot;
        uint32_t n;
    } taken[QUOTA_WHATS]; /* recipients: in the last slot; of earlier ones nothing is given back */
};

struct quota {
    struct database *db;
    const struct quota_limits *limits;            /* as configured just now */
    uint64_t (*clock_ms)(void), (*wall_ms)(void); /* store/clock.h's, or a test's */
    uint64_t time_ms, read_ms, swept_ms;          /* the quota's time; clock_ms when it was told; when swept */
    struct quota_tally *tallies[QUOTA_BUCKETS];
    struct quota_reservation *reservations[QUOTA_BUCKETS];
};

/* Who sends, as auth knows: a user by its id, and the credential that it came by (0: not known); else a system user
 * by its address; else nobody, who has no quota. */
struct quota_principal {
    int64_t user_id, credential_id;
    struct span system;
};

/* Begins with what the database has. -1: it cannot be read. */
int quota_open(struct quota *quota, struct database *db, const struct quota_limits *limits) MUST_USE;
/* Writes down exactly what was used (as far as that can be), and forgets everything. */
void quota_close(struct quota *quota);
/* Forgets who has sent nothing for a day, now and then. */
void quota_round(struct quota *quota);

/* Whether one more may be sent. */
enum fact quota_left(struct quota *quota, const struct quota_principal *principal, enum quota_what what) MUST_USE;
/* Whether its credential, or the system user, is suspended; that of a user is its account's. */
enum fact quota_suspended(struct quota *quota, const struct quota_principal *principal) MUST_USE;

/* Takes a message for a transaction that begins; NO: none is left. With YES its reservation, which lives until
 * quota_end; NULL for who has no quota. */
enum fact quota_take_message(struct quota *quota, const struct quota_principal *principal,
                             const uint8_t transaction[TRANSACTION_BYTES], struct quota_reservation **out) MUST_USE;
/* Takes a recipient more for it (NULL: nothing). `coming`: how many may come at once, this one included, so that few
 * blocks will do. */
enum fact quota_take_recipient(struct quota *quota, struct quota_reservation *reservation, uint32_t coming) MUST_USE;

/* The end of a transaction: what it took is used, or given back. Nothing when there is none of this name. */
void quota_end(struct quota *quota, const uint8_t transaction[TRANSACTION_BYTES], bool used);
/* Nobody will say how the open ones ended: they count as used. */
void quota_end_all(struct quota *quota);

/* One more refusal over quota. True when there are now as many as the limit of whose quota that is allows: who is to
 * be suspended is in *out, until the next call. */
struct quota_suspect {
    struct quota_holder holder;
    uint32_t refused;
};
bool quota_refused(struct quota *quota, const struct quota_principal *principal, enum quota_what what,
                   struct quota_suspect *out);

/* Suspends a credential or a system user. -1: it could not be written. */
int quota_suspend(struct quota *quota, const struct quota_holder *holder, uint64_t since_s) MUST_USE;
/* Refusals of a user and its credentials, or of a system user, are forgotten, and none of these is suspended any more
 * (a user's own suspension is its account's). How many were, or -1: it could not be written. */
int quota_lift(struct quota *quota, const struct quota_holder *holder) MUST_USE;

/* A credential was written anew and has another id (credential_renew, which has moved its row): what is counted and
 * reserved goes on under that. */
void quota_renamed(struct quota *quota, int64_t from, int64_t to);

/* Limits of a user's own (`kind` and `name` empty), or of its credential of that kind and name: 0, or -1. */
int quota_get_own(struct quota *quota, int64_t user_id, struct span kind, struct span name,
                  struct quota_own *out) MUST_USE;
int quota_set_own(struct quota *quota, int64_t user_id, struct span kind, struct span name,
                  const struct quota_own *own) MUST_USE;

/* Adds user=LOGIN, and of a credential credential=NAME. */
void quota_log_holder(struct log_line *line, struct database *db, const struct quota_holder *holder);

/* What the owner is shown of one holder. */
struct quota_report {
    struct quota_limits limits;
    uint32_t used[QUOTA_WHATS][QUOTA_PERIODS], refused;
    uint64_t until_ms[QUOTA_WHATS][QUOTA_PERIODS]; /* wall clock: when the first of it is free again; 0: none used */
    uint64_t suspended_ms;
    bool own[QUOTA_WHATS][QUOTA_PERIODS]; /* the limit is */
};
/* False: it cannot be read. */
bool quota_report(struct quota *quota, const struct quota_holder *holder, struct quota_report *out) MUST_USE;

/* Everybody who has a row: whoever sent something within a day, is suspended, or has limits of its own. Logins in
 * their order, a user before its credentials. Until `each` returns false. */
struct quota_row {
    struct quota_holder holder;
    struct span login, kind, name; /* of the user or system user; of the credential, else empty */
};
bool quota_rows(struct quota *quota, bool (*each)(void *context, const struct quota_row *row),
                void *context) MUST_USE;

#endif
