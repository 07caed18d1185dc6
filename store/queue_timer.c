/* queue_timer.c - the heap of timers and the arithmetic of retries.
 * Runs in: queue. Trusts: its owner. Never: reads a clock. */
#include "store/queue_timer.h"

#include <stdlib.h>

static void put(struct queue_timers *timers, uint32_t i, struct queue_timer *timer) {
    timers->heap[i] = timer;
    timer->place = i + 1;
}

static void sift_up(struct queue_timers *timers, uint32_t i, struct queue_timer *timer) {
    for (; i > 0 && timers->heap[(i - 1) / 2]->at_ms > timer->at_ms; i = (i - 1) / 2)
        put(timers, i, timers->heap[(i - 1) / 2]);
    put(timers, i, timer);
}

static void sift_down(struct queue_timers *timers, uint32_t i, struct queue_timer *timer) {
    for (;;) {
        uint32_t child = 2 * i + 1;
        if (child + 1 < timers->n && timers->heap[child + 1]->at_ms < timers->heap[child]->at_ms) child++;
        if (child >= timers->n || timers->heap[child]->at_ms >= timer->at_ms) break;
        put(timers, i, timers->heap[child]);
        i = child;
    }
    put(timers, i, timer);
}

void queue_timer_clear(struct queue_timers *timers, struct queue_timer *timer) {
    if (!timer->place) return;
    uint32_t i = timer->place - 1;
    struct queue_timer *last = timers->heap[--timers->n];
    timer->place = 0;
    if (last == timer) return;
    if (i > 0 && timers->heap[(i - 1) / 2]->at_ms > last->at_ms)
        sift_up(timers, i, last);
    else
        sift_down(timers, i, last);
}

int queue_timer_set(struct queue_timers *timers, struct queue_timer *timer, uint64_t at_ms) {
    queue_timer_clear(timers, timer);
    if (timers->n == timers->cap) {
        uint32_t cap = timers->cap ? 2 * timers->cap : 64;
        void *grown = realloc(timers->heap, cap * sizeof(struct queue_timer *));
        if (!grown) return -1;
        timers->heap = grown, timers->cap = cap;
    }
    timer->at_ms = at_ms;
    sift_up(timers, timers->n++, timer);
    return 0;
}

struct queue_timer *queue_timer_take(struct queue_timers *timers, uint64_t now_ms) {
    struct queue_timer *first = timers->n ? timers->heap[0] : NULL;
    if (!first || first->at_ms > now_ms) return NULL;
    queue_timer_clear(timers, first);
    return first;
}

uint64_t queue_retry_ms(const struct queue_setup *setup, unsigned attempts, uint32_t random) {
    uint32_t step = attempts ? attempts - 1 : 0;
    if (!setup->n_retry) return 60000;
    if (step >= setup->n_retry) step = setup->n_retry - 1;
    uint64_t wait = setup->retry_ms[step];
    return wait + wait / 8 * (random % 1024) / 1024;
}

uint64_t queue_retry_at(const struct queue_setup *setup, uint64_t arrival_ms, uint64_t now_ms, unsigned attempts,
                        uint32_t random) {
    uint64_t expiry = arrival_ms + setup->expire_ms, next = now_ms + queue_retry_ms(setup, attempts, random);
    if (now_ms >= expiry) return 0;
    return next < expiry ? next : expiry;
}
