/* credential.c - the statements about credentials.
 * Runs in: auth. Trusts: the database. Never: checks a secret, gives a row a second secret. */
#include "auth/credential.h"

#include "auth/password_format.h"
#include "store/clock.h"

static const char *const kinds[] = {
    [CREDENTIAL_MAILBOX] = "mailbox", [CREDENTIAL_LOGIN] = "login", [CREDENTIAL_APP] = "app"};
static const char *const scopes[] = {[CREDENTIAL_ANY] = "", [CREDENTIAL_SMTP] = "smtp", [CREDENTIAL_POP3] = "pop3"};

const char *credential_kind_name(enum credential_kind kind) {
    return kind > CREDENTIAL_NONE && kind <= CREDENTIAL_APP ? kinds[kind] : "";
}

const char *credential_scope_name(enum credential_scope scope) {
    return scopes[scope];
}

bool credential_scope_read(struct span name, enum credential_scope *out) {
    for (unsigned i = 0; i <= CREDENTIAL_POP3; i++) {
        if (!span_equal(name, span_text(scopes[i]))) continue;
        *out = (enum credential_scope)i;
        return true;
    }
    return false;
}

static enum credential_kind read_kind(struct span name) {
    for (unsigned i = CREDENTIAL_MAILBOX; i <= CREDENTIAL_APP; i++)
        if (span_equal(name, span_text(kinds[i]))) return (enum credential_kind)i;
    return CREDENTIAL_NONE;
}

static uint64_t read_ms(struct statement *statement, int column) {
    int64_t seconds = statement_get_number(statement, column);
    return seconds > 0 ? (uint64_t)seconds * 1000 : 0;
}

/* ---- for a verifier: columns id, kind, hash, scram, nt, last_used */

static bool read_credential(struct statement *statement, struct credential *out) {
    struct span hash = statement_get_text(statement, 2), scram = statement_get_text(statement, 3),
                nt = statement_get_text(statement, 4);
    *out = (struct credential){.id = statement_get_number(statement, 0),
                               .kind = (uint8_t)read_kind(statement_get_text(statement, 1)),
                               .has_scram = scram.n == CREDENTIAL_SCRAM_BYTES,
                               .nt_n = nt.n,
                               .last_used_ms = read_ms(statement, 5)};
    if (hash.n == 0 || hash.n >= sizeof out->hash || nt.n > sizeof out->nt) return false;
    memcpy(out->hash, hash.p, hash.n);
    if (out->has_scram) memcpy(out->scram, scram.p, scram.n);
    if (nt.n) memcpy(out->nt, nt.p, nt.n);
    return out->kind != CREDENTIAL_NONE;
}

#define USABLE " AND scope IN ('', ?2) AND (expires = 0 OR expires > ?3)"

static void put_usable(struct statement *statement, enum credential_scope scope, uint64_t now_ms) {
    statement_put_text(statement, 2, span_text(credential_scope_name(scope)));
    statement_put_number(statement, 3, (int64_t)(now_ms / 1000));
}

enum account_found credential_of_user(struct database *db, int64_t user_id, enum credential_scope scope,
                                      uint64_t now_ms, struct credential out[CREDENTIALS_MAX], size_t *n_out) {
    struct statement *statement =
        database_statement(db, "SELECT id, kind, hash, scram, nt, last_used FROM credentials"
                               " WHERE user_id = ?1 AND kind IN ('mailbox', 'app')" USABLE
                               " ORDER BY kind DESC, last_used DESC, id LIMIT 33");
    _Static_assert(CREDENTIALS_MAX == 33, "as the statement has it");
    enum database_step step;
    *n_out = 0;
    statement_put_number(statement, 1, user_id);
    put_usable(statement, scope, now_ms);
    while ((step = statement_step(statement)) == DATABASE_ROW && *n_out < CREDENTIALS_MAX) {
        if (read_credential(statement, &out[(*n_out)++])) continue;
        statement_reset(statement);
        return ACCOUNT_FAILED;
    }
    return step == DATABASE_DONE ? ACCOUNT_FOUND : ACCOUNT_FAILED;
}

