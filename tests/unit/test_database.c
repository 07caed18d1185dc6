/* test_database.c - opening, versions, transactions. */
#include "store/buf.h"
#include "store/database.h"
#include "tests/unit/scratch.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void begin(void) {
    scratch_enter();
}

TestSuite(database, .init = begin, .timeout = 60);

static int count(struct database *db) {
    struct statement *statement = database_statement(db, "SELECT count(*) FROM users");
    cr_assert_eq(statement_step(statement), DATABASE_ROW);
    int n = (int)statement_get_number(statement, 0);
    statement_reset(statement);
    return n;
}

static int add(struct database *db, const char *login) {
    struct statement *statement = database_statement(
        db, "INSERT INTO users(login, created, salt) VALUES(?1, 0, zeroblob(16)) ON CONFLICT DO NOTHING");
    statement_put_text(statement, 1, span_text(login));
    return statement_run(statement);
}

Test(database, changes_last) {
    struct database *db = database_open("a.db", DATABASE_ACCOUNTS);
    cr_assert_not_null(db);
    cr_expect_eq(add(db, "a"), 1);
    cr_expect_eq(add(db, "a"), 0, "there already");
    cr_assert_eq(database_begin(db), 0);
    cr_expect_eq(add(db, "b"), 1);
    database_rollback(db);
    cr_expect_eq(count(db), 1);
    cr_assert_eq(database_begin(db), 0);
    cr_expect_eq(add(db, "c"), 1);
    cr_assert_eq(database_commit(db), 0);
    cr_assert_eq(database_copy(db, "copy.db"), 0);
    cr_expect_eq(database_copy(db, "copy.db"), -1, "never over a file");
    database_close(db);
    static const char *const files[] = {"a.db", "copy.db"};
    for (size_t i = 0; i < 2; i++) {
        db = database_open(files[i], DATABASE_ACCOUNTS);
        cr_assert_not_null(db);
        cr_expect_eq(count(db), 2, "%s", files[i]);
        database_close(db);
    }
}

/* A start on a full disk makes no new file. */
Test(database, the_wal_stays_empty) {
    struct stat status;
    for (int i = 0; i < 2; i++) {
        struct database *db = database_open("a.db", DATABASE_ACCOUNTS);
        cr_assert_not_null(db);
        cr_expect_eq(add(db, i ? "b" : "a"), 1);
        cr_expect_eq(count(db), i + 1);
        database_close(db);
        cr_assert_eq(stat("a.db-wal", &status), 0);
        cr_expect_eq(status.st_size, 0);
    }
}

