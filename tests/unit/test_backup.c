/* test_backup.c - the manifest of a backup: what it holds comes back, and nothing else is taken for one. */
#include "server/process/backup.h"
#include "tests/unit/scratch.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

static char place[SCRATCH_BYTES];
static int directory = -1;

static void open_place(void) {
    scratch_make(place);
    directory = open(place, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    cr_assert(directory >= 0);
}

static void close_place(void) {
    close(directory);
}

TestSuite(backup, .init = open_place, .fini = close_place);

static const uint8_t sum[BACKUP_SUM_BYTES] = {1, 2, 3};

static const struct {
    const char *path;
    bool good;
} paths[] = {{"auth/gatepost.db", true}, {"queue/log/0000000000000001.log", true},
             {"included/a b%c", true},   {"gatepost.conf", true},
             {"gatepost.conf.d", false}, {"queue", false},
             {"queue/", false},          {"queue//key", false},
             {"queue/../key", false},    {"queue/./key", false},
             {"queue/..", false},        {"../queue/key", false},
             {"/etc/passwd", false},     {"mail/x", false},
             {"queue/a\nb", false},      {"", false}};

Test(backup, paths_stay_inside) {
    struct backup backup = {0};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
        cr_expect_eq(backup_add(&backup, paths[i].path, 1, sum) == 0, paths[i].good, "%s", paths[i].path);
    backup_free(&backup);
}

static void write_one(uint64_t bytes) {
    struct backup backup = {.made = "now", .host = "mx.example.test", .gatepost = "0.1"};
    cr_assert_eq(backup_add(&backup, "queue/key", bytes, sum), 0);
    cr_assert_eq(backup_add(&backup, "included/a b", 0, sum), 0);
    cr_assert_eq(backup_write(&backup, directory), 0);
    backup_free(&backup);
}

Test(backup, comes_back) {
    struct backup backup;
    write_one(UINT64_MAX);
    cr_assert_eq(backup_read(&backup, directory, "it", stderr), 0);
    cr_expect_str_eq(backup.host, "mx.example.test");
    cr_assert_eq(backup.n, 2);
    cr_expect_eq(backup.files[0].bytes, UINT64_MAX);
    cr_expect_arr_eq(backup.files[0].sum, sum, sizeof sum);
    cr_expect_str_eq(backup.files[1].path, "included/a b");
    backup_free(&backup);
}

/* Cut anywhere, or with one octet changed anywhere, it is none. */
Test(backup, no_other_text_is_one) {
    char text[2048], changed[2048];
    struct backup backup;
    FILE *errors = fopen("/dev/null", "w");
    write_one(32);
    int fd = openat(directory, BACKUP_MANIFEST, O_RDWR | O_CLOEXEC);
    ssize_t n = pread(fd, text, sizeof text, 0);
    cr_assert(errors && n > 100);
    for (ssize_t at = 0; at < n; at++) {
        memcpy(changed, text, (size_t)n);
        changed[at] ^= 1;
        cr_assert_eq(pwrite(fd, changed, (size_t)n, 0), n);
        cr_expect(backup_read(&backup, directory, "it", errors) != 0, "octet %zd changed", at);
    }
    cr_assert_eq(pwrite(fd, text, (size_t)n, 0), n);
    for (ssize_t cut = n - 1; cut >= 0; cut--) {
        cr_assert_eq(ftruncate(fd, cut), 0);
        cr_expect(backup_read(&backup, directory, "it", errors) != 0, "cut to %zd", cut);
    }
    close(fd);
    fclose(errors);
}
