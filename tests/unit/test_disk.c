/* test_disk.c - files that are synced together.
 * Runs in: the test runner. Trusts: the temporary directory. Never: leaves a file. */
#include "store/disk.h"

#include <criterion/criterion.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/syscall.h>
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

/* One order that ends badly: the kernel has no file for that. */
static int spoilt = -1;
long syscall(long number, ...) {
    static long (*real)(long, ...);
    va_list list;
    long a[6];
    va_start(list, number);
    for (size_t i = 0; i < 6; i++) a[i] = va_arg(list, long);
    va_end(list);
    if (!real) *(void **)&real = dlsym(RTLD_NEXT, "syscall");
    long result = real(number, a[0], a[1], a[2], a[3], a[4], a[5]);
    struct io_event *events = number == SYS_io_getevents ? (struct io_event *)a[3] : NULL;
    for (long i = 0; events && i < result; i++)
        if (events[i].data == (uint64_t)spoilt) events[i].res = -EIO;
    return result;
}

Test(test_disk, sync_that_fails_at_its_end) {
    int fds[3], errors[3] = {-1, -1, -1};
    for (int i = 0; i < 3; i++) fds[i] = make_file();
    spoilt = 1;
    disk_sync_all(fds, 3, errors);
    cr_expect(errors[0] == 0 && errors[1] == EIO && errors[2] == 0, "%d %d %d", errors[0], errors[1], errors[2]);
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

/* A directory whose name could not be synced is not taken for durable when it is found. */
Test(test_disk, directory_after_a_failed_sync) {
    struct disk_calls calls = disk_system;
    char path[] = "/tmp/gatepost-disk-XXXXXX";
    cr_assert(mkdtemp(path));
    int parent = open(path, O_RDONLY | O_DIRECTORY);
    calls.fsync = failing_fsync;
    disk_use(&calls);
    fsyncs = 1; /* the next one fails */
    cr_expect_eq(disk_directory(parent, "a"), -1);
    cr_expect_eq(errno, ENOSPC);
    cr_expect(disk_directory(parent, "a") >= 0);
    cr_expect_eq(fsyncs, 3, "it was found, and not synced");
    disk_use(NULL);
    cr_expect_eq(unlinkat(parent, "a", AT_REMOVEDIR), 0);
    cr_expect_eq(rmdir(path), 0);
}
