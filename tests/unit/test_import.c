/* test_import.c - password files of other servers: their lines, whole files, and what auth makes of them. */
#include "auth/account_import.h"
#include "auth/credential.h"
#include "server/process/import_file.h"
#include "tests/unit/auth_fixture.h"
#include "tests/unit/scratch.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define SSHA "{SSHA}+mBgPvbiHemKWQJs3UA+PTtLl6AwVFXE"
#define BCRYPT "$2y$05$tHlMRbQkQPyICI4KUigln.PAF12G7isMBuqn1FdCzcv.UkCeD.Iw6"
#define BCRYPT12 "$2y$12$tHlMRbQkQPyICI4KUigln.PAF12G7isMBuqn1FdCzcv.UkCeD.Iw6"
#define SHA512                                                                                                       \
    "$6$SWHttRCPQRDYLjfx$6z3WXczbv6Y4RPlWvY4Z9tn8LhhdUj9.9XkekMjZsANhFbNZyncDSO4oV4pD45koxq3R33HNdpSXFTGxpEv/4."

TestSuite(import, .timeout = 240);

/* ---- lines */

static const struct {
    const char *line;
    enum import_format format;
    enum import_line_kind kind;
    const char *name, *field;
    bool locked;
} lines[] = {
    {"alice:" SSHA, IMPORT_DOVECOT, IMPORT_LINE_USER, "alice", SSHA, false},
    {"alice@example.test:" BCRYPT ":5000:5000::/var/mail/a::userdb_quota_rule=*:storage=1G", IMPORT_DOVECOT,
     IMPORT_LINE_USER, "alice@example.test", BCRYPT, false},
    {"alice:" BCRYPT ":::::::nologin", IMPORT_DOVECOT, IMPORT_LINE_USER, "alice", BCRYPT, false}, /* one colon more */
    {"alice:" BCRYPT "::::::nologin", IMPORT_DOVECOT, IMPORT_LINE_USER, "alice", BCRYPT, true},
    {"alice:" BCRYPT "::::::proxy=y nologin=y", IMPORT_DOVECOT, IMPORT_LINE_USER, "alice", BCRYPT, true},
    {"alice:" BCRYPT "::::::nologin=no allow_nets=10.0.0.0/8", IMPORT_DOVECOT, IMPORT_LINE_USER, "alice", BCRYPT,
     false},
    {"alice:!" SSHA, IMPORT_DOVECOT, IMPORT_LINE_USER, "alice", SSHA, true},
    {"alice:{PLAIN}with spaces", IMPORT_DOVECOT, IMPORT_LINE_USER, "alice", "{PLAIN}with spaces", false},
    {"alice:{CRYPT}*", IMPORT_DOVECOT, IMPORT_LINE_SKIPPED, "alice", NULL, false},
    {"alice:{CRYPT}!" BCRYPT, IMPORT_DOVECOT, IMPORT_LINE_SKIPPED, "alice", NULL, false},
    {"alice:x:1000:1000", IMPORT_DOVECOT, IMPORT_LINE_SKIPPED, "alice", NULL, false},
    {"alice::1000:1000", IMPORT_DOVECOT, IMPORT_LINE_SKIPPED, "alice", NULL, false},
    {"alice:{CRYPT}", IMPORT_DOVECOT, IMPORT_LINE_SKIPPED, "alice", NULL, false},
    {"alice:" BCRYPT, IMPORT_HTPASSWD, IMPORT_LINE_USER, "alice", BCRYPT, false},
    {"alice:" SHA512 ":19000:0:99999:7:::", IMPORT_SHADOW, IMPORT_LINE_USER, "alice", SHA512, false},
    {"alice:!" SHA512 ":19000:0:99999:7:::", IMPORT_SHADOW, IMPORT_LINE_USER, "alice", SHA512, true},
    {"alice:!!" SHA512 ":19000:0:99999:7:::", IMPORT_SHADOW, IMPORT_LINE_USER, "alice", SHA512, true},
    {"alice:" SHA512 ":19000:0:99999:7::20000:", IMPORT_SHADOW, IMPORT_LINE_USER, "alice", SHA512, true},
    {"alice:" SHA512 ":19000:0:99999:7::20001:", IMPORT_SHADOW, IMPORT_LINE_USER, "alice", SHA512, false},
    {"daemon:*:19000:0:99999:7:::", IMPORT_SHADOW, IMPORT_LINE_SKIPPED, "daemon", NULL, false},
    {"sshd:!:19000::::::", IMPORT_SHADOW, IMPORT_LINE_SKIPPED, "sshd", NULL, true},
    {"games:!*:19000::::::", IMPORT_SHADOW, IMPORT_LINE_SKIPPED, "games", NULL, true},
    {"root:" SHA512 ":19000:0:99999:7:::", IMPORT_SHADOW, IMPORT_LINE_SKIPPED, "root", NULL, false},
    {"alice:" SHA512 ":19000:0:99999:7::", IMPORT_SHADOW, IMPORT_LINE_FAULT, NULL, NULL, false},
    {"", IMPORT_DOVECOT, IMPORT_LINE_BLANK, NULL, NULL, false},
    {"  \t", IMPORT_DOVECOT, IMPORT_LINE_BLANK, NULL, NULL, false},
    {"# alice:" SSHA, IMPORT_DOVECOT, IMPORT_LINE_BLANK, NULL, NULL, false},
    {"alice", IMPORT_DOVECOT, IMPORT_LINE_FAULT, NULL, NULL, false},
    {":" SSHA, IMPORT_DOVECOT, IMPORT_LINE_FAULT, NULL, NULL, false},
    {"ali\033ce:" SSHA, IMPORT_DOVECOT, IMPORT_LINE_FAULT, NULL, NULL, false},
};

