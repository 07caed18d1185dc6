/* clock.c - reading and writing the time, always UTC.
 * Runs in: every process. Trusts: the kernel. Never: reads a time zone. */
#include "store/clock.h"

#include <stdlib.h>
#include <time.h>

static uint64_t read_us(clockid_t clock) {
    struct timespec now;
    if (clock_gettime(clock, &now) != 0) abort();
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

uint64_t clock_ms(void) {
    return read_us(CLOCK_BOOTTIME) / 1000;
}
uint64_t clock_us(void) {
    return read_us(CLOCK_BOOTTIME);
}
uint64_t clock_work_ms(void) {
    return read_us(CLOCK_PROCESS_CPUTIME_ID) / 1000;
}
uint64_t clock_wall_ms(void) {
    return read_us(CLOCK_REALTIME) / 1000;
}

static void split(uint64_t wall_ms, struct tm *out) {
    time_t seconds = (time_t)(wall_ms / 1000);
    if (!gmtime_r(&seconds, out)) memset(out, 0, sizeof *out);
}

void clock_put_date(struct buf *b, uint64_t wall_ms) {
    static const char days[7][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char months[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                       "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    struct tm t;
    split(wall_ms, &t);
    buf_put_format(b, "%s, %d %s %04d %02d:%02d:%02d +0000", days[t.tm_wday], t.tm_mday, months[t.tm_mon],
                   t.tm_year + 1900, t.tm_hour, t.tm_min, t.tm_sec);
}

void clock_put_iso(struct buf *b, uint64_t wall_ms) {
    struct tm t;
    split(wall_ms, &t);
    buf_put_format(b, "%04d-%02d-%02dT%02d:%02d:%02d.%03uZ", t.tm_year + 1900, t.tm_mon + 1, t.tm_mday, t.tm_hour,
                   t.tm_min, t.tm_sec, (unsigned)(wall_ms % 1000));
}

bool clock_read_age(struct span text, uint64_t *ms_out) {
    static const struct {
        char unit;
        uint32_t seconds;
    } units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}, {'w', 604800}};
    for (size_t i = 0; text.n && i < sizeof units / sizeof units[0]; i++) {
        uint64_t n;
        if (octet_lower(text.p[text.n - 1]) != (uint8_t)units[i].unit) continue;
        if (!span_number(span_part(text, 0, text.n - 1), 100000000, &n)) return false;
        *ms_out = n * units[i].seconds * 1000;
        return true;
    }
    return false;
}

bool clock_read_date(struct span text, uint64_t *wall_ms_out) {
    uint64_t year, month, day;
    struct tm t = {0}, back;
    if (text.n != 10 || text.p[4] != '-' || text.p[7] != '-') return false;
    if (!span_number(span_part(text, 0, 4), 9999, &year) || year < 1970 ||
        !span_number(span_part(text, 5, 2), 12, &month) || month < 1 ||
        !span_number(span_part(text, 8, 2), 31, &day) || day < 1)
        return false;
    t = (struct tm){.tm_year = (int)year - 1900, .tm_mon = (int)month - 1, .tm_mday = (int)day};
    *wall_ms_out = (uint64_t)timegm(&t) * 1000;
    split(*wall_ms_out, &back);
    return back.tm_mday == (int)day; /* 30 February is in March */
}
