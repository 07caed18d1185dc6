/* test_credential.c - credentials as rows: what a verifier is given, what changes, who is told; and who is meant by a
 * name. */
#include "auth/credential.h"
#include "auth/identity.h"
#include "tests/unit/scratch.h"

#include <criterion/criterion.h>
#include <stdio.h>

static struct database *db;
static int64_t alice, bob;
static struct credential found[CREDENTIALS_MAX];
static size_t n_found;

static int64_t add_user(const char *login) {
    static const uint8_t salt[ACCOUNT_SALT_BYTES] = "sixteen octets.";
    struct account account;
    cr_assert_eq(account_add(db, span_text(login), salt, NULL), ACCOUNT_CHANGED);
    cr_assert_eq(account_find(db, span_text(login), &account), ACCOUNT_FOUND);
    cr_expect_arr_eq(account.salt, salt, sizeof salt);
    return account.id;
}

static void begin(void) {
    scratch_enter();
    cr_assert_not_null(db = database_open("gatepost.db", DATABASE_ACCOUNTS));
    alice = add_user("alice@example.test");
    bob = add_user("bob@example.test");
}

static void end(void) {
    database_close(db);
}

TestSuite(credential, .init = begin, .fini = end, .timeout = 60);

static const uint8_t keys[CREDENTIAL_SCRAM_BYTES] = {1, 2, 3}, sealed[56] = {4, 5, 6};

static struct credential_secret secret(const char *hash) {
    return (struct credential_secret){.hash = span_text(hash)};
}

static struct credential_secret whole_secret(const char *hash) {
    return (struct credential_secret){span_text(hash), span_of(keys, sizeof keys), span_of(sealed, sizeof sealed)};
}

static enum account_change add_app(int64_t user, const char *name, enum credential_scope scope, uint64_t expires_ms,
                                   const char *hash) {
    struct credential_secret its = secret(hash);
    return credential_add_app(db, user, span_text(name), scope, expires_ms, &its);
}

/* The hashes in their order, each with a blank behind it. */
static const char *hashes(int64_t user, enum credential_scope scope, uint64_t now_ms) {
    static char text[CREDENTIALS_MAX * VERIFY_HASH_BYTES];
    text[0] = 0;
    cr_assert_eq(credential_of_user(db, user, scope, now_ms, found, &n_found), ACCOUNT_FOUND);
    for (size_t i = 0; i < n_found; i++) strcat(strcat(text, found[i].hash), " ");
    return text;
}

Test(credential, mailbox) {
    struct credential_secret one = whole_secret("one"), two = secret("two");
    cr_expect_str_eq(hashes(alice, CREDENTIAL_SMTP, 1), "");
    cr_expect_eq(credential_set_mailbox(db, alice, &one), ACCOUNT_CHANGED);
    cr_expect_str_eq(hashes(alice, CREDENTIAL_SMTP, 1), "one ");
    cr_expect(found[0].kind == CREDENTIAL_MAILBOX && found[0].has_scram && found[0].nt_n == sizeof sealed);
    cr_expect_arr_eq(found[0].scram, keys, sizeof keys);
    cr_expect_arr_eq(found[0].nt, sealed, sizeof sealed);
    int64_t before = found[0].id;
    cr_expect_eq(credential_set_mailbox(db, alice, &two), ACCOUNT_CHANGED);
    cr_expect_str_eq(hashes(alice, CREDENTIAL_POP3, 1), "two ");
    cr_expect_gt(found[0].id, before, "another secret has another id");
    cr_expect(!found[0].has_scram && !found[0].nt_n, "nothing of the old secret stays");
    cr_expect_eq(credential_set_mailbox(db, 999, &two), ACCOUNT_MISSING);
    cr_expect_eq(credential_remove(db, alice, CREDENTIAL_MAILBOX, SPAN("")), ACCOUNT_CHANGED);
    cr_expect_eq(credential_remove(db, alice, CREDENTIAL_MAILBOX, SPAN("")), ACCOUNT_MISSING);
    before = found[0].id;
    cr_expect_eq(credential_set_mailbox(db, alice, &two), ACCOUNT_CHANGED);
    cr_expect_str_eq(hashes(alice, CREDENTIAL_SMTP, 1), "two ");
    cr_expect_gt(found[0].id, before, "not even the same secret has the same id");
}

