/* grant_row.c - the statements about grants.
 * Runs in: auth. Trusts: the database. Never: decides, waits for a disk. */
#include "auth/grant_row.h"

enum { NETWORK_BYTES = 17 };

/* ?1 to ?3 are the time in all of these. */
#define COLUMNS "SELECT id, user_id, network, source, since, until, until_boot, messages, recipients FROM grants "
#define LIVE "ended = '' AND boot = ?1 AND until_boot > ?2 AND until > ?3"

static void put_time(struct statement *statement, const struct grant_time *now) {
    statement_put_blob(statement, 1, span_of(now->boot, GRANT_BOOT_BYTES));
    statement_put_number(statement, 2, (int64_t)now->boot_ms);
    statement_put_number(statement, 3, (int64_t)now->wall_ms);
}

/* The octets stay valid until the next call: two networks in one statement there are none. */
static void put_network(struct statement *statement, int at, const struct network *network) {
    static uint8_t octets[NETWORK_BYTES];
    memcpy(octets, network->octets, sizeof network->octets);
    octets[sizeof network->octets] = network->bits;
    statement_put_blob(statement, at, span_of(octets, sizeof octets));
}

static bool get_network(struct span octets, struct network *out) {
    if (octets.n != NETWORK_BYTES || octets.p[NETWORK_BYTES - 1] > 128) return false;
    memcpy(out->octets, octets.p, sizeof out->octets);
    out->bits = octets.p[NETWORK_BYTES - 1];
    return true;
}

static uint64_t get_positive(struct statement *statement, int column) {
    int64_t value = statement_get_number(statement, column);
    return value > 0 ? (uint64_t)value : 0;
}

static uint32_t get_count(struct statement *statement, int column) {
    uint64_t value = get_positive(statement, column);
    return value > UINT32_MAX ? UINT32_MAX : (uint32_t)value;
}

/* The first column of the first row; 0 without one. */
static int64_t one_number(struct statement *statement) {
    enum database_step step = statement_step(statement);
    if (step != DATABASE_ROW) return step == DATABASE_DONE ? 0 : -1;
    int64_t value = statement_get_number(statement, 0);
    statement_reset(statement);
    return value;
}

/* ---- changes */

int grant_row_put(struct database *db, const struct grant *grant, const struct grant_time *now, bool *made_out) {
    struct grant before;
    struct statement *statement = grant_row_of_user(db, grant->user_id, &grant->network, now);
    int found = grant_row_step(statement, now, &before);
    if (found < 0) return -1;
    if (found > 0) statement_reset(statement);
    *made_out = found == 0;
    /* One that is over or was ended is another one afterwards: what rested on it does not come back. */
    if (found == 0) {
        statement = database_statement(db, "DELETE FROM grants WHERE network = ?1 AND user_id = ?2");
        put_network(statement, 1, &grant->network);
        statement_put_number(statement, 2, grant->user_id);
        if (statement_run_lazily(statement) < 0) return -1;
    }
    statement = database_statement(
        db, "INSERT INTO grants(boot, until_boot, until, network, user_id, source, since, messages, recipients)"
            " VALUES(?1, ?2 + ?4, ?3 + ?4, ?5, ?6, ?7, ?3, ?8, ?9)"
            " ON CONFLICT(network, user_id) DO UPDATE SET boot = ?1, until_boot = ?2 + ?4, until = ?3 + ?4,"
            " source = ?7, messages = ?8, recipients = ?9");
    put_time(statement, now);
    statement_put_number(statement, 4, (int64_t)grant->left_ms);
    put_network(statement, 5, &grant->network);
    statement_put_number(statement, 6, grant->user_id);
    statement_put_number(statement, 7, (int64_t)grant->source);
    statement_put_number(statement, 8, grant->messages_left);
    statement_put_number(statement, 9, grant->recipients_left);
    return statement_run_lazily(statement);
}

int grant_row_renew(struct database *db, int64_t id, const struct grant_time *now, uint64_t lifetime_ms) {
    struct statement *statement =
        database_statement(db, "UPDATE grants SET until_boot = ?2 + ?4, until = ?3 + ?4 WHERE id = ?5 AND " LIVE);
    put_time(statement, now);
    statement_put_number(statement, 4, (int64_t)lifetime_ms);
    statement_put_number(statement, 5, id);
    return statement_run_lazily(statement);
}

