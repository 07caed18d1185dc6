/* test_system_users.c - what auth is told of the users of this host.
 * Runs in: the test runner. Trusts: nothing. Never: looks at this host's own users. */
#include "server/process/system_users.h"
#include "store/log.h"
#include "tests/unit/scratch.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

static char root[] = "root", web[] = "www-data", login[] = "web@example.test";
static char *trusted[] = {root};
static struct conf_local_user mapped[] = {{web, login}};
static struct conf conf = {.local = {.trusted = {trusted, 1}, .users = mapped, .n_users = 1}};

static void quiet(void) {
    scratch_enter();
    log_use(open("/dev/null", O_WRONLY));
}

TestSuite(system_users, .init = quiet);

Test(system_users, are_read) {
    static const struct {
        uint32_t uid;
        const char *name, *login;
        bool trusted;
    } expected[] = {{0, "root", "", true},
                    {33, "www-data", "web@example.test", false},
                    {1000, "Jo.Doe", "", false},
                    {0, "toor", "", false}};
    struct system_users users;
    FILE *file = fopen("passwd", "w");
    cr_assert(file);
    fputs("root:x:0:0:root:/root:/bin/sh\n\nwww-data:x:33:33::/:/bin/false\nnot a line\nJo.Doe:x:1000:1000:,,,:/h:\n"
          "a-name-that-is-far-too-long-for-a-local-part-of-an-address-which-has-64-octets:x:7:7:::\n"
          "toor:x:0:0::/:/bin/sh\n",
          file);
    cr_assert_eq(fclose(file), 0);
    system_users_read(&users, &conf, "passwd");
    cr_assert_eq(users.n, sizeof expected / sizeof *expected);
    for (size_t i = 0; i < users.n; i++) {
        cr_expect_eq(users.items[i].uid, expected[i].uid);
        cr_expect(span_equal(users.items[i].name, span_text(expected[i].name)), "%s", expected[i].name);
        cr_expect(span_equal(users.items[i].login, span_text(expected[i].login)), "%s", expected[i].name);
        cr_expect_eq(users.items[i].trusted, expected[i].trusted, "%s", expected[i].name);
    }
    system_users_free(&users);
}

Test(system_users, without_a_file_there_is_nobody) {
    struct system_users users;
    system_users_read(&users, &conf, "nothing-here");
    cr_expect_eq(users.n, (size_t)0);
    system_users_free(&users);
}

static unsigned changes;

static void count(void) {
    changes++;
}

static unsigned changes_after(struct loop *loop, const char *old, const char *new) {
    unsigned before = changes;
    FILE *file = fopen(old, "w");
    cr_assert(file && fclose(file) == 0);
    if (new) cr_assert_eq(rename(old, new), 0);
    cr_assert_eq(loop_round(loop, 0), 0);
    return changes - before;
}

Test(system_users, changes_are_told) {
    static char path[4096];
    struct loop_watch watch;
    struct loop loop;
    cr_assert(getcwd(path, sizeof path - 20) && loop_open(&loop) == 0);
    memcpy(path + strlen(path), "/passwd", sizeof "/passwd");
    cr_assert(system_users_watch(&loop, &watch, path, count));
    cr_expect_eq(changes_after(&loop, "other", NULL), 0u);
    cr_expect_eq(changes_after(&loop, "passwd-", NULL), 0u);
    cr_expect_eq(changes_after(&loop, "passwd", NULL), 1u);
    cr_expect_eq(changes_after(&loop, "passwd+", "passwd"), 1u);
    loop_remove(&loop, &watch);
    close(watch.fd);
    loop_close(&loop);
    cr_expect_not(system_users_watch(&loop, &watch, "/nonexistent/passwd", count));
    cr_expect_not(system_users_watch(&loop, &watch, "passwd", count));
}
