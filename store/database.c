/* database.c - the door to SQLite.
 * Runs in: auth. Trusts: its own files, as far as SQLite checks them. Never: is used by a process that did not open
 * it, builds a statement from a value. */
#include "store/database.h"

#include "store/log.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <unistd.h>

enum { STATEMENTS_MAX = 64, SCHEMA_VERSION = 1 };

struct statement {
    struct database *db;
    const char *sql;
    sqlite3_stmt *prepared;
    bool bad; /* could not be prepared, or a value could not be put */
};

struct database {
    sqlite3 *handle;
    pid_t pid;
    int failed, error; /* SQLite's extended code of the last statement that failed, and the system's */
    size_t n;
    struct statement statements[STATEMENTS_MAX];
};

/* Each schema is the whole of its version; a later version adds a step from the one before. Logins and addresses are
 * kept in their normal form (lower case, A-labels), so that octets compare. Times are seconds since 1970. A user's
 * id is never given out again: a session of a user who was removed must not become another's. */
static const char accounts_schema[] =
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

/* What Dovecot's passdb and userdb queries read. */
static const char dovecot_schema[] =
    "CREATE TABLE users(username TEXT NOT NULL PRIMARY KEY, password TEXT NOT NULL, home TEXT NOT NULL,"
    " uid INTEGER NOT NULL, gid INTEGER NOT NULL) STRICT, WITHOUT ROWID;";

/* The number in the file's head that says whose it is: "gpac", "gpdv". */
static const int64_t application_ids[] = {[DATABASE_ACCOUNTS] = 0x67706163, [DATABASE_DOVECOT] = 0x67706476};

static void say(struct database *db, const char *what) {
    struct log_line line;
    log_open(&line, LOG_FAULT);
    log_text(&line, KEY_WHAT, what);
    log_text(&line, KEY_ERROR, db->handle ? sqlite3_errmsg(db->handle) : "no database");
    log_send(&line);
}

/* A handle that crossed a fork loses changes silently (seen: 207 of 2,400 rows). */
static void check_owner(const struct database *db) {
    if (db->pid != getpid()) log_bug("database used by a process that did not open it");
}

static int run(struct database *db, const char *sql) {
    if (sqlite3_exec(db->handle, sql, NULL, NULL, NULL) == SQLITE_OK) return 0;
    say(db, "database");
    return -1;
}

static int64_t read_number(struct database *db, const char *sql) {
    int64_t value = -1;
    sqlite3_stmt *prepared = NULL;
    if (sqlite3_prepare_v2(db->handle, sql, -1, &prepared, NULL) == SQLITE_OK && sqlite3_step(prepared) == SQLITE_ROW)
        value = sqlite3_column_int64(prepared, 0);
    else
        say(db, "database");
    sqlite3_finalize(prepared);
    return value;
}

static int create(struct database *db, enum database_kind kind) {
    char marks[96];
    sqlite3_snprintf(sizeof marks, marks, "PRAGMA application_id=%lld; PRAGMA user_version=%d;",
                     (long long)application_ids[kind], SCHEMA_VERSION);
    if (run(db, "BEGIN IMMEDIATE") != 0) return -1;
    if (run(db, kind == DATABASE_ACCOUNTS ? accounts_schema : dovecot_schema) == 0 && run(db, marks) == 0 &&
        run(db, "COMMIT") == 0)
        return 0;
    (void)run(db, "ROLLBACK");
    return -1;
}

/* A file without any table is new; one with another owner's mark or a later version is left alone. */
static int bring_up(struct database *db, enum database_kind kind) {
    int64_t id = read_number(db, "PRAGMA application_id"), version = read_number(db, "PRAGMA user_version");
    int64_t tables = read_number(db, "SELECT count(*) FROM sqlite_master");
    if (id < 0 || version < 0 || tables < 0) return -1;
    if (id == 0 && version == 0 && tables == 0) return create(db, kind);
    if (id == application_ids[kind] && version == SCHEMA_VERSION) return 0;
    struct log_line line;
    log_open(&line, LOG_FAULT);
    log_text(&line, KEY_WHAT, "database");
    log_text(&line, KEY_ERROR,
             id == application_ids[kind] && version > SCHEMA_VERSION ? "it was written by a newer version of gatepost"
                                                                     : "it is not one of ours");
    log_send(&line);
    return -1;
}

/* Exclusive locking: nobody else opens the accounts, and WAL then needs no shared memory. FULL: a change of an
 * account that was answered is on the disk. */
static const char accounts_pragmas[] =
    "PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
    "PRAGMA foreign_keys=ON; PRAGMA temp_store=MEMORY; PRAGMA trusted_schema=OFF;"
    "PRAGMA secure_delete=ON; PRAGMA journal_size_limit=4194304;";
static const char dovecot_pragmas[] = "PRAGMA journal_mode=DELETE; PRAGMA synchronous=FULL; PRAGMA temp_store=MEMORY;"
                                      "PRAGMA trusted_schema=OFF; PRAGMA secure_delete=ON;";

