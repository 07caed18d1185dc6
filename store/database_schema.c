/* database_schema.c - tables, and the steps from each version to the next.
 * Runs in: auth. Trusts: its own files, as far as SQLite checks them. Never: leaves a file between two versions. */
#include "store/database_schema.h"

#include "store/log.h"
#include "store/random.h"

enum { VERSIONS_MAX = 3 };

/* Logins and addresses are kept in their normal form (lower case, A-labels), so that octets compare. Times are
 * seconds since 1970. The ids of users and credentials are never given out again: a session of a user who was removed
 * must not become another's, and whoever knows a credential's id knows which secret it was. */
static const char accounts_1[] =
    "CREATE TABLE users(id INTEGER PRIMARY KEY AUTOINCREMENT, login TEXT NOT NULL UNIQUE, enabled INTEGER NOT NULL "
    "DEFAULT 1,"
    " created INTEGER NOT NULL) STRICT;"
    "CREATE TABLE credentials(id INTEGER PRIMARY KEY,"
    " user_id INTEGER NOT NULL REFERENCES users(id) ON DELETE CASCADE,"
    " kind TEXT NOT NULL CHECK(kind IN('argon2id','scram-sha-256','nt-sealed')), name TEXT NOT NULL,"
    " scope TEXT NOT NULL DEFAULT '', secret BLOB NOT NULL, created INTEGER NOT NULL, last_used INTEGER,"
    " expires INTEGER, UNIQUE(user_id, name, kind)) STRICT;"
    "CREATE TABLE senders(user_id INTEGER NOT NULL REFERENCES users(id) ON DELETE CASCADE, pattern TEXT NOT NULL,"
    " PRIMARY KEY(user_id, pattern)) STRICT, WITHOUT ROWID;"
    "CREATE TABLE aliases(address TEXT NOT NULL, target TEXT NOT NULL, forward INTEGER NOT NULL DEFAULT 0,"
    " created INTEGER NOT NULL, PRIMARY KEY(address, target)) STRICT, WITHOUT ROWID;"
    "CREATE INDEX aliases_target ON aliases(target);"
    "CREATE TABLE grants(user_id INTEGER NOT NULL REFERENCES users(id) ON DELETE CASCADE, address BLOB NOT NULL,"
    " created INTEGER NOT NULL, expires INTEGER NOT NULL, PRIMARY KEY(address, user_id)) STRICT, WITHOUT ROWID;"
    "CREATE TABLE quotas(user_id INTEGER NOT NULL REFERENCES users(id) ON DELETE CASCADE, kind TEXT NOT NULL,"
    " begins INTEGER NOT NULL, used INTEGER NOT NULL, PRIMARY KEY(user_id, kind)) STRICT, WITHOUT ROWID;"
    "CREATE TABLE failures(bucket BLOB NOT NULL, kind TEXT NOT NULL, count INTEGER NOT NULL, first INTEGER NOT NULL,"
    " last INTEGER NOT NULL, PRIMARY KEY(bucket, kind)) STRICT, WITHOUT ROWID;";

/* One row a credential: everything that was derived of one secret. SQLite cannot add to a table a column that must
 * not be empty, so users and credentials are made anew (sqlite.org/lang_altertable.html, 7). 0 in `suspended`,
 * `last_used` and `expires` is never. */