Test(credential, apps) {
    enum credential_scope scope;
    struct credential_secret mailbox = secret("m");
    cr_expect_eq(add_app(alice, "phone", CREDENTIAL_SMTP, 0, "p"), ACCOUNT_CHANGED);
    cr_expect_eq(add_app(alice, "phone", CREDENTIAL_ANY, 0, "q"), ACCOUNT_EXISTS);
    cr_expect_eq(add_app(bob, "phone", CREDENTIAL_ANY, 0, "b"), ACCOUNT_CHANGED, "names are each user's own");
    cr_expect_eq(add_app(999, "phone", CREDENTIAL_ANY, 0, "x"), ACCOUNT_MISSING);
    cr_expect_eq(add_app(alice, "tablet", CREDENTIAL_POP3, 0, "t"), ACCOUNT_CHANGED);
    cr_expect_eq(credential_scope_of(db, database_last_id(db), &scope), ACCOUNT_FOUND);
    cr_expect_eq(scope, CREDENTIAL_POP3);
    cr_expect_eq(credential_scope_of(db, 999, &scope), ACCOUNT_NONE);
    cr_expect_eq(add_app(alice, "visitor", CREDENTIAL_ANY, 5000, "v"), ACCOUNT_CHANGED);
    cr_expect_eq(credential_set_mailbox(db, alice, &mailbox), ACCOUNT_CHANGED);
    cr_expect_str_eq(hashes(alice, CREDENTIAL_SMTP, 4000), "m p v ");
    cr_expect_str_eq(hashes(alice, CREDENTIAL_POP3, 4000), "m t v ");
    cr_expect_str_eq(hashes(alice, CREDENTIAL_SMTP, 5000), "m p ", "it has expired");
    cr_expect_str_eq(hashes(bob, CREDENTIAL_SMTP, 4000), "b ", "without a mailbox password too");
    cr_expect_eq(credential_count(db, alice, CREDENTIAL_APP), 3);
    cr_expect_eq(credential_remove(db, alice, CREDENTIAL_APP, SPAN("phone")), ACCOUNT_CHANGED);
    cr_expect_eq(credential_remove(db, alice, CREDENTIAL_APP, SPAN("phone")), ACCOUNT_MISSING);
    cr_expect_str_eq(hashes(alice, CREDENTIAL_SMTP, 4000), "m v ");
    cr_expect_str_eq(hashes(bob, CREDENTIAL_SMTP, 4000), "b ");
}

/* Never more than a frame to the verifier holds, whatever the table does. */
Test(credential, at_most) {
    struct credential_secret mailbox = secret("m");
    cr_expect_eq(credential_set_mailbox(db, alice, &mailbox), ACCOUNT_CHANGED);
    for (int i = 0; i < CREDENTIALS_MAX + 2; i++) {
        char name[16];
        snprintf(name, sizeof name, "%d", i);
        cr_assert_eq(add_app(alice, name, CREDENTIAL_ANY, 0, "a"), ACCOUNT_CHANGED);
    }
    (void)hashes(alice, CREDENTIAL_SMTP, 1);
    cr_expect_eq(n_found, CREDENTIALS_MAX);
    cr_expect_str_eq(found[0].hash, "m");
}

Test(credential, used) {
    const uint64_t hour = 3600 * 1000;
    cr_assert_eq(add_app(alice, "a", CREDENTIAL_ANY, 0, "a"), ACCOUNT_CHANGED);
    cr_assert_eq(add_app(alice, "b", CREDENTIAL_ANY, 0, "b"), ACCOUNT_CHANGED);
    cr_expect_str_eq(hashes(alice, CREDENTIAL_SMTP, 1), "a b ");
    int64_t b = found[1].id;
    static const struct {
        uint64_t at_hours, then_hours;
    } steps[] = {{10, 10}, {10, 10}, {11, 11}, {5, 5} /* the clock was wrong before */};
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        cr_expect_eq(credential_used(db, b, steps[i].at_hours * hour + 1999), 0);
        cr_expect_str_eq(hashes(alice, CREDENTIAL_SMTP, 1), "b a ", "the one that was used last is tried first");
        cr_expect_eq(found[0].last_used_ms, steps[i].then_hours * hour + 1000, "%zu", i);
    }
    cr_expect_eq(credential_used(db, b, 5 * hour + hour / 2), 0);
    cr_expect_str_eq(hashes(alice, CREDENTIAL_SMTP, 1), "b a ");
    cr_expect_eq(found[0].last_used_ms, 5 * hour + 1000, "not within an hour");
    cr_expect_eq(found[0].id, b);
    cr_expect_eq(credential_used(db, 999, hour), 0, "it is gone meanwhile");
}

