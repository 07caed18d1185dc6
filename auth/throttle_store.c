/* throttle_store.c - slots as rows, and back. A row: u8 version, u8 kind, u64 clock_ms and u64 wall clock of when it
 * was written, then
 *   a network: 16 octets, u8 bits, counter, [u64 account, u64 left at the network, u64 left at the account]*
 *   an account: u64 key, u64 user, counter
 *   a known pair: u64 account, 16 octets, u8 bits, u64 age of the login
 * counter: u64 left, u64 age of the first failure, u64 of the last, u64 of the last strike, u32 failures, u8 strikes.
 * All in milliseconds. Passwords' fingerprints are not kept: their key is this start's.
 * Runs in: auth. Trusts: the database's rows as far as they parse. Never: waits for a disk. */
#include "auth/throttle_store.h"

#include "auth/throttle_table.h"
#include "store/log.h"
#include "store/wire.h"

enum { RECORD_VERSION = 1, RECORD_MAX = 512, SAVE_MAX = 1024 };
enum { KIND_NETWORK = 1, KIND_ACCOUNT, KIND_KNOWN };
#define DURATION_MAX_MS (400 * UINT64_C(86400000))

int throttle_key(struct database *db, uint8_t key_out[THROTTLE_KEY_BYTES]) {
    struct statement *select = database_statement(db, "SELECT value FROM secrets WHERE name = 'throttle-key'");
    struct span value = {0};
    memset(key_out, 0, THROTTLE_KEY_BYTES);
    if (statement_step(select) == DATABASE_ROW) value = statement_get_text(select, 0);
    bool ok = value.n == THROTTLE_KEY_BYTES;
    if (ok) memcpy(key_out, value.p, value.n);
    statement_reset(select);
    if (ok) return 0;
    log_fault("the throttle's key is not in the database", 0);
    return -1;
}

/* ---- writing */

static uint64_t age(int64_t now_ms, int64_t then_ms) {
    return now_ms > then_ms ? (uint64_t)(now_ms - then_ms) : 0;
}

static void put_network_name(struct buf *b, const struct network *network) {
    wire_put_bytes(b, network->octets, sizeof network->octets);
    wire_put_u8(b, network->bits);
}

static void put_counter(struct buf *b, const struct counter *counter, int64_t now_ms) {
    wire_put_u64(b, age(counter->empty_ms, now_ms));
    wire_put_u64(b, age(now_ms, counter->first_ms));
    wire_put_u64(b, age(now_ms, counter->last_ms));
    wire_put_u64(b, age(now_ms, counter->struck_ms));
    wire_put_u32(b, counter->failures);
    wire_put_u8(b, counter->strikes);
}

static bool put_network(struct buf *b, const struct throttle_network *record, int64_t now_ms) {
    put_network_name(b, &record->network);
    put_counter(b, &record->counter, now_ms);
    for (size_t i = 0; i < THROTTLE_SHARES; i++) {
        const struct share *share = &record->shares[i];
        if (!share->account || (share->at_network_ms <= now_ms && share->at_account_ms <= now_ms)) continue;
        wire_put_u64(b, share->account);
        wire_put_u64(b, age(share->at_network_ms, now_ms));
        wire_put_u64(b, age(share->at_account_ms, now_ms));
    }
    return record->network.bits;
}

static bool put_account(struct buf *b, const struct throttle_account *record, int64_t now_ms) {
    wire_put_u64(b, record->key);
    wire_put_u64(b, (uint64_t)record->user_id);
    put_counter(b, &record->counter, now_ms);
    return record->key;
}

static bool put_known(struct buf *b, const struct throttle_known *record, int64_t now_ms) {
    wire_put_u64(b, record->account);
    put_network_name(b, &record->network);
    wire_put_u64(b, age(now_ms, record->last_ms));
    return record->account;
}

