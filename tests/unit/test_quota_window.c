/* test_quota_window.c - windows that slide, against a plain list of what was used when. */
#include "auth/quota_window.h"

#include <criterion/criterion.h>
#include <stdlib.h>

TestSuite(quota_window, .timeout = 30);

static const uint64_t base = 5900000; /* any slot */

static struct quota_window at(uint64_t slot) {
    struct quota_window window = {0};
    quota_window_advance(&window, slot);
    return window;
}

Test(quota_window, slides) {
    struct quota_window window = at(base);
    quota_window_add(&window, 3);
    quota_window_advance(&window, base + 12);
    quota_window_add(&window, 2);
    cr_expect_eq(quota_window_used(&window, QUOTA_HOUR), 5, "within an hour and a slot");
    quota_window_advance(&window, base + 13);
    cr_expect_eq(quota_window_used(&window, QUOTA_HOUR), 2, "the first have left the hour");
    cr_expect_eq(quota_window_used(&window, QUOTA_DAY), 5, "and not the day");
    quota_window_advance(&window, base + 25 * 12 - base % 12 - 1);
    cr_expect_eq(quota_window_used(&window, QUOTA_HOUR), 0);
    cr_expect_eq(quota_window_used(&window, QUOTA_DAY), 5, "the last slot before they leave the day");
    quota_window_advance(&window, base + 25 * 12 - base % 12);
    cr_expect_eq(quota_window_used(&window, QUOTA_DAY), 2);
    quota_window_advance(&window, base * 2);
    cr_expect_eq(quota_window_used(&window, QUOTA_DAY), 0);
}

Test(quota_window, never_goes_back) {
    struct quota_window window = at(base);
    quota_window_add(&window, 7);
    quota_window_advance(&window, base - 100);
    cr_expect_eq(window.slot, base);
    cr_expect_eq(quota_window_used(&window, QUOTA_HOUR), 7);
    quota_window_advance(&window, 0);
    cr_expect_eq(quota_window_used(&window, QUOTA_DAY), 7);
}

Test(quota_window, returns) {
    struct quota_window window = at(base);
    quota_window_add(&window, 5);
    quota_window_advance(&window, base + 1);
    quota_window_add(&window, 5);
    quota_window_return(&window, base, 2);
    cr_expect_eq(quota_window_used(&window, QUOTA_HOUR), 8);
    quota_window_return(&window, base, 9);
    cr_expect_eq(quota_window_used(&window, QUOTA_HOUR), 5, "no more than was used in that slot");
    quota_window_return(&window, base + 2, 5);
    cr_expect_eq(quota_window_used(&window, QUOTA_HOUR), 5, "nothing was used in the future");
    quota_window_advance(&window, base + 14);
    quota_window_add(&window, 1);
    uint32_t day = quota_window_used(&window, QUOTA_DAY);
    quota_window_return(&window, base + 1, 5); /* base + 1 and base + 14 share a bucket of the hour */
    cr_expect_eq(quota_window_used(&window, QUOTA_HOUR), 1, "a slot that has left gives nothing back to its heir");
    cr_expect_lt(quota_window_used(&window, QUOTA_DAY), day, "the day still has it");
    quota_window_advance(&window, base + 25 * 12 + 13);
    quota_window_add(&window, 4);
    quota_window_return(&window, base + 1, 4);
    cr_expect_eq(quota_window_used(&window, QUOTA_DAY), 4);
}

Test(quota_window, until) {
    struct quota_window window = at(base);
    cr_expect_eq(quota_window_until(&window, QUOTA_HOUR), 0, "nothing was used");
    quota_window_advance(&window, base + 2);
    quota_window_add(&window, 1);
    quota_window_advance(&window, base + 5);
    quota_window_add(&window, 1);
    cr_expect_eq(quota_window_until(&window, QUOTA_HOUR), base + 2 + 13);
    uint64_t day = quota_window_until(&window, QUOTA_DAY);
    struct quota_window before = window;
    quota_window_advance(&before, day - 1);
    quota_window_advance(&window, day);
    cr_expect_gt(quota_window_used(&before, QUOTA_DAY), 0);
    cr_expect_lt(quota_window_used(&window, QUOTA_DAY), 2);
}

Test(quota_window, no_number_wraps) {
    struct quota_window window = at(base);
    quota_window_add(&window, UINT32_MAX);
    quota_window_add(&window, 1);
    cr_expect_eq(quota_window_used(&window, QUOTA_HOUR), UINT32_MAX);
    quota_window_advance(&window, base + 1);
    quota_window_add(&window, UINT32_MAX);
    cr_expect_eq(quota_window_used(&window, QUOTA_DAY), UINT32_MAX);
}

Test(quota_window, stored) {
    uint8_t storage[QUOTA_WINDOW_BYTES];
    struct buf b = BUF_OVER(storage);
    struct quota_window window = at(base), again;
    for (int i = 0; i < 400; i++)
        quota_window_advance(&window, window.slot + 1), quota_window_add(&window, (uint32_t)i);
    quota_window_put(&b, &window);
    cr_assert(buf_ok(&b) && b.n == sizeof storage);
    struct wire w = wire_over(buf_span(&b));
    quota_window_get(&w, &again);
    cr_expect(wire_end(&w) && memcmp(&window, &again, sizeof window) == 0);
    w = wire_over(span_of(storage, sizeof storage - 1));
    quota_window_get(&w, &again);
    cr_expect(w.bad, "one octet short");
    memset(storage, 0xff, 8);
    w = wire_over(buf_span(&b));
    quota_window_get(&w, &again);
    cr_expect(w.bad, "a slot at the end of time");
}

/* Whatever is used and given back when: never less than the plain count of the last 60 minutes and 24 hours, never
 * more than that of 65 minutes and 25 hours. */
Test(quota_window, against_a_list) {
    enum { SLOTS = 2000 };
    static uint32_t list[SLOTS];
    struct quota_window window = {0};
    uint64_t slot = 1;
    srand(7);
    for (int step = 0; step < 20000 && slot < SLOTS; step++) {
        quota_window_advance(&window, slot);
        uint32_t n = (uint32_t)(rand() % 4);
        uint64_t from = slot > 400 ? slot - (uint64_t)(rand() % 400) : slot;
        if (rand() % 3) {
            quota_window_add(&window, n);
            list[slot] += n;
        } else if (list[from] >= n) {
            quota_window_return(&window, from, n);
            list[from] -= n;
        }
        uint64_t hour = 0, day = 0, day_long = 0;
        for (uint64_t back = 0; back < SLOTS && back <= slot; back++) {
            if (back < 13) hour += list[slot - back];
            if (back <= 24 * 12) day += list[slot - back];
            if (back < 25 * 12) day_long += list[slot - back];
        }
        cr_assert_eq(quota_window_used(&window, QUOTA_HOUR), hour, "step %d", step);
        cr_assert_geq(quota_window_used(&window, QUOTA_DAY), day, "step %d", step);
        cr_assert_leq(quota_window_used(&window, QUOTA_DAY), day_long, "step %d", step);
        if (rand() % 8 == 0) slot += (uint64_t)(rand() % 6);
    }
    cr_expect_gt(slot, 1000);
}
