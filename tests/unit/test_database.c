/* test_database.c - opening, versions, transactions. */
#include "store/database.h"
#include "tests/unit/scratch.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <signal.h>
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
    cr_expect_geq(statement_run(database_statement(db, "PRAGMA user_version=3")), 0);
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