Test(import, lines) {
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        struct import_line out;
        enum import_line_kind kind = import_line_read(span_text(lines[i].line), lines[i].format, 20000, &out);
        cr_expect_eq(kind, lines[i].kind, "%s: %d", lines[i].line, kind);
        cr_expect_eq(out.locked, lines[i].locked, "%s", lines[i].line);
        if (lines[i].name) cr_expect(span_equal(out.name, span_text(lines[i].name)), "%s", lines[i].line);
        if (lines[i].field) cr_expect(span_equal(out.field, span_text(lines[i].field)), "%s", lines[i].line);
        bool told = kind == IMPORT_LINE_FAULT || kind == IMPORT_LINE_SKIPPED;
        cr_expect_eq(out.why != NULL, told, "%s", lines[i].line);
    }
}

Test(import, guesses) {
    static const struct {
        const char *text;
        enum import_format format;
    } rows[] = {
        {"", IMPORT_NONE},
        {"# nothing\n\n", IMPORT_NONE},
        {"a:x\nb:y", IMPORT_HTPASSWD},
        {"a:x\r\nb:y\r\n", IMPORT_HTPASSWD},
        {"a:x\nb:y:1000:1000::/home/b::\n", IMPORT_DOVECOT},
        {"a:*:19000:0:99999:7:::\nb:" SHA512 ":19000:0:99999:7:::\n", IMPORT_SHADOW},
        {"a:x:1000:1000::/home/a::quota=*:storage=1\n", IMPORT_DOVECOT},
        {"a:x:1000:1000::::userdb_x=y\n", IMPORT_DOVECOT},
        {"a:*:19000:0:99999:7:::\nb:x\n", IMPORT_DOVECOT},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        cr_expect_eq(import_format_guess(span_text(rows[i].text)), rows[i].format, "%s", rows[i].text);
    cr_expect_eq(import_format_of(SPAN("Dovecot")), IMPORT_DOVECOT);
    cr_expect_eq(import_format_of(SPAN("passwd")), IMPORT_NONE);
}

/* ---- files */

static char *said; /* to the end of the test */
static size_t said_n;

static void forget_said(void) {
    free(said);
}

static struct import_file read_file(const char *text, const char *domain) {
    struct import_file file = {.name = "FILE", .scheme = SPAN("CRYPT"), .domain = domain, .today = 20000};
    int fd = memfd_create("file", 0);
    cr_assert(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text) && lseek(fd, 0, SEEK_SET) == 0);
    free(said);
    said = NULL;
    file.errors = open_memstream(&said, &said_n);
    cr_assert_eq(import_file_read(&file, fd), 0);
    fclose(file.errors);
    close(fd);
    return file;
}

