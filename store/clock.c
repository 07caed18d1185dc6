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