enum account_found credential_of_login(struct database *db, struct span login, enum credential_scope scope,
                                       uint64_t now_ms, int64_t *user_id_out, struct credential *out, size_t *n_out) {
    struct statement *statement =
        database_statement(db, "SELECT id, kind, hash, scram, nt, last_used, user_id, (TRUE" USABLE
                               " AND ?2 <> 'pop3') FROM credentials WHERE login = ?1");
    *n_out = 0;
    *user_id_out = 0;
    statement_put_text(statement, 1, login);
    put_usable(statement, scope, now_ms);
    enum database_step step = statement_step(statement);
    if (step != DATABASE_ROW) return step == DATABASE_DONE ? ACCOUNT_NONE : ACCOUNT_FAILED;
    bool good = read_credential(statement, out);
    *user_id_out = statement_get_number(statement, 6);
    *n_out = statement_get_number(statement, 7) == 1;
    statement_reset(statement);
    if (!good || !*n_out) explicit_bzero(out, sizeof *out);
    return good ? ACCOUNT_FOUND : ACCOUNT_FAILED;
}

/* ---- changes */

/* What a new row is to be, in place of `old` (0: none). */
struct row {
    int64_t user_id, old;
    enum credential_kind kind;
    struct span name, login;
    enum credential_scope scope;
    uint64_t expires_ms;
};

static int64_t find(struct database *db, int64_t user_id, enum credential_kind kind, struct span name) {
    struct statement *statement =
        database_statement(db, "SELECT id FROM credentials WHERE user_id = ?1 AND kind = ?2 AND name = ?3");
    statement_put_number(statement, 1, user_id);
    statement_put_text(statement, 2, span_text(credential_kind_name(kind)));
    statement_put_text(statement, 3, name);
    enum database_step step = statement_step(statement);
    if (step != DATABASE_ROW) return step == DATABASE_DONE ? 0 : -1;
    int64_t id = statement_get_number(statement, 0);
    statement_reset(statement);
    return id;
}

static int forget(struct database *db, int64_t id) {
    struct statement *statement = database_statement(db, "DELETE FROM credentials WHERE id = ?1");
    statement_put_number(statement, 1, id);
    return statement_run(statement);
}

/* How many rows: none when there is no such user, or the name or login is taken. */
static int insert(struct database *db, const struct row *row, const struct credential_secret *secret) {
    struct statement *statement = database_statement(
        db, "INSERT INTO credentials(user_id, kind, name, login, scope, hash, scram, nt, created, expires)"
            " SELECT id, ?2, ?3, nullif(?4, ''), ?5, ?6, ?7, ?8, ?9, ?10 FROM users WHERE id = ?1"
            " ON CONFLICT DO NOTHING");
    statement_put_number(statement, 1, row->user_id);
    statement_put_text(statement, 2, span_text(credential_kind_name(row->kind)));
    statement_put_text(statement, 3, row->name);
    statement_put_text(statement, 4, row->login);
    statement_put_text(statement, 5, span_text(credential_scope_name(row->scope)));
    statement_put_text(statement, 6, secret->hash);
    statement_put_blob(statement, 7, secret->scram);
    statement_put_blob(statement, 8, secret->nt);
    statement_put_number(statement, 9, (int64_t)(clock_wall_ms() / 1000));
    statement_put_number(statement, 10, (int64_t)(row->expires_ms / 1000));
    return statement_run(statement);
}

/* In one change; the old row goes first, so that no moment has two. */
static enum account_change put(struct database *db, const struct row *row, const struct credential_secret *secret) {
    struct account account;
    if (row->old < 0 || database_begin(db) != 0) return ACCOUNT_CHANGE_FAILED;
    bool ok = row->old == 0 || forget(db, row->old) == 1;
    int n = ok ? insert(db, row, secret) : -1;
    if (n == 1 && database_commit(db) == 0) {
        account_changed(db, row->user_id, row->old);
        return ACCOUNT_CHANGED;
    }
    database_rollback(db);
    if (n != 0) return ACCOUNT_CHANGE_FAILED;
    return account_of(db, row->user_id, &account) == ACCOUNT_NONE ? ACCOUNT_MISSING : ACCOUNT_EXISTS;
}

enum account_change credential_set_mailbox(struct database *db, int64_t user_id,
                                           const struct credential_secret *secret) {
    struct row row = {user_id, find(db, user_id, CREDENTIAL_MAILBOX, SPAN("")), .kind = CREDENTIAL_MAILBOX};
    return put(db, &row, secret);
}

enum account_change credential_add_app(struct database *db, int64_t user_id, struct span name,
                                       enum credential_scope scope, uint64_t expires_ms,
                                       const struct credential_secret *secret) {
    struct row row = {user_id, 0, CREDENTIAL_APP, name, SPAN(""), scope, expires_ms};
    return put(db, &row, secret);
}

