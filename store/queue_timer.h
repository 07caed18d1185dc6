/* queue_timer.h - a heap of things that are due at a time, each inside what it belongs to; and when to try again. */
#ifndef STORE_QUEUE_TIMER_H
#define STORE_QUEUE_TIMER_H

#include "store/queue_setup.h"

struct queue_timer {
    uint64_t at_ms; /* clock_ms */
    uint32_t place; /* index in the heap and 1; 0: not set */
    uint8_t kind;   /* the owner's */
};

struct queue_timers {
    struct queue_timer **heap;
    uint32_t n, cap;
};

/* Sets or moves a timer. -1 when there is no memory (it is not set then). */
int queue_timer_set(struct queue_timers *timers, struct queue_timer *timer, uint64_t at_ms) MUST_USE;
void queue_timer_clear(struct queue_timers *timers, struct queue_timer *timer);
/* The earliest, taken out, when it is due at now_ms; else NULL. */
struct queue_timer *queue_timer_take(struct queue_timers *timers, uint64_t now_ms);

/* How long to wait after the attempt number `attempts` (from 1) failed: the setup's step, the last one for all that
 * follow, plus up to an eighth of it drawn from `random`. */
uint64_t queue_retry_ms(const struct queue_setup *setup, unsigned attempts, uint32_t random);

/* When the next attempt is: now and the retry, but not later than the expiry, so that there is one last attempt; 0
 * when the message has expired. All in wall clock milliseconds. */
uint64_t queue_retry_at(const struct queue_setup *setup, uint64_t arrival_ms, uint64_t now_ms, unsigned attempts,
                        uint32_t random);

#endif
