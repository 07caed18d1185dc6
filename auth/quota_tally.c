/* quota_tally.c - what was sent, counted, and what may be.
 * Runs in: auth. Trusts: the database. Never: gives out what the database does not know of, takes a fault for a limit
 * that is not reached. */
#include "auth/quota_tally.h"

#include "auth/quota_row.h"
#include "store/log.h"

#include <stdlib.h>

enum {
    BLOCK_SHARE = 100, /* of the limit; for many recipients that come at once: */
    BLOCK_SHARE_MOST = 20,
    BLOCK_MAX = 1000,
    WARN_PERCENT = 80
};

/* ---- time */

/* The wall clock may be set back, and a quota is not given a second time for it: time goes on from where it was then.
 */
uint64_t quota_tick(struct quota *quota) {
    uint64_t read = quota->clock_ms(), wall = quota->wall_ms();
    if (read > quota->read_ms) quota->time_ms += read - quota->read_ms;
    quota->read_ms = read;
    if (wall > quota->time_ms) quota->time_ms = wall;
    return quota->time_ms / 1000 / QUOTA_SLOT_SEC;
}

/* ---- tallies */

static struct quota_tally **place(struct quota *quota, const struct quota_holder *holder) {
    uint64_t h = 0xcbf29ce484222325U ^ (uint64_t)holder->kind ^ (uint64_t)holder->id << 8;
    for (size_t i = 0; i < holder->name.n; i++) h = (h ^ holder->name.p[i]) * 0x100000001b3U;
    struct quota_tally **at = &quota->tallies[(h ^ h >> 23) * 0x9e3779b97f4a7c15U >> 52];
    while (*at && ((*at)->holder.kind != holder->kind || (*at)->holder.id != holder->id ||
                   !span_equal((*at)->holder.name, holder->name)))
        at = &(*at)->next;
    return at;
}

_Static_assert(QUOTA_BUCKETS == 1 << 12, "as many as `place` can name");

void quota_tally_advance(struct quota_tally *tally, uint64_t slot) {
    for (size_t what = 0; what < QUOTA_WHATS; what++) quota_window_advance(&tally->used[what], slot);
    quota_window_advance(&tally->refused, slot);
}

static uint32_t in_slot(const struct quota_window *window) {
    return window->hour[window->slot % QUOTA_HOUR_SLOTS];
}

static struct quota_tally *load(struct quota *quota, const struct quota_holder *holder) {
    struct quota_tally *tally = calloc(1, sizeof *tally);
    if (!tally || holder->name.n > sizeof tally->name) goto failed;
    tally->holder = *holder;
    if (holder->name.n) memcpy(tally->name, holder->name.p, holder->name.n);
    tally->holder.name = span_of(tally->name, holder->name.n);
    int64_t user_id;
    if (holder->kind == QUOTA_CREDENTIAL &&
        quota_row_credential(quota->db, holder->id, &user_id, &tally->uncounted) <= 0)
        goto failed;
    if (quota_row_read(quota->db, holder, tally->used, &tally->suspended_s) < 0 ||
        quota_row_own(quota->db, holder, &tally->own) < 0)
        goto failed;
    /* All that the row says was used: some of it may be a block that a crash has cost. */
    tally->durable_slot = tally->used[0].slot;
    for (size_t what = 0; what < QUOTA_WHATS; what++) tally->durable[what] = in_slot(&tally->used[what]);
    return tally;
failed:
    free(tally);
    return NULL;
}

struct quota_tally *quota_tally_find(struct quota *quota, const struct quota_holder *holder) {
    uint64_t slot = quota_tick(quota);
    struct quota_tally **at = place(quota, holder);
    if (!*at) *at = load(quota, holder);
    if (*at) quota_tally_advance(*at, slot);
    return *at;
}

void quota_renamed(struct quota *quota, int64_t from, int64_t to) {
    struct quota_holder old = {QUOTA_CREDENTIAL, from, SPAN("")}, new = {QUOTA_CREDENTIAL, to, SPAN("")};
    struct quota_tally **at = place(quota, &old), *tally = *at;
    if (!tally) return;
    *at = tally->next;
    tally->next = NULL;
    tally->holder.id = to;
    *place(quota, &new) = tally; /* nobody had this id before */
}

bool quota_payers(struct quota *quota, const struct quota_principal *principal, struct quota_tally *out[QUOTA_PAYERS],
                  size_t *n_out) {
    struct quota_holder user = {QUOTA_USER, principal->user_id, SPAN("")};
    struct quota_holder credential = {QUOTA_CREDENTIAL, principal->credential_id, SPAN("")};
    struct quota_holder system = {QUOTA_SYSTEM, 0, principal->system};
    *n_out = 0;
    if (principal->user_id) {
        out[(*n_out)++] = quota_tally_find(quota, &user);
        struct quota_tally *by = principal->credential_id ? quota_tally_find(quota, &credential) : NULL;
        if (principal->credential_id && (!by || !by->uncounted)) out[(*n_out)++] = by;
    } else if (principal->system.n) {
        out[(*n_out)++] = quota_tally_find(quota, &system);
    }
    for (size_t i = 0; i < *n_out; i++)
        if (!out[i]) return false;
    return true;
}