enum account_change credential_set_login(struct database *db, int64_t user_id, struct span login,
                                         const struct credential_secret *secret) {
    struct row row = {
        user_id, find(db, user_id, CREDENTIAL_LOGIN, login), CREDENTIAL_LOGIN, login, login, CREDENTIAL_ANY, 0};
    return put(db, &row, secret);
}

enum account_change credential_remove(struct database *db, int64_t user_id, enum credential_kind kind,
                                      struct span name) {
    int64_t id = find(db, user_id, kind, name);
    if (id <= 0) return id == 0 ? ACCOUNT_MISSING : ACCOUNT_CHANGE_FAILED;
    if (forget(db, id) != 1) return ACCOUNT_CHANGE_FAILED;
    account_changed(db, user_id, id);
    return ACCOUNT_CHANGED;
}

/* 0: there is no such row. */
static int64_t user_of(struct database *db, int64_t id) {
    struct statement *statement = database_statement(db, "SELECT user_id FROM credentials WHERE id = ?1");
    statement_put_number(statement, 1, id);
    enum database_step step = statement_step(statement);
    if (step != DATABASE_ROW) return step == DATABASE_DONE ? 0 : -1;
    int64_t user_id = statement_get_number(statement, 0);
    statement_reset(statement);
    return user_id;
}

/* An UPDATE takes no number of AUTOINCREMENT's, sqlite.org/autoinc.html: it is taken by hand. */
static int renumber(struct database *db, int64_t id, const struct credential_secret *secret) {
    if (statement_run(
            database_statement(db, "UPDATE sqlite_sequence SET seq = seq + 1 WHERE name = 'credentials'")) != 1)
        return -1;
    struct statement *statement = database_statement(
        db, "UPDATE credentials SET id = (SELECT seq FROM sqlite_sequence WHERE name = 'credentials'),"
            " hash = iif(?2 = '', hash, ?2), scram = ifnull(?3, scram), nt = ifnull(?4, nt) WHERE id = ?1");
    statement_put_number(statement, 1, id);
    statement_put_text(statement, 2, secret->hash);
    statement_put_blob(statement, 3, secret->scram);
    statement_put_blob(statement, 4, secret->nt);
    return statement_run(statement) == 1 ? 0 : -1;
}

/* What it has sent, and that it is suspended, is not forgotten: auth/quota_row.h. */
static int move_quota(struct database *db, int64_t from, int64_t to) {
    struct statement *statement =
        database_statement(db, "UPDATE OR REPLACE quotas SET id = ?2 WHERE kind = 'credential' AND id = ?1");
    statement_put_number(statement, 1, from);
    statement_put_number(statement, 2, to);
    return statement_run(statement) < 0 ? -1 : 0;
}

static int64_t last_number(struct database *db) {
    struct statement *statement =
        database_statement(db, "SELECT seq FROM sqlite_sequence WHERE name = 'credentials'");
    if (statement_step(statement) != DATABASE_ROW) return -1;
    int64_t id = statement_get_number(statement, 0);
    statement_reset(statement);
    return id;
}

enum account_change credential_renew(struct database *db, int64_t id, const struct credential_secret *secret,
                                     int64_t *id_out) {
    int64_t user_id = user_of(db, id);
    *id_out = 0;
    if (user_id <= 0) return user_id == 0 ? ACCOUNT_MISSING : ACCOUNT_CHANGE_FAILED;
    if (database_begin(db) != 0) return ACCOUNT_CHANGE_FAILED;
    if (renumber(db, id, secret) == 0 && (*id_out = last_number(db)) > 0 && move_quota(db, id, *id_out) == 0 &&
        database_commit(db) == 0) {
        account_changed(db, user_id, 0);
        return ACCOUNT_CHANGED;
    }
    *id_out = 0;
    database_rollback(db);
    return ACCOUNT_CHANGE_FAILED;
}

int credential_used(struct database *db, int64_t id, uint64_t now_ms) {
    struct statement *statement = database_statement(
        db, "UPDATE credentials SET last_used = ?2 WHERE id = ?1 AND (last_used > ?2 OR last_used <= ?2 - ?3)");
    statement_put_number(statement, 1, id);
    statement_put_number(statement, 2, (int64_t)(now_ms / 1000));
    statement_put_number(statement, 3, CREDENTIAL_USED_EVERY_S);
    return statement_run_lazily(statement) < 0 ? -1 : 0;
}