Test(import, file, .fini = forget_said) {
    struct import_file file = read_file("Zoe:" SSHA "\n"
                                        "\"ann.e\"@Example.TEST:!" BCRYPT "\n"
                                        "ida:*\nnobody:*\nx:\n"
                                        "bob@other.test:{PLAIN}secret",
                                        "example.test");
    cr_expect_eq(file.format, IMPORT_HTPASSWD);
    cr_expect_str_eq(said, "");
    cr_assert_eq(file.n, 3);
    cr_expect(span_equal(file.users[0].login, SPAN("ann.e@example.test")) && file.users[0].locked);
    cr_expect(file.users[0].scheme == PASSWORD_BCRYPT && span_equal(file.users[0].hash, SPAN(BCRYPT)));
    cr_expect(span_equal(file.users[1].login, SPAN("bob@other.test")) && file.users[1].line == 6);
    cr_expect(file.users[1].scheme == PASSWORD_NONE && span_equal(file.users[1].hash, SPAN("secret")));
    cr_expect(span_equal(file.users[2].login, SPAN("zoe@example.test")) && file.users[2].line == 1);
    cr_expect(file.skips[0].n == 2 && file.skips[1].n == 1 && !file.skips[2].why);
    import_file_free(&file);
}

Test(import, faults_by_line, .fini = forget_said) {
    struct import_file file =
        read_file("a:" SSHA "\r\n"
                  "no line\n"
                  "b@example.test:{SSHA}x\n"
                  "A@Example.test:" BCRYPT "\n"
                  "a b@example.test:" BCRYPT "\n"
                  "c@[192.0.2.1]:" BCRYPT "\n"
                  "d@example.test:$2y$31$tHlMRbQkQPyICI4KUigln.PAF12G7isMBuqn1FdCzcv.UkCeD.Iw6\n",
                  "example.test");
    cr_expect_eq(file.faults, 6);
    cr_expect_str_eq(said, "gatepost: FILE:2: it is no line of a password file: there is no colon\n"
                           "gatepost: FILE:3: b@example.test: the hash is malformed, or cut short\n"
                           "gatepost: FILE:5: a b@example.test is no address\n"
                           "gatepost: FILE:6: c@[192.0.2.1] is no address\n"
                           "gatepost: FILE:7: d@example.test: the hash is bcrypt of a cost over 14, which takes too "
                           "long\n"
                           "gatepost: FILE:4: a@example.test is on line 1 already\n");
    cr_expect_eq(file.n, 1, "what is without fault is there, to be asked about");
    import_file_free(&file);
    file = read_file("a:" SSHA, NULL);
    cr_expect_str_eq(said, "gatepost: FILE:1: a has no domain; name it by --domain\n");
    import_file_free(&file);
}

/* Memory grows with the file, and not all of what is wrong in a large one is told. */
Test(import, large_file, .fini = forget_said) {
    size_t n = 0, cap = 3000000;
    char *text = malloc(cap);
    cr_assert_not_null(text);
    for (int i = 0; i < 30000; i++) n += (size_t)snprintf(text + n, cap - n, "u%d:%s\n", i, i % 30 ? SSHA : "$");
    struct import_file file = read_file(text, "example.test");
    size_t told = 0;
    for (const char *p = said; (p = strchr(p, '\n')); p++) told++;
    cr_expect_eq(file.n, 29000);
    cr_expect_eq(file.faults, 1000);
    cr_expect_eq(told, IMPORT_SAID_MAX);
    import_file_free(&file);
    free(text);
}

/* ---- the change itself */

static struct database *db;

static void open_database(void) {
    scratch_enter();
    cr_assert_not_null(db = database_open("gatepost.db", DATABASE_ACCOUNTS));
}

static void close_database(void) {
    database_close(db);
}

static int told;
static void count_change(void *context, int64_t user_id, int64_t gone) {
    (void)context;
    (void)user_id;
    (void)gone;
    told++;
}

