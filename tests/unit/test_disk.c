/* test_disk.c - files that are synced together.
 * Runs in: the test runner. Trusts: the temporary directory. Never: leaves a file. */
#include "store/disk.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum { FILES = 70 };

static int make_file(void) {
    char path[] = "/tmp/gatepost-disk-XXXXXX";
    int fd = mkstemp(path);
    cr_assert(fd >= 0 && unlink(path) == 0 && write(fd, "octets", 6) == 6);
    return fd;
}

static int fsyncs;
static int failing_fsync(int fd) {
    (void)fd;
    if (++fsyncs % 2) return 0;
    errno = ENOSPC;
    return -1;
}

/* What cannot be synced says so, and keeps nothing else from it. */
Test(test_disk, sync_all) {
    int fds[FILES], errors[FILES], ends[2];
    cr_assert_eq(pipe(ends), 0);
    for (int i = 0; i < FILES; i++) fds[i] = i == 3 ? ends[0] : i == 40 ? -1 : make_file(), errors[i] = -1;
    disk_sync_all(fds, FILES, errors);
    for (int i = 0; i < FILES; i++) cr_expect_eq(errors[i], i == 3 ? EINVAL : i == 40 ? EBADF : 0, "%d", i);
    disk_sync_all(fds, 1, errors);
    cr_expect_eq(errors[0], 0);
    disk_sync_all(fds, 0, errors);
    /* A process that was forked has a context of its own. */
    pid_t pid = fork();
    if (pid == 0) {
        for (int round = 0; round < 2; round++) {
            for (int i = 0; i < 3; i++) errors[i] = -1;
            disk_sync_all(fds, 3, errors);
            if (errors[0] || errors[1] || errors[2]) _exit(1);
        }
        _exit(0);
    }
    int status = -1;
    cr_expect(waitpid(pid, &status, 0) == pid && status == 0);
}

/* A test's own table sees every sync. */
Test(test_disk, sync_all_by_another_table) {
    struct disk_calls calls = disk_system;
    int fds[4] = {5, 6, 7, 8}, errors[4];
    calls.fsync = failing_fsync;
    disk_use(&calls);
    disk_sync_all(fds, 4, errors);
    disk_use(NULL);
    cr_expect_eq(fsyncs, 4);
    for (int i = 0; i < 4; i++) cr_expect_eq(errors[i], i % 2 ? ENOSPC : 0);
}
