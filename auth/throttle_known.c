/* throttle_known.c - from where each account logged in lately. Only a login adds to it, so no stranger crowds anybody
 * out.
 * Runs in: auth. Trusts: its caller, that the login succeeded. Never: grows. */
#include "auth/throttle_table.h"

enum { KNOWN_SETS = THROTTLE_KNOWN / THROTTLE_WAYS, PLACE_SETS = THROTTLE_PLACES / THROTTLE_WAYS };
enum { RENEW_MAX_MS = 3600 * 1000 };

static bool is_recent(const struct throttle *throttle, int64_t last_ms, int64_t now_ms) {
    return now_ms - last_ms < (int64_t)throttle->limits.known_ms;
}

static struct throttle_known *known_set(struct throttle *throttle, uint64_t account) {
    return throttle->known + account % KNOWN_SETS * THROTTLE_WAYS;
}

static struct throttle_known *find(struct throttle *throttle, uint64_t account, const struct network *network) {
    struct throttle_known *set = known_set(throttle, account);
    for (struct throttle_known *at = set; at < set + THROTTLE_WAYS; at++)
        if (at->account == account && network_equal(&at->network, network)) return at;
    return NULL;
}

/* Whose place a new one takes: the account's own oldest when it has all it may have, else a free one, else the
 * oldest of the set. */
static struct throttle_known *oldest(struct throttle *throttle, uint64_t account) {
    struct throttle_known *set = known_set(throttle, account), *own = NULL, *any = set;
    size_t n = 0;
    for (struct throttle_known *at = set; at < set + THROTTLE_WAYS; at++) {
        if (at->account == account) {
            n++;
            if (!own || at->last_ms < own->last_ms) own = at;
        }
        if (any->account && (!at->account || at->last_ms < any->last_ms)) any = at;
    }
    return n >= THROTTLE_KNOWN_MAX ? own : any;
}

static struct throttle_place *place_set(struct throttle *throttle, uint64_t hash) {
    return throttle->places + hash % PLACE_SETS * THROTTLE_WAYS;
}

static void add_place(struct throttle *throttle, uint64_t hash, int64_t now_ms) {
    struct throttle_place *set = place_set(throttle, hash), *chosen = set;
    for (struct throttle_place *at = set; at < set + THROTTLE_WAYS; at++) {
        if (at->hash == hash) {
            chosen = at;
            break;
        }
        if (chosen->hash && (!at->hash || at->last_ms < chosen->last_ms)) chosen = at;
    }
    if (chosen->hash == hash && chosen->last_ms > now_ms) return;
    *chosen = (struct throttle_place){hash, now_ms};
}

struct throttle_known *known_add(struct throttle *throttle, uint64_t account, const struct network *network,
                                 int64_t now_ms) {
    struct throttle_known *record = find(throttle, account, network);
    add_place(throttle, table_network_hash(throttle, network), now_ms);
    /* Who logs in every minute is not written every minute. */
    int64_t renew_ms = (int64_t)(throttle->limits.known_ms / 8);
    if (record && now_ms - record->last_ms < (renew_ms < RENEW_MAX_MS ? renew_ms : RENEW_MAX_MS)) return record;
    if (!record) record = oldest(throttle, account);
    *record = (struct throttle_known){account, *network, now_ms};
    table_mark_dirty(throttle, table_known_slot(throttle, record));
    return record;
}

bool known_pair(struct throttle *throttle, uint64_t account, const struct network *network, int64_t now_ms) {
    const struct throttle_known *record = find(throttle, account, network);
    return record && is_recent(throttle, record->last_ms, now_ms);
}

bool known_network(struct throttle *throttle, const struct network *network, int64_t now_ms) {
    uint64_t hash = table_network_hash(throttle, network);
    const struct throttle_place *set = place_set(throttle, hash);
    for (size_t i = 0; i < THROTTLE_WAYS; i++)
        if (set[i].hash == hash) return is_recent(throttle, set[i].last_ms, now_ms);
    return false;
}
