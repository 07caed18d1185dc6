/* throttle_counter.h - one counter of the throttle, which drains: what it holds is the time until it will be empty,
 * so that neither a tick nor a division is needed. For throttle*.c alone. */
#ifndef AUTH_THROTTLE_COUNTER_H
#define AUTH_THROTTLE_COUNTER_H

#include "store/span.h"

/* Parts of a wrong password. */
enum {
    PRICE_SAME = 1, /* the same wrong password again: an old phone. It tells who guesses nothing new */
    PRICE_FORM = 5, /* no password came to be looked at */
    PRICE_WHOLE = 20,
    PRICE_SPRAY = 60 /* one password at many accounts: nobody has several accounts with one wrong password */
};

enum {
    STRIKES_MAX = 4,    /* each doubles the price of the next guess */
    STRIKE_WINDOWS = 6, /* how long one lasts */
    COUNTER_WINDOWS = 2 /* the most that a counter holds */
};

struct scale {
    int64_t window_ms; /* a full counter drains in */
    int64_t unit_ms;   /* a wrong password costs */
};

struct counter {
    int64_t empty_ms; /* clock_ms when nothing is left */
    int64_t first_ms, last_ms;
    int64_t struck_ms; /* when it was full last, later by a strike's time for each that was let off */
    uint32_t failures; /* since it was empty */
    uint8_t strikes;
};

/* What it holds, in ms of draining. */
int64_t counter_level(const struct counter *counter, const struct scale *scale, int64_t now_ms);

/* Full: there is no room for one more wrong password. */
bool counter_full(const struct counter *counter, const struct scale *scale, int64_t now_ms);

/* How long it stays full. */
int64_t counter_full_for(const struct counter *counter, const struct scale *scale, int64_t now_ms);

/* Whether it still says something: something is left, or a strike. */
bool counter_matters(const struct counter *counter, const struct scale *scale, int64_t now_ms);

/* One more failure; *share, the part of it that one account (or one network) has, grows as much. NULL: nobody's. */
void counter_add(struct counter *counter, const struct scale *scale, int parts, int64_t now_ms, int64_t *share);

/* Takes out a part, which is empty then. A part drains by itself as if it were alone, so the rest is never less than
 * it would be if the part had not been: what is forgiven is never another's. */
void counter_forgive(struct counter *counter, const struct scale *scale, int64_t now_ms, int64_t *share);

#endif