Test(database, of_another_version_or_owner) {
    struct database *db = database_open("a.db", DATABASE_ACCOUNTS);
    cr_assert_not_null(db);
    cr_expect_geq(statement_run(database_statement(db, "PRAGMA user_version=4")), 0);
    database_close(db);
    cr_expect_null(database_open("a.db", DATABASE_ACCOUNTS), "a newer version");
    cr_expect_null(database_open("a.db", DATABASE_DOVECOT), "another kind");
    int fd = open("b.db", O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    cr_assert(fd >= 0 && write(fd,
                               "not a database, but long enough to have a head: 0123456789 0123456789 0123456789 "
                               "0123456789 0123456789",
                               100) == 100);
    close(fd);
    cr_expect_null(database_open("b.db", DATABASE_ACCOUNTS), "no database");
    cr_assert_eq(symlink("a.db", "c.db"), 0);
    cr_expect_null(database_open("c.db", DATABASE_ACCOUNTS), "a link");
}

/* A file of version 1, by the statements that version 1 made it with. */
static const char version_1[] =
    "CREATE TABLE users(id INTEGER PRIMARY KEY AUTOINCREMENT, login TEXT NOT NULL UNIQUE, enabled INTEGER NOT NULL "
    "DEFAULT 1, created INTEGER NOT NULL) STRICT;"
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
    " last INTEGER NOT NULL, PRIMARY KEY(bucket, kind)) STRICT, WITHOUT ROWID;"
    "PRAGMA application_id=1735418211; PRAGMA user_version=1;"
    "INSERT INTO users(id, login, enabled, created) VALUES(3, 'a@x', 1, 100), (5, 'b@x', 0, 200), (9, 'c@x', 1, 300);"
    "DELETE FROM users WHERE id = 9;"
    "INSERT INTO credentials(user_id, kind, name, secret, created) VALUES(3, 'argon2id', 'mailbox',"
    " CAST('$argon2id$a' AS BLOB), 101), (5, 'argon2id', 'mailbox', CAST('$argon2id$b' AS BLOB), 201);"
    "INSERT INTO senders VALUES(3, '*@y'); INSERT INTO aliases VALUES('l@x', 'a@x', 0, 1);";

static void make_version_1(const char *more) {
    sqlite3 *handle;
    cr_assert_eq(sqlite3_open("old.db", &handle), SQLITE_OK);
    cr_assert_eq(sqlite3_exec(handle, version_1, NULL, NULL, NULL), SQLITE_OK, "%s", sqlite3_errmsg(handle));
    cr_assert_eq(sqlite3_exec(handle, more, NULL, NULL, NULL), SQLITE_OK, "%s", sqlite3_errmsg(handle));
    sqlite3_close(handle);
}

/* All columns of all rows that the query gives, each with a blank behind it. */
static void expect_rows(struct database *db, const char *sql, const char *wanted) {
    char storage[8192];
    struct buf b = buf_over(storage, sizeof storage - 1);
    struct statement *statement = database_statement(db, sql);
    while (statement_step(statement) == DATABASE_ROW) {
        buf_put_span(&b, statement_get_text(statement, 0));
        buf_put_octet(&b, '\n');
    }
    storage[b.n] = 0;
    cr_expect_str_eq(storage, wanted, "%s: %s", sql, storage);
}

Test(database, of_version_1) {
    make_version_1("");
    for (int i = 0; i < 2; i++) { /* the second time there is nothing to do */
        struct database *db = database_open("old.db", DATABASE_ACCOUNTS);
        cr_assert_not_null(db);
        expect_rows(db,
                    "SELECT id || ' ' || login || ' ' || enabled || ' ' || created || ' ' || length(salt) || ' ' || "
                    "suspended || ' ' || spa FROM users"
                    " ORDER BY id",
                    "3 a@x 1 100 16 0 0\n5 b@x 0 200 16 0 0\n");
        expect_rows(db, "SELECT count(DISTINCT salt) FROM users", "2\n");
        expect_rows(
            db,
            "SELECT user_id || ' ' || kind || ' ' || name || ' ' || hash || ' ' || created || ' ' || last_used"
            " || ' ' || expires || ' ' || (scram IS NULL) || (nt IS NULL) || (login IS NULL)"
            " FROM credentials ORDER BY user_id",
            "3 mailbox  $argon2id$a 101 0 0 111\n5 mailbox  $argon2id$b 201 0 0 111\n");
        expect_rows(db, "SELECT user_id || pattern FROM senders", "3*@y\n");
        expect_rows(db, "SELECT address || target FROM aliases", "l@xa@x\n");
        expect_rows(db, "SELECT name || length(value) FROM secrets", "salt-key32\nthrottle-key16\n");
        expect_rows(db, "SELECT integrity_check FROM pragma_integrity_check", "ok\n");
        expect_rows(db, "SELECT foreign_keys FROM pragma_foreign_keys", "1\n");
        database_close(db);
    }
}

/* Ids go on where they were, and rows still go with their user. */
Test(database, of_version_1_lives_on) {
    make_version_1("");
    struct database *db = database_open("old.db", DATABASE_ACCOUNTS);
    cr_assert_not_null(db);
    cr_expect_eq(add(db, "d@x"), 1);
    cr_expect_eq(database_last_id(db), 10, "of a user who was removed");
    cr_expect_eq(statement_run(database_statement(db, "DELETE FROM users WHERE id = 3")), 1);
    expect_rows(db, "SELECT user_id FROM credentials", "5\n");
    expect_rows(db, "SELECT user_id FROM senders", "");
    database_close(db);
}

/* The tables of a file that was brought up are those of a new one. */
Test(database, of_version_1_is_as_a_new_one) {
    static const char sql[] = "SELECT group_concat(type || name || tbl_name || sql, ';') FROM"
                              " (SELECT * FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name)";
    char text[8192];
    make_version_1("");
    struct database *fresh = database_open("new.db", DATABASE_ACCOUNTS);
    struct database *old = database_open("old.db", DATABASE_ACCOUNTS);
    cr_assert(fresh && old);
    struct statement *statement = database_statement(fresh, sql);
    cr_assert_eq(statement_step(statement), DATABASE_ROW);
    struct span schema = statement_get_text(statement, 0);
    cr_assert_lt(schema.n, sizeof text - 1);
    snprintf(text, sizeof text, "%.*s\n", (int)schema.n, (const char *)schema.p);
    cr_assert(strstr(text, "users_2") == NULL && strstr(text, "salt BLOB"));
    statement_reset(statement);
    expect_rows(old, sql, text);
    database_close(fresh);
    database_close(old);
}

/* A row that version 2 cannot hold: the file stays what it was, for the version that wrote it. */
Test(database, of_version_1_damaged) {
    make_version_1("INSERT INTO senders VALUES(77, 'nobody');");
    cr_expect_null(database_open("old.db", DATABASE_ACCOUNTS));
    sqlite3 *handle;
    sqlite3_stmt *prepared;
    cr_assert_eq(sqlite3_open("old.db", &handle), SQLITE_OK);
    cr_assert_eq(sqlite3_prepare_v2(handle,
                                    "SELECT (SELECT count(*) FROM credentials WHERE kind = 'argon2id')"
                                    " || (SELECT user_version FROM pragma_user_version)",
                                    -1, &prepared, NULL),
                 SQLITE_OK);
    cr_assert_eq(sqlite3_step(prepared), SQLITE_ROW);
    cr_expect_str_eq((const char *)sqlite3_column_text(prepared, 0), "21");
    sqlite3_finalize(prepared);
    sqlite3_close(handle);
}

static int64_t level(struct database *db) {
    struct statement *statement = database_statement(db, "PRAGMA synchronous");
    cr_assert_eq(statement_step(statement), DATABASE_ROW);
    int64_t value = statement_get_number(statement, 0);
    statement_reset(statement);
    return value;
}

/* What need not last is done too, and what comes after it is synced as before. */
Test(database, lazily) {
    struct database *db = database_open("a.db", DATABASE_ACCOUNTS);
    cr_assert_not_null(db);
    int64_t full = level(db);
    struct statement *statement = database_statement(db, "INSERT INTO users(login, created, salt)"
                                                         " VALUES('a', 0, zeroblob(16)) ON CONFLICT DO NOTHING");
    cr_expect_eq(statement_run_lazily(statement), 1);
    cr_expect_eq(level(db), full);
    cr_expect_eq(statement_run_lazily(statement), 0);
    cr_assert_eq(database_begin(db), 0);
    cr_expect_eq(add(db, "b"), 1);
    cr_expect_eq(statement_run_lazily(statement), 0, "as a part of a change it is synced with it");
    cr_assert_eq(database_commit(db), 0);
    cr_expect_eq(level(db), full);
    cr_expect_eq(statement_run_lazily(database_statement(db, "INSERT INTO nowhere VALUES(1)")), -1);
    cr_expect_eq(level(db), full, "a failure too");
    cr_expect_eq(count(db), 2);
    database_close(db);
}

static int ended, kept;
static void count_end(bool was_kept) {
    ended++;
    kept += was_kept;
}

Test(database, changes_in_changes) {
    struct database *db = database_open("a.db", DATABASE_ACCOUNTS);
    cr_assert_not_null(db);
    database_on_end(db, count_end);
    cr_assert_eq(database_begin(db), 0);
    cr_expect_eq(add(db, "a"), 1);
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(database_begin(db), 0);
        cr_expect_eq(add(db, i ? "b" : "c"), 1);
        cr_expect(database_changing(db));
        if (i)
            cr_assert_eq(database_commit(db), 0);
        else
            database_rollback(db);
    }
    cr_expect_eq(ended, 0);
    cr_assert_eq(database_commit(db), 0);
    cr_expect(!database_changing(db) && ended == 1 && kept == 1);
    expect_rows(db, "SELECT login FROM users ORDER BY id", "a\nb\n");
    cr_assert_eq(database_begin(db), 0);
    cr_assert_eq(database_begin(db), 0);
    cr_expect_eq(add(db, "d"), 1);
    cr_assert_eq(database_commit(db), 0);
    database_rollback(db);
    cr_expect(ended == 2 && kept == 1);
    cr_expect_eq(count(db), 2);
    database_close(db);
}

