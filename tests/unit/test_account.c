/* test_account.c - users, hashes, senders and aliases as rows; and what Dovecot gets of them. */
#include "auth/credential.h"
#include "auth/dovecot_export.h"
#include "tests/unit/scratch.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static struct database *db;

static void begin(void) {
    scratch_enter();
    cr_assert_not_null(db = database_open("gatepost.db", DATABASE_ACCOUNTS));
}

static void end(void) {
    database_close(db);
}

static enum account_change add(const char *login, const char *hash) {
    static const uint8_t salt[ACCOUNT_SALT_BYTES] = "sixteen octets!";
    struct credential_secret secret = {.hash = span_text(hash)};
    return account_add(db, span_text(login), salt, &secret);
}

static enum account_change set(int64_t id, const char *hash) {
    struct credential_secret secret = {.hash = span_text(hash)};
    return credential_set_mailbox(db, id, &secret);
}

static int64_t id_of(const char *login) {
    struct account account;
    cr_assert_eq(account_find(db, span_text(login), &account), ACCOUNT_FOUND);
    return account.id;
}

/* The hash of the mailbox password, "" when there is none. */
static const char *hash_of(int64_t id) {
    static struct credential credentials[CREDENTIALS_MAX];
    size_t n;
    cr_assert_eq(credential_of_user(db, id, CREDENTIAL_SMTP, 1, credentials, &n), ACCOUNT_FOUND);
    return n && credentials[0].kind == CREDENTIAL_MAILBOX ? credentials[0].hash : "";
}

TestSuite(account, .init = begin, .fini = end, .timeout = 60);

static bool gather(void *context, const struct account_row *row) {
    struct buf *b = context;
    buf_put_span(b, row->login);
    buf_put_span(b, row->pattern);
    buf_put_span(b, row->address);
    buf_put_span(b, row->target);
    buf_put_octet(b, '\n');
    return true;
}

Test(account, users) {
    struct account account;
    cr_expect_eq(account_find(db, SPAN("a@example.test"), &account), ACCOUNT_NONE);
    cr_expect_eq(add("a@example.test", "hash-1"), ACCOUNT_CHANGED);
    cr_expect_eq(add("a@example.test", "hash-2"), ACCOUNT_EXISTS);
    cr_assert_eq(account_find(db, SPAN("a@example.test"), &account), ACCOUNT_FOUND);
    cr_expect(account.enabled);
    cr_expect_str_eq(hash_of(account.id), "hash-1");
    cr_expect_eq(set(account.id, "hash-3"), ACCOUNT_CHANGED);
    cr_expect_str_eq(hash_of(account.id), "hash-3");
    cr_expect_eq(set(account.id + 1, "x"), ACCOUNT_MISSING);
    cr_expect_eq(account_enable(db, SPAN("a@example.test"), false), ACCOUNT_CHANGED);
    cr_expect_eq(account_of(db, account.id, &account), ACCOUNT_FOUND);
    cr_expect_not(account.enabled);
    cr_expect_eq(account_enable(db, SPAN("b@example.test"), false), ACCOUNT_MISSING);
    cr_expect_eq(account_count(db), 1);
    cr_expect_eq(account_remove(db, SPAN("a@example.test")), ACCOUNT_CHANGED);
    cr_expect_eq(account_remove(db, SPAN("a@example.test")), ACCOUNT_MISSING);
    cr_expect_str_eq(hash_of(account.id), "", "credentials go with the user");
    int64_t removed = account.id;
    cr_expect_eq(add("b@example.test", "h"), ACCOUNT_CHANGED);
    cr_assert_eq(account_find(db, SPAN("b@example.test"), &account), ACCOUNT_FOUND);
    cr_expect_neq(account.id, removed, "an id is never given out again");
}

Test(account, senders_and_aliases) {
    uint8_t storage[1024];
    struct buf b = BUF_OVER(storage);
    cr_assert_eq(add("a@example.test", "h"), ACCOUNT_CHANGED);
    cr_expect_eq(account_allow(db, SPAN("a@example.test"), SPAN("*@x.example")), ACCOUNT_CHANGED);
    cr_expect_eq(account_allow(db, SPAN("a@example.test"), SPAN("*@x.example")), ACCOUNT_EXISTS);
    cr_expect_eq(account_allow(db, SPAN("b@example.test"), SPAN("*@x.example")), ACCOUNT_MISSING);
    cr_expect_eq(account_senders(db, SPAN("a@example.test"), gather, &b), ACCOUNT_FOUND);
    cr_expect(span_equal(buf_span(&b), SPAN("a@example.test*@x.example\n")));
    cr_expect_eq(account_deny(db, SPAN("a@example.test"), SPAN("*@x.example")), ACCOUNT_CHANGED);
    cr_expect_eq(account_deny(db, SPAN("a@example.test"), SPAN("*@x.example")), ACCOUNT_MISSING);
    cr_expect_eq(account_alias_add(db, SPAN("l@example.test"), SPAN("t1"), false), ACCOUNT_CHANGED);
    cr_expect_eq(account_alias_add(db, SPAN("l@example.test"), SPAN("t2"), true), ACCOUNT_CHANGED);
    cr_expect_eq(account_alias_add(db, SPAN("l@example.test"), SPAN("t2"), true), ACCOUNT_EXISTS);
    buf_clear(&b);
    cr_expect_eq(account_aliases(db, SPAN("l@example.test"), gather, &b), ACCOUNT_FOUND);
    cr_expect(span_equal(buf_span(&b), SPAN("l@example.testt1\nl@example.testt2\n")));
    cr_expect_eq(account_alias_remove(db, SPAN("l@example.test"), SPAN("t1")), ACCOUNT_CHANGED);
    cr_expect_eq(account_alias_remove(db, SPAN("l@example.test"), SPAN("")), ACCOUNT_CHANGED);
    cr_expect_eq(account_alias_remove(db, SPAN("l@example.test"), SPAN("")), ACCOUNT_MISSING);
}

