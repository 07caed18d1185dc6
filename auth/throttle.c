/* throttle.c - judging who may try, and counting who failed.
 * Runs in: auth. Trusts: the addresses that were announced, the verifiers' fingerprints. Never: reads a clock, waits,
 * tells a network whether an account exists. */
#include "auth/siphash.h"
#include "auth/throttle_table.h"

#include <stdlib.h>

enum {
    DELAY_MAX_MS = 5000,           /* as a network's counter comes near its limit */
    WRONG_FOR_MS = 10 * 60 * 1000, /* so long a password that was found wrong is not looked at again */
    PARENT_TIMES = 4               /* what a /48 may fail more than one network in it */
};

/* ---- limits */

static struct scale scale_of(uint64_t window_ms, uint64_t failures) {
    int64_t unit = (int64_t)(window_ms / (failures ? failures : 1));
    return (struct scale){(int64_t)window_ms, unit ? unit : 1};
}

void throttle_limit(struct throttle *throttle, const struct throttle_limits *limits) {
    throttle->limits = *limits;
    throttle->network_scale = scale_of(limits->window_ms, limits->network_failures);
    throttle->parent_scale = scale_of(limits->window_ms, (uint64_t)limits->network_failures * PARENT_TIMES);
    throttle->account_scale = scale_of(limits->window_ms, limits->account_failures);
}

struct throttle *throttle_open(const struct throttle_limits *limits, const uint8_t key[THROTTLE_KEY_BYTES]) {
    struct throttle *throttle = calloc(1, sizeof *throttle);
    if (!throttle) return NULL;
    memcpy(throttle->key, key, sizeof throttle->key);
    throttle->changed_ms = INT64_MIN;
    throttle_limit(throttle, limits);
    return throttle;
}

void throttle_close(struct throttle *throttle) {
    free(throttle);
}

uint64_t throttle_account_key(const struct throttle *throttle, struct span name) {
    uint64_t key = siphash(throttle->key, name);
    return key ? key : 1;
}

/* ---- networks */

/* What counts for a client: its network, and that network's /48. None for who has no address. */
struct places {
    size_t n;
    bool exempt;
    struct network networks[2];
};

static struct places places_of(const struct throttle *throttle, const struct netaddr *client) {
    static const uint8_t nowhere[16] = {0};
    const struct throttle_limits *limits = &throttle->limits;
    struct places places = {0};
    if (memcmp(client->octets, nowhere, sizeof nowhere) == 0) return places;
    for (uint32_t i = 0; i < limits->n_exempt; i++) places.exempt |= network_holds(&limits->exempt[i], client);
    places.networks[0] = network_of(client, limits->network_ipv4_bits, limits->network_ipv6_bits);
    places.n = table_parent(throttle, &places.networks[0], &places.networks[1]) ? 2 : 1;
    return places;
}

/* Of one who is not in the table, as much as a record would take over: he may have been crowded out of it. */
static int64_t network_level(struct throttle *throttle, const struct network *network, int64_t now_ms) {
    const struct throttle_network *record = table_find_network(throttle, network);
    return record ? counter_level(&record->counter, table_scale(throttle, network), now_ms)
                  : table_network_floor(throttle, network, now_ms);
}

/* On suspicion alone nobody is held, only delayed: where there are more guessing networks than the table has places,
 * a stranger still gets in. */
static bool is_full(struct throttle *throttle, const struct network *network, int64_t now_ms) {
    const struct throttle_network *record = table_find_network(throttle, network);
    return record && counter_full(&record->counter, table_scale(throttle, network), now_ms);
}

/* A /48 that is full does not hold those of its networks from where somebody logged in. */
static bool is_held(struct throttle *throttle, const struct places *places, int64_t now_ms) {
    if (places->n == 0 || places->exempt) return false;
    if (is_full(throttle, &places->networks[0], now_ms)) return true;
    return places->n > 1 && is_full(throttle, &places->networks[1], now_ms) &&
           !known_network(throttle, &places->networks[0], now_ms);
}

