/* test_directories.c - making the directories of state, and which of them a role gets.
 * Runs in: the test runner. Trusts: nothing. Never: leaves the fixture's directory. */
#include "server/process/directories.h"

#include "tests/unit/conf_fixture.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

TestSuite(test_directories, .init = fixture_begin, .fini = fixture_end);

#define PLACES "state_directory = \"%D/state\"; run_directory = \"%D/run\";"

static void stat_of(const char *name, struct stat *out) {
    char path[256];
    snprintf(path, sizeof path, "%s/%s", fixture_directory, name);
    cr_assert_eq(stat(path, out), 0, "%s", path);
}

Test(test_directories, made_with_their_modes_whatever_the_umask) {
    static const struct {
        const char *name;
        mode_t mode;
    } rows[] = {{"state", 0755},       {"run", 0755},        {"run/empty", 0755},    {"state/auth", 0711},
                {"state/queue", 0700}, {"state/mail", 0700}, {"state/capture", 0700}};
    struct conf *conf = fixture_read_good(PLACES, 0);
    umask(0777);
    cr_assert_eq(directories_make(conf, false, stderr), 0);
    umask(0);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct stat status;
        stat_of(rows[i].name, &status);
        cr_expect(S_ISDIR(status.st_mode) && (status.st_mode & 07777) == rows[i].mode, "%s: %o", rows[i].name,
                  status.st_mode);
    }
    cr_expect_eq(directories_make(conf, false, stderr), 0, "a second start finds them");
    conf_free(conf);
}

Test(test_directories, as_root_each_belongs_to_its_role) {
    struct stat status;
    if (geteuid() != 0) return;
    struct conf *conf =
        fixture_read_good(PLACES "users = { auth = \"daemon\"; queue = \"bin\"; mail = \"games\"; };", 0);
    cr_assert_eq(directories_make(conf, true, stderr), 0);
    stat_of("state/auth", &status);
    cr_expect_eq(status.st_uid, 1u);
    stat_of("state/queue", &status);
    cr_expect_eq(status.st_uid, 2u);
    stat_of("state/capture", &status);
    cr_expect_eq(status.st_uid, 5u);
    stat_of("run/empty", &status);
    cr_expect_eq(status.st_uid, 0u);
    conf_free(conf);
}

Test(test_directories, as_root_one_of_another_owner_is_named) {
    char *text = NULL, path[256];
    size_t size;
    if (geteuid() != 0) return;
    struct conf *conf =
        fixture_read_good(PLACES "users = { auth = \"daemon\"; queue = \"bin\"; mail = \"games\"; };", 0);
    cr_assert_eq(directories_make(conf, true, stderr), 0);
    cr_assert_eq(directories_make(conf, true, stderr), 0);
    snprintf(path, sizeof path, "%s/state/queue", fixture_directory);
    cr_assert_eq(chown(path, 0, 0), 0);
    FILE *errors = open_memstream(&text, &size);
    cr_expect_eq(directories_make(conf, true, errors), -1);
    fclose(errors);
    cr_expect(strstr(text, path) && strstr(text, "chown -R bin: "), "%s", text);
    free(text), conf_free(conf);
}

Test(test_directories, one_server_at_a_time) {
    char *text = NULL;
    size_t size;
    struct conf *conf = fixture_read_good(PLACES, 0);
    cr_assert_eq(directories_make(conf, false, stderr), 0);
    int fd = directories_lock(conf, stderr);
    cr_assert_geq(fd, 0);
    FILE *errors = open_memstream(&text, &size);
    cr_expect_eq(directories_lock(conf, errors), -1);
    fclose(errors);
    cr_expect(strstr(text, "another server runs") && strstr(text, conf->state_directory), "%s", text);
    close(fd);
    fd = directories_lock(conf, stderr);
    cr_expect_geq(fd, 0, "the next one");
    close(fd);
    free(text), conf_free(conf);
}

/* The places may have changed since the configuration was read. */
Test(test_directories, what_cannot_be_made_is_said) {
    static const char *const places[] = {"/nonexistent/run", "%D/certificate.pem", "%D/certificate.pem/run"};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        char *text = NULL;
        size_t size;
        FILE *errors = open_memstream(&text, &size);
        struct conf *conf = fixture_read_good(PLACES, 0);
        free(conf->run_directory);
        conf->run_directory = fixture_replace(places[i], "%D", fixture_directory);
        cr_expect_eq(directories_make(conf, false, errors), -1, "row %zu", i);
        fclose(errors);
        cr_expect(strstr(text, "cannot make the directory") && strstr(text, conf->run_directory), "%s", text);
        free(text), conf_free(conf);
    }
}

/* What the descriptor stands for, without the fixture's directory; "" when there is none. */
static void expect_opened(const struct conf *conf, enum role role, unsigned index, const char *wanted) {
    char link[64], path[256] = "";
    int fd = directories_open(conf, role, index);
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    if (fd >= 0) cr_expect_gt(readlink(link, path, sizeof path - 1), 0);
    size_t n = strlen(fixture_directory);
    cr_expect_str_eq(strncmp(path, fixture_directory, n) == 0 ? path + n : path, wanted);
    if (fd >= 0) close(fd);
}

Test(test_directories, each_role_gets_its_own) {
    struct conf *conf = fixture_read_good(PLACES "delivery = { foreign = \"capture\"; };", 0);
    cr_assert_eq(directories_make(conf, false, stderr), 0);
    expect_opened(conf, ROLE_AUTH, 0, "/state/auth");
    expect_opened(conf, ROLE_QUEUE, 0, "/state/queue");
    expect_opened(conf, ROLE_DELIVERY, 0, "/state/mail");
    expect_opened(conf, ROLE_DELIVERY, 1, "/state/capture");
    static const enum role bare[] = {ROLE_LISTENER, ROLE_VERIFIER, ROLE_KEYS,  ROLE_OUTBOUND,
                                     ROLE_RESOLVER, ROLE_LOG,      ROLE_POLICY};
    for (size_t i = 0; i < sizeof bare / sizeof *bare; i++) {
        expect_opened(conf, bare[i], 0, "/run/empty");
        expect_opened(conf, bare[i], 1, "");
    }
    expect_opened(conf, ROLE_AUTH, 1, "");
    conf_free(conf);
    conf = fixture_read_good(PLACES, 0);
    expect_opened(conf, ROLE_DELIVERY, 1, "");
    conf_free(conf);
}
