/* test_queue_timer.c - the heap of timers and the times of retries.
 * Runs in: the test runner. Trusts: nothing. Never: waits. */
#include "store/queue_timer.h"

#include <criterion/criterion.h>
#include <stdlib.h>

Test(queue_timer, comes_out_in_order) {
    static struct queue_timer all[1000];
    struct queue_timers timers = {0};
    srand(1);
    for (size_t i = 0; i < 1000; i++) cr_assert_eq(queue_timer_set(&timers, &all[i], (uint64_t)rand() % 5000), 0);
    for (size_t i = 0; i < 1000; i += 3) queue_timer_clear(&timers, &all[i]);
    for (size_t i = 1; i < 1000; i += 3) cr_assert_eq(queue_timer_set(&timers, &all[i], (uint64_t)rand() % 5000), 0);
    uint64_t last = 0;
    size_t n = 0;
    for (struct queue_timer *timer; (timer = queue_timer_take(&timers, 5000)); n++) {
        cr_assert_geq(timer->at_ms, last);
        cr_assert_eq(timer->place, 0);
        last = timer->at_ms;
    }
    cr_assert_eq(n, 666);
    cr_assert_eq(timers.n, 0);
    free(timers.heap);
}

Test(queue_timer, is_not_due_early) {
    struct queue_timer timer = {0};
    struct queue_timers timers = {0};
    cr_assert_eq(queue_timer_set(&timers, &timer, 100), 0);
    cr_assert_null(queue_timer_take(&timers, 99));
    cr_assert_eq(queue_timer_take(&timers, 100), &timer);
    queue_timer_clear(&timers, &timer); /* twice does no harm */
    free(timers.heap);
}

static const struct queue_setup setup = {.retry_ms = {1000, 8000, 64000}, .n_retry = 3, .expire_ms = 1000000};

Test(queue_timer, retries_grow_and_stay) {
    static const struct {
        unsigned attempts;
        uint64_t least;
    } cases[] = {{0, 1000}, {1, 1000}, {2, 8000}, {3, 64000}, {4, 64000}, {60000, 64000}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        cr_assert_eq(queue_retry_ms(&setup, cases[i].attempts, 0), cases[i].least);
        for (uint32_t random = 0; random < 5000; random += 77) {
            uint64_t wait = queue_retry_ms(&setup, cases[i].attempts, random);
            cr_assert(wait >= cases[i].least && wait <= cases[i].least + cases[i].least / 8);
        }
    }
    cr_assert_neq(queue_retry_ms(&setup, 3, 0), queue_retry_ms(&setup, 3, 1023)); /* there is jitter */
}

Test(queue_timer, there_is_a_last_attempt_at_expiry_and_none_after) {
    cr_assert_eq(queue_retry_at(&setup, 5000, 5000, 1, 0), 6000);
    cr_assert_eq(queue_retry_at(&setup, 5000, 1004000, 3, 0), 1005000);
    cr_assert_eq(queue_retry_at(&setup, 5000, 1005000, 3, 0), 0);
    cr_assert_eq(queue_retry_at(&setup, 5000, 9999999, 3, 0), 0);
}