Test(credential, logins) {
    struct credential_secret one = secret("one"), two = secret("two");
    int64_t user = 0;
    cr_expect_eq(credential_set_login(db, alice, SPAN("mailer"), &one), ACCOUNT_CHANGED);
    cr_expect_eq(credential_set_login(db, bob, SPAN("mailer"), &two), ACCOUNT_EXISTS);
    cr_expect_eq(credential_of_login(db, SPAN("mailer"), CREDENTIAL_SMTP, 1, &user, found, &n_found), ACCOUNT_FOUND);
    cr_expect(user == alice && n_found == 1 && found[0].kind == CREDENTIAL_LOGIN);
    cr_expect_str_eq(found[0].hash, "one");
    cr_expect_eq(credential_of_login(db, SPAN("mailer"), CREDENTIAL_POP3, 1, &user, found, &n_found), ACCOUNT_FOUND);
    cr_expect(user == alice && n_found == 0, "it is for sending alone");
    cr_expect_eq(credential_of_login(db, SPAN("mailer"), CREDENTIAL_SMTP, 1, &user, found, &n_found), ACCOUNT_FOUND);
    int64_t before = found[0].id;
    cr_expect_str_eq(hashes(alice, CREDENTIAL_SMTP, 1), "", "it does not open the user's own name");
    cr_expect_eq(credential_set_login(db, alice, SPAN("mailer"), &two), ACCOUNT_CHANGED, "another password");
    cr_expect_eq(credential_of_login(db, SPAN("mailer"), CREDENTIAL_SMTP, 1, &user, found, &n_found), ACCOUNT_FOUND);
    cr_expect_str_eq(found[0].hash, "two");
    cr_expect_gt(found[0].id, before);
    cr_expect_eq(credential_of_login(db, SPAN("nobody"), CREDENTIAL_SMTP, 1, &user, found, &n_found), ACCOUNT_NONE);
    cr_expect_eq(n_found, 0);
    cr_expect_eq(credential_set_login(db, 999, SPAN("other"), &two), ACCOUNT_MISSING);
    cr_expect_eq(credential_remove(db, bob, CREDENTIAL_LOGIN, SPAN("mailer")), ACCOUNT_MISSING);
    cr_expect_eq(credential_remove(db, alice, CREDENTIAL_LOGIN, SPAN("mailer")), ACCOUNT_CHANGED);
    cr_expect_eq(credential_of_login(db, SPAN("mailer"), CREDENTIAL_SMTP, 1, &user, found, &n_found), ACCOUNT_NONE);
}

Test(credential, renewed) {
    struct credential_secret old = {.hash = SPAN("{SSHA}x"), .nt = span_of(sealed, sizeof sealed)};
    struct credential_secret fresh = {.hash = SPAN("$argon2id$"), .scram = span_of(keys, sizeof keys)};
    struct credential_secret only_keys = {.scram = span_of(keys, sizeof keys)};
    int64_t id = 0, user;
    cr_expect_eq(credential_set_login(db, alice, SPAN("mailer"), &old), ACCOUNT_CHANGED);
    cr_expect_eq(credential_of_login(db, SPAN("mailer"), CREDENTIAL_SMTP, 1, &user, found, &n_found), ACCOUNT_FOUND);
    int64_t before = found[0].id;
    cr_expect_eq(credential_used(db, before, 7200 * 1000), 0);
    cr_expect_eq(credential_renew(db, before, &fresh, &id), ACCOUNT_CHANGED);
    cr_expect_eq(credential_of_login(db, SPAN("mailer"), CREDENTIAL_SMTP, 1, &user, found, &n_found), ACCOUNT_FOUND);
    cr_expect(found[0].id == id && id > before && found[0].has_scram && found[0].nt_n == sizeof sealed);
    cr_expect_eq(found[0].last_used_ms, 7200 * 1000);
    cr_expect_str_eq(found[0].hash, "$argon2id$");
    cr_expect_eq(credential_renew(db, before, &fresh, &id), ACCOUNT_MISSING, "it went meanwhile");
    cr_expect_eq(id, 0);
    cr_expect_eq(credential_renew(db, found[0].id, &only_keys, &id), ACCOUNT_CHANGED);
    cr_expect_eq(credential_of_login(db, SPAN("mailer"), CREDENTIAL_SMTP, 1, &user, found, &n_found), ACCOUNT_FOUND);
    cr_expect_str_eq(found[0].hash, "$argon2id$");
    cr_assert_eq(add_app(alice, "phone", CREDENTIAL_ANY, 0, "p"), ACCOUNT_CHANGED);
    (void)hashes(alice, CREDENTIAL_SMTP, 1);
    cr_expect_gt(found[0].id, id, "a number that was taken by hand is not given again");
}