bool credential_there(struct database *db, int64_t id) {
    return user_of(db, id) > 0;
}

enum account_found credential_scope_of(struct database *db, int64_t id, enum credential_scope *out) {
    struct statement *statement = database_statement(db, "SELECT scope FROM credentials WHERE id = ?1");
    statement_put_number(statement, 1, id);
    enum database_step step = statement_step(statement);
    if (step != DATABASE_ROW) return step == DATABASE_DONE ? ACCOUNT_NONE : ACCOUNT_FAILED;
    bool known = credential_scope_read(statement_get_text(statement, 0), out);
    statement_reset(statement);
    return known ? ACCOUNT_FOUND : ACCOUNT_FAILED;
}

int64_t credential_count(struct database *db, int64_t user_id, enum credential_kind kind) {
    struct statement *statement =
        database_statement(db, "SELECT count(*) FROM credentials WHERE user_id = ?1 AND kind = ?2");
    statement_put_number(statement, 1, user_id);
    statement_put_text(statement, 2, span_text(credential_kind_name(kind)));
    if (statement_step(statement) != DATABASE_ROW) return -1;
    int64_t count = statement_get_number(statement, 0);
    statement_reset(statement);
    return count;
}

/* Raises *work_out to that of the dearest of the statement's hashes. */
static enum account_found raise_work(struct statement *statement, uint64_t *work_out) {
    struct password_cost cost;
    enum database_step step;
    while ((step = statement_step(statement)) == DATABASE_ROW)
        if (password_format_read(statement_get_text(statement, 0), &cost) && password_work(&cost) > *work_out)
            *work_out = password_work(&cost);
    return step == DATABASE_DONE ? ACCOUNT_FOUND : ACCOUNT_FAILED;
}

enum account_found credential_dearest(struct database *db, uint64_t *work_out) {
    *work_out = 0;
    /* Of our own one of each cost, of those that were imported all. */
    enum account_found found =
        raise_work(database_statement(db, "SELECT min(hash) FROM credentials WHERE hash >= '$argon2id$'"
                                          " AND hash < '$argon2id%'"
                                          " GROUP BY substr(hash, 1, instr(hash, ',p='))"),
                   work_out);
    if (found != ACCOUNT_FOUND) return found;
    return raise_work(database_statement(db, "SELECT hash FROM credentials WHERE kind <> 'app'"
                                             " AND NOT (hash >= '$argon2id$' AND hash < '$argon2id%')"),
                      work_out);
}

/* ---- rows */

static struct credential_row read_row(struct statement *statement) {
    struct credential_row row = {.id = statement_get_number(statement, 0),
                                 .user = statement_get_text(statement, 1),
                                 .kind = read_kind(statement_get_text(statement, 2)),
                                 .name = statement_get_text(statement, 3),
                                 .hash = statement_get_text(statement, 5),
                                 .has_scram = statement_get_number(statement, 6) == 1,
                                 .has_nt = statement_get_number(statement, 7) == 1,
                                 .created_ms = read_ms(statement, 8),
                                 .last_used_ms = read_ms(statement, 9),
                                 .expires_ms = read_ms(statement, 10)};
    if (!credential_scope_read(statement_get_text(statement, 4), &row.scope)) row.kind = CREDENTIAL_NONE;
    if (row.kind == CREDENTIAL_LOGIN) row.scope = CREDENTIAL_SMTP;
    return row;
}

#define ROWS                                                                                                         \
    "SELECT c.id, u.login, kind, name, scope, hash, scram IS NOT NULL, nt IS NOT NULL, c.created, last_used, "       \
    "expires"                                                                                                        \
    " FROM credentials c JOIN users u ON u.id = user_id "

enum account_found credential_list(struct database *db, int64_t user_id,
                                   bool (*each)(void *context, const struct credential_row *row), void *context) {
    struct statement *statement = user_id ? database_statement(db, ROWS "WHERE user_id = ?1 ORDER BY kind DESC, name")
                                          : database_statement(db, ROWS "ORDER BY u.login, kind DESC, name");
    enum database_step step;
    if (user_id) statement_put_number(statement, 1, user_id);
    while ((step = statement_step(statement)) == DATABASE_ROW) {
        struct credential_row row = read_row(statement);
        if (each(context, &row)) continue;
        statement_reset(statement);
        return ACCOUNT_FOUND;
    }
    return step == DATABASE_DONE ? ACCOUNT_FOUND : ACCOUNT_FAILED;
}