Test(database, failures) {
    struct database *db = database_open("a.db", DATABASE_ACCOUNTS);
    cr_assert_not_null(db);
    cr_expect_eq(statement_step(database_statement(db, "SELECT nothing FROM nowhere")), DATABASE_FAILED);
    struct statement *statement = database_statement(db, "INSERT INTO senders(user_id, pattern) VALUES(99, 'x')");
    cr_expect_eq(statement_run(statement), -1, "a foreign key");
    statement = database_statement(db, "INSERT INTO users(login, created, salt) VALUES('x', ?1, zeroblob(16))");
    statement_put_text(statement, 1, SPAN("soon"));
    cr_expect_eq(statement_run(statement), -1, "a strict table");
    cr_expect_eq(count(db), 0);
    database_close(db);
}

Test(database, not_across_a_fork) {
    struct database *db = database_open("a.db", DATABASE_ACCOUNTS);
    int status = 0;
    cr_assert_not_null(db);
    pid_t pid = fork();
    if (pid == 0) {
        signal(SIGABRT, SIG_DFL);
        _exit(add(db, "a") == 1 ? 0 : 1);
    }
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    cr_expect(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    cr_expect_eq(count(db), 0);
    database_close(db);
}

/* A pragma of SQLite's own stands for the disk. */
static void obstruct(struct database *db, const char *pragma) {
    struct statement *statement = database_statement(db, pragma);
    cr_assert_neq(statement_step(statement), DATABASE_FAILED);
    statement_reset(statement);
}

Test(database, says_why_it_could_not_be_changed) {
    char login[9000];
    struct database *db = database_open("a.db", DATABASE_ACCOUNTS);
    cr_assert_not_null(db);
    memset(login, 'x', sizeof login - 1);
    login[sizeof login - 1] = 0;
    obstruct(db, "PRAGMA max_page_count=1");
    cr_expect_eq(add(db, login), -1);
    cr_expect_str_eq(database_why(db), "the disk is full");
    obstruct(db, "PRAGMA query_only=ON");
    cr_assert_eq(database_begin(db), -1);
    database_rollback(db);
    cr_expect(strstr(database_why(db), "can only be read"), "%s", database_why(db));
    database_close(db);
}
