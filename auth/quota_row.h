/* quota_row.h - what quotas are remembered by: a row for each holder, and the limits of its own. For quota.c alone;
 * each function returns -1 when the database fails (logged). */
#ifndef AUTH_QUOTA_ROW_H
#define AUTH_QUOTA_ROW_H

#include "auth/quota.h"

/* The latest time of any row, in seconds of the quota's time; 0: there is none. */
int quota_row_newest(struct database *db, uint64_t *seen_s_out) MUST_USE;

/* 1, or 0 when there is no row: all is zero then. */
int quota_row_read(struct database *db, const struct quota_holder *holder, struct quota_window used_out[QUOTA_WHATS],
                   uint64_t *suspended_s_out) MUST_USE;
int quota_row_write(struct database *db, const struct quota_holder *holder, uint64_t seen_s,
                    const struct quota_window used[QUOTA_WHATS]) MUST_USE;

/* Of a holder that has a row. */
int quota_row_suspend(struct database *db, const struct quota_holder *holder, uint64_t since_s) MUST_USE;
/* How many were suspended: the credentials of a user, or a system user. */
int quota_row_lift(struct database *db, const struct quota_holder *holder) MUST_USE;

/* Drops the rows of who sent nothing since, and of credentials that are gone. */
int quota_row_sweep(struct database *db, uint64_t before_s) MUST_USE;

/* Limits of its own: 1, or 0 when it has none (all QUOTA_GENERAL). */
int quota_row_own(struct database *db, const struct quota_holder *holder, struct quota_own *out) MUST_USE;
int quota_row_own_named(struct database *db, int64_t user_id, struct span kind, struct span name,
                        struct quota_own *out) MUST_USE;
int quota_row_set_own(struct database *db, int64_t user_id, struct span kind, struct span name,
                      const struct quota_own *own) MUST_USE;

/* Whose credential it is, and whether it is the mailbox password: 1, or 0 when there is none. */
int quota_row_credential(struct database *db, int64_t credential_id, int64_t *user_id_out,
                         bool *mailbox_out) MUST_USE;

/* As quota_rows, but 0. */
int quota_row_walk(struct database *db, bool (*each)(void *context, const struct quota_row *row),
                   void *context) MUST_USE;

#endif
