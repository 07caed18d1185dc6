/* throttle_store.h - the throttle's counters outlive the process: a row of the table `failures` for each slot that is
 * in use. */
#ifndef AUTH_THROTTLE_STORE_H
#define AUTH_THROTTLE_STORE_H

#include "auth/throttle.h"
#include "store/database.h"

/* The key that was drawn when the database was made. 0, or -1 (logged). */
int throttle_key(struct database *db, uint8_t key_out[THROTTLE_KEY_BYTES]) MUST_USE;

/* Both clocks at the same time: clock_ms, and milliseconds since 1970. */
struct throttle_time {
    uint64_t now_ms, wall_ms;
};

/* Reads what was saved; it has drained in the meantime. How long that was is what clock_ms says as long as the
 * machine has not been started again, so that a step of the wall clock is not believed. 0, or -1 (logged). */
int throttle_load(struct throttle *throttle, struct database *db, struct throttle_time time) MUST_USE;

/* Whether there is something to save. */
bool throttle_unsaved(const struct throttle *throttle);

/* Writes at most `max` slots in one transaction that waits for no disk; what is left is written by the next call. 0,
 * or -1 (logged; all of it is still to be saved). */
int throttle_save(struct throttle *throttle, struct database *db, struct throttle_time time, size_t max) MUST_USE;

#endif
