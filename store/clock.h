/* clock.h - the clocks: one for deadlines, one for dates, one for work. */
#ifndef STORE_CLOCK_H
#define STORE_CLOCK_H

#include "store/buf.h"

/* Milliseconds that never go back and count while the machine sleeps (CLOCK_BOOTTIME). */
uint64_t clock_ms(void);
/* The same clock in microseconds. */
uint64_t clock_us(void);

/* Milliseconds that this process has had of the processors. */
uint64_t clock_work_ms(void);

/* Milliseconds since 1970, as the wall clock has it. */
uint64_t clock_wall_ms(void);

/* Appends an RFC 5322 date ("Mon, 23 Nov 2026 19:10:00 +0000"), always UTC: no time zone file is needed. */
void clock_put_date(struct buf *b, uint64_t wall_ms);

/* Appends "2026-11-23T19:10:00.123Z". */
void clock_put_iso(struct buf *b, uint64_t wall_ms);

/* "90s", "30m", "2h", "3d", "1w" in milliseconds. */
bool clock_read_age(struct span text, uint64_t *ms_out) MUST_USE;

/* "2026-11-23": the beginning of that day. False: it is no date since 1970. */
bool clock_read_date(struct span text, uint64_t *wall_ms_out) MUST_USE;

#endif
