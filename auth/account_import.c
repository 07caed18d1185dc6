/* account_import.c - the statements of a bulk change.
 * Runs in: auth. Trusts: the database, and who calls for the form of names and hashes. Never: leaves a part of an
 * import behind. */
#include "auth/account_import.h"

#include "auth/credential.h"
#include "store/random.h"

int account_import_begin(struct database *db) {
    if (statement_run(database_statement(db, "CREATE TEMP TABLE IF NOT EXISTS import(login TEXT PRIMARY KEY,"
                                             " hash TEXT NOT NULL, enabled INTEGER NOT NULL) WITHOUT ROWID")) < 0)
        return -1;
    return statement_run(database_statement(db, "DELETE FROM temp.import")) < 0 ? -1 : 0;
}

enum account_change account_import_add(struct database *db, struct span login, struct span hash, bool enabled) {
    struct statement *statement =
        database_statement(db, "INSERT INTO temp.import(login, hash, enabled) VALUES(?1, ?2, ?3)"
                               " ON CONFLICT DO NOTHING");
    statement_put_text(statement, 1, login);
    statement_put_text(statement, 2, hash);
    statement_put_number(statement, 3, enabled);
    int n = statement_run(statement);
    return n < 0 ? ACCOUNT_CHANGE_FAILED : n == 0 ? ACCOUNT_EXISTS : ACCOUNT_CHANGED;
}

static bool put_one(struct database *db, struct span login, struct span hash, bool enabled,
                    struct account_import_count *count) {
    uint8_t salt[ACCOUNT_SALT_BYTES];
    struct credential_secret secret = {.hash = hash};
    struct account account;
    switch (account_find(db, login, &account)) {
    case ACCOUNT_FOUND:
        count->replaced++;
        if (credential_set_mailbox(db, account.id, &secret) != ACCOUNT_CHANGED) return false;
        return enabled || !account.enabled || account_enable(db, login, false) == ACCOUNT_CHANGED;
    case ACCOUNT_NONE:
        count->added++;
        if (random_draw(salt, sizeof salt) != 0 || account_add(db, login, salt, &secret) != ACCOUNT_CHANGED)
            return false;
        return enabled || account_enable(db, login, false) == ACCOUNT_CHANGED;
    case ACCOUNT_FAILED:
        break;
    }
    return false;
}

static bool put_all(struct database *db, struct account_import_count *count) {
    struct statement *statement = database_statement(db, "SELECT login, hash, enabled FROM temp.import");
    enum database_step step;
    while ((step = statement_step(statement)) == DATABASE_ROW) {
        if (put_one(db, statement_get_text(statement, 0), statement_get_text(statement, 1),
                    statement_get_number(statement, 2) == 1, count))
            continue;
        statement_reset(statement);
        return false;
    }
    return step == DATABASE_DONE;
}

enum account_change account_import_commit(struct database *db, struct account_import_count *out) {
    *out = (struct account_import_count){0};
    if (database_begin(db) != 0) return ACCOUNT_CHANGE_FAILED;
    bool ok = put_all(db, out) && database_commit(db) == 0;
    if (!ok) database_rollback(db);
    (void)!account_import_begin(db); /* the next import begins so, too */
    return ok ? ACCOUNT_CHANGED : ACCOUNT_CHANGE_FAILED;
}

enum account_found account_import_users_after(struct database *db, struct span login,
                                              bool (*each)(void *context, const struct account_row *row),
                                              void *context) {
    struct statement *statement = database_statement(
        db, "SELECT u.login, enabled, suspended, hash FROM users u LEFT JOIN credentials c ON c.user_id = u.id"
            " AND kind = 'mailbox' WHERE u.login > ?1 ORDER BY u.login LIMIT 200");
    enum database_step step;
    statement_put_text(statement, 1, login);
    while ((step = statement_step(statement)) == DATABASE_ROW) {
        struct account_row row = {.login = statement_get_text(statement, 0),
                                  .enabled = statement_get_number(statement, 1) == 1,
                                  .suspended_ms = (uint64_t)statement_get_number(statement, 2) * 1000,
                                  .hash = statement_get_text(statement, 3)};
        if (each(context, &row)) continue;
        statement_reset(statement);
        return ACCOUNT_FOUND;
    }
    return step == DATABASE_DONE ? ACCOUNT_FOUND : ACCOUNT_FAILED;
}
