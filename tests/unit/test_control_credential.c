/* test_control_credential.c - the verbs about credentials: who may have what by which name, and what is refused. */
#include "store/base64.h"
#include "tests/unit/auth_fixture.h"

#include <criterion/criterion.h>
#include <stdio.h>

static struct auth_fixture fixture;
static uint8_t text[1 << 16];
static char salt[32];

#define APP_HASH "$gp1$AAECAwQFBgcICQoLDA0ODw$nDlGKOj+DbWEmZkPRxFTeXFPzPqTgXhKFnMtK3LBGxg"
#define SCRAM "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=="
#define OTHER_SALT "AAAAAAAAAAAAAAAAAAAAAA=="
#define NT "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="

#define ASK(wanted, ...)                                                                                             \
    do {                                                                                                             \
        struct buf b = BUF_OVER(text);                                                                               \
        int code = auth_fixture_command(&fixture, &b, __VA_ARGS__, NULL);                                            \
        cr_assert_eq(code, wanted, "line %d: %d %s", __LINE__, code, (const char *)text);                            \
    } while (0)

static bool said(const char *what) {
    return strstr((const char *)text, what) != NULL;
}

/* The rows' texts follow each other: login, then salt. */
static void learn_salt(const char *login) {
    ASK(CONTROL_OK, "user enrolment", "login", login);
    const char *at = strchr((const char *)text, '\n');
    cr_assert(at && sscanf(at, " %31s", salt) == 1, "%s", (const char *)text);
}

static void begin(void) {
    auth_fixture_setup(&fixture);
    ASK(CONTROL_OK, "user add", "login", "Alice@Example.test", "hash", auth_fixture_hash());
    ASK(CONTROL_OK, "user add", "login", "bob@example.test", "hash", auth_fixture_hash());
    ASK(CONTROL_OK, "alias add", "address", "info@example.test", "target", "bob@example.test");
    learn_salt("alice@example.test");
}

TestSuite(control_credential, .init = begin, .timeout = 120);

Test(control_credential, enrolment) {
    uint8_t storage[32];
    struct buf octets = BUF_OVER(storage);
    ASK(CONTROL_OK, "user enrolment", "login", "ALICE@example.test");
    cr_expect(said("alice@example.test\n"));
    cr_assert(base64_decode(span_text(salt), &octets));
    cr_expect_eq(octets.n, 16);
    ASK(CONTROL_NOT_FOUND, "user enrolment", "login", "carol@example.test");
    ASK(CONTROL_USAGE, "user enrolment", "login", "@");
}

/* What was derived is whole and the user's, or nothing is changed. */
Test(control_credential, secrets) {
    const char *hash = auth_fixture_hash();
    ASK(CONTROL_OK, "user passwd", "login", "alice@example.test", "hash", hash, "salt", salt, "scram", SCRAM);
    ASK(CONTROL_OK, "user show", "login", "alice@example.test");
    ASK(CONTROL_FAILED, "user passwd", "login", "alice@example.test", "hash", hash, "salt", OTHER_SALT, "scram",
        SCRAM);
    cr_expect(said("changed meanwhile"));
    ASK(CONTROL_FAILED, "user passwd", "login", "alice@example.test", "hash", hash, "nt", NT);
    cr_expect(said("changed meanwhile"), "who is not enrolled has no NT hash");
    ASK(CONTROL_USAGE, "user passwd", "login", "alice@example.test", "hash", hash, "scram", SCRAM);
    ASK(CONTROL_USAGE, "user passwd", "login", "alice@example.test", "hash", hash, "salt", salt, "scram", "AAAA");
    ASK(CONTROL_USAGE, "user passwd", "login", "alice@example.test", "hash", hash, "salt", "AAAA", "scram", SCRAM);
    ASK(CONTROL_USAGE, "user passwd", "login", "alice@example.test", "hash", hash, "salt", salt, "scram", "~");
    ASK(CONTROL_USAGE, "user passwd", "login", "alice@example.test", "hash", "secret-word");
    ASK(CONTROL_USAGE, "user passwd", "login", "alice@example.test", "hash", APP_HASH);
    cr_expect(said("not an Argon2id hash"), "a fast hash is for what we drew");
    ASK(CONTROL_USAGE, "user passwd", "login", "alice@example.test");
    ASK(CONTROL_NOT_FOUND, "user passwd", "login", "carol@example.test", "hash", hash);
    ASK(CONTROL_OK, "user add", "login", "carol@example.test", "hash", hash, "salt", OTHER_SALT, "scram", SCRAM);
    learn_salt("carol@example.test");
    cr_expect_str_eq(salt, OTHER_SALT);
}

