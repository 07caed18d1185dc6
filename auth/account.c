/* account.c - the statements about users, credentials, senders and aliases.
 * Runs in: auth. Trusts: the database. Never: checks a password, decides. */
#include "auth/account.h"

#include "auth/password_format.h"
#include "store/clock.h"

static int64_t now(void) {
    return (int64_t)(clock_wall_ms() / 1000);
}

static enum account_found read_account(struct statement *statement, struct account *out) {
    *out = (struct account){0};
    enum database_step step = statement_step(statement);
    if (step != DATABASE_ROW) return step == DATABASE_DONE ? ACCOUNT_NONE : ACCOUNT_FAILED;
    struct span login = statement_get_text(statement, 1);
    bool fits = login.n > 0 && login.n <= sizeof out->login_octets;
    if (fits) {
        out->id = statement_get_number(statement, 0);
        memcpy(out->login_octets, login.p, login.n);
        out->login_n = login.n;
        out->enabled = statement_get_number(statement, 2) == 1;
        out->created_ms = (uint64_t)statement_get_number(statement, 3) * 1000;
    }
    statement_reset(statement);
    return fits ? ACCOUNT_FOUND : ACCOUNT_FAILED;
}

enum account_found account_find(struct database *db, struct span login, struct account *out) {
    struct statement *statement =
        database_statement(db, "SELECT id, login, enabled, created FROM users WHERE login = ?1");
    statement_put_text(statement, 1, login);
    return read_account(statement, out);
}

enum account_found account_of(struct database *db, int64_t id, struct account *out) {
    struct statement *statement =
        database_statement(db, "SELECT id, login, enabled, created FROM users WHERE id = ?1");
    statement_put_number(statement, 1, id);
    return read_account(statement, out);
}

enum account_found account_first(struct database *db, struct account *out) {
    return read_account(
        database_statement(db, "SELECT id, login, enabled, created FROM users ORDER BY enabled DESC, id LIMIT 1"),
        out);
}

enum account_found account_hash(struct database *db, int64_t id, char hash_out[VERIFY_HASH_BYTES]) {
    struct statement *statement = database_statement(
        db, "SELECT secret FROM credentials WHERE user_id = ?1 AND kind = 'argon2id' AND name = 'mailbox'");
    memset(hash_out, 0, VERIFY_HASH_BYTES);
    statement_put_number(statement, 1, id);
    enum database_step step = statement_step(statement);
    if (step != DATABASE_ROW) return step == DATABASE_DONE ? ACCOUNT_NONE : ACCOUNT_FAILED;
    struct span hash = statement_get_text(statement, 0);
    bool fits = hash.n > 0 && hash.n < VERIFY_HASH_BYTES;
    if (fits) memcpy(hash_out, hash.p, hash.n);
    statement_reset(statement);
    return fits ? ACCOUNT_FOUND : ACCOUNT_FAILED;
}

enum account_found account_dearest(struct database *db, uint64_t *work_out) {
    /* One of each cost. */
    struct statement *statement =
        database_statement(db, "SELECT min(secret) FROM credentials WHERE kind = 'argon2id'"
                               " GROUP BY substr(secret, 1, instr(CAST(secret AS TEXT), ',p='))");
    struct password_cost cost;
    enum database_step step;
    *work_out = 0;
    while ((step = statement_step(statement)) == DATABASE_ROW)
        if (password_format_read(statement_get_text(statement, 0), &cost) && password_work(&cost) > *work_out)
            *work_out = password_work(&cost);
    return step == DATABASE_DONE ? ACCOUNT_FOUND : ACCOUNT_FAILED;
}

static enum account_change outcome(int changed, enum account_change when_none) {
    return changed < 0 ? ACCOUNT_CHANGE_FAILED : changed == 0 ? when_none : ACCOUNT_CHANGED;
}

static int put_hash(struct database *db, struct span login, struct span hash) {
    struct statement *statement = database_statement(
        db, "INSERT INTO credentials(user_id, kind, name, secret, created)"
            " SELECT id, 'argon2id', 'mailbox', CAST(?2 AS BLOB), ?3 FROM users WHERE login = ?1"
            " ON CONFLICT(user_id, name, kind) DO UPDATE SET secret = excluded.secret, created = excluded.created");
    statement_put_text(statement, 1, login);
    statement_put_text(statement, 2, hash);
    statement_put_number(statement, 3, now());
    return statement_run(statement);
}

enum account_change account_add(struct database *db, struct span login, struct span hash) {
    enum account_change change = ACCOUNT_CHANGE_FAILED;
    if (database_begin(db) != 0) return change;
    struct statement *statement =
        database_statement(db, "INSERT INTO users(login, created) VALUES(?1, ?2) ON CONFLICT DO NOTHING");
    statement_put_text(statement, 1, login);
    statement_put_number(statement, 2, now());
    change = outcome(statement_run(statement), ACCOUNT_EXISTS);
    if (change == ACCOUNT_CHANGED && (put_hash(db, login, hash) != 1 || database_commit(db) != 0))
        change = ACCOUNT_CHANGE_FAILED;
    if (change != ACCOUNT_CHANGED) database_rollback(db);
    return change;
}

enum account_change account_remove(struct database *db, struct span login) {
    struct statement *statement = database_statement(db, "DELETE FROM users WHERE login = ?1");
    statement_put_text(statement, 1, login);
    return outcome(statement_run(statement), ACCOUNT_MISSING);
}