static const char accounts_2[] =
    "CREATE TABLE users_2(id INTEGER PRIMARY KEY AUTOINCREMENT, login TEXT NOT NULL UNIQUE,"
    " enabled INTEGER NOT NULL DEFAULT 1, created INTEGER NOT NULL,"
    " salt BLOB NOT NULL CHECK(length(salt) = 16), suspended INTEGER NOT NULL DEFAULT 0,"
    " spa INTEGER NOT NULL DEFAULT 0) STRICT;"
    "INSERT INTO users_2(id, login, enabled, created, salt)"
    " SELECT id, login, enabled, created, random_octets(16) FROM users;"
    "CREATE TABLE credentials_2(id INTEGER PRIMARY KEY AUTOINCREMENT,"
    " user_id INTEGER NOT NULL REFERENCES users(id) ON DELETE CASCADE,"
    " kind TEXT NOT NULL CHECK(kind IN('mailbox','login','app')), name TEXT NOT NULL,"
    " login TEXT UNIQUE CHECK((kind = 'login') = (login IS NOT NULL)),"
    " scope TEXT NOT NULL DEFAULT '' CHECK(scope IN('','smtp','pop3')), hash TEXT NOT NULL CHECK(hash <> ''),"
    " scram BLOB CHECK(length(scram) = 64), nt BLOB, created INTEGER NOT NULL,"
    " last_used INTEGER NOT NULL DEFAULT 0, expires INTEGER NOT NULL DEFAULT 0, UNIQUE(user_id, kind, name)) STRICT;"
    "INSERT INTO credentials_2(id, user_id, kind, name, hash, created, last_used, expires)"
    " SELECT id, user_id, 'mailbox', '', CAST(secret AS TEXT), created, ifnull(last_used, 0), ifnull(expires, 0)"
    " FROM credentials WHERE kind = 'argon2id' AND name = 'mailbox';"
    "DELETE FROM sqlite_sequence WHERE name = 'users_2';"
    "INSERT INTO sqlite_sequence(name, seq) SELECT 'users_2', seq FROM sqlite_sequence WHERE name = 'users';"
    "DROP TABLE credentials; DROP TABLE users;"
    "ALTER TABLE users_2 RENAME TO users; ALTER TABLE credentials_2 RENAME TO credentials;"
    "CREATE TABLE secrets(name TEXT NOT NULL PRIMARY KEY, value BLOB NOT NULL) STRICT, WITHOUT ROWID;"
    "INSERT INTO secrets(name, value) VALUES('salt-key', random_octets(32)), ('throttle-key', random_octets(16));"
    "DROP TABLE failures; CREATE TABLE failures(slot INTEGER PRIMARY KEY, record BLOB NOT NULL) STRICT;"
    /* `used` is auth/quota_window.h's, `seen` the quota's time (auth/quota.h). */
    "DROP TABLE quotas;"
    "CREATE TABLE quotas(kind TEXT NOT NULL CHECK(kind IN('user','credential','system')), id INTEGER NOT NULL,"
    " name TEXT NOT NULL, seen INTEGER NOT NULL, used BLOB NOT NULL, suspended INTEGER NOT NULL DEFAULT 0,"
    " PRIMARY KEY(kind, id, name)) STRICT, WITHOUT ROWID;"
    "CREATE TABLE quota_limits(user_id INTEGER NOT NULL REFERENCES users(id) ON DELETE CASCADE,"
    " kind TEXT NOT NULL CHECK(kind IN('','login','app')), name TEXT NOT NULL, messages_hour INTEGER,"
    " messages_day INTEGER, recipients_hour INTEGER, recipients_day INTEGER, suspend_after INTEGER,"
    " PRIMARY KEY(user_id, kind, name)) STRICT, WITHOUT ROWID;"
    "CREATE TABLE notices(id INTEGER PRIMARY KEY AUTOINCREMENT, kind INTEGER NOT NULL, about TEXT NOT NULL,"
    " why TEXT NOT NULL, created INTEGER NOT NULL) STRICT;";

/* Times of grants are milliseconds: `since` and `until` of the wall clock, `until_boot` of the clock of the boot that
 * `boot` names. A network is its 16 octets and its bits. What ends a grant marks it in the same change (`ended`: why,
 * for the log); auth/grant.c takes the marked away, also those of a user who is gone: what rests on them ends first.
 * credential_renew deletes no row: the secret is the same. */
static const char accounts_3[] =
    "DROP TABLE grants;"
    "CREATE TABLE grants(id INTEGER PRIMARY KEY AUTOINCREMENT, user_id INTEGER NOT NULL,"
    " network BLOB NOT NULL CHECK(length(network) = 17), source INTEGER NOT NULL,"
    " boot BLOB NOT NULL CHECK(length(boot) = 16), since INTEGER NOT NULL, until INTEGER NOT NULL,"
    " until_boot INTEGER NOT NULL, messages INTEGER NOT NULL, recipients INTEGER NOT NULL,"
    " ended TEXT NOT NULL DEFAULT '', UNIQUE(network, user_id)) STRICT;"
    "CREATE INDEX grants_user ON grants(user_id);"
    "CREATE TABLE grant_logins(network BLOB NOT NULL,"
    " user_id INTEGER NOT NULL REFERENCES users(id) ON DELETE CASCADE, seen INTEGER NOT NULL,"
    " PRIMARY KEY(network, user_id)) STRICT, WITHOUT ROWID;"
    "CREATE INDEX grant_logins_user ON grant_logins(user_id);"
    "CREATE TRIGGER grants_by_credential AFTER DELETE ON credentials BEGIN"
    " UPDATE grants SET ended = 'a password of the user was changed or taken away'"
    " WHERE user_id = OLD.user_id; END;"
    "CREATE TRIGGER grants_by_user AFTER UPDATE OF enabled, suspended ON users"
    " WHEN NEW.enabled = 0 OR NEW.suspended <> 0 BEGIN"
    " UPDATE grants SET ended = iif(NEW.enabled = 0, 'the user was disabled', 'the user was suspended')"
    " WHERE user_id = NEW.id; END;"
    "CREATE TRIGGER grants_by_removal AFTER DELETE ON users BEGIN"
    " UPDATE grants SET ended = 'the user was removed' WHERE user_id = OLD.id; END;";