static const char *hash_of(const char *login, bool *enabled_out) {
    static struct credential credentials[CREDENTIALS_MAX];
    struct account account;
    size_t n;
    cr_assert_eq(account_find(db, span_text(login), &account), ACCOUNT_FOUND, "%s", login);
    cr_assert_eq(credential_of_user(db, account.id, CREDENTIAL_SMTP, 1, credentials, &n), ACCOUNT_FOUND);
    *enabled_out = account.enabled;
    return n ? credentials[0].hash : "";
}

static bool count_users(void *context, const struct account_row *row) {
    (void)row;
    ++*(int *)context;
    return true;
}

Test(import, change, .init = open_database, .fini = close_database) {
    struct account_import_count count;
    bool enabled;
    uint64_t work;
    int n = 0;
    account_watch(count_change, NULL);
    cr_assert_eq(account_import_begin(db), 0);
    cr_expect_eq(account_import_add(db, SPAN("a@example.test"), SPAN(SSHA), true), ACCOUNT_CHANGED);
    cr_expect_eq(account_import_add(db, SPAN("a@example.test"), SPAN(BCRYPT), true), ACCOUNT_EXISTS);
    cr_expect_eq(account_import_add(db, SPAN("b@example.test"), SPAN(BCRYPT), false), ACCOUNT_CHANGED);
    cr_expect_eq(account_count(db), 0, "nothing before it is kept");
    cr_expect_eq(account_import_commit(db, &count), ACCOUNT_CHANGED);
    cr_expect(count.added == 2 && count.replaced == 0);
    cr_expect_eq(told, 1, "as one change");
    cr_expect_str_eq(hash_of("a@example.test", &enabled), SSHA);
    cr_expect(enabled);
    cr_expect_str_eq(hash_of("b@example.test", &enabled), BCRYPT);
    cr_expect_not(enabled);

    cr_expect_eq(account_import_commit(db, &count), ACCOUNT_CHANGED, "of nobody");
    cr_expect_eq(count.added + count.replaced, 0, "what was kept is forgotten");

    cr_expect_eq(account_import_add(db, SPAN("a@example.test"), SPAN(BCRYPT12), false), ACCOUNT_CHANGED);
    cr_expect_eq(account_import_add(db, SPAN("b@example.test"), SPAN(SSHA), true), ACCOUNT_CHANGED);
    cr_expect_eq(account_import_commit(db, &count), ACCOUNT_CHANGED);
    cr_expect(count.added == 0 && count.replaced == 2);
    cr_expect_str_eq(hash_of("a@example.test", &enabled), BCRYPT12);
    cr_expect_not(enabled, "locked elsewhere");
    cr_expect_str_eq(hash_of("b@example.test", &enabled), SSHA);
    cr_expect_not(enabled, "an import enables nobody whom the owner disabled");

    cr_expect_eq(credential_dearest(db, &work), ACCOUNT_FOUND);
    struct password_cost cost;
    cr_expect(password_format_read(SPAN(BCRYPT12), &cost) && work == cost.work,
              "failures wait for imported ones too");

    for (int i = 0; i < 450; i++) {
        char login[32];
        snprintf(login, sizeof login, "u%03d@example.test", i);
        cr_assert_eq(account_import_add(db, span_text(login), SPAN(SSHA), true), ACCOUNT_CHANGED);
    }
    cr_expect_eq(account_import_commit(db, &count), ACCOUNT_CHANGED);
    cr_expect_eq(account_import_users_after(db, SPAN(""), count_users, &n), ACCOUNT_FOUND);
    cr_expect_eq(n, 200);
    n = 0;
    cr_expect_eq(account_import_users_after(db, SPAN("u400@example.test"), count_users, &n), ACCOUNT_FOUND);
    cr_expect_eq(n, 49);
}

/* ---- the verbs */

static struct auth_fixture fixture;
static char text[1 << 20];

static void begin(void) {
    auth_fixture_setup(&fixture);
}

TestSuite(import_verbs, .init = begin, .timeout = 240);

