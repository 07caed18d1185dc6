/* test_nt_key.c - the key of NT hashes: made once, read again, and only where nobody else reads it. */
#include "server/process/nt_key.h"
#include "tests/unit/conf_fixture.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static struct conf conf;
static char directory[128], path[160];

static void begin(void) {
    fixture_begin();
    conf = (struct conf){.state_directory = fixture_directory};
    snprintf(directory, sizeof directory, "%s/auth", fixture_directory);
    snprintf(path, sizeof path, "%s/" NT_KEY_FILE, directory);
    cr_assert_eq(mkdir(directory, 0711), 0);
}

static void end(void) {
    (void)remove(path);
    (void)rmdir(directory);
    fixture_end();
}

TestSuite(nt_key, .init = begin, .fini = end);

static void write_key(size_t n, mode_t mode) {
    static const uint8_t octets[64] = {1, 2, 3};
    (void)remove(path);
    FILE *file = fopen(path, "w");
    cr_assert_not_null(file);
    cr_assert_eq(fwrite(octets, 1, n, file), n);
    cr_assert_eq(fclose(file), 0);
    cr_assert_eq(chmod(path, mode), 0);
}

Test(nt_key, made_once) {
    uint8_t first[NT_KEY_BYTES], again[NT_KEY_BYTES], zeros[NT_KEY_BYTES] = {0};
    struct stat status;
    cr_assert_eq(nt_key_get(&conf, first), 0);
    cr_expect_arr_neq(first, zeros, sizeof first);
    cr_assert_eq(stat(path, &status), 0);
    cr_expect(status.st_size == NT_KEY_BYTES && (status.st_mode & 07777) == 0600);
    cr_assert_eq(nt_key_get(&conf, again), 0);
    cr_expect_arr_eq(first, again, sizeof first);
    cr_assert_eq(remove(path), 0);
    cr_assert_eq(rmdir(directory), 0, "nothing else is left there");
    cr_expect_eq(nt_key_get(&conf, again), -1);
    cr_expect_eq(errno, ENOENT, "no directory");
}

Test(nt_key, refused) {
    uint8_t key[NT_KEY_BYTES], zeros[NT_KEY_BYTES] = {0};
    write_key(NT_KEY_BYTES, 0600);
    cr_assert_eq(nt_key_get(&conf, key), 0);
    cr_expect_eq(key[1], 2);
    static const struct {
        size_t n;
        mode_t mode;
        int error;
    } rows[] = {{NT_KEY_BYTES - 1, 0600, EBADMSG},
                {NT_KEY_BYTES + 1, 0600, EBADMSG},
                {0, 0600, EBADMSG},
                {NT_KEY_BYTES, 0640, EPERM},
                {NT_KEY_BYTES, 0604, EPERM}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        write_key(rows[i].n, rows[i].mode);
        cr_expect_eq(nt_key_get(&conf, key), -1, "%zu", i);
        cr_expect_eq(errno, rows[i].error, "%zu", i);
        cr_expect_arr_eq(key, zeros, sizeof key, "%zu", i);
    }
}

Test(nt_key, no_file) {
    uint8_t key[NT_KEY_BYTES];
    char other[192];
    snprintf(other, sizeof other, "%s/other", fixture_directory);
    write_key(NT_KEY_BYTES, 0600);
    cr_assert_eq(rename(path, other), 0);
    cr_assert_eq(symlink(other, path), 0);
    cr_expect_eq(nt_key_get(&conf, key), -1);
    cr_expect_eq(errno, ELOOP, "a link");
    cr_assert_eq(remove(path), 0);
    cr_assert_eq(mkfifo(path, 0600), 0);
    cr_expect_eq(nt_key_get(&conf, key), -1);
    cr_expect_eq(errno, EBADMSG, "a pipe, which is not waited for");
    cr_expect_eq(remove(other), 0);
}

Test(nt_key, owner) {
    uint8_t key[NT_KEY_BYTES];
    struct stat status;
    if (geteuid() != 0) return; /* nothing to take back, and no right to */
    write_key(NT_KEY_BYTES, 0600);
    cr_assert_eq(chown(path, 65534, 65534), 0);
    cr_assert_eq(nt_key_get(&conf, key), 0);
    cr_assert_eq(stat(path, &status), 0);
    cr_expect(status.st_uid == 0 && status.st_gid == 0, "root's again, whoever a restore gave it to");
}