Test(credential, dearest) {
    static const char *const stored[] = {
        "$argon2id$v=19$m=1024,t=1,p=1$AAAA$AAAA", "$argon2id$v=19$m=4096,t=3,p=1$AAAA$AAAA",
        "$argon2id$v=19$m=4096,t=2,p=1$zzzz$AAAA", "$argon2id$v=19$m=99999999,t=9,p=1$AAAA$AAAA", "hash"};
    uint64_t work = 7;
    cr_expect_eq(credential_dearest(db, &work), ACCOUNT_FOUND);
    cr_expect_eq(work, 0);
    for (size_t i = 0; i < sizeof stored / sizeof *stored; i++) {
        char name[16];
        snprintf(name, sizeof name, "%zu", i);
        cr_assert_eq(add_app(alice, name, CREDENTIAL_ANY, 0, stored[i]), ACCOUNT_CHANGED);
    }
    cr_expect_eq(credential_dearest(db, &work), ACCOUNT_FOUND);
    cr_expect_eq(work, 4096 * 3);
}

static bool gather(void *context, const struct credential_row *row) {
    uint8_t storage[256];
    struct buf line = BUF_OVER(storage), *b = context;
    buf_put_span(&line, row->user);
    buf_put_format(&line, " %s ", credential_kind_name(row->kind));
    buf_put_span(&line, row->name);
    buf_put_format(&line, " %s ", credential_scope_name(row->scope));
    buf_put_span(&line, row->hash);
    buf_put_format(&line, " %d%d %llu %d\n", row->has_scram, row->has_nt, (unsigned long long)row->expires_ms,
                   row->created_ms > 0);
    buf_put_span(b, buf_span(&line));
    return row->kind != CREDENTIAL_LOGIN; /* ends there */
}

Test(credential, list) {
    char text[1024];
    struct buf b = buf_over(text, sizeof text - 1);
    struct credential_secret one = whole_secret("one"), two = secret("two");
    cr_assert_eq(add_app(alice, "z", CREDENTIAL_SMTP, 9000, "z"), ACCOUNT_CHANGED);
    cr_assert_eq(credential_set_mailbox(db, alice, &one), ACCOUNT_CHANGED);
    cr_assert_eq(credential_set_login(db, bob, SPAN("w"), &two), ACCOUNT_CHANGED);
    cr_assert_eq(add_app(bob, "y", CREDENTIAL_ANY, 0, "y"), ACCOUNT_CHANGED);
    cr_expect_eq(credential_list(db, 0, gather, &b), ACCOUNT_FOUND);
    text[b.n] = 0;
    cr_expect_str_eq(text,
                     "alice@example.test mailbox   one 11 0 1\nalice@example.test app z smtp z 00 9000 1\n"
                     "bob@example.test login w smtp two 00 0 1\n",
                     "%s", text);
    buf_clear(&b);
    cr_expect_eq(credential_list(db, alice, gather, &b), ACCOUNT_FOUND);
    cr_expect_eq(b.n, strchr(strchr(text, '\n') + 1, '\n') + 1 - text);
}

Test(credential, words) {
    enum credential_scope scope;
    cr_expect(credential_scope_read(SPAN("pop3"), &scope) && scope == CREDENTIAL_POP3);
    cr_expect(credential_scope_read(SPAN(""), &scope) && scope == CREDENTIAL_ANY);
    cr_expect_not(credential_scope_read(SPAN("imap"), &scope));
    cr_expect_str_eq(credential_kind_name(CREDENTIAL_NONE), "");
}