struct quota_limits quota_tally_limits(const struct quota *quota, const struct quota_tally *tally) {
    struct quota_limits limits = *quota->limits;
    for (size_t what = 0; what < QUOTA_WHATS; what++)
        for (size_t period = 0; period < QUOTA_PERIODS; period++)
            if (tally->own.most[what][period] >= 0)
                limits.most[what][period] = (uint32_t)tally->own.most[what][period];
    if (tally->own.suspend_after >= 0) limits.suspend_after = (uint32_t)tally->own.suspend_after;
    return limits;
}

uint32_t quota_tally_left(const struct quota *quota, const struct quota_tally *tally, enum quota_what what) {
    struct quota_limits limits = quota_tally_limits(quota, tally);
    uint32_t least = UINT32_MAX;
    for (unsigned period = 0; period < QUOTA_PERIODS; period++) {
        uint32_t most = limits.most[what][period];
        uint32_t used = quota_window_used(&tally->used[what], (enum quota_period)period);
        uint32_t rest = used < most ? most - used : 0;
        if (rest < least) least = rest;
    }
    return least;
}

/* ---- blocks */

static uint32_t share(uint32_t most, uint32_t parts, uint32_t cap) {
    uint32_t size = most / parts;
    return size < 1 ? 1 : size > cap ? cap : size;
}

static uint32_t block(const struct quota *quota, const struct quota_tally *tally, enum quota_what what,
                      uint32_t wanted) {
    struct quota_limits limits = quota_tally_limits(quota, tally);
    uint32_t most = limits.most[what][QUOTA_HOUR], rest = quota_tally_left(quota, tally, what);
    if (limits.most[what][QUOTA_DAY] < most) most = limits.most[what][QUOTA_DAY];
    uint32_t size = share(most, BLOCK_SHARE, BLOCK_MAX), wide = share(most, BLOCK_SHARE_MOST, wanted ? wanted : 1);
    if (size < wide) size = wide;
    return size < rest ? size : rest;
}

int quota_tally_write(struct quota *quota, const struct quota_tally *tally, enum quota_what what, uint32_t wanted,
                      struct quota_ahead *out) {
    struct quota_window ahead[QUOTA_WHATS];
    for (unsigned i = 0; i < QUOTA_WHATS; i++) {
        uint32_t more = block(quota, tally, (enum quota_what)i, i == what ? wanted : 1);
        ahead[i] = tally->used[i];
        quota_window_add(&ahead[i], more);
        out->durable[i] = in_slot(&ahead[i]);
    }
    return quota_row_write(quota->db, &tally->holder, quota->time_ms / 1000, ahead);
}

void quota_tally_written(struct quota_tally *tally, const struct quota_ahead *ahead) {
    tally->durable_slot = tally->used[0].slot;
    memcpy(tally->durable, ahead->durable, sizeof tally->durable);
}

static bool is_covered(const struct quota_tally *tally, enum quota_what what) {
    return tally->durable_slot == tally->used[what].slot && in_slot(&tally->used[what]) < tally->durable[what];
}

/* One change for all, so that one sync does. */
static int make_durable(struct quota *quota, struct quota_tally *const *payers, size_t n, enum quota_what what,
                        uint32_t wanted) {
    struct quota_ahead ahead[QUOTA_PAYERS];
    bool covered = true;
    for (size_t i = 0; i < n; i++) covered = covered && is_covered(payers[i], what);
    if (covered) return 0;
    if (database_begin(quota->db) != 0) return -1;
    bool ok = true;
    for (size_t i = 0; i < n && ok; i++) ok = quota_tally_write(quota, payers[i], what, wanted, &ahead[i]) == 0;
    if (!ok || database_commit(quota->db) != 0) {
        database_rollback(quota->db);
        return -1;
    }
    for (size_t i = 0; i < n; i++) quota_tally_written(payers[i], &ahead[i]);
    return 0;
}

/* ---- taking */

/* Once each time that it comes so far. */
static void warn(const struct quota *quota, struct quota_tally *tally, enum quota_what what) {
    static const char *const whats[QUOTA_WHATS][QUOTA_PERIODS] = {{"messages in an hour", "messages in a day"},
                                                                  {"recipients in an hour", "recipients in a day"}};
    struct quota_limits limits = quota_tally_limits(quota, tally);
    for (unsigned period = 0; period < QUOTA_PERIODS; period++) {
        uint32_t most = limits.most[what][period];
        uint32_t used = quota_window_used(&tally->used[what], (enum quota_period)period);
        bool near = (uint64_t)used * 100 >= (uint64_t)most * WARN_PERCENT, *warned = &tally->warned[what][period];
        struct log_line line;
        if (near && !*warned) {
            log_open(&line, LOG_QUOTA_NEAR);
            quota_log_holder(&line, quota->db, &tally->holder);
            log_text(&line, KEY_WHAT, whats[what][period]);
            log_number(&line, KEY_COUNT, used);
            log_number(&line, KEY_LIMIT, most);
            log_send(&line);
        }
        *warned = near;
    }
}

enum fact quota_tally_take(struct quota *quota, enum quota_what what, uint32_t coming,
                           struct quota_tally *const *payers, size_t n) {
    uint32_t rest = UINT32_MAX;
    for (size_t i = 0; i < n; i++)
        if (quota_tally_left(quota, payers[i], what) < rest) rest = quota_tally_left(quota, payers[i], what);
    if (rest == 0) return FACT_NO;
    if (make_durable(quota, payers, n, what, coming < rest ? coming : rest) != 0) return FACT_UNKNOWN;
    for (size_t i = 0; i < n; i++) {
        quota_window_add(&payers[i]->used[what], 1);
        warn(quota, payers[i], what);
    }
    return FACT_YES;
}
