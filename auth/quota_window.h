/* quota_window.h - how much was used within an hour and within a day, in buckets that slide. Pure.
 * A slot is five minutes of the quota's own time (auth/quota.h). The hour is the present slot and the twelve before
 * it, the day the present hour of slots and the twenty-four before it: in no 60 minutes is more used than in the
 * fullest hour here, and what was used is free again after 60 to 65 minutes, and 24 to 25 hours. */
#ifndef AUTH_QUOTA_WINDOW_H
#define AUTH_QUOTA_WINDOW_H

#include "store/wire.h"

enum { QUOTA_SLOT_SEC = 300, QUOTA_HOUR_SLOTS = 13, QUOTA_SLOTS_PER_HOUR = 12, QUOTA_DAY_HOURS = 25 };

enum quota_period { QUOTA_HOUR = 0, QUOTA_DAY, QUOTA_PERIODS };
enum quota_what { QUOTA_MESSAGES = 0, QUOTA_RECIPIENTS, QUOTA_WHATS };

/* Zero lets nothing be sent. */
struct quota_limits {
    uint32_t most[QUOTA_WHATS][QUOTA_PERIODS];
    uint32_t suspend_after; /* refusals over quota within an hour; 0: never */
};

/* All zero: nothing was used. */
struct quota_window {
    uint64_t slot;                   /* the present one */
    uint32_t hour[QUOTA_HOUR_SLOTS]; /* of slot s: at s modulo their number; likewise the hours of the day */
    uint32_t day[QUOTA_DAY_HOURS];
};

/* Goes on to a later slot: what has left a window is forgotten. An earlier slot changes nothing. */
void quota_window_advance(struct quota_window *window, uint64_t slot);

/* What was used in the window; UINT32_MAX where it is more. */
uint32_t quota_window_used(const struct quota_window *window, enum quota_period period);

/* Uses n more in the present slot. */
void quota_window_add(struct quota_window *window, uint32_t n);

/* Gives n back of what was used in that slot, as far as the windows still have it. */
void quota_window_return(struct quota_window *window, uint64_t slot, uint32_t n);

/* The first slot in which some of what was used is free again; 0: nothing was used. */
uint64_t quota_window_until(const struct quota_window *window, enum quota_period period);

/* As stored. quota_window_get of what is no window makes the wire bad. */
enum { QUOTA_WINDOW_BYTES = 8 + 4 * (QUOTA_HOUR_SLOTS + QUOTA_DAY_HOURS) };
void quota_window_put(struct buf *b, const struct quota_window *window);
void quota_window_get(struct wire *w, struct quota_window *out);

#endif