int grant_row_cap(struct database *db, const struct grant_time *now, uint64_t lifetime_ms) {
    struct statement *statement =
        database_statement(db, "UPDATE grants SET until_boot = min(until_boot, ?2 + ?4), until = min(until, ?3 + ?4)"
                               " WHERE boot = ?1");
    put_time(statement, now);
    statement_put_number(statement, 4, (int64_t)lifetime_ms);
    return statement_run_lazily(statement);
}

int grant_row_take(struct database *db, int64_t id, const struct grant_time *now, bool message, bool recipient) {
    struct statement *statement =
        database_statement(db, "UPDATE grants SET messages = messages - ?5, recipients = recipients - ?6"
                               " WHERE id = ?4 AND messages >= ?5 AND recipients >= ?6 AND " LIVE);
    put_time(statement, now);
    statement_put_number(statement, 4, id);
    statement_put_number(statement, 5, message);
    statement_put_number(statement, 6, recipient);
    return statement_run_lazily(statement);
}

int grant_row_end(struct database *db, int64_t user_id, const struct network *network, const char *why) {
    static const struct network everything = {0};
    struct statement *statement = database_statement(
        db, "UPDATE grants SET ended = ?1 WHERE ended = '' AND (?2 = 0 OR user_id = ?2) AND (?3 OR network = ?4)");
    statement_put_text(statement, 1, span_text(why));
    statement_put_number(statement, 2, user_id);
    statement_put_number(statement, 3, !network);
    put_network(statement, 4, network ? network : &everything);
    return statement_run_lazily(statement);
}

int grant_row_crowd(struct database *db, int64_t user_id, uint32_t most) {
    struct statement *statement = database_statement(
        db, "UPDATE grants SET ended = 'the user has newer ones at other addresses' WHERE id IN (SELECT id FROM"
            " grants WHERE user_id = ?1 AND ended = '' ORDER BY until DESC, id DESC LIMIT -1 OFFSET ?2)");
    statement_put_number(statement, 1, user_id);
    statement_put_number(statement, 2, most);
    return statement_run_lazily(statement);
}

int grant_row_forget(struct database *db, int64_t id) {
    struct statement *statement = database_statement(db, "DELETE FROM grants WHERE id = ?1");
    statement_put_number(statement, 1, id);
    return statement_run_lazily(statement);
}

int grant_row_sweep(struct database *db, const struct grant_time *now) {
    struct statement *statement =
        database_statement(db, "DELETE FROM grants WHERE boot <> ?1 OR until_boot <= ?2 OR until <= ?3");
    put_time(statement, now);
    return statement_run_lazily(statement);
}

/* ---- reading */

struct statement *grant_row_of_user(struct database *db, int64_t user_id, const struct network *network,
                                    const struct grant_time *now) {
    struct statement *statement = database_statement(db, COLUMNS "WHERE network = ?4 AND user_id = ?5 AND " LIVE);
    put_time(statement, now);
    put_network(statement, 4, network);
    statement_put_number(statement, 5, user_id);
    return statement;
}

struct statement *grant_row_of_network(struct database *db, const struct network *network,
                                       const struct grant_time *now) {
    struct statement *statement = database_statement(db, COLUMNS "WHERE network = ?4 AND " LIVE " ORDER BY user_id");
    put_time(statement, now);
    put_network(statement, 4, network);
    return statement;
}

struct statement *grant_row_of_id(struct database *db, int64_t id, const struct grant_time *now) {
    struct statement *statement = database_statement(db, COLUMNS "WHERE id = ?4 AND " LIVE);
    put_time(statement, now);
    statement_put_number(statement, 4, id);
    return statement;
}

struct statement *grant_row_all(struct database *db, const struct grant_time *now) {
    struct statement *statement = database_statement(
        db, COLUMNS "WHERE " LIVE " ORDER BY (SELECT login FROM users u WHERE u.id = user_id), network");
    put_time(statement, now);
    return statement;
}