/* False: the slot is free. */
static bool put_slot(struct buf *b, const struct throttle *throttle, size_t slot, struct throttle_time time) {
    int64_t now_ms = (int64_t)time.now_ms;
    wire_put_u8(b, RECORD_VERSION);
    wire_put_u8(b, slot < SLOT_ACCOUNTS ? KIND_NETWORK : slot < SLOT_KNOWN ? KIND_ACCOUNT : KIND_KNOWN);
    wire_put_u64(b, time.now_ms);
    wire_put_u64(b, time.wall_ms);
    if (slot < SLOT_ACCOUNTS) return put_network(b, &throttle->networks[slot], now_ms);
    if (slot < SLOT_KNOWN) return put_account(b, &throttle->accounts[slot - SLOT_ACCOUNTS], now_ms);
    return put_known(b, &throttle->known[slot - SLOT_KNOWN], now_ms);
}

static int write_slot(struct throttle *throttle, struct database *db, size_t slot, struct throttle_time time) {
    uint8_t storage[RECORD_MAX];
    struct buf b = BUF_OVER(storage);
    bool used = put_slot(&b, throttle, slot, time);
    struct statement *statement =
        database_statement(db, used ? "INSERT OR REPLACE INTO failures(slot, record) VALUES(?1, ?2)"
                                    : "DELETE FROM failures WHERE slot = ?1");
    if (!buf_ok(&b)) log_bug("a record of the throttle does not fit");
    statement_put_number(statement, 1, (int64_t)slot);
    if (used) statement_put_blob(statement, 2, buf_span(&b));
    return statement_run(statement) < 0 ? -1 : 0;
}

bool throttle_unsaved(const struct throttle *throttle) {
    return throttle->n_dirty > 0;
}

/* From where the last time ended, so that what changes all the time does not keep the rest from being written. */
static size_t choose(struct throttle *throttle, size_t slots[SAVE_MAX], size_t max) {
    size_t n = 0, octets = sizeof throttle->dirty;
    if (max > SAVE_MAX) max = SAVE_MAX;
    for (size_t i = 0; i < octets && n + 8 <= max; i++) {
        size_t octet = throttle->saved_to = (throttle->saved_to + 1) % octets;
        for (size_t bit = 0; throttle->dirty[octet] && bit < 8; bit++)
            if (throttle->dirty[octet] >> bit & 1) slots[n++] = octet * 8 + bit;
    }
    return n;
}

static int write_slots(struct throttle *throttle, struct database *db, const size_t *slots, size_t n,
                       struct throttle_time time) {
    if (database_begin_light(db) != 0) return -1;
    for (size_t i = 0; i < n; i++) {
        if (write_slot(throttle, db, slots[i], time) == 0) continue;
        database_rollback(db);
        return -1;
    }
    if (database_commit(db) == 0) return 0;
    database_rollback(db);
    return -1;
}

int throttle_save(struct throttle *throttle, struct database *db, struct throttle_time time, size_t max) {
    static size_t slots[SAVE_MAX];
    size_t n = throttle->n_dirty ? choose(throttle, slots, max) : 0;
    if (n && write_slots(throttle, db, slots, n, time) != 0) return -1;
    for (size_t i = 0; i < n; i++) table_mark_clean(throttle, slots[i]);
    return 0;
}

/* ---- reading */

/* How long ago it was written. */
static int64_t elapsed(struct throttle_time now, struct throttle_time then) {
    if (now.now_ms >= then.now_ms) return (int64_t)(now.now_ms - then.now_ms);
    uint64_t wall = now.wall_ms > then.wall_ms ? now.wall_ms - then.wall_ms : 0;
    return (int64_t)(wall > now.now_ms ? wall : now.now_ms); /* at least since the machine started */
}

/* A duration; longer than a year is no record of ours. */
static int64_t get_ms(struct wire *w) {
    uint64_t ms = wire_get_u64(w);
    if (ms > DURATION_MAX_MS) w->bad = true;
    return w->bad ? 0 : (int64_t)ms;
}

static void get_network_name(struct wire *w, struct network *out) {
    wire_get_bytes(w, out->octets, sizeof out->octets);
    out->bits = wire_get_u8(w);
    if (out->bits == 0 || out->bits > 128) w->bad = true;
}

