/* dovecot_export.c - keeping dovecot.db. Dovecot holds the file open, so it is changed in place and never renamed.
 * Runs in: auth. Trusts: the accounts. Never: reads back what it wrote as the truth. */
#include "auth/dovecot_export.h"

#include "auth/account.h"
#include "auth/password_format.h"
#include "store/log.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

static void take_change(void *context, int64_t user_id, int64_t gone);

void dovecot_export_open(struct dovecot_export *dovecot, struct database *accounts, const struct auth_setup *setup) {
    *dovecot = (struct dovecot_export){.accounts = accounts, .setup = setup};
    mode_t old = umask(0027); /* readable by the directory's group, journal included */
    if (mkdir(DOVECOT_EXPORT_DIRECTORY, 0750) != 0 && errno != EEXIST)
        log_fault("directory " DOVECOT_EXPORT_DIRECTORY, errno);
    else
        dovecot->db = database_open(DOVECOT_EXPORT_FILE, DATABASE_DOVECOT);
    umask(old);
    account_watch(take_change, dovecot);
}

void dovecot_export_close(struct dovecot_export *dovecot) {
    database_close(dovecot->db);
    dovecot->db = NULL;
}

bool dovecot_export_home(const struct auth_setup *setup, struct span login, struct buf *b) {
    size_t at = login.n;
    while (at > 0 && login.p[at - 1] != '@') at--;
    struct span local = span_part(login, 0, at ? at - 1 : 0), domain = span_from(login, at);
    if (local.n == 0 || domain.n == 0 || local.p[0] == '.' || span_find(login, '/') < login.n) return false;
    buf_put_span(b, setup->mail_directory);
    buf_put_octet(b, '/');
    buf_put_span(b, domain);
    buf_put_octet(b, '/');
    buf_put_span(b, local);
    return buf_ok(b);
}

/* 1: the user has a row, which is as it is to be; 0: the user is to have none; -1: failed. */
static int put_user(struct dovecot_export *dovecot, const struct account_row *row) {
    uint8_t home_storage[4096 + 2 * ADDRESS_MAX], password_storage[VERIFY_HASH_BYTES + 16];
    struct buf home = BUF_OVER(home_storage), password = BUF_OVER(password_storage);
    if (!row->enabled || row->suspended_ms || !row->hash.n || !dovecot_export_home(dovecot->setup, row->login, &home))
        return 0;
    password_format_dovecot(row->hash, &password);
    struct statement *statement = database_statement(
        dovecot->db, "INSERT INTO users(username, password, home, uid, gid) VALUES(?1, ?2, ?3, ?4, ?5)"
                     " ON CONFLICT(username) DO UPDATE SET password = excluded.password, home = excluded.home,"
                     " uid = excluded.uid, gid = excluded.gid WHERE password IS NOT excluded.password"
                     " OR home IS NOT excluded.home OR uid IS NOT excluded.uid OR gid IS NOT excluded.gid");
    statement_put_text(statement, 1, row->login);
    statement_put_text(statement, 2, buf_span(&password));
    statement_put_text(statement, 3, buf_span(&home));
    statement_put_number(statement, 4, dovecot->setup->mail_uid);
    statement_put_number(statement, 5, dovecot->setup->mail_gid);
    int result = buf_ok(&password) && statement_run(statement) >= 0 ? 1 : -1;
    explicit_bzero(password_storage, sizeof password_storage);
    return result;
}

struct export {
    struct dovecot_export *dovecot;
    bool failed, found;
};

static bool put_present(void *context, const struct account_row *row) {
    struct export *export = context;
    int has = put_user(export->dovecot, row);
    export->failed = has < 0;
    if (has <= 0) return has == 0;
    struct statement *statement = database_statement(export->dovecot->db, "INSERT INTO temp.present VALUES(?1)");
    statement_put_text(statement, 1, row->login);
    export->failed = statement_run(statement) < 0;
    return !export->failed;
}

int dovecot_export_reconcile(struct dovecot_export *dovecot) {
    struct database *db = dovecot->db;
    struct export export = {.dovecot = dovecot};
    if (!db) return 0;
    dovecot->stale = true;
    if (statement_run(database_statement(
            db, "CREATE TEMP TABLE IF NOT EXISTS present(username TEXT PRIMARY KEY) WITHOUT ROWID")) < 0 ||
        database_begin(db) != 0)
        return -1;
    bool ok = statement_run(database_statement(db, "DELETE FROM temp.present")) >= 0 &&
              account_users(dovecot->accounts, 0, put_present, &export) == ACCOUNT_FOUND && !export.failed &&
              statement_run(database_statement(
                  db, "DELETE FROM users WHERE username NOT IN (SELECT username FROM temp.present)")) >= 0 &&
              database_commit(db) == 0;
    if (!ok) database_rollback(db);
    dovecot->stale = !ok;
    return ok ? 0 : -1;
}

/* ---- one user */

static bool put_or_delete(void *context, const struct account_row *row) {
    struct export *export = context;
    int has = put_user(export->dovecot, row);
    export->found = true;
    export->failed = has < 0;
    if (has != 0) return true;
    struct statement *statement = database_statement(export->dovecot->db, "DELETE FROM users WHERE username = ?1");
    statement_put_text(statement, 1, row->login);
    export->failed = statement_run(statement) < 0;
    return true;
}

/* A user who was removed cannot be asked for the name: all rows are compared. */
static void take_change(void *context, int64_t user_id, int64_t gone) {
    struct dovecot_export *dovecot = context;
    struct export export = {.dovecot = dovecot};
    (void)gone;
    if (!dovecot->db) return;
    if (user_id && !dovecot->stale &&
        account_users(dovecot->accounts, user_id, put_or_delete, &export) == ACCOUNT_FOUND && export.found &&
        !export.failed)
        return;
    if (dovecot_export_reconcile(dovecot) != 0) log_fault("dovecot.db was not brought up to date", 0);
}