/* From half of the limit on, more with each failure. */
static uint32_t delay_of(struct throttle *throttle, const struct places *places, int64_t now_ms) {
    if (places->n == 0 || places->exempt) return 0;
    int64_t half = throttle->network_scale.window_ms / 2;
    int64_t over = network_level(throttle, &places->networks[0], now_ms) - half;
    if (over <= 0) return 0;
    return over >= half ? DELAY_MAX_MS : (uint32_t)(over * DELAY_MAX_MS / half);
}

enum throttle_verdict throttle_judge_network(struct throttle *throttle, const struct netaddr *client, uint64_t now_ms,
                                             uint32_t *delay_ms_out) {
    struct places places = places_of(throttle, client);
    *delay_ms_out = 0;
    if (!throttle->limits.enabled) return THROTTLE_ALLOW;
    if (is_held(throttle, &places, (int64_t)now_ms)) {
        throttle->refused++;
        return THROTTLE_REFUSE;
    }
    *delay_ms_out = delay_of(throttle, &places, (int64_t)now_ms);
    return *delay_ms_out ? THROTTLE_DELAY : THROTTLE_ALLOW;
}

bool throttle_network_known(struct throttle *throttle, const struct netaddr *client, uint64_t now_ms) {
    struct places places = places_of(throttle, client);
    if (!throttle->limits.enabled || places.n == 0) return false;
    if (places.exempt) return true;
    return known_network(throttle, &places.networks[0], (int64_t)now_ms) &&
           delay_of(throttle, &places, (int64_t)now_ms) == 0;
}

/* ---- accounts */

static bool was_found_wrong(struct throttle *throttle, const struct network *network,
                            const struct throttle_attempt *attempt, int64_t now_ms) {
    const struct throttle_network *record = table_find_network(throttle, network);
    for (size_t i = 0; record && attempt->fingerprint && i < THROTTLE_GUESSES; i++) {
        const struct guess *guess = &record->guesses[i];
        if (guess->account == attempt->account && guess->fingerprint == attempt->fingerprint)
            return guess->checked_ms > throttle->changed_ms && guess->checked_ms > now_ms - WRONG_FOR_MS;
    }
    return false;
}

static bool account_is_full(struct throttle *throttle, uint64_t key, int64_t now_ms) {
    const struct throttle_account *record = table_find_account(throttle, key);
    return record && counter_full(&record->counter, &throttle->account_scale, now_ms);
}

enum throttle_verdict throttle_judge_account(struct throttle *throttle, const struct throttle_attempt *attempt,
                                             uint64_t now) {
    struct places places = places_of(throttle, &attempt->client);
    int64_t now_ms = (int64_t)now;
    if (!throttle->limits.enabled) return THROTTLE_ALLOW;
    if (is_held(throttle, &places, now_ms)) {
        throttle->refused++;
        return THROTTLE_REFUSE;
    }
    bool at_home = places.n && !places.exempt && known_pair(throttle, attempt->account, &places.networks[0], now_ms);
    enum throttle_verdict verdict = THROTTLE_ALLOW;
    if (!at_home && account_is_full(throttle, attempt->account, now_ms)) verdict = THROTTLE_HELD;
    if (places.n && was_found_wrong(throttle, &places.networks[0], attempt, now_ms)) verdict = THROTTLE_SAME;
    if (verdict != THROTTLE_ALLOW) throttle->unchecked++;
    return verdict;
}

/* ---- failures */

/* What was tried is remembered as the latest; its price is how the network tried it before. */
static int note_guess(struct throttle_network *record, const struct throttle_attempt *attempt,
                      enum throttle_failure failure, int64_t now_ms) {
    struct guess *guesses = record->guesses, latest = {attempt->account, attempt->fingerprint, INT64_MIN};
    size_t at = THROTTLE_GUESSES - 1; /* the one that goes */
    int parts = PRICE_WHOLE;
    if (!attempt->fingerprint) return parts;
    for (size_t i = 0; i < THROTTLE_GUESSES; i++) {
        if (guesses[i].fingerprint != attempt->fingerprint) continue;
        if (guesses[i].account == attempt->account) {
            parts = PRICE_SAME;
            latest = guesses[i];
            at = i;
            break;
        }
        parts = PRICE_SPRAY;
    }
    if (failure == THROTTLE_FAILED_PASSWORD) latest.checked_ms = now_ms;
    memmove(guesses + 1, guesses, at * sizeof *guesses);
    guesses[0] = latest;
    return parts;
}