/* `then_ms` is when the record was written, in the time of now. */
static void get_counter(struct wire *w, struct counter *out, int64_t then_ms) {
    out->empty_ms = then_ms + get_ms(w);
    out->first_ms = then_ms - get_ms(w);
    out->last_ms = then_ms - get_ms(w);
    out->struck_ms = then_ms - get_ms(w);
    out->failures = wire_get_u32(w);
    out->strikes = wire_get_u8(w);
    if (out->strikes > STRIKES_MAX) w->bad = true;
}

static size_t load_network(struct throttle *throttle, struct wire *w, int64_t then_ms, int64_t now_ms) {
    struct throttle_network record = {0};
    get_network_name(w, &record.network);
    get_counter(w, &record.counter, then_ms);
    for (size_t i = 0; i < THROTTLE_SHARES && !w->bad && w->rest.n; i++) {
        record.shares[i].account = wire_get_u64(w);
        record.shares[i].at_network_ms = then_ms + get_ms(w);
        record.shares[i].at_account_ms = then_ms + get_ms(w);
    }
    if (!wire_end(w) || !counter_matters(&record.counter, table_scale(throttle, &record.network), now_ms))
        return SLOTS;
    struct throttle_network *place = table_take_network(throttle, &record.network, now_ms);
    *place = record;
    return table_network_slot(throttle, place);
}

static size_t load_account(struct throttle *throttle, struct wire *w, int64_t then_ms, int64_t now_ms) {
    struct throttle_account record = {.key = wire_get_u64(w)};
    record.user_id = (int64_t)wire_get_u64(w);
    get_counter(w, &record.counter, then_ms);
    if (!wire_end(w) || !record.key || !counter_matters(&record.counter, &throttle->account_scale, now_ms))
        return SLOTS;
    struct throttle_account *place = table_take_account(throttle, record.key, now_ms);
    *place = record;
    return table_account_slot(throttle, place);
}

static size_t load_known(struct throttle *throttle, struct wire *w, int64_t then_ms, int64_t now_ms) {
    struct network network;
    uint64_t account = wire_get_u64(w);
    get_network_name(w, &network);
    int64_t last_ms = then_ms - get_ms(w);
    if (!wire_end(w) || !account || now_ms - last_ms >= (int64_t)throttle->limits.known_ms) return SLOTS;
    return table_known_slot(throttle, known_add(throttle, account, &network, last_ms));
}

/* Where the record lies now; SLOTS: nowhere. */
static size_t load_row(struct throttle *throttle, struct span record, struct throttle_time now) {
    struct wire w = wire_over(record);
    unsigned version = wire_get_u8(&w), kind = wire_get_u8(&w);
    struct throttle_time then = {.now_ms = wire_get_u64(&w)};
    then.wall_ms = wire_get_u64(&w);
    if (w.bad || version != RECORD_VERSION) return SLOTS;
    int64_t now_ms = (int64_t)now.now_ms, then_ms = now_ms - elapsed(now, then);
    if (kind == KIND_NETWORK) return load_network(throttle, &w, then_ms, now_ms);
    if (kind == KIND_ACCOUNT) return load_account(throttle, &w, then_ms, now_ms);
    return kind == KIND_KNOWN ? load_known(throttle, &w, then_ms, now_ms) : SLOTS;
}

int throttle_load(struct throttle *throttle, struct database *db, struct throttle_time time) {
    struct statement *select = database_statement(db, "SELECT slot, record FROM failures ORDER BY slot");
    struct statement *beyond = database_statement(db, "DELETE FROM failures WHERE slot < 0 OR slot >= ?1");
    enum database_step step;
    while ((step = statement_step(select)) == DATABASE_ROW) {
        int64_t slot = statement_get_number(select, 0);
        size_t lies_at = load_row(throttle, statement_get_text(select, 1), time);
        if (lies_at != SLOTS) table_mark_dirty(throttle, lies_at);
        if (slot < 0 || slot >= SLOTS) continue;
        if (lies_at == (size_t)slot)
            table_mark_clean(throttle, lies_at);
        else
            table_mark_dirty(throttle, (size_t)slot);
    }
    statement_put_number(beyond, 1, SLOTS);
    return step == DATABASE_DONE && statement_run(beyond) >= 0 ? 0 : -1;
}
