/* quota_window.c - counting in slots.
 * Runs in: auth. Trusts: its caller's clock, which never goes back. Never: reads a clock, wraps around. */
#include "auth/quota_window.h"

static uint64_t hour_of(uint64_t slot) {
    return slot / QUOTA_SLOTS_PER_HOUR;
}

/* The buckets between `from` (the present one) and `to` are new. */
static void clear(uint32_t *buckets, size_t n, uint64_t from, uint64_t to) {
    if (to - from > n) from = to - n;
    while (from < to) buckets[++from % n] = 0;
}

void quota_window_advance(struct quota_window *window, uint64_t slot) {
    if (slot <= window->slot) return;
    clear(window->hour, QUOTA_HOUR_SLOTS, window->slot, slot);
    clear(window->day, QUOTA_DAY_HOURS, hour_of(window->slot), hour_of(slot));
    window->slot = slot;
}

static uint32_t sum(const uint32_t *buckets, size_t n) {
    uint64_t all = 0;
    for (size_t i = 0; i < n; i++) all += buckets[i];
    return all > UINT32_MAX ? UINT32_MAX : (uint32_t)all;
}

uint32_t quota_window_used(const struct quota_window *window, enum quota_period period) {
    return period == QUOTA_HOUR ? sum(window->hour, QUOTA_HOUR_SLOTS) : sum(window->day, QUOTA_DAY_HOURS);
}

static void add(uint32_t *bucket, uint32_t n) {
    *bucket = n > UINT32_MAX - *bucket ? UINT32_MAX : *bucket + n;
}

void quota_window_add(struct quota_window *window, uint32_t n) {
    add(&window->hour[window->slot % QUOTA_HOUR_SLOTS], n);
    add(&window->day[hour_of(window->slot) % QUOTA_DAY_HOURS], n);
}

/* At most n of it; how much. */
static uint32_t take(uint32_t *bucket, uint32_t n) {
    if (n > *bucket) n = *bucket;
    *bucket -= n;
    return n;
}

void quota_window_return(struct quota_window *window, uint64_t slot, uint32_t n) {
    if (slot > window->slot) return;
    if (window->slot - slot < QUOTA_HOUR_SLOTS) n = take(&window->hour[slot % QUOTA_HOUR_SLOTS], n);
    if (hour_of(window->slot) - hour_of(slot) < QUOTA_DAY_HOURS)
        (void)take(&window->day[hour_of(slot) % QUOTA_DAY_HOURS], n);
}

/* The bucket after which the oldest that is not empty has left; 0: all are. */
static uint64_t leaves(const uint32_t *buckets, uint64_t n, uint64_t present) {
    for (uint64_t age = n; age-- > 0;)
        if (age <= present && buckets[(present - age) % n]) return present - age + n;
    return 0;
}

uint64_t quota_window_until(const struct quota_window *window, enum quota_period period) {
    if (period == QUOTA_HOUR) return leaves(window->hour, QUOTA_HOUR_SLOTS, window->slot);
    return leaves(window->day, QUOTA_DAY_HOURS, hour_of(window->slot)) * QUOTA_SLOTS_PER_HOUR;
}

void quota_window_put(struct buf *b, const struct quota_window *window) {
    wire_put_u64(b, window->slot);
    for (size_t i = 0; i < QUOTA_HOUR_SLOTS; i++) wire_put_u32(b, window->hour[i]);
    for (size_t i = 0; i < QUOTA_DAY_HOURS; i++) wire_put_u32(b, window->day[i]);
}

void quota_window_get(struct wire *w, struct quota_window *out) {
    out->slot = wire_get_u64(w);
    for (size_t i = 0; i < QUOTA_HOUR_SLOTS; i++) out->hour[i] = wire_get_u32(w);
    for (size_t i = 0; i < QUOTA_DAY_HOURS; i++) out->day[i] = wire_get_u32(w);
    if (out->slot > UINT64_MAX / QUOTA_SLOT_SEC / 2) w->bad = true;
}
