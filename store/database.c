/* database.c - the door to SQLite.
 * Runs in: auth. Trusts: its own files, as far as SQLite checks them. Never: is used by a process that did not open
 * it, builds a statement from a value. */
#include "store/database.h"

#include "store/database_schema.h"
#include "store/log.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <unistd.h>

enum { STATEMENTS_MAX = 128 };

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
    unsigned depth;    /* of changes that are open */
    bool light;        /* the open one waits for no disk */
    void (*ended)(bool kept);
    size_t n;
    struct statement statements[STATEMENTS_MAX];
};

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

/* Exclusive locking: nobody else opens the accounts, and WAL then needs no shared memory. FULL: a change of an
 * account that was answered is on the disk. */
static const char accounts_pragmas[] =
    "PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
    "PRAGMA temp_store=MEMORY; PRAGMA trusted_schema=OFF;"
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
    if (database_schema_bring_up(db->handle, kind) != 0 || run(db, "PRAGMA foreign_keys=ON") != 0) goto failed;
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

void statement_put_blob(struct statement *statement, int at, struct span value) {
    if (statement->bad) return;
    int result = value.n ? sqlite3_bind_blob64(statement->prepared, at, value.p, value.n, SQLITE_STATIC)
                         : sqlite3_bind_null(statement->prepared, at);
    if (result != SQLITE_OK) statement->bad = true;
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

/* In WAL mode a commit is synced with FULL and not with NORMAL; both leave the file sound (sqlite.org/pragma.html).
 */
int statement_run_lazily(struct statement *statement) {
    struct database *db = statement->db;
    bool may = db->depth == 0 && run(db, "PRAGMA synchronous=NORMAL") == 0;
    int changed = statement_run(statement);
    if (may && run(db, "PRAGMA synchronous=FULL") != 0) return -1;
    return changed;
}

int64_t database_last_id(const struct database *db) {
    return sqlite3_last_insert_rowid(db->handle);
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

/* A change that follows is not to be answered before it is on the disk. */
static void restore_sync(struct database *db) {
    if (db->light && run(db, "PRAGMA synchronous=FULL") != 0) log_bug("the database does not sync any more");
    db->light = false;
}

static void end_change(struct database *db, bool kept) {
    restore_sync(db);
    if (db->ended) db->ended(kept);
}

int database_begin(struct database *db) {
    if (statement_run(database_statement(db, db->depth ? "SAVEPOINT part" : "BEGIN IMMEDIATE")) < 0) return -1;
    db->depth++;
    return 0;
}

/* In WAL mode NORMAL syncs only when the log is folded into the database (sqlite.org/pragma.html, synchronous). */
int database_begin_light(struct database *db) {
    if (!db->depth && run(db, "PRAGMA synchronous=NORMAL") != 0) return -1;
    db->light = !db->depth;
    if (database_begin(db) == 0) return 0;
    restore_sync(db);
    return -1;
}

int database_commit(struct database *db) {
    if (statement_run(database_statement(db, db->depth > 1 ? "RELEASE part" : "COMMIT")) < 0) return -1;
    if (--db->depth == 0) end_change(db, true);
    return 0;
}

void database_rollback(struct database *db) {
    check_owner(db);
    if (!db->depth) return;
    db->depth--;
    /* After some failures SQLite has rolled back all of it by itself. */
    if (!sqlite3_get_autocommit(db->handle)) (void)run(db, db->depth ? "ROLLBACK TO part; RELEASE part" : "ROLLBACK");
    if (db->depth == 0) end_change(db, false);
}

bool database_changing(const struct database *db) {
    return db->depth > 0;
}

void database_on_end(struct database *db, void (*ended)(bool kept)) {
    db->ended = ended;
}

static int leave_out_grants(struct database *db, const char *file) {
    struct statement *attach = database_statement(db, "ATTACH ?1 AS copy");
    statement_put_text(attach, 1, span_text(file));
    if (statement_run(attach) < 0) return -1;
    int left_out = statement_run(database_statement(db, "DELETE FROM copy.grants"));
    return statement_run(database_statement(db, "DETACH copy")) < 0 || left_out < 0 ? -1 : 0;
}

int database_copy(struct database *db, const char *file) {
    struct statement *statement = database_statement(db, "VACUUM INTO ?1");
    statement_put_text(statement, 1, span_text(file));
    return statement_run(statement) < 0 || leave_out_grants(db, file) != 0 ? -1 : 0;
}
