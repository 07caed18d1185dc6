/* throttle_table.h - what the throttle holds in memory: three tables of fixed size, each in sets of sixteen that a
 * keyed hash chooses. In a full set the least held gives way, and who takes its place takes over what it held, so
 * that nobody empties a counter by crowding it out. For throttle*.c alone. */
#ifndef AUTH_THROTTLE_TABLE_H
#define AUTH_THROTTLE_TABLE_H

#include "auth/throttle.h"
#include "auth/throttle_counter.h"

/* Together some 30 MB when all are full; pages that were never needed take none. */
enum {
    THROTTLE_WAYS = 16,
    THROTTLE_NETWORKS = 32768, /* half for IPv4, half for IPv6: whoever has a /32 of IPv6 crowds out no IPv4 */
    THROTTLE_ACCOUNTS = 16384,
    THROTTLE_KNOWN = 65536, /* pairs of account and network */
    THROTTLE_KNOWN_MAX = 8, /* networks of one account */
    THROTTLE_PLACES = 32768,
    THROTTLE_GUESSES = 24, /* passwords that a network tried last: more than it is let try (network_failures) */
    THROTTLE_SHARES = 6    /* accounts that it tried last */
};

struct guess {
    uint64_t account, fingerprint;
    int64_t checked_ms; /* when it was found wrong; INT64_MIN: it was not looked at */
};

/* What one account's failures from this network came to. */
struct share {
    uint64_t account;
    int64_t at_network_ms, at_account_ms; /* as counter's empty_ms, each in its own scale */
};

struct throttle_network {
    struct network network; /* bits 0: free */
    struct counter counter;
    struct guess guesses[THROTTLE_GUESSES]; /* the latest first; account 0: none */
    struct share shares[THROTTLE_SHARES];
};

struct throttle_account {
    uint64_t key; /* 0: free */
    int64_t user_id;
    struct counter counter;
};

struct throttle_known {
    uint64_t account;       /* 0: free */
    struct network network; /* where it logged in */
    int64_t last_ms;
};

/* The latest login from a network, whoever's: made of the known pairs. */
struct throttle_place {
    uint64_t hash; /* of the network; 0: free */
    int64_t last_ms;
};

struct throttle {
    struct throttle_limits limits;
    struct scale network_scale, parent_scale, account_scale;
    uint8_t key[THROTTLE_KEY_BYTES];
    int64_t changed_ms; /* the last change of credentials: what was wrong before may be right now */
    uint64_t refused, unchecked;
    uint32_t n_dirty;
    size_t saved_to; /* octet of dirty */
    struct throttle_network networks[THROTTLE_NETWORKS];
    struct throttle_account accounts[THROTTLE_ACCOUNTS];
    struct throttle_known known[THROTTLE_KNOWN];
    struct throttle_place places[THROTTLE_PLACES];
    uint8_t
        dirty[(THROTTLE_NETWORKS + THROTTLE_ACCOUNTS + THROTTLE_KNOWN) / 8]; /* not in the database as it is here */
};

/* Slots are numbered through the three tables; a row of the database is one slot. */
enum {
    SLOT_ACCOUNTS = THROTTLE_NETWORKS,
    SLOT_KNOWN = SLOT_ACCOUNTS + THROTTLE_ACCOUNTS,
    SLOTS = SLOT_KNOWN + THROTTLE_KNOWN
};

void table_mark_dirty(struct throttle *throttle, size_t slot);
void table_mark_clean(struct throttle *throttle, size_t slot);
/* Of a record of one of the three tables. */
size_t table_network_slot(const struct throttle *throttle, const struct throttle_network *network);
size_t table_account_slot(const struct throttle *throttle, const struct throttle_account *account);
size_t table_known_slot(const struct throttle *throttle, const struct throttle_known *known);

bool network_equal(const struct network *a, const struct network *b);
/* Never 0. */
uint64_t table_network_hash(const struct throttle *throttle, const struct network *network);
bool network_is_ipv6(const struct network *network);

/* Where a network of IPv6 counts a second time, at a quarter of the price: its /48. False where there is none. */
bool table_parent(const struct throttle *throttle, const struct network *network, struct network *parent_out);
const struct scale *table_scale(const struct throttle *throttle, const struct network *network);

/* The record or NULL. */
struct throttle_network *table_find_network(struct throttle *throttle, const struct network *network);
struct throttle_account *table_find_account(struct throttle *throttle, uint64_t key);

/* The record, made when there is none, in place of the one with the least. Never NULL. Marked dirty. */
struct throttle_network *table_take_network(struct throttle *throttle, const struct network *network, int64_t now_ms);
struct throttle_account *table_take_account(struct throttle *throttle, uint64_t key, int64_t now_ms);

/* What a record would take over if it were made now: what one who is not in the table may have cost. */
int64_t table_network_floor(struct throttle *throttle, const struct network *network, int64_t now_ms);

/* ---- throttle_known.c */

/* A login of the account from the network; of the account's other networks the oldest may go. */
struct throttle_known *known_add(struct throttle *throttle, uint64_t account, const struct network *network,
                                 int64_t now_ms);
bool known_pair(struct throttle *throttle, uint64_t account, const struct network *network, int64_t now_ms);
/* Known for any account. */
bool known_network(struct throttle *throttle, const struct network *network, int64_t now_ms);

#endif
