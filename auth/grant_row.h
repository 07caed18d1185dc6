/* grant_row.h - the rows of grants and of who logged in from where. For grant.c alone. */
#ifndef AUTH_GRANT_ROW_H
#define AUTH_GRANT_ROW_H

#include "auth/grant.h"

/* When a row is judged, and by which boot. */
struct grant_time {
    const uint8_t *boot; /* GRANT_BOOT_BYTES */
    uint64_t boot_ms, wall_ms;
};

/* Each returns how many rows it changed, or -1 (logged). Nothing waits for the disk. */

/* Writes the user's grant for the network, with a fresh budget: *made_out is false where there was a live one. */
int grant_row_put(struct database *db, const struct grant *grant, const struct grant_time *now,
                  bool *made_out) MUST_USE;
/* A live grant lasts lifetime_ms from now. */
int grant_row_renew(struct database *db, int64_t id, const struct grant_time *now, uint64_t lifetime_ms) MUST_USE;
/* None lasts longer than lifetime_ms from now. */
int grant_row_cap(struct database *db, const struct grant_time *now, uint64_t lifetime_ms) MUST_USE;
int grant_row_take(struct database *db, int64_t id, const struct grant_time *now, bool message,
                   bool recipient) MUST_USE;
/* Marks as ended: of a user or, with 0, of anybody; in a network, or everywhere. */
int grant_row_end(struct database *db, int64_t user_id, const struct network *network, const char *why) MUST_USE;
/* Takes away what is marked, and what is over; at most that one, where id is not 0. */
int grant_row_forget(struct database *db, int64_t id) MUST_USE;
int grant_row_sweep(struct database *db, const struct grant_time *now) MUST_USE;

/* Live grants: one user's for a network, all of a network, all. A row at a time into *out; 1: a row, and to be
 * called on until 0, or ended by grant_row_reset; -1: failed. */
struct statement *grant_row_of_user(struct database *db, int64_t user_id, const struct network *network,
                                    const struct grant_time *now) MUST_USE;
struct statement *grant_row_of_network(struct database *db, const struct network *network,
                                       const struct grant_time *now) MUST_USE;
struct statement *grant_row_of_id(struct database *db, int64_t id, const struct grant_time *now) MUST_USE;
struct statement *grant_row_all(struct database *db, const struct grant_time *now) MUST_USE;
int grant_row_step(struct statement *statement, const struct grant_time *now, struct grant *out) MUST_USE;

/* Marks those of the user's that are the soonest over as ended, until there are `most`; their number, or -1. */
int grant_row_crowd(struct database *db, int64_t user_id, uint32_t most) MUST_USE;

/* The first one that is marked with an id behind `after`: 1, with why, valid until the next statement here; 0: none;
 * -1: failed. */
int grant_row_ended(struct database *db, int64_t after, struct grant *out, uint8_t why_out[64],
                    size_t *why_n_out) MUST_USE;

/* Who logged in from a network: notes it, and how many users did since then (wall clock). */
int grant_row_note(struct database *db, int64_t user_id, const struct network *network, uint64_t wall_ms) MUST_USE;
int64_t grant_row_seen(struct database *db, int64_t user_id, const struct network *network) MUST_USE;
int64_t grant_row_users(struct database *db, const struct network *network, uint64_t since_ms) MUST_USE;
int grant_row_forget_logins(struct database *db, uint64_t before_ms) MUST_USE;

#endif
