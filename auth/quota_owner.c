/* quota_owner.c - what the owner may see and change of quotas, and who is to be suspended.
 * Runs in: auth. Trusts: the database. Never: takes anything. */
#include "auth/quota_tally.h"

#include "auth/quota_row.h"

bool quota_refused(struct quota *quota, const struct quota_principal *principal, enum quota_what what,
                   struct quota_suspect *out) {
    struct quota_tally *payers[QUOTA_PAYERS];
    size_t n;
    if (!quota_payers(quota, principal, payers, &n)) return false;
    for (size_t i = 0; i < n; i++) {
        struct quota_tally *payer = payers[i];
        uint32_t most = quota_tally_limits(quota, payer).suspend_after;
        if (quota_tally_left(quota, payer, what) != 0) continue;
        quota_window_add(&payer->refused, 1);
        *out = (struct quota_suspect){payer->holder, quota_window_used(&payer->refused, QUOTA_HOUR)};
        return most && out->refused >= most && !payer->suspended_s;
    }
    return false;
}

int quota_suspend(struct quota *quota, const struct quota_holder *holder, uint64_t since_s) {
    struct quota_tally *tally = quota_tally_find(quota, holder);
    struct quota_ahead ahead;
    if (!tally || database_begin(quota->db) != 0) return -1;
    /* There may be no row yet: its limits may be zero. */
    if (quota_tally_write(quota, tally, QUOTA_MESSAGES, 0, &ahead) != 0 ||
        quota_row_suspend(quota->db, &tally->holder, since_s) != 0 || database_commit(quota->db) != 0) {
        database_rollback(quota->db);
        return -1;
    }
    quota_tally_written(tally, &ahead);
    tally->suspended_s = since_s;
    return 0;
}

/* The tallies of the holder, a user's credentials among them. False: it is not known whose some are. */
static bool lift(struct quota *quota, const struct quota_holder *holder) {
    for (size_t i = 0; i < QUOTA_BUCKETS; i++)
        for (struct quota_tally *tally = quota->tallies[i]; tally; tally = tally->next) {
            int64_t user_id = tally->holder.id;
            bool mailbox;
            if (tally->holder.kind == QUOTA_CREDENTIAL &&
                quota_row_credential(quota->db, tally->holder.id, &user_id, &mailbox) < 0)
                return false;
            bool same = (holder->kind == QUOTA_SYSTEM) == (tally->holder.kind == QUOTA_SYSTEM) &&
                        user_id == holder->id && span_equal(tally->holder.name, holder->name);
            if (same) tally->refused = (struct quota_window){.slot = tally->refused.slot}, tally->suspended_s = 0;
        }
    return true;
}

int quota_lift(struct quota *quota, const struct quota_holder *holder) {
    int lifted = quota_row_lift(quota->db, holder);
    return lifted >= 0 && lift(quota, holder) ? lifted : -1;
}

/* ---- limits of their own */

int quota_get_own(struct quota *quota, int64_t user_id, struct span kind, struct span name, struct quota_own *out) {
    return quota_row_own_named(quota->db, user_id, kind, name, out) < 0 ? -1 : 0;
}

int quota_set_own(struct quota *quota, int64_t user_id, struct span kind, struct span name,
                  const struct quota_own *own) {
    if (quota_row_set_own(quota->db, user_id, kind, name, own) != 0) return -1;
    for (size_t i = 0; i < QUOTA_BUCKETS; i++)
        for (struct quota_tally *tally = quota->tallies[i]; tally; tally = tally->next)
            if (quota_row_own(quota->db, &tally->holder, &tally->own) < 0) return -1;
    return 0;
}

/* ---- reports */

bool quota_report(struct quota *quota, const struct quota_holder *holder, struct quota_report *out) {
    const struct quota_tally *tally = quota_tally_find(quota, holder);
    if (!tally) return false;
    *out = (struct quota_report){.limits = quota_tally_limits(quota, tally),
                                 .refused = quota_window_used(&tally->refused, QUOTA_HOUR),
                                 .suspended_ms = tally->suspended_s * 1000};
    for (unsigned what = 0; what < QUOTA_WHATS; what++)
        for (unsigned period = 0; period < QUOTA_PERIODS; period++) {
            const struct quota_window *used = &tally->used[what];
            uint64_t until = quota_window_until(used, (enum quota_period)period) * QUOTA_SLOT_SEC * 1000;
            out->own[what][period] = tally->own.most[what][period] >= 0;
            out->used[what][period] = quota_window_used(used, (enum quota_period)period);
            if (until > quota->time_ms) out->until_ms[what][period] = quota->wall_ms() + until - quota->time_ms;
        }
    return true;
}

bool quota_rows(struct quota *quota, bool (*each)(void *context, const struct quota_row *row), void *context) {
    return quota_row_walk(quota->db, each, context) == 0;
}
