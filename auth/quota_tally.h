/* quota_tally.h - the tallies behind auth/quota.h. For quota_*.c alone. */
#ifndef AUTH_QUOTA_TALLY_H
#define AUTH_QUOTA_TALLY_H

#include "auth/quota.h"

/* The quota's time as of now; the slot that it is in. */
uint64_t quota_tick(struct quota *quota);

/* As of now; NULL when it cannot be had. */
struct quota_tally *quota_tally_find(struct quota *quota, const struct quota_holder *holder);
void quota_tally_advance(struct quota_tally *tally, uint64_t slot);

/* Who is to have enough left: *n_out of them, none for who has no quota. False: they cannot be had. */
bool quota_payers(struct quota *quota, const struct quota_principal *principal, struct quota_tally *out[QUOTA_PAYERS],
                  size_t *n_out) MUST_USE;

struct quota_limits quota_tally_limits(const struct quota *quota, const struct quota_tally *tally);
/* How many more it may send. */
uint32_t quota_tally_left(const struct quota *quota, const struct quota_tally *tally, enum quota_what what);

/* Takes one of all payers, or of none. */
enum fact quota_tally_take(struct quota *quota, enum quota_what what, uint32_t coming,
                           struct quota_tally *const *payers, size_t n) MUST_USE;

/* Writes the row, `wanted` and a block ahead of what was used; within the caller's change of the database. Once that
 * is on the disk, quota_tally_written says so. */
struct quota_ahead {
    uint32_t durable[QUOTA_WHATS];
};
int quota_tally_write(struct quota *quota, const struct quota_tally *tally, enum quota_what what, uint32_t wanted,
                      struct quota_ahead *out) MUST_USE;
void quota_tally_written(struct quota_tally *tally, const struct quota_ahead *ahead);

#endif