#define ADD_APP(wanted, login_name, device, ...)                                                                     \
    ASK(wanted, "user app-password add", "login", login_name, "name", device, "hash", APP_HASH, "salt", salt,        \
        "scram", SCRAM, ##__VA_ARGS__)

Test(control_credential, app_passwords) {
    ADD_APP(CONTROL_OK, "alice@example.test", "phone", "scope", "smtp", "expires", "90d");
    ADD_APP(CONTROL_OK, "alice@example.test", "Büro 2", "expires", "2999-12-31");
    ADD_APP(CONTROL_EXISTS, "alice@example.test", "phone");
    ADD_APP(CONTROL_NOT_FOUND, "carol@example.test", "phone");
    ADD_APP(CONTROL_USAGE, "alice@example.test", "x", "scope", "imap");
    ADD_APP(CONTROL_USAGE, "alice@example.test", "x", "expires", "2020-01-01");
    cr_expect(said("that day is over"));
    ADD_APP(CONTROL_USAGE, "alice@example.test", "x", "expires", "soon");
    ADD_APP(CONTROL_USAGE, "alice@example.test", "x", "expires", "0d");
    ADD_APP(CONTROL_USAGE, "alice@example.test", "");
    ADD_APP(CONTROL_USAGE, "alice@example.test", " x");
    ADD_APP(CONTROL_USAGE, "alice@example.test", "a\x07");
    ADD_APP(CONTROL_USAGE, "alice@example.test", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
    ASK(CONTROL_USAGE, "user app-password add", "login", "alice@example.test", "name", "x", "hash",
        auth_fixture_hash());
    cr_expect(said("not the hash of an app password"));
    ASK(CONTROL_OK, "user app-password list", "login", "alice@example.test");
    cr_expect(said("phone") && said("smtp") && said("Büro 2") && said("all"));
    ASK(CONTROL_OK, "user app-password list", "login", "bob@example.test");
    cr_expect_str_eq((const char *)text, "\n" + 1);
    ASK(CONTROL_OK, "user app-password list");
    cr_expect(said("alice@example.test") && !said("bob"));
    ASK(CONTROL_NOT_FOUND, "user app-password list", "login", "carol@example.test");
    ASK(CONTROL_NOT_FOUND, "user app-password revoke", "login", "bob@example.test", "name", "phone");
    ASK(CONTROL_OK, "user app-password revoke", "login", "alice@example.test", "name", "phone");
    ASK(CONTROL_NOT_FOUND, "user app-password revoke", "login", "alice@example.test", "name", "phone");
    ADD_APP(CONTROL_OK, "alice@example.test", "phone");
}

Test(control_credential, no_more_than_32_app_passwords) {
    for (int i = 0; i < 32; i++) {
        char name[8];
        snprintf(name, sizeof name, "d%d", i);
        ADD_APP(CONTROL_OK, "alice@example.test", name);
    }
    ADD_APP(CONTROL_REFUSED, "alice@example.test", "one-more");
    ASK(CONTROL_OK, "user app-password revoke", "login", "alice@example.test", "name", "d7");
    ADD_APP(CONTROL_OK, "alice@example.test", "one-more");
}

/* A separate name has a salt of its own. */
static const char *salt_of(const char *whose, const char *its) {
    struct buf b = BUF_OVER(text);
    static char own[32];
    bool known =
        auth_fixture_command(&fixture, &b, "user enrolment", "login", whose, "name", its, NULL) == CONTROL_OK;
    const char *at = known ? memchr(text, '\n', b.n) : NULL;
    cr_assert(!known || (at && sscanf(at, " %31s", own) == 1));
    return known ? own : OTHER_SALT;
}

#define LOGIN(wanted, verb, whose, its)                                                                              \
    ASK(wanted, "user login " verb, "login", whose, "name", its, "hash", auth_fixture_hash(), "salt",                \
        salt_of(whose, its), "scram", SCRAM)

Test(control_credential, logins) {
    char mailer[32];
    snprintf(mailer, sizeof mailer, "%s", salt_of("alice@example.test", "mailer"));
    cr_expect_str_neq(mailer, salt);
    cr_expect_str_neq(mailer, salt_of("alice@example.test", "mailer2"));
    cr_expect_str_neq(mailer, salt_of("bob@example.test", "mailer"));
    ASK(CONTROL_FAILED, "user login add", "login", "alice@example.test", "name", "mailer", "hash",
        auth_fixture_hash(), "salt", salt, "scram", SCRAM);
    LOGIN(CONTROL_OK, "add", "alice@example.test", "Mailer");
    LOGIN(CONTROL_EXISTS, "add", "alice@example.test", "mailer");
    LOGIN(CONTROL_OK, "passwd", "alice@example.test", "mailer");
    LOGIN(CONTROL_NOT_FOUND, "passwd", "alice@example.test", "other");
    LOGIN(CONTROL_OK, "add", "alice@example.test", "alice@elsewhere.example");
    LOGIN(CONTROL_USAGE, "add", "alice@example.test", "two words");
    LOGIN(CONTROL_USAGE, "add", "alice@example.test", "");
    LOGIN(CONTROL_NOT_FOUND, "add", "carol@example.test", "x");
    ASK(CONTROL_OK, "user login list");
    cr_expect(said("mailer") && said("alice@elsewhere.example"));
    learn_salt("bob@example.test");
    LOGIN(CONTROL_EXISTS, "add", "bob@example.test", "MAILER");
    LOGIN(CONTROL_NOT_FOUND, "passwd", "bob@example.test", "mailer");
    ASK(CONTROL_NOT_FOUND, "user login remove", "login", "bob@example.test", "name", "mailer");
    ASK(CONTROL_OK, "user login remove", "login", "alice@example.test", "name", "MAILER");
    LOGIN(CONTROL_OK, "add", "bob@example.test", "mailer");
}

/* No name means two things, whichever was there first. */
Test(control_credential, names_that_clash) {
    static const char *const taken[] = {"alice@example.test", "BOB@example.test", "info@example.test", "alice",
                                        "info"};
    for (size_t i = 0; i < sizeof taken / sizeof *taken; i++) {
        LOGIN(CONTROL_EXISTS, "add", "alice@example.test", taken[i]);
        cr_expect(said("there is a user or alias of this name"), "%s", taken[i]);
    }
    LOGIN(CONTROL_OK, "add", "alice@example.test", "carol");
    LOGIN(CONTROL_OK, "add", "alice@example.test", "dora@example.test");
    static const char *const names[] = {"carol@example.test", "carol@other.test", "dora@example.test"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        ASK(CONTROL_EXISTS, "user add", "login", names[i], "hash", auth_fixture_hash());
        cr_expect(said("logs on with this name"));
        ASK(CONTROL_EXISTS, "alias add", "address", names[i], "target", "bob@example.test");
        cr_expect(said("logs on with this name"));
    }
    ASK(CONTROL_OK, "user add", "login", "dora@other.test", "hash", auth_fixture_hash());
    ASK(CONTROL_OK, "user login remove", "login", "alice@example.test", "name", "carol");
    ASK(CONTROL_OK, "user add", "login", "carol@example.test", "hash", auth_fixture_hash());
}

Test(control_credential, spa) {
    const char *hash = auth_fixture_hash();
    ASK(CONTROL_FAILED, "user spa enable", "login", "alice@example.test", "hash", hash, "salt", salt, "scram", SCRAM);
    ASK(CONTROL_OK, "user spa enable", "login", "alice@example.test", "hash", hash, "salt", salt, "scram", SCRAM,
        "nt", NT);
    ASK(CONTROL_FAILED, "user passwd", "login", "alice@example.test", "hash", hash, "salt", salt, "scram", SCRAM);
    cr_expect(said("changed meanwhile"), "of who is enrolled there is always one");
    ASK(CONTROL_OK, "user passwd", "login", "alice@example.test", "hash", hash, "salt", salt, "scram", SCRAM, "nt",
        NT);
    ADD_APP(CONTROL_OK, "alice@example.test", "phone", "nt", NT);
    ASK(CONTROL_OK, "user spa disable", "login", "alice@example.test");
    ASK(CONTROL_OK, "user passwd", "login", "alice@example.test", "hash", hash, "salt", salt, "scram", SCRAM);
    ASK(CONTROL_NOT_FOUND, "user spa disable", "login", "carol@example.test");
    ASK(CONTROL_NOT_FOUND, "user spa enable", "login", "carol@example.test", "hash", hash, "nt", NT);
}

Test(control_credential, show) {
    ADD_APP(CONTROL_OK, "alice@example.test", "phone", "scope", "pop3");
    LOGIN(CONTROL_OK, "add", "alice@example.test", "mailer");
    ASK(CONTROL_OK, "sender allow", "login", "alice@example.test", "address", "sales@elsewhere.example");
    ASK(CONTROL_OK, "alias add", "address", "a@example.test", "target", "alice@example.test");
    ASK(CONTROL_OK, "user show", "login", "alice@example.test");
    static const char *const all[] = {"alice@example.test\n",
                                      "a@example.test\n",
                                      "sales@elsewhere.example\n",
                                      "mailbox\n",
                                      "app\n",
                                      "phone\n",
                                      "pop3\n",
                                      "login\n",
                                      "mailer\n"};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        cr_expect(said(all[i]), "%s is not in %s", all[i], (const char *)text);
    cr_expect_not(said("$"), "no hash");
    ASK(CONTROL_NOT_FOUND, "user show", "login", "carol@example.test");
}