/* A table that is not as it should be opens nothing. */
Test(credential, damaged) {
    struct credential_secret long_hash = {.hash = {(const uint8_t *)"", 0}};
    static uint8_t octets[VERIFY_HASH_BYTES];
    memset(octets, 'x', sizeof octets);
    long_hash.hash = span_of(octets, sizeof octets);
    cr_assert_eq(credential_set_mailbox(db, alice, &long_hash), ACCOUNT_CHANGED);
    cr_expect_eq(credential_of_user(db, alice, CREDENTIAL_SMTP, 1, found, &n_found), ACCOUNT_FAILED);
    long_hash.hash = SPAN("");
    cr_expect_eq(credential_set_mailbox(db, bob, &long_hash), ACCOUNT_CHANGE_FAILED, "an empty hash is none");
    cr_expect_str_eq(hashes(bob, CREDENTIAL_SMTP, 1), "");
}

/* ---- who is told */

static struct {
    int64_t user_id, gone;
    int n;
} told;

static void hear(void *context, int64_t user_id, int64_t gone) {
    (void)context;
    told.user_id = user_id, told.gone = gone, told.n++;
}

static void expect_told(int64_t user_id, int64_t gone, const char *what) {
    cr_expect(told.n == 1 && told.user_id == user_id && told.gone == gone, "%s: %d times, of %lld, gone %lld", what,
              told.n, (long long)told.user_id, (long long)told.gone);
    told.n = 0;
}

Test(credential, watchers) {
    struct credential_secret one = secret("one");
    int64_t id;
    account_watch(hear, NULL);
    cr_assert_eq(credential_set_mailbox(db, alice, &one), ACCOUNT_CHANGED);
    expect_told(alice, 0, "a first password");
    (void)hashes(alice, CREDENTIAL_SMTP, 1);
    int64_t before = found[0].id;
    cr_assert_eq(credential_set_mailbox(db, alice, &one), ACCOUNT_CHANGED);
    expect_told(alice, before, "another password");
    (void)hashes(alice, CREDENTIAL_SMTP, 1);
    cr_assert_eq(credential_renew(db, found[0].id, &one, &id), ACCOUNT_CHANGED);
    expect_told(alice, 0, "the same password");
    cr_assert_eq(credential_remove(db, alice, CREDENTIAL_MAILBOX, SPAN("")), ACCOUNT_CHANGED);
    expect_told(alice, id, "no password");
    cr_assert_eq(credential_remove(db, alice, CREDENTIAL_MAILBOX, SPAN("")), ACCOUNT_MISSING);
    cr_assert_eq(add_app(999, "x", CREDENTIAL_ANY, 0, "x"), ACCOUNT_MISSING);
    cr_expect_eq(told.n, 0, "nothing changed");
    cr_assert_eq(account_enable(db, SPAN("alice@example.test"), false), ACCOUNT_CHANGED);
    expect_told(alice, 0, "disabled");
    cr_assert_eq(account_suspend(db, bob, 1000), ACCOUNT_CHANGED);
    expect_told(bob, 0, "suspended");
    cr_assert_eq(account_remove(db, SPAN("alice@example.test")), ACCOUNT_CHANGED);
    expect_told(alice, ACCOUNT_GONE_ALL, "removed");
    cr_assert_eq(database_begin(db), 0);
    cr_assert_eq(add_app(bob, "x", CREDENTIAL_ANY, 0, "x"), ACCOUNT_CHANGED);
    cr_assert_eq(credential_remove(db, bob, CREDENTIAL_APP, SPAN("x")), ACCOUNT_CHANGED);
    cr_expect_eq(told.n, 0, "not before it is durable");
    cr_assert_eq(database_commit(db), 0);
    expect_told(0, 0, "several at once");
    cr_assert_eq(database_begin(db), 0);
    cr_assert_eq(add_app(bob, "x", CREDENTIAL_ANY, 0, "x"), ACCOUNT_CHANGED);
    database_rollback(db);
    cr_expect_eq(told.n, 0, "nothing came of it");
}

/* ---- who is meant */

