/* throttle_table.c - finding records, and making room for new ones.
 * Runs in: auth. Trusts: nothing. Never: grows; forgets the more for the less; forgets without leaving what was
 * counted to whoever comes in its place. */
#include "auth/throttle_table.h"

#include "auth/siphash.h"

enum { NETWORK_SETS = THROTTLE_NETWORKS / THROTTLE_WAYS, ACCOUNT_SETS = THROTTLE_ACCOUNTS / THROTTLE_WAYS };
enum { PARENT_BITS = 48 };

void table_mark_dirty(struct throttle *throttle, size_t slot) {
    uint8_t bit = (uint8_t)(1U << slot % 8);
    if (throttle->dirty[slot / 8] & bit) return;
    throttle->dirty[slot / 8] |= bit;
    throttle->n_dirty++;
}

void table_mark_clean(struct throttle *throttle, size_t slot) {
    uint8_t bit = (uint8_t)(1U << slot % 8);
    if (!(throttle->dirty[slot / 8] & bit)) return;
    throttle->dirty[slot / 8] &= (uint8_t)~bit;
    throttle->n_dirty--;
}

size_t table_network_slot(const struct throttle *throttle, const struct throttle_network *network) {
    return (size_t)(network - throttle->networks);
}

size_t table_account_slot(const struct throttle *throttle, const struct throttle_account *account) {
    return SLOT_ACCOUNTS + (size_t)(account - throttle->accounts);
}

size_t table_known_slot(const struct throttle *throttle, const struct throttle_known *known) {
    return SLOT_KNOWN + (size_t)(known - throttle->known);
}

bool network_equal(const struct network *a, const struct network *b) {
    return a->bits == b->bits && memcmp(a->octets, b->octets, sizeof a->octets) == 0;
}

bool network_is_ipv6(const struct network *network) {
    struct netaddr first = {0};
    memcpy(first.octets, network->octets, sizeof first.octets);
    return network->bits < 96 || !netaddr_is_ipv4(&first);
}

uint64_t table_network_hash(const struct throttle *throttle, const struct network *network) {
    uint8_t text[1 + sizeof network->octets] = {network->bits};
    memcpy(text + 1, network->octets, sizeof network->octets);
    uint64_t hash = siphash(throttle->key, span_of(text, sizeof text));
    return hash ? hash : 1;
}

static struct counter taking_over(int64_t level, int64_t now_ms) {
    return (struct counter){.empty_ms = level > 0 ? now_ms + level : now_ms, .first_ms = now_ms, .last_ms = now_ms};
}

/* ---- networks */

static size_t network_set(const struct throttle *throttle, const struct network *network) {
    size_t half = NETWORK_SETS / 2;
    size_t set = table_network_hash(throttle, network) % half + (network_is_ipv6(network) ? half : 0);
    return set * THROTTLE_WAYS;
}

/* Whoever has one /64 has as a rule a whole /48 of them (RFC 6177 2). */
bool table_parent(const struct throttle *throttle, const struct network *network, struct network *parent_out) {
    struct netaddr first = {0};
    if (!network_is_ipv6(network) || throttle->limits.network_ipv6_bits <= PARENT_BITS) return false;
    memcpy(first.octets, network->octets, sizeof first.octets);
    *parent_out = network_of(&first, 32, PARENT_BITS);
    return true;
}

const struct scale *table_scale(const struct throttle *throttle, const struct network *network) {
    bool parent = network->bits == PARENT_BITS && throttle->limits.network_ipv6_bits > PARENT_BITS;
    return parent ? &throttle->parent_scale : &throttle->network_scale;
}

struct throttle_network *table_find_network(struct throttle *throttle, const struct network *network) {
    struct throttle_network *set = throttle->networks + network_set(throttle, network);
    for (size_t i = 0; i < THROTTLE_WAYS; i++)
        if (network_equal(&set[i].network, network)) return &set[i];
    return NULL;
}

/* A free one, else the one that holds least; of these the one that failed longest ago. */
static struct throttle_network *least_network(struct throttle *throttle, size_t set, int64_t now_ms,
                                              int64_t *level_out) {
    struct throttle_network *least = NULL;
    for (struct throttle_network *at = throttle->networks + set; at < throttle->networks + set + THROTTLE_WAYS;
         at++) {
        int64_t level =
            at->network.bits ? counter_level(&at->counter, table_scale(throttle, &at->network), now_ms) : -1;
        if (least && (level > *level_out || (level == *level_out && at->counter.last_ms >= least->counter.last_ms)))
            continue;
        least = at;
        *level_out = level;
    }
    return least;
}

int64_t table_network_floor(struct throttle *throttle, const struct network *network, int64_t now_ms) {
    int64_t level;
    (void)least_network(throttle, network_set(throttle, network), now_ms, &level);
    return level < 0 ? 0 : level;
}

struct throttle_network *table_take_network(struct throttle *throttle, const struct network *network,
                                            int64_t now_ms) {
    int64_t level;
    struct throttle_network *record = table_find_network(throttle, network);
    if (!record) {
        record = least_network(throttle, network_set(throttle, network), now_ms, &level);
        *record = (struct throttle_network){.network = *network, .counter = taking_over(level, now_ms)};
    }
    table_mark_dirty(throttle, table_network_slot(throttle, record));
    return record;
}

/* ---- accounts */

static struct throttle_account *account_set(struct throttle *throttle, uint64_t key) {
    return throttle->accounts + key % ACCOUNT_SETS * THROTTLE_WAYS; /* the key is a keyed hash already */
}

struct throttle_account *table_find_account(struct throttle *throttle, uint64_t key) {
    struct throttle_account *set = account_set(throttle, key);
    for (size_t i = 0; i < THROTTLE_WAYS; i++)
        if (set[i].key == key) return &set[i];
    return NULL;
}

static struct throttle_account *least_account(struct throttle *throttle, struct throttle_account *set, int64_t now_ms,
                                              int64_t *level_out) {
    struct throttle_account *least = NULL;
    for (struct throttle_account *at = set; at < set + THROTTLE_WAYS; at++) {
        int64_t level = at->key ? counter_level(&at->counter, &throttle->account_scale, now_ms) : -1;
        if (least && (level > *level_out || (level == *level_out && at->counter.last_ms >= least->counter.last_ms)))
            continue;
        least = at;
        *level_out = level;
    }
    return least;
}

struct throttle_account *table_take_account(struct throttle *throttle, uint64_t key, int64_t now_ms) {
    int64_t level;
    struct throttle_account *record = table_find_account(throttle, key);
    if (!record) {
        record = least_account(throttle, account_set(throttle, key), now_ms, &level);
        *record = (struct throttle_account){.key = key, .counter = taking_over(level, now_ms)};
    }
    table_mark_dirty(throttle, table_account_slot(throttle, record));
    return record;
}
