/* throttle_walk.c - what the owner sees of the counters, and forgetting them.
 * Runs in: auth. Trusts: its caller to be the owner. Never: forgets from where somebody logged in. */
#include "auth/throttle_table.h"

static struct throttle_row row_of(const struct counter *counter, const struct scale *scale, int64_t now_ms) {
    int64_t level = counter_level(counter, scale, now_ms);
    return (struct throttle_row){.held = counter_full(counter, scale, now_ms),
                                 .failures = counter->failures,
                                 .first_ago_ms = (uint64_t)(now_ms - counter->first_ms),
                                 .last_ago_ms = (uint64_t)(now_ms - counter->last_ms),
                                 .held_for_ms = (uint64_t)counter_full_for(counter, scale, now_ms),
                                 .empty_in_ms = (uint64_t)level};
}

static bool holds_any(const struct throttle_row *row) {
    return row->empty_in_ms > 0;
}

void throttle_walk(const struct throttle *throttle, uint64_t now_ms,
                   bool (*each)(void *context, const struct throttle_row *row), void *context) {
    for (size_t i = 0; i < THROTTLE_NETWORKS; i++) {
        const struct throttle_network *record = &throttle->networks[i];
        if (!record->network.bits) continue;
        struct throttle_row row = row_of(&record->counter, table_scale(throttle, &record->network), (int64_t)now_ms);
        row.is_network = true;
        row.network = record->network;
        if (holds_any(&row) && !each(context, &row)) return;
    }
    for (size_t i = 0; i < THROTTLE_ACCOUNTS; i++) {
        const struct throttle_account *record = &throttle->accounts[i];
        if (!record->key) continue;
        struct throttle_row row = row_of(&record->counter, &throttle->account_scale, (int64_t)now_ms);
        row.account = record->key;
        row.user_id = record->user_id;
        if (holds_any(&row) && !each(context, &row)) return;
    }
}

static bool count(void *context, const struct throttle_row *row) {
    struct throttle_totals *totals = context;
    if (row->is_network)
        totals->networks++, totals->networks_held += row->held;
    else
        totals->accounts++, totals->accounts_held += row->held;
    return true;
}

void throttle_count(const struct throttle *throttle, uint64_t now_ms, struct throttle_totals *out) {
    *out = (struct throttle_totals){.refused = throttle->refused, .unchecked = throttle->unchecked};
    throttle_walk(throttle, now_ms, count, out);
}

/* An address means the networks that it is in, a wider one those that are in it. */
static bool is_meant(const struct network *network, const struct network *meant) {
    const struct network *inner = meant->bits == 128 ? meant : network, *outer = meant->bits == 128 ? network : meant;
    struct netaddr first = {0};
    memcpy(first.octets, inner->octets, sizeof first.octets);
    return inner->bits >= outer->bits && network_holds(outer, &first);
}

static void forget_network(struct throttle *throttle, struct throttle_network *record) {
    *record = (struct throttle_network){0};
    table_mark_dirty(throttle, table_network_slot(throttle, record));
}

static void forget_account(struct throttle *throttle, struct throttle_account *record) {
    *record = (struct throttle_account){0};
    table_mark_dirty(throttle, table_account_slot(throttle, record));
}

size_t throttle_forget_network(struct throttle *throttle, const struct network *network) {
    size_t n = 0;
    for (size_t i = 0; i < THROTTLE_NETWORKS; i++) {
        struct throttle_network *record = &throttle->networks[i];
        if (record->network.bits && is_meant(&record->network, network)) forget_network(throttle, record), n++;
    }
    return n;
}

size_t throttle_forget_account(struct throttle *throttle, uint64_t account) {
    struct throttle_account *record = table_find_account(throttle, account);
    if (record) forget_account(throttle, record);
    return record != NULL;
}

size_t throttle_forget_all(struct throttle *throttle) {
    size_t n = 0;
    for (size_t i = 0; i < THROTTLE_NETWORKS; i++)
        if (throttle->networks[i].network.bits) forget_network(throttle, &throttle->networks[i]), n++;
    for (size_t i = 0; i < THROTTLE_ACCOUNTS; i++)
        if (throttle->accounts[i].key) forget_account(throttle, &throttle->accounts[i]), n++;
    return n;
}