static struct auth_domain domains[] = {{.name = SPAN("example.test")}, {.name = SPAN("other.test")}};
static struct auth_setup setup = {.local_domains = domains, .n_local_domains = 1};

static struct identity who;

static enum account_found find(const char *name) {
    struct house house = {db, &setup, NULL, NULL};
    return identity_find(&house, span_text(name), CREDENTIAL_SMTP, 1, &who);
}

Test(credential, identities) {
    struct credential_secret one = secret("one"), two = secret("two"), three = secret("three");
    cr_assert_eq(credential_set_mailbox(db, alice, &one), ACCOUNT_CHANGED);
    cr_assert_eq(credential_set_login(db, alice, SPAN("mailer"), &two), ACCOUNT_CHANGED);
    cr_assert_eq(credential_set_login(db, alice, SPAN("alice@elsewhere.example"), &three), ACCOUNT_CHANGED);
    static const struct {
        const char *typed, *hash;
    } rows[] = {
        {"alice@example.test", "one"},
        {"ALICE@Example.Test", "one"},
        {"alice", "one"},
        {"mailer", "two"},
        {"Mailer", "two"},
        {"Alice@elsewhere.EXAMPLE", "three"},
        {"bob@example.test", ""},
        {"mailer@example.test", NULL},
        {"alice@elsewhere.example.x", NULL},
        {"", NULL},
        {"@", NULL},
        {"no such", NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        enum account_found outcome = find(rows[i].typed);
        cr_assert_eq(outcome, rows[i].hash ? ACCOUNT_FOUND : ACCOUNT_NONE, "%s", rows[i].typed);
        if (!rows[i].hash) cr_expect(who.account.id == 0 && who.n == 0);
        if (rows[i].hash) cr_expect_str_eq(who.n ? who.credentials[0].hash : "", rows[i].hash, "%s", rows[i].typed);
    }
    setup.n_local_domains = 2;
    cr_expect_eq(find("alice"), ACCOUNT_NONE, "of which domain?");
    cr_expect_eq(find("mailer"), ACCOUNT_FOUND);
}

Test(credential, identities_that_are_off) {
    struct credential_secret one = secret("one");
    cr_assert_eq(credential_set_mailbox(db, alice, &one), ACCOUNT_CHANGED);
    cr_assert_eq(credential_set_login(db, alice, SPAN("mailer"), &one), ACCOUNT_CHANGED);
    cr_assert_eq(account_suspend(db, alice, 1000), ACCOUNT_CHANGED);
    cr_expect_eq(find("mailer"), ACCOUNT_FOUND);
    cr_expect(who.n == 1 && who.account.suspended_ms == 1000, "a suspended user is told so at MAIL");
    cr_assert_eq(account_enable(db, SPAN("alice@example.test"), false), ACCOUNT_CHANGED);
    static const char *const names[] = {"mailer", "alice", "alice@example.test"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        cr_expect_eq(find(names[i]), ACCOUNT_FOUND);
        cr_expect(who.account.id == alice && !who.account.enabled && who.n == 0);
        cr_expect_eq(who.credentials[0].id, 0, "not even in memory");
    }
}

static const struct {
    const char *typed, *normal; /* NULL: none */
} login_names[] = {
    {"mailer", "mailer"},
    {"Fax.Machine_2-b+c", "fax.machine_2-b+c"},
    {"9", "9"},
    {"Alice@B\xc3\xbc"
     "cher.example",
     "alice@xn--bcher-kva.example"},
    {"", NULL},
    {".x", NULL},
    {"-x", NULL},
    {"a b", NULL},
    {"a/b", NULL},
    {"\xc3\xa4", NULL},
    {"a@", NULL},
    {"@b", NULL},
    {"a\\b", NULL},
    {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", NULL}, /* 65 */
};

Test(credential, login_names) {
    for (size_t i = 0; i < sizeof login_names / sizeof *login_names; i++) {
        uint8_t storage[ADDRESS_MAX];
        struct buf b = BUF_OVER(storage);
        bool ok = identity_login_name(span_text(login_names[i].typed), &b);
        cr_expect_eq(ok, login_names[i].normal != NULL, "%s", login_names[i].typed);
        if (ok) cr_expect(span_equal(buf_span(&b), span_text(login_names[i].normal)), "%s", login_names[i].typed);
    }
}
