/* throttle_counter.c - the arithmetic of what a failure costs, in whole milliseconds.
 * Runs in: auth. Trusts: its caller's clock, which does not go back; if it did, no counter would hold more than its
 * bound. Never: reads a clock. */
#include "auth/throttle_counter.h"

static int64_t at_least(int64_t value, int64_t least) {
    return value < least ? least : value;
}

static int64_t at_most(int64_t value, int64_t most) {
    return value > most ? most : value;
}

int64_t counter_level(const struct counter *counter, const struct scale *scale, int64_t now_ms) {
    return at_most(at_least(counter->empty_ms - now_ms, 0), COUNTER_WINDOWS * scale->window_ms);
}

int64_t counter_full_for(const struct counter *counter, const struct scale *scale, int64_t now_ms) {
    return at_least(counter_level(counter, scale, now_ms) + scale->unit_ms - scale->window_ms, 0);
}

bool counter_full(const struct counter *counter, const struct scale *scale, int64_t now_ms) {
    return counter_full_for(counter, scale, now_ms) > 0;
}

bool counter_matters(const struct counter *counter, const struct scale *scale, int64_t now_ms) {
    return counter_level(counter, scale, now_ms) > 0 ||
           now_ms - counter->struck_ms < counter->strikes * STRIKE_WINDOWS * scale->window_ms;
}

static void let_off(struct counter *counter, const struct scale *scale, int64_t now_ms) {
    while (counter->strikes && now_ms - counter->struck_ms >= STRIKE_WINDOWS * scale->window_ms) {
        counter->strikes--;
        counter->struck_ms += STRIKE_WINDOWS * scale->window_ms;
    }
}

void counter_add(struct counter *counter, const struct scale *scale, int parts, int64_t now_ms, int64_t *share) {
    int64_t before = counter_level(counter, scale, now_ms);
    bool was_full = counter_full(counter, scale, now_ms);
    let_off(counter, scale, now_ms);
    if (before == 0) counter->failures = 0, counter->first_ms = now_ms;
    int64_t price = at_least(scale->unit_ms * parts / PRICE_WHOLE, 1);
    /* Who guesses on after having been held pays more; what is no guess does not become one. */
    if (parts >= PRICE_WHOLE) price <<= counter->strikes;
    int64_t after = at_most(before + price, COUNTER_WINDOWS * scale->window_ms);
    counter->empty_ms = now_ms + after;
    counter->last_ms = now_ms;
    if (counter->failures < UINT32_MAX) counter->failures++;
    if (!was_full && counter_full(counter, scale, now_ms)) {
        if (counter->strikes < STRIKES_MAX) counter->strikes++;
        counter->struck_ms = now_ms;
    }
    if (share) *share = at_least(*share, now_ms) + after - before;
}

void counter_forgive(struct counter *counter, const struct scale *scale, int64_t now_ms, int64_t *share) {
    int64_t level = counter_level(counter, scale, now_ms);
    counter->empty_ms = now_ms + at_least(level - at_least(*share - now_ms, 0), 0);
    *share = 0;
}
