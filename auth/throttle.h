/* throttle.h - guessing made useless: what a failed login costs its network and its account, and who is refused for
 * it before any hash work. Costs drain with time; tables are of fixed size. Times are clock_ms, handed in. */
#ifndef AUTH_THROTTLE_H
#define AUTH_THROTTLE_H

#include "store/netaddr.h"

struct throttle;

/* What a failure costs is counted in wrong passwords. So many in a row fill a counter; it drains in window_ms. */
struct throttle_limits {
    bool enabled;               /* false: everything is allowed, nothing is counted */
    uint32_t network_ipv4_bits; /* what counts as one network */
    uint32_t network_ipv6_bits;
    uint32_t network_failures; /* from one network; of IPv6, four times as many from a /48 */
    uint32_t account_failures; /* at one account, from everywhere */
    uint64_t window_ms;
    uint64_t known_ms;      /* how long a network stays known after a login */
    struct network *exempt; /* never held as networks, nor known for an account; the caller's, may be NULL */
    uint32_t n_exempt;
};

enum { THROTTLE_KEY_BYTES = 16, THROTTLE_FINGERPRINT_BYTES = 8 };

/* NULL: no memory. `key` keys the hashes of names and networks; counters are found again only under the same key. */
struct throttle *throttle_open(const struct throttle_limits *limits, const uint8_t key[THROTTLE_KEY_BYTES]) MUST_USE;
void throttle_close(struct throttle *throttle);

/* New limits; counters stay. */
void throttle_limit(struct throttle *throttle, const struct throttle_limits *limits);

enum throttle_verdict {
    THROTTLE_REFUSE = 0, /* the network: 454 4.7.0 at once, whatever the account */
    THROTTLE_ALLOW,
    THROTTLE_DELAY, /* go on after delay_ms */
    THROTTLE_HELD,  /* the account, for networks that it was not used from: answered as a wrong password is, in the
                       same  words and after the same time, and not looked at */
    THROTTLE_SAME   /* this password was found wrong just now: the same */
};

/* Who tries, as far as is known. */
struct throttle_attempt {
    struct netaddr client;
    uint64_t account;     /* throttle_account_key; 0: no name is known */
    int64_t user_id;      /* whose it is; 0: nobody's. Only told to the owner, nothing depends on it */
    uint64_t fingerprint; /* the verifier's, of the password; 0: the mechanism shows none. Where a password may be
                             right for one service and wrong for another, of the service too */
};

/* The account of a name, in its normal form when it has one (facts_login_name), else as it came. Never 0. */
uint64_t throttle_account_key(const struct throttle *throttle, struct span name) MUST_USE;

/* The first judgement, of the network alone, when a message arrives; at the start also of a connection that is for
 * logging in. REFUSE, ALLOW or DELAY. */
enum throttle_verdict throttle_judge_network(struct throttle *throttle, const struct netaddr *client, uint64_t now_ms,
                                             uint32_t *delay_ms_out) MUST_USE;

/* The second, when name and fingerprint are known, right before the hash work (so that no more than one for each
 * verifier slip through at once). REFUSE (the network's counter is full by now), ALLOW, HELD or SAME. */
enum throttle_verdict throttle_judge_account(struct throttle *throttle, const struct throttle_attempt *attempt,
                                             uint64_t now_ms) MUST_USE;

enum throttle_failure {
    THROTTLE_FAILED_PASSWORD = 0, /* looked at, and wrong; or there is nobody of that name */
    THROTTLE_FAILED_UNCHECKED,    /* after HELD or SAME, or for another cause than the password (to act for another
                                     user, an account that is disabled): costs the network, not the account */
    THROTTLE_FAILED_FORM          /* unknown mechanism, malformed, cancelled, no TLS: nothing was guessed */
};

/* Each failure, as soon as it is certain and not when it is answered. Not for those that THROTTLE_REFUSE made, nor
 * for faults of ours. */
void throttle_failed(struct throttle *throttle, const struct throttle_attempt *attempt, enum throttle_failure failure,
                     uint64_t now_ms);

/* A login: the network is known for the account from now on, and what this account's failures from this network cost
 * is forgiven, at both. */
void throttle_succeeded(struct throttle *throttle, const struct throttle_attempt *attempt, uint64_t now_ms);

/* A credential was added, changed or removed: what was wrong may be right now. Not for a new hash of the same. */
void throttle_credentials_changed(struct throttle *throttle, uint64_t now_ms);

/* Whether somebody logged in from this network lately and it does not guess now, or the owner exempted it: such are
 * served before strangers. */
bool throttle_network_known(struct throttle *throttle, const struct netaddr *client, uint64_t now_ms) MUST_USE;

/* ---- for the owner */

struct throttle_row {
    bool is_network, held;
    struct network network;             /* is_network */
    uint64_t account;                   /* else */
    int64_t user_id;                    /* of the account; 0: nobody's */
    uint32_t failures;                  /* since its counter was empty last */
    uint64_t first_ago_ms, last_ago_ms; /* the first and the last of them */
    uint64_t held_for_ms, empty_in_ms;  /* from now until the next attempt is let through, until nothing is left */
};

/* Every counter that is not empty, in no order, until `each` returns false. */
void throttle_walk(const struct throttle *throttle, uint64_t now_ms,
                   bool (*each)(void *context, const struct throttle_row *row), void *context);

/* Empties the counters of all networks within this one, or that this address is in; of an account (its known networks
 * stay). How many. */
size_t throttle_forget_network(struct throttle *throttle, const struct network *network);
size_t throttle_forget_account(struct throttle *throttle, uint64_t account);
size_t throttle_forget_all(struct throttle *throttle);

struct throttle_totals {
    uint32_t networks, accounts;           /* with a counter that is not empty */
    uint32_t networks_held, accounts_held; /* of these, full */
    uint64_t refused, unchecked;           /* attempts that were judged REFUSE, and HELD or SAME, since the start */
};
void throttle_count(const struct throttle *throttle, uint64_t now_ms, struct throttle_totals *out);

#endif
