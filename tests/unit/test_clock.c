/* test_clock.c - dates as RFC 5322 and ISO 8601 write them, and clocks that go forward.
 * Runs in: the test runner. Trusts: nothing. Never: compares with the time of day. */
#include "store/clock.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static const struct {
    uint64_t seconds;
    const char *date, *iso;
} rows[] = {
    {0, "Thu, 1 Jan 1970 00:00:00 +0000", "1970-01-01T00:00:00.000Z"},
    {68255999, "Tue, 29 Feb 1972 23:59:59 +0000", "1972-02-29T23:59:59.000Z"},
    {951782400, "Tue, 29 Feb 2000 00:00:00 +0000", "2000-02-29T00:00:00.000Z"}, /* a leap century */
    {1709164800, "Thu, 29 Feb 2024 00:00:00 +0000", "2024-02-29T00:00:00.000Z"},
    {1709251200, "Fri, 1 Mar 2024 00:00:00 +0000", "2024-03-01T00:00:00.000Z"},
    {1795461000, "Mon, 23 Nov 2026 19:10:00 +0000", "2026-11-23T19:10:00.000Z"},
    {2147483647, "Tue, 19 Jan 2038 03:14:07 +0000", "2038-01-19T03:14:07.000Z"},
    {2147483648, "Tue, 19 Jan 2038 03:14:08 +0000", "2038-01-19T03:14:08.000Z"}, /* beyond 31 bits */
    {4107542399, "Sun, 28 Feb 2100 23:59:59 +0000", "2100-02-28T23:59:59.000Z"},
    {4107542400, "Mon, 1 Mar 2100 00:00:00 +0000", "2100-03-01T00:00:00.000Z"}, /* not a leap year */
    {4294967296, "Sun, 7 Feb 2106 06:28:16 +0000", "2106-02-07T06:28:16.000Z"}, /* beyond 32 bits */
    {253402300799, "Fri, 31 Dec 9999 23:59:59 +0000", "9999-12-31T23:59:59.000Z"},
};

Test(test_clock, dates) {
    setenv("TZ", "America/New_York", 1); /* is not looked at */
    tzset();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint8_t storage[80];
        struct buf b = BUF_OVER(storage);
        clock_put_date(&b, rows[i].seconds * 1000 + 999);
        cr_expect(buf_ok(&b) && span_equal(buf_span(&b), span_text(rows[i].date)), "%s: %.*s", rows[i].date, (int)b.n,
                  (const char *)storage);
        buf_clear(&b);
        clock_put_iso(&b, rows[i].seconds * 1000);
        cr_expect(buf_ok(&b) && span_equal(buf_span(&b), span_text(rows[i].iso)), "%s: %.*s", rows[i].iso, (int)b.n,
                  (const char *)storage);
    }
}

Test(test_clock, milliseconds) {
    static const unsigned ms[] = {0, 1, 10, 99, 100, 999};
    for (size_t i = 0; i < sizeof ms / sizeof *ms; i++) {
        uint8_t storage[80];
        char wanted[80];
        struct buf b = BUF_OVER(storage);
        clock_put_iso(&b, 1000 + ms[i]);
        snprintf(wanted, sizeof wanted, "1970-01-01T00:00:01.%03uZ", ms[i]);
        cr_expect(span_equal(buf_span(&b), span_text(wanted)), "%u", ms[i]);
    }
}

Test(test_clock, beyond_all_calendars) {
    uint8_t storage[80];
    struct buf b = BUF_OVER(storage);
    clock_put_date(&b, UINT64_MAX);
    cr_expect(buf_ok(&b) && b.n > 0);
    clock_put_iso(&b, UINT64_MAX);
    cr_expect(buf_ok(&b));
}

Test(test_clock, too_little_room_is_noticed) {
    for (size_t room = 0; room < 31; room++) {
        uint8_t storage[32];
        struct buf b = buf_over(storage, room);
        clock_put_date(&b, 0);
        cr_expect_not(buf_ok(&b), "%zu", room);
    }
}

Test(test_clock, never_back) {
    uint64_t first = clock_ms();
    for (size_t i = 0; i < 1000; i++) {
        uint64_t next = clock_ms();
        cr_assert_geq(next, first);
        first = next;
    }
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    cr_expect_geq(clock_wall_ms(), (uint64_t)now.tv_sec * 1000);
}

Test(test_clock, ages) {
    static const struct {
        const char *text;
        uint64_t ms; /* 0: is not taken */
    } cases[] = {{"90s", 90000},
                 {"30m", 1800000},
                 {"2h", 7200000},
                 {"3d", 259200000},
                 {"1w", 604800000},
                 {"2H", 7200000},
                 {"100000000w", 60480000000000000},
                 {"", 0},
                 {"h", 0},
                 {"30", 0},
                 {"3 d", 0},
                 {"-3d", 0},
                 {"3dd", 0},
                 {"1.5h", 0},
                 {"99999999999d", 0},
                 {"18446744073709551616s", 0}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint64_t ms = 0;
        bool taken = clock_read_age(span_text(cases[i].text), &ms);
        cr_expect_eq(taken, cases[i].ms != 0, "%s", cases[i].text);
        if (taken) cr_expect_eq(ms, cases[i].ms, "%s", cases[i].text);
    }
}

static const struct {
    const char *text;
    uint64_t seconds; /* UINT64_MAX: is no date */
} days[] = {
    {"1970-01-01", 0},          {"2026-11-23", 1795392000},  {"2024-02-29", 1709164800}, {"9999-12-31", 253402214400},
    {"2023-02-29", UINT64_MAX}, {"2026-02-30", UINT64_MAX},  {"2026-04-31", UINT64_MAX}, {"1969-12-31", UINT64_MAX},
    {"2026-13-01", UINT64_MAX}, {"2026-00-10", UINT64_MAX},  {"2026-01-00", UINT64_MAX}, {"2026-1-01", UINT64_MAX},
    {"26-01-01", UINT64_MAX},   {"2026-01-01T", UINT64_MAX}, {"2026/01/01", UINT64_MAX}, {"", UINT64_MAX},
    {"2026-+1-01", UINT64_MAX},
};

Test(test_clock, days) {
    for (size_t i = 0; i < sizeof days / sizeof *days; i++) {
        uint64_t ms = 0;
        bool taken = clock_read_date(span_text(days[i].text), &ms);
        cr_expect_eq(taken, days[i].seconds != UINT64_MAX, "%s", days[i].text);
        if (taken) cr_expect_eq(ms, days[i].seconds * 1000, "%s", days[i].text);
    }
}