struct database *database_open(const char *file, enum database_kind kind) {
    struct database *db = calloc(1, sizeof *db);
    if (!db) return NULL;
    db->pid = getpid();
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW;
    if (sqlite3_open_v2(file, &db->handle, flags, NULL) != SQLITE_OK) {
        say(db, file);
        goto failed;
    }
    (void)sqlite3_busy_timeout(db->handle, 5000);
    (void)sqlite3_extended_result_codes(db->handle, 1);
    (void)sqlite3_db_config(db->handle, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    /* The WAL stays when the database is closed, emptied: a full disk would refuse a start its new file. */
    int stays = kind == DATABASE_ACCOUNTS;
    (void)sqlite3_file_control(db->handle, "main", SQLITE_FCNTL_PERSIST_WAL, &stays);
    if (run(db, kind == DATABASE_ACCOUNTS ? accounts_pragmas : dovecot_pragmas) != 0) goto failed;
    if (bring_up(db, kind) != 0) goto failed;
    return db;
failed:
    database_close(db);
    return NULL;
}

void database_close(struct database *db) {
    if (!db) return;
    check_owner(db);
    for (size_t i = 0; i < db->n; i++) sqlite3_finalize(db->statements[i].prepared);
    sqlite3_close(db->handle);
    free(db);
}

static struct statement *find_statement(struct database *db, const char *sql) {
    for (size_t i = 0; i < db->n; i++)
        if (db->statements[i].sql == sql || strcmp(db->statements[i].sql, sql) == 0) return &db->statements[i];
    if (db->n == STATEMENTS_MAX) log_bug("too many statements");
    struct statement *statement = &db->statements[db->n++];
    *statement = (struct statement){.db = db, .sql = sql};
    return statement;
}

struct statement *database_statement(struct database *db, const char *sql) {
    check_owner(db);
    struct statement *statement = find_statement(db, sql);
    if (!statement->prepared &&
        sqlite3_prepare_v3(db->handle, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement->prepared, NULL) != SQLITE_OK)
        say(db, "database statement");
    statement->bad = !statement->prepared;
    statement_reset(statement);
    return statement;
}

void statement_put_text(struct statement *statement, int at, struct span value) {
    const char *p = value.n ? (const char *)value.p : "";
    if (statement->bad) return;
    if (sqlite3_bind_text64(statement->prepared, at, p, value.n, SQLITE_STATIC, SQLITE_UTF8) != SQLITE_OK)
        statement->bad = true;
}

void statement_put_number(struct statement *statement, int at, int64_t value) {
    if (!statement->bad && sqlite3_bind_int64(statement->prepared, at, value) != SQLITE_OK) statement->bad = true;
}

void statement_reset(struct statement *statement) {
    if (!statement->prepared) return;
    /* What failed was said when it failed. */
    (void)sqlite3_reset(statement->prepared);
    (void)sqlite3_clear_bindings(statement->prepared);
}

enum database_step statement_step(struct statement *statement) {
    int result = statement->bad ? SQLITE_MISUSE : sqlite3_step(statement->prepared);
    if (result == SQLITE_ROW) return DATABASE_ROW;
    if (result != SQLITE_DONE) {
        statement->db->failed = sqlite3_extended_errcode(statement->db->handle);
        statement->db->error = sqlite3_system_errno(statement->db->handle);
        say(statement->db, "database statement");
    }
    statement_reset(statement);
    return result == SQLITE_DONE ? DATABASE_DONE : DATABASE_FAILED;
}

struct span statement_get_text(struct statement *statement, int column) {
    const void *p = sqlite3_column_blob(statement->prepared, column);
    int n = sqlite3_column_bytes(statement->prepared, column);
    return p && n > 0 ? span_of(p, (size_t)n) : (struct span){NULL, 0};
}

int64_t statement_get_number(struct statement *statement, int column) {
    return sqlite3_column_int64(statement->prepared, column);
}

int statement_run(struct statement *statement) {
    enum database_step step = statement_step(statement);
    if (step == DATABASE_ROW) statement_reset(statement);
    return step == DATABASE_DONE ? sqlite3_changes(statement->db->handle) : -1;
}

const char *database_why(const struct database *db) {
    switch (db->failed & 0xff) {
    case SQLITE_FULL:
        return "the disk is full";
    case SQLITE_READONLY:
        return "it can only be read; look at the file system and at who owns it";
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
        return db->error ? strerrordesc_np(db->error) : "reading or writing it failed";
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return "it is damaged";
    case SQLITE_NOMEM:
        return "too little memory";
    default:
        return "the log says more";
    }
}

int database_begin(struct database *db) {
    return statement_run(database_statement(db, "BEGIN IMMEDIATE")) < 0 ? -1 : 0;
}

int database_commit(struct database *db) {
    return statement_run(database_statement(db, "COMMIT")) < 0 ? -1 : 0;
}

void database_rollback(struct database *db) {
    check_owner(db);
    /* After some failures SQLite has rolled back by itself. */
    if (!sqlite3_get_autocommit(db->handle)) (void)run(db, "ROLLBACK");
}

int database_copy(struct database *db, const char *file) {
    struct statement *statement = database_statement(db, "VACUUM INTO ?1");
    statement_put_text(statement, 1, span_text(file));
    return statement_run(statement) < 0 ? -1 : 0;
}