int grant_row_step(struct statement *statement, const struct grant_time *now, struct grant *out) {
    *out = (struct grant){0};
    enum database_step step = statement_step(statement);
    if (step != DATABASE_ROW) return step == DATABASE_DONE ? 0 : -1;
    if (!get_network(statement_get_text(statement, 2), &out->network)) {
        statement_reset(statement);
        return -1;
    }
    out->id = statement_get_number(statement, 0);
    out->user_id = statement_get_number(statement, 1);
    out->source = (enum grant_source)statement_get_number(statement, 3);
    out->since_ms = get_positive(statement, 4);
    out->until_ms = get_positive(statement, 5);
    uint64_t until_boot_ms = get_positive(statement, 6);
    uint64_t wall = out->until_ms > now->wall_ms ? out->until_ms - now->wall_ms : 0;
    uint64_t boot = until_boot_ms > now->boot_ms ? until_boot_ms - now->boot_ms : 0;
    out->left_ms = wall < boot ? wall : boot;
    out->messages_left = get_count(statement, 7);
    out->recipients_left = get_count(statement, 8);
    return 1;
}

int grant_row_ended(struct database *db, int64_t after, struct grant *out, uint8_t why_out[64], size_t *why_n_out) {
    struct statement *statement = database_statement(
        db, "SELECT id, user_id, network, ended FROM grants WHERE id > ?1 AND ended <> '' ORDER BY id LIMIT 1");
    statement_put_number(statement, 1, after);
    *out = (struct grant){0};
    enum database_step step = statement_step(statement);
    if (step != DATABASE_ROW) return step == DATABASE_DONE ? 0 : -1;
    struct span why = statement_get_text(statement, 3);
    out->id = statement_get_number(statement, 0);
    out->user_id = statement_get_number(statement, 1);
    *why_n_out = why.n < 64 ? why.n : 64;
    memcpy(why_out, why.p, *why_n_out);
    bool good = get_network(statement_get_text(statement, 2), &out->network);
    statement_reset(statement);
    return good ? 1 : -1;
}

/* ---- who shares an address */

int grant_row_note(struct database *db, int64_t user_id, const struct network *network, uint64_t wall_ms) {
    struct statement *statement =
        database_statement(db, "INSERT INTO grant_logins(network, user_id, seen) VALUES(?1, ?2, ?3)"
                               " ON CONFLICT DO UPDATE SET seen = ?3");
    put_network(statement, 1, network);
    statement_put_number(statement, 2, user_id);
    statement_put_number(statement, 3, (int64_t)wall_ms);
    int noted = statement_run_lazily(statement);
    if (noted != 1) return noted;
    statement = database_statement(db, "DELETE FROM grant_logins WHERE user_id = ?1 AND seen < (SELECT seen FROM"
                                       " grant_logins WHERE user_id = ?1 ORDER BY seen DESC LIMIT 1 OFFSET ?2)");
    statement_put_number(statement, 1, user_id);
    statement_put_number(statement, 2, GRANT_LOGINS_PER_USER - 1);
    return statement_run_lazily(statement) < 0 ? -1 : 1;
}

int64_t grant_row_seen(struct database *db, int64_t user_id, const struct network *network) {
    struct statement *statement =
        database_statement(db, "SELECT seen FROM grant_logins WHERE network = ?1 AND user_id = ?2");
    put_network(statement, 1, network);
    statement_put_number(statement, 2, user_id);
    return one_number(statement);
}

int64_t grant_row_users(struct database *db, const struct network *network, uint64_t since_ms) {
    struct statement *statement =
        database_statement(db, "SELECT count(*) FROM grant_logins WHERE network = ?1 AND seen > ?2");
    put_network(statement, 1, network);
    statement_put_number(statement, 2, (int64_t)since_ms);
    return one_number(statement);
}

int grant_row_forget_logins(struct database *db, uint64_t before_ms) {
    struct statement *statement = database_statement(db, "DELETE FROM grant_logins WHERE seen <= ?1");
    statement_put_number(statement, 1, (int64_t)before_ms);
    return statement_run_lazily(statement);
}