/* What Dovecot's passdb and userdb queries read. */
static const char dovecot_1[] =
    "CREATE TABLE users(username TEXT NOT NULL PRIMARY KEY, password TEXT NOT NULL, home TEXT NOT NULL,"
    " uid INTEGER NOT NULL, gid INTEGER NOT NULL) STRICT, WITHOUT ROWID;";

/* `id` is the number in the file's head that says whose it is: "gpac", "gpdv". Step n makes version n + 1 of version
 * n, and the first makes version 1 of an empty file: a new file has gone the same way as an old one. */
static const struct {
    int64_t id;
    int version;
    const char *steps[VERSIONS_MAX];
} schemas[] = {
    [DATABASE_ACCOUNTS] = {0x67706163, 3, {accounts_1, accounts_2, accounts_3}},
    [DATABASE_DOVECOT] = {0x67706476, 1, {dovecot_1}},
};

static int fail(const char *why) {
    struct log_line line;
    log_open(&line, LOG_FAULT);
    log_text(&line, KEY_WHAT, "database");
    log_text(&line, KEY_ERROR, why);
    log_send(&line);
    return -1;
}

static int run(sqlite3 *handle, const char *sql) {
    return sqlite3_exec(handle, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : fail(sqlite3_errmsg(handle));
}

/* The first column of the first row, 0 without a row; -1 when it fails (logged). */
static int64_t read_number(sqlite3 *handle, const char *sql) {
    int64_t value = -1;
    sqlite3_stmt *prepared = NULL;
    int result = sqlite3_prepare_v2(handle, sql, -1, &prepared, NULL);
    if (result == SQLITE_OK) result = sqlite3_step(prepared);
    if (result == SQLITE_ROW)
        value = sqlite3_column_int64(prepared, 0);
    else if (result == SQLITE_DONE)
        value = 0;
    else
        (void)fail(sqlite3_errmsg(handle));
    sqlite3_finalize(prepared);
    return value;
}

/* SQL random_octets(n): SQLite's own generator falls back to the time where it cannot open /dev/urandom, and an empty
 * root has none. */
static void random_octets(sqlite3_context *context, int n_values, sqlite3_value **values) {
    uint8_t octets[RANDOM_MAX];
    int n = n_values == 1 ? sqlite3_value_int(values[0]) : 0;
    if (n < 1 || n > RANDOM_MAX || random_draw(octets, (size_t)n) != 0)
        sqlite3_result_error(context, "no random numbers", -1);
    else
        sqlite3_result_blob(context, octets, n, SQLITE_TRANSIENT);
    explicit_bzero(octets, sizeof octets);
}

static int take_steps(sqlite3 *handle, enum database_kind kind, int from) {
    char marks[96];
    for (int version = from; version < schemas[kind].version; version++)
        if (run(handle, schemas[kind].steps[version]) != 0) return -1;
    sqlite3_snprintf(sizeof marks, marks, "PRAGMA application_id=%lld; PRAGMA user_version=%d;",
                     (long long)schemas[kind].id, schemas[kind].version);
    if (run(handle, marks) != 0) return -1;
    return read_number(handle, "SELECT count(*) FROM pragma_foreign_key_check") == 0
               ? 0
               : fail("a row belongs to nobody; the file is as it was");
}

/* Tables are dropped on the way, and with foreign keys their rows would take others with them. The pragma does
 * nothing inside a transaction. */
static int migrate(sqlite3 *handle, enum database_kind kind, int from) {
    int flags = SQLITE_UTF8 | SQLITE_DIRECTONLY;
    if (sqlite3_create_function_v2(handle, "random_octets", 1, flags, NULL, random_octets, NULL, NULL, NULL) !=
        SQLITE_OK)
        return fail(sqlite3_errmsg(handle));
    if (run(handle, "PRAGMA foreign_keys=OFF; BEGIN IMMEDIATE") != 0) return -1;
    if (take_steps(handle, kind, from) == 0 && run(handle, "COMMIT") == 0) return 0;
    if (!sqlite3_get_autocommit(handle)) (void)run(handle, "ROLLBACK");
    return -1;
}

int database_schema_bring_up(sqlite3 *handle, enum database_kind kind) {
    int64_t id = read_number(handle, "PRAGMA application_id"), version = read_number(handle, "PRAGMA user_version");
    int64_t tables = read_number(handle, "SELECT count(*) FROM sqlite_master");
    if (id < 0 || version < 0 || tables < 0) return -1;
    bool empty = id == 0 && version == 0 && tables == 0;
    if (!empty && (id != schemas[kind].id || version < 1)) return fail("it is not one of ours");
    if (version > schemas[kind].version) return fail("it was written by a newer version of gatepost");
    return version == schemas[kind].version ? 0 : migrate(handle, kind, (int)version);
}