static int ask(const char *users, const char *end, const char *replace) {
    struct buf b = buf_over(text, sizeof text - 1);
    return auth_fixture_command(&fixture, &b, "user import", "begin", "yes", "users", users, "end", end, replace,
                                "yes", NULL);
}

static int export(void) {
    struct buf b = buf_over(text, sizeof text - 1);
    return auth_fixture_command(&fixture, &b, "user export", NULL);
}

Test(import_verbs, answers) {
    cr_expect_eq(ask("1\t1\tann@example.test\t" SSHA "\n2\t0\tbob@other.test\t" BCRYPT "\n", "check", "-"),
                 CONTROL_OK);
    cr_expect_str_eq(text, "added=2\nreplaced=0\n");
    cr_expect_eq(export(), CONTROL_OK);
    cr_expect_str_eq(text, "", "only checked");
    cr_expect_eq(ask("1\t1\tann@example.test\t" SSHA "\n2\t0\tbob@other.test\t" BCRYPT "\n", "keep", "-"), CONTROL_OK,
                 "%s", text);
    cr_expect_eq(export(), CONTROL_OK);
    cr_expect_str_eq(text,
                     "ann@example.test\n" SSHA "\nlocked=0\n/var/mail/example.test/ann\nuid=1234\ngid=1234\n"
                     "bob@other.test\n{CRYPT}" BCRYPT "\nlocked=1\n/var/mail/other.test/bob\nuid=1234\ngid=1234\n");
    cr_expect_eq(ask("1\t1\tann@example.test\t" SSHA "\n", "keep", "-"), CONTROL_REFUSED);
    cr_expect_eq(ask("1\t1\tann@example.test\t" BCRYPT "\n", "keep", "replace"), CONTROL_OK);
    cr_expect_str_eq(text, "added=0\nreplaced=1\n");
}

Test(import_verbs, refuses) {
    static const struct {
        const char *users, *why;
        int code;
    } rows[] = {
        {"7\t1\tann@foreign.test\t" SSHA "\n",
         "line=7\nann@foreign.test\nann@foreign.test: its domain is not in "
         "local_domains\n",
         CONTROL_REFUSED},
        {"7\t1\t\"a b\"@example.test\t" SSHA "\n", "directory's name", CONTROL_REFUSED},
        {"7\t1\tann\t" SSHA "\n", "not a full address", CONTROL_REFUSED},
        {"7\t1\tann@example.test\t{SSHA}\n", "malformed", CONTROL_REFUSED},
        {"7\t1\tann@example.test\t$2y$31$tHlMRbQkQPyICI4KUigln.PAF12G7isMBuqn1FdCzcv.UkCeD.Iw6\n", "over 14",
         CONTROL_REFUSED},
        {"7\t1\tann@example.test\t" SSHA "\n8\t1\tAnn@example.test\t" SSHA "\n", "line=8\n", CONTROL_REFUSED},
        {"7\t1\tinfo@example.test\t" SSHA "\n", "alias of this name", CONTROL_REFUSED},
        {"x\t1\tann@example.test\t" SSHA "\n", "malformed", CONTROL_USAGE},
        {"7\t2\tann@example.test\t" SSHA "\n", "malformed", CONTROL_USAGE},
        {"7\n", "malformed", CONTROL_USAGE},
    };
    struct buf b = buf_over(text, sizeof text - 1);
    cr_assert_eq(auth_fixture_command(&fixture, &b, "alias add", "address", "info@example.test", "target",
                                      "zoe@example.test", NULL),
                 CONTROL_OK);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        cr_expect_eq(ask(rows[i].users, "keep", "-"), rows[i].code, "%s", rows[i].users);
        cr_expect(strstr(text, rows[i].why), "%s: %s", rows[i].users, text);
    }
    b = buf_over(text, sizeof text - 1);
    cr_expect_eq(auth_fixture_command(&fixture, &b, "user import", "users", "7\t1\tann@example.test\t" SSHA "\n",
                                      "end", "keep", NULL),
                 CONTROL_REFUSED, "begun by nobody");
    cr_expect_eq(export(), CONTROL_OK);
    cr_expect_str_eq(text, "", "nothing was left behind");
}