enum account_change account_set_hash(struct database *db, struct span login, struct span hash) {
    return outcome(put_hash(db, login, hash), ACCOUNT_MISSING);
}

enum account_change account_enable(struct database *db, struct span login, bool enabled) {
    struct statement *statement = database_statement(db, "UPDATE users SET enabled = ?2 WHERE login = ?1");
    statement_put_text(statement, 1, login);
    statement_put_number(statement, 2, enabled);
    return outcome(statement_run(statement), ACCOUNT_MISSING);
}

enum account_change account_allow(struct database *db, struct span login, struct span pattern) {
    struct account account;
    enum account_found found = account_find(db, login, &account);
    if (found != ACCOUNT_FOUND) return found == ACCOUNT_NONE ? ACCOUNT_MISSING : ACCOUNT_CHANGE_FAILED;
    struct statement *statement =
        database_statement(db, "INSERT INTO senders(user_id, pattern) VALUES(?1, ?2) ON CONFLICT DO NOTHING");
    statement_put_number(statement, 1, account.id);
    statement_put_text(statement, 2, pattern);
    return outcome(statement_run(statement), ACCOUNT_EXISTS);
}

enum account_change account_deny(struct database *db, struct span login, struct span pattern) {
    struct statement *statement = database_statement(
        db, "DELETE FROM senders WHERE pattern = ?2 AND user_id = (SELECT id FROM users WHERE login = ?1)");
    statement_put_text(statement, 1, login);
    statement_put_text(statement, 2, pattern);
    return outcome(statement_run(statement), ACCOUNT_MISSING);
}

enum account_change account_alias_add(struct database *db, struct span address, struct span target, bool forward) {
    struct statement *statement = database_statement(
        db, "INSERT INTO aliases(address, target, forward, created) VALUES(?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING");
    statement_put_text(statement, 1, address);
    statement_put_text(statement, 2, target);
    statement_put_number(statement, 3, forward);
    statement_put_number(statement, 4, now());
    return outcome(statement_run(statement), ACCOUNT_EXISTS);
}

enum account_change account_alias_remove(struct database *db, struct span address, struct span target) {
    struct statement *statement =
        database_statement(db, "DELETE FROM aliases WHERE address = ?1 AND (?2 = '' OR target = ?2)");
    statement_put_text(statement, 1, address);
    statement_put_text(statement, 2, target);
    return outcome(statement_run(statement), ACCOUNT_MISSING);
}

/* Steps through the rows; `fill` makes one of the statement's columns. */
static enum account_found walk(struct statement *statement, void (*fill)(struct statement *, struct account_row *),
                               bool (*each)(void *context, const struct account_row *row), void *context) {
    for (;;) {
        struct account_row row = {0};
        enum database_step step = statement_step(statement);
        if (step != DATABASE_ROW) return step == DATABASE_DONE ? ACCOUNT_FOUND : ACCOUNT_FAILED;
        fill(statement, &row);
        if (each(context, &row)) continue;
        statement_reset(statement);
        return ACCOUNT_FOUND;
    }
}

static void fill_user(struct statement *statement, struct account_row *row) {
    row->login = statement_get_text(statement, 0);
    row->enabled = statement_get_number(statement, 1) == 1;
    row->created_ms = (uint64_t)statement_get_number(statement, 2) * 1000;
    row->hash = statement_get_text(statement, 3);
}

enum account_found account_users(struct database *db, bool (*each)(void *context, const struct account_row *row),
                                 void *context) {
    struct statement *statement =
        database_statement(db, "SELECT login, enabled, u.created, secret FROM users u LEFT JOIN credentials c"
                               " ON c.user_id = u.id AND kind = 'argon2id' AND name = 'mailbox' ORDER BY login");
    return walk(statement, fill_user, each, context);
}

static void fill_sender(struct statement *statement, struct account_row *row) {
    row->login = statement_get_text(statement, 0);
    row->pattern = statement_get_text(statement, 1);
}

enum account_found account_senders(struct database *db, struct span login,
                                   bool (*each)(void *context, const struct account_row *row), void *context) {
    struct statement *statement =
        login.n
            ? database_statement(db, "SELECT login, pattern FROM senders JOIN users ON id = user_id WHERE login = ?1")
            : database_statement(db, "SELECT login, pattern FROM senders JOIN users ON id = user_id ORDER BY login");
    if (login.n) statement_put_text(statement, 1, login);
    return walk(statement, fill_sender, each, context);
}

static void fill_alias(struct statement *statement, struct account_row *row) {
    row->address = statement_get_text(statement, 0);
    row->target = statement_get_text(statement, 1);
    row->forward = statement_get_number(statement, 2) == 1;
    row->created_ms = (uint64_t)statement_get_number(statement, 3) * 1000;
}

enum account_found account_aliases(struct database *db, struct span address,
                                   bool (*each)(void *context, const struct account_row *row), void *context) {
    struct statement *statement =
        address.n ? database_statement(db, "SELECT address, target, forward, created FROM aliases WHERE address = ?1")
                  : database_statement(
                        db, "SELECT address, target, forward, created FROM aliases ORDER BY address, target");
    if (address.n) statement_put_text(statement, 1, address);
    return walk(statement, fill_alias, each, context);
}

int64_t account_count(struct database *db) {
    struct statement *statement = database_statement(db, "SELECT count(*) FROM users");
    if (statement_step(statement) != DATABASE_ROW) return -1;
    int64_t count = statement_get_number(statement, 0);
    statement_reset(statement);
    return count;
}
