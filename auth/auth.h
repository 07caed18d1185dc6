/* auth.h - the auth process: its links to the other processes, and the loop. */
#ifndef AUTH_AUTH_H
#define AUTH_AUTH_H

#include "auth/dovecot_export.h"
#include "auth/facts.h"
#include "auth/grant.h"
#include "auth/hook.h"
#include "auth/login_cache.h"
#include "auth/login_queue.h"
#include "auth/notice.h"
#include "auth/peer_count.h"
#include "auth/postmaster.h"
#include "store/control.h"
#include "store/loop.h"
#include "store/queue_timer.h"
#include "store/role.h"

/* A channel to a listener, the queue, the keys process or a verifier. */
struct auth_link {
    struct auth *auth;
    struct loop_watch watch;
    uint8_t kind, index; /* enum role of the peer */
    bool alive;
    struct frame_backlog backlog;
    /* verifiers */
    uint64_t exchange; /* that it works on, 0: idle */
    struct peer *peer; /* whose; NULL: it has left */
    int64_t user_id;   /* who is let in when it is right; 0: nobody */
    struct throttle_attempt
        attempt;          /* the same, for the throttle, and what it is when it is wrong: the session may */
    uint8_t failure;      /* have left by then (enum throttle_failure) */
    uint32_t measured_ms; /* what one hash of the configured cost takes; 0: not said yet */
};

enum { AUTH_TRANSACTIONS = 4096 };

struct auth {
    struct role_start *start;
    struct auth_setup setup;
    struct house house;
    struct loop loop;
    struct loop_watch master;
    struct auth_link links[ROLE_CHANNELS];
    size_t n_links;
    struct control_server control;
    struct dovecot_export dovecot;
    struct hook hook;
    struct login_queue logins;
    struct login_cache cache;
    struct queue_timers login_timers; /* of exchanges */
    struct quota quota;
    struct grants grants;
    struct notices notices;
    struct peer *peers;
    uint32_t n_peers;
    struct peer_counts counts;
    struct throttle *throttle;
    uint64_t throttle_save_at;                       /* clock_ms; 0: nothing is to be saved */
    struct peer *transactions[AUTH_TRANSACTIONS];    /* whose transaction is open, by its name */
    uint64_t sessions, exchanges;                    /* numbers given out so far */
    bool no_space;                                   /* the queue said so */
    uint64_t dearest_work;                           /* of the stored hashes: no failure is sooner */
    uint64_t dearest_due_ms;                         /* when to look again; 0: nothing was replaced */
    uint64_t failures_told_ms;                       /* how slow they were when the owner was told */
    uint8_t salt_key[ACCOUNT_SALT_KEY_BYTES];        /* for the verifiers: salts that nobody has */
    struct expansion ends;                           /* of the recipient at hand */
    uint8_t postmaster_told[POSTMASTER_WARNING_MAX]; /* the last warning about the postmaster */
    size_t postmaster_told_n;
};

/* The link when it works, or NULL. */
struct auth_link *auth_find_link(struct auth *auth, enum role role, unsigned index);

/* Sends a frame that must not be lost, now or when the channel takes it. False: the link is broken or its backlog
 * full. */
bool auth_tell(struct auth_link *link, enum frame_type type, struct span body, int passed) MUST_USE;

/* Finds auth->dearest_work. */
void auth_find_dearest(struct auth *auth);

/* Logs where mail for postmaster goes when that is not where the configuration says, once for each such place. Uses
 * auth->ends. */
void auth_say_postmaster(struct auth *auth);

/* The process. Returns an exit status. */
int auth_run(struct role_start *start, uint32_t missing);

#endif