static struct share *find_share(struct throttle_network *record, uint64_t account) {
    for (size_t i = 0; i < THROTTLE_SHARES; i++)
        if (record->shares[i].account == account) return &record->shares[i];
    return NULL;
}

/* The account's share becomes the first. One that falls out can no longer be forgiven. */
static struct share *take_share(struct throttle_network *record, uint64_t account) {
    struct share *found = find_share(record, account), latest = found ? *found : (struct share){.account = account};
    size_t at = found ? (size_t)(found - record->shares) : THROTTLE_SHARES - 1;
    memmove(record->shares + 1, record->shares, at * sizeof latest);
    record->shares[0] = latest;
    return record->shares;
}

/* Returns the price. *share_out: what this account's failures from here came to; NULL where nobody was named. */
static int charge_network(struct throttle *throttle, const struct network *network,
                          const struct throttle_attempt *attempt, enum throttle_failure failure, int64_t now_ms,
                          struct share **share_out) {
    struct throttle_network *record = table_take_network(throttle, network, now_ms);
    bool guessed = failure != THROTTLE_FAILED_FORM;
    int parts = guessed ? note_guess(record, attempt, failure, now_ms) : PRICE_FORM;
    struct share *share = guessed && attempt->account ? take_share(record, attempt->account) : NULL;
    counter_add(&record->counter, table_scale(throttle, network), parts, now_ms,
                share ? &share->at_network_ms : NULL);
    *share_out = share;
    return parts;
}

/* Once a /48 has used up half of what it may, its new networks get no record of their own: not one of them matters.
 */
static bool stands_alone(struct throttle *throttle, const struct places *places, int64_t now_ms) {
    if (places->n < 2 || table_find_network(throttle, &places->networks[0])) return true;
    return network_level(throttle, &places->networks[1], now_ms) < throttle->parent_scale.window_ms / 2;
}

void throttle_failed(struct throttle *throttle, const struct throttle_attempt *attempt, enum throttle_failure failure,
                     uint64_t now) {
    struct places places = places_of(throttle, &attempt->client);
    struct share *share = NULL, *at_parent;
    int64_t now_ms = (int64_t)now;
    int parts = PRICE_WHOLE;
    if (!throttle->limits.enabled) return;
    if (places.n && stands_alone(throttle, &places, now_ms))
        parts = charge_network(throttle, &places.networks[0], attempt, failure, now_ms, &share);
    if (places.n > 1) (void)charge_network(throttle, &places.networks[1], attempt, failure, now_ms, &at_parent);
    if (failure != THROTTLE_FAILED_PASSWORD || !attempt->account) return;
    struct throttle_account *record = table_take_account(throttle, attempt->account, now_ms);
    record->user_id = attempt->user_id;
    counter_add(&record->counter, &throttle->account_scale, parts == PRICE_SAME ? PRICE_SAME : PRICE_WHOLE, now_ms,
                share ? &share->at_account_ms : NULL);
}

void throttle_succeeded(struct throttle *throttle, const struct throttle_attempt *attempt, uint64_t now) {
    struct places places = places_of(throttle, &attempt->client);
    struct throttle_account *account = table_find_account(throttle, attempt->account);
    int64_t now_ms = (int64_t)now;
    if (!throttle->limits.enabled || !attempt->account) return;
    for (size_t i = 0; i < places.n; i++) {
        struct throttle_network *record = table_find_network(throttle, &places.networks[i]);
        struct share *share = record ? find_share(record, attempt->account) : NULL;
        if (!share) continue;
        counter_forgive(&record->counter, table_scale(throttle, &places.networks[i]), now_ms, &share->at_network_ms);
        table_mark_dirty(throttle, table_network_slot(throttle, record));
        if (i > 0 || !account) continue;
        counter_forgive(&account->counter, &throttle->account_scale, now_ms, &share->at_account_ms);
        table_mark_dirty(throttle, table_account_slot(throttle, account));
    }
    if (places.n && !places.exempt) known_add(throttle, attempt->account, &places.networks[0], now_ms);
}

void throttle_credentials_changed(struct throttle *throttle, uint64_t now_ms) {
    throttle->changed_ms = (int64_t)now_ms;
}