/* What another reader of the file sees. */
static void expect_dovecot(const char *wanted) {
    uint8_t storage[1024];
    struct buf b = BUF_OVER(storage);
    struct database *reader = database_open(DOVECOT_EXPORT_FILE, DATABASE_DOVECOT);
    cr_assert_not_null(reader);
    struct statement *statement =
        database_statement(reader, "SELECT username || ' ' || password || ' ' || home || ' ' || uid FROM users");
    while (statement_step(statement) == DATABASE_ROW) {
        buf_put_span(&b, statement_get_text(statement, 0));
        buf_put_octet(&b, '\n');
    }
    cr_expect(span_equal(buf_span(&b), span_text(wanted)), "%.*s", (int)b.n, (const char *)b.p);
    database_close(reader);
}

/* Every change is there without being asked for. */
Test(account, dovecot) {
    struct auth_setup setup = {.mail_uid = 7, .mail_gid = 8, .mail_directory = SPAN("/m")};
    struct dovecot_export dovecot;
    struct stat status;
    cr_assert_eq(add("a@example.test", "$argon2id$1"), ACCOUNT_CHANGED);
    dovecot_export_open(&dovecot, db, &setup);
    cr_assert_not_null(dovecot.db);
    cr_expect_eq(dovecot_export_reconcile(&dovecot), 0);
    cr_assert_eq(add("b@example.test", "$2y$05$x"), ACCOUNT_CHANGED);
    expect_dovecot("a@example.test {ARGON2ID}$argon2id$1 /m/example.test/a 7\n"
                   "b@example.test {CRYPT}$2y$05$x /m/example.test/b 7\n");
    cr_assert_eq(account_enable(db, SPAN("a@example.test"), false), ACCOUNT_CHANGED);
    cr_assert_eq(set(id_of("b@example.test"), "{SSHA512}eA=="), ACCOUNT_CHANGED);
    expect_dovecot("b@example.test {SSHA512}eA== /m/example.test/b 7\n");
    cr_assert_eq(account_enable(db, SPAN("a@example.test"), true), ACCOUNT_CHANGED);
    cr_assert_eq(account_suspend(db, id_of("b@example.test"), 1000), ACCOUNT_CHANGED);
    expect_dovecot("a@example.test {ARGON2ID}$argon2id$1 /m/example.test/a 7\n");
    cr_assert_eq(account_suspend(db, id_of("b@example.test"), 0), ACCOUNT_CHANGED);
    cr_assert_eq(account_remove(db, SPAN("a@example.test")), ACCOUNT_CHANGED);
    expect_dovecot("b@example.test {SSHA512}eA== /m/example.test/b 7\n");
    cr_assert_eq(credential_remove(db, id_of("b@example.test"), CREDENTIAL_MAILBOX, SPAN("")), ACCOUNT_CHANGED);
    expect_dovecot("");
    cr_assert_eq(stat(DOVECOT_EXPORT_FILE, &status), 0);
    cr_expect_eq(status.st_mode & 0777, 0640);
    dovecot_export_close(&dovecot);
}

/* Many at once, as one change: dovecot.db has them when it is done. A change that was taken back changes nothing. */
Test(account, dovecot_many) {
    struct auth_setup setup = {.mail_uid = 7, .mail_gid = 8, .mail_directory = SPAN("/m")};
    struct dovecot_export dovecot;
    dovecot_export_open(&dovecot, db, &setup);
    cr_assert_eq(database_begin(db), 0);
    cr_assert_eq(add("a@example.test", "$6$x"), ACCOUNT_CHANGED);
    database_rollback(db);
    cr_assert_eq(database_begin(db), 0);
    cr_assert_eq(add("b@example.test", "$6$x"), ACCOUNT_CHANGED);
    cr_assert_eq(add("b@example.test", "$6$y"), ACCOUNT_EXISTS, "a part that fails takes no other with it");
    cr_assert_eq(add("c@example.test", "$6$x"), ACCOUNT_CHANGED);
    expect_dovecot("");
    cr_assert_eq(database_commit(db), 0);
    expect_dovecot(
        "b@example.test {CRYPT}$6$x /m/example.test/b 7\nc@example.test {CRYPT}$6$x /m/example.test/c 7\n");
    dovecot_export_close(&dovecot);
}

/* What could not be written comes with the next change. */
Test(account, dovecot_stale) {
    struct auth_setup setup = {.mail_uid = 7, .mail_gid = 8, .mail_directory = SPAN("/m")};
    struct dovecot_export dovecot;
    dovecot_export_open(&dovecot, db, &setup);
    struct statement *pragma = database_statement(dovecot.db, "PRAGMA query_only=ON");
    cr_assert_neq(statement_step(pragma), DATABASE_FAILED);
    cr_assert_eq(add("a@example.test", "$6$x"), ACCOUNT_CHANGED);
    cr_expect(dovecot.stale);
    pragma = database_statement(dovecot.db, "PRAGMA query_only=OFF");
    cr_assert_neq(statement_step(pragma), DATABASE_FAILED);
    cr_assert_eq(add("b@example.test", "$6$y"), ACCOUNT_CHANGED);
    cr_expect_not(dovecot.stale);
    expect_dovecot(
        "a@example.test {CRYPT}$6$x /m/example.test/a 7\nb@example.test {CRYPT}$6$y /m/example.test/b 7\n");
    dovecot_export_close(&dovecot);
}
