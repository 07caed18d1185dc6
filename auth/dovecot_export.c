/* dovecot_export.c - keeping dovecot.db. Dovecot holds the file open, so it is changed in place and never renamed.
 * Runs in: auth. Trusts: the accounts. Never: reads back what it wrote as the truth. */
#include "auth/dovecot_export.h"

#include "auth/account.h"
#include "store/log.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

void dovecot_export_open(struct dovecot_export *dovecot) {
    dovecot->db = NULL;
    mode_t old = umask(0027); /* readable by the directory's group, journal included */
    if (mkdir(DOVECOT_EXPORT_DIRECTORY, 0750) != 0 && errno != EEXIST)
        log_fault("directory " DOVECOT_EXPORT_DIRECTORY, errno);
    else
        dovecot->db = database_open(DOVECOT_EXPORT_FILE, DATABASE_DOVECOT);
    umask(old);
}

void dovecot_export_close(struct dovecot_export *dovecot) {
    database_close(dovecot->db);
    dovecot->db = NULL;
}

struct export {
    struct database *db;
    const struct auth_setup *setup;
    bool failed;
};

/* mail_directory/domain/local; false for a login that would leave it. */
static bool put_home(const struct auth_setup *setup, struct span login, struct buf *b) {
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

static bool put_user(void *context, const struct account_row *row) {
    struct export *export = context;
    uint8_t home_storage[4096 + 2 * ADDRESS_MAX], password_storage[256];
    struct buf home = BUF_OVER(home_storage), password = BUF_OVER(password_storage);
    if (!row->enabled || row->suspended_ms || row->hash.n == 0 || !put_home(export->setup, row->login, &home))
        return true;
    buf_put_text(&password, "{ARGON2ID}");
    buf_put_span(&password, row->hash);
    struct statement *statement = database_statement(
        export->db, "INSERT INTO users(username, password, home, uid, gid) VALUES(?1, ?2, ?3, ?4, ?5)"
                    " ON CONFLICT(username) DO UPDATE SET password = excluded.password, home = excluded.home,"
                    " uid = excluded.uid, gid = excluded.gid WHERE password IS NOT excluded.password"
                    " OR home IS NOT excluded.home OR uid IS NOT excluded.uid OR gid IS NOT excluded.gid");
    statement_put_text(statement, 1, row->login);
    statement_put_text(statement, 2, buf_span(&password));
    statement_put_text(statement, 3, buf_span(&home));
    statement_put_number(statement, 4, export->setup->mail_uid);
    statement_put_number(statement, 5, export->setup->mail_gid);
    export->failed = !buf_ok(&password) || statement_run(statement) < 0;
    if (!export->failed) {
        statement = database_statement(export->db, "INSERT INTO temp.present VALUES(?1)");
        statement_put_text(statement, 1, row->login);
        export->failed = statement_run(statement) < 0;
    }
    explicit_bzero(password_storage, sizeof password_storage);
    return !export->failed;
}

int dovecot_export_reconcile(struct dovecot_export *dovecot, struct database *accounts,
                             const struct auth_setup *setup) {
    struct database *db = dovecot->db;
    struct export export = {db, setup, false};
    if (!db) return 0;
    if (statement_run(database_statement(
            db, "CREATE TEMP TABLE IF NOT EXISTS present(username TEXT PRIMARY KEY) WITHOUT ROWID")) < 0 ||
        database_begin(db) != 0)
        return -1;
    bool ok = statement_run(database_statement(db, "DELETE FROM temp.present")) >= 0 &&
              account_users(accounts, put_user, &export) == ACCOUNT_FOUND && !export.failed &&
              statement_run(database_statement(
                  db, "DELETE FROM users WHERE username NOT IN (SELECT username FROM temp.present)")) >= 0 &&
              database_commit(db) == 0;
    if (!ok) database_rollback(db);
    return ok ? 0 : -1;
}
