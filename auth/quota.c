/* quota.c - what is left, what transactions have taken, and what they give back.
 * Runs in: auth. Trusts: the queue for how a transaction ended. Never: gives back what may have been used. */
#include "auth/quota_tally.h"

#include "auth/quota_row.h"
#include "store/clock.h"

#include <stdlib.h>

enum { SWEEP_EVERY_MS = 600000, KEEP_SEC = (QUOTA_DAY_HOURS + 1) * 3600 };

int quota_open(struct quota *quota, struct database *db, const struct quota_limits *limits) {
    uint64_t newest_s;
    quota->db = db;
    quota->limits = limits;
    if (!quota->clock_ms) quota->clock_ms = clock_ms;
    if (!quota->wall_ms) quota->wall_ms = clock_wall_ms;
    if (quota_row_newest(db, &newest_s) != 0) return -1;
    quota->time_ms = newest_s * 1000;
    quota->read_ms = quota->swept_ms = quota->clock_ms();
    (void)quota_tick(quota);
    return 0;
}

/* Nothing is ahead of what was used any more. */
static bool write_exactly(struct quota *quota) {
    uint64_t slot = quota_tick(quota);
    for (size_t i = 0; i < QUOTA_BUCKETS; i++)
        for (struct quota_tally *tally = quota->tallies[i]; tally; tally = tally->next) {
            quota_tally_advance(tally, slot);
            if (tally->durable_slot && quota_row_write(quota->db, &tally->holder, quota->time_ms / 1000, tally->used))
                return false;
        }
    return true;
}

static void forget(struct quota *quota, bool (*may_go)(const struct quota_tally *tally)) {
    for (size_t i = 0; i < QUOTA_BUCKETS; i++)
        for (struct quota_tally **at = &quota->tallies[i], *one; (one = *at);) {
            if (!may_go(one)) {
                at = &one->next;
                continue;
            }
            *at = one->next;
            free(one);
        }
}

static bool any(const struct quota_tally *tally) {
    (void)tally;
    return true;
}

void quota_close(struct quota *quota) {
    quota_end_all(quota);
    /* Where it fails a block is forfeit, as in a crash. */
    if (quota->db && database_begin(quota->db) == 0 && (!write_exactly(quota) || database_commit(quota->db) != 0))
        database_rollback(quota->db);
    forget(quota, any);
    quota->db = NULL;
}

static bool is_idle(const struct quota_tally *tally) {
    uint32_t used = quota_window_used(&tally->refused, QUOTA_DAY);
    for (size_t what = 0; what < QUOTA_WHATS; what++) used |= quota_window_used(&tally->used[what], QUOTA_DAY);
    return !used && !tally->open;
}

void quota_round(struct quota *quota) {
    uint64_t slot = quota_tick(quota);
    if (quota->read_ms - quota->swept_ms < SWEEP_EVERY_MS) return;
    quota->swept_ms = quota->read_ms;
    for (size_t i = 0; i < QUOTA_BUCKETS; i++)
        for (struct quota_tally *tally = quota->tallies[i]; tally; tally = tally->next)
            quota_tally_advance(tally, slot);
    forget(quota, is_idle);
    uint64_t now_s = quota->time_ms / 1000;
    /* What fails is logged, and tried again. */
    if (now_s > KEEP_SEC) (void)!quota_row_sweep(quota->db, now_s - KEEP_SEC);
}

enum fact quota_left(struct quota *quota, const struct quota_principal *principal, enum quota_what what) {
    struct quota_tally *payers[QUOTA_PAYERS];
    size_t n;
    if (!quota_payers(quota, principal, payers, &n)) return FACT_UNKNOWN;
    for (size_t i = 0; i < n; i++)
        if (quota_tally_left(quota, payers[i], what) == 0) return FACT_NO;
    return FACT_YES;
}

enum fact quota_suspended(struct quota *quota, const struct quota_principal *principal) {
    struct quota_tally *payers[QUOTA_PAYERS];
    size_t n;
    if (!quota_payers(quota, principal, payers, &n)) return FACT_UNKNOWN;
    for (size_t i = 0; i < n; i++)
        if (payers[i]->suspended_s) return FACT_YES;
    return FACT_NO;
}

/* ---- reservations */

static struct quota_reservation **bucket(struct quota *quota, const uint8_t transaction[TRANSACTION_BYTES]) {
    return &quota->reservations[(transaction[0] | transaction[1] << 8) % QUOTA_BUCKETS]; /* random bits */
}

static void note(struct quota_reservation *reservation, enum quota_what what, uint64_t slot) {
    if (reservation->taken[what].slot != slot) reservation->taken[what].n = 0;
    reservation->taken[what].slot = slot;
    reservation->taken[what].n++;
}

enum fact quota_take_message(struct quota *quota, const struct quota_principal *principal,
                             const uint8_t transaction[TRANSACTION_BYTES], struct quota_reservation **out) {
    struct quota_tally *payers[QUOTA_PAYERS];
    size_t n;
    *out = NULL;
    if (!quota_payers(quota, principal, payers, &n)) return FACT_UNKNOWN;
    if (n == 0) return FACT_YES;
    struct quota_reservation *made = calloc(1, sizeof *made);
    if (!made) return FACT_UNKNOWN;
    enum fact taken = quota_tally_take(quota, QUOTA_MESSAGES, 1, payers, n);
    if (taken != FACT_YES) {
        free(made);
        return taken;
    }
    for (size_t i = 0; i < n; i++) made->payers[i] = payers[i], payers[i]->open++;
    note(made, QUOTA_MESSAGES, payers[0]->used[QUOTA_MESSAGES].slot);
    memcpy(made->transaction, transaction, TRANSACTION_BYTES);
    made->next = *bucket(quota, transaction);
    *bucket(quota, transaction) = made;
    *out = made;
    return FACT_YES;
}

enum fact quota_take_recipient(struct quota *quota, struct quota_reservation *reservation, uint32_t coming) {
    if (!reservation) return FACT_YES;
    uint64_t slot = quota_tick(quota);
    size_t n = 0;
    while (n < QUOTA_PAYERS && reservation->payers[n]) quota_tally_advance(reservation->payers[n++], slot);
    enum fact taken = quota_tally_take(quota, QUOTA_RECIPIENTS, coming, reservation->payers, n);
    if (taken == FACT_YES) note(reservation, QUOTA_RECIPIENTS, reservation->payers[0]->used[QUOTA_RECIPIENTS].slot);
    return taken;
}

static void end(struct quota_reservation *reservation, bool used) {
    for (size_t i = 0; i < QUOTA_PAYERS && reservation->payers[i]; i++) {
        struct quota_tally *payer = reservation->payers[i];
        payer->open--;
        for (size_t what = 0; !used && what < QUOTA_WHATS; what++)
            quota_window_return(&payer->used[what], reservation->taken[what].slot, reservation->taken[what].n);
    }
    free(reservation);
}

void quota_end(struct quota *quota, const uint8_t transaction[TRANSACTION_BYTES], bool used) {
    struct quota_reservation **at = bucket(quota, transaction), *found;
    while (*at && memcmp((*at)->transaction, transaction, TRANSACTION_BYTES) != 0) at = &(*at)->next;
    if (!(found = *at)) return;
    *at = found->next;
    end(found, used);
}

void quota_end_all(struct quota *quota) {
    for (size_t i = 0; i < QUOTA_BUCKETS; i++)
        while (quota->reservations[i]) {
            struct quota_reservation *first = quota->reservations[i];
            quota->reservations[i] = first->next;
            end(first, true);
        }
}
