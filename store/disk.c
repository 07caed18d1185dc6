/* disk.c - the system's file operations behind one table, and the loops around them.
 * Runs in: queue, Maildir agents. Trusts: the kernel's return values. Never: retries a sync that failed. */
#include "store/disk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/aio_abi.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

static int system_open(int directory, const char *name, int flags, mode_t mode) {
    return openat(directory, name, flags | O_CLOEXEC, mode);
}

static int system_unlink(int directory, const char *name) {
    return unlinkat(directory, name, 0);
}

static int system_free_bytes(int directory, uint64_t *bytes_out, uint64_t *inodes_out) {
    struct statvfs status;
    if (fstatvfs(directory, &status) != 0) return -1;
    *bytes_out = (uint64_t)status.f_bavail * status.f_frsize;
    *inodes_out = status.f_files ? status.f_favail : UINT64_MAX; /* some file systems count none */
    return 0;
}

static int system_rename_new(int from_directory, const char *from, int to_directory, const char *to) {
    return renameat2(from_directory, from, to_directory, to, RENAME_NOREPLACE);
}

static int system_link(int from_directory, const char *from, int to_directory, const char *to) {
    return linkat(from_directory, from, to_directory, to, 0);
}

static int system_lock(int fd) {
    return flock(fd, LOCK_EX | LOCK_NB);
}

static int system_begin_sync(int fd) {
    return sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE);
}

static int system_list(int directory, int (*each)(void *context, const char *name), void *context) {
    /* A descriptor of its own: reading a directory moves the offset that duplicates share. */
    int fd = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), result = 0;
    DIR *listing = fd < 0 ? NULL : fdopendir(fd);
    if (!listing) {
        if (fd >= 0) close(fd);
        return -1;
    }
    for (struct dirent *entry; result == 0 && (errno = 0, entry = readdir(listing));)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            result = each(context, entry->d_name);
    if (result == 0 && errno) result = -1;
    int saved = errno;
    closedir(listing);
    errno = saved;
    return result;
}

const struct disk_calls disk_system = {
    .open = system_open,
    .close = close,
    .pwritev = pwritev,
    .pread = pread,
    .fsync = fsync,
    .fdatasync = fdatasync,
    .fallocate = fallocate,
    .rename = renameat,
    .unlink = system_unlink,
    .mkdir = mkdirat,
    .free_bytes = system_free_bytes,
    .rename_new = system_rename_new,
    .link = system_link,
    .chmod = fchmod,
    .status = fstat,
    .lock = system_lock,
    .begin_sync = system_begin_sync,
    .list = system_list,
};

static const struct disk_calls *calls = &disk_system;

void disk_use(const struct disk_calls *wanted) {
    calls = wanted ? wanted : &disk_system;
}
const struct disk_calls *disk_calls(void) {
    return calls;
}

int disk_write(int fd, struct iovec *parts, int n, uint64_t offset) {
    while (n > 0) {
        ssize_t done = calls->pwritev(fd, parts, n < IOV_MAX ? n : IOV_MAX, (off_t)offset);
        if (done < 0 && errno == EINTR) continue;
        if (done < 0) return -1;
        if (done == 0 && parts->iov_len) {
            errno = EIO;
            return -1;
        }
        offset += (uint64_t)done;
        size_t left = (size_t)done;
        for (; n > 0 && left >= parts->iov_len; n--) left -= (parts++)->iov_len;
        if (n > 0) parts->iov_base = (uint8_t *)parts->iov_base + left, parts->iov_len -= left;
    }
    return 0;
}

int disk_write_span(int fd, struct span s, uint64_t offset) {
    struct iovec part = {(void *)(uintptr_t)s.p, s.n};
    return disk_write(fd, &part, 1, offset);
}

ssize_t disk_read(int fd, void *p, size_t n, uint64_t offset) {
    size_t have = 0;
    while (have < n) {
        ssize_t got = calls->pread(fd, (uint8_t *)p + have, n - have, (off_t)(offset + have));
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return -1;
        if (got == 0) break;
        have += (size_t)got;
    }
    return (ssize_t)have;
}

enum { SYNC_AT_ONCE = 32 };

/* How many of the first were synced; the rest is still to be done. The kernel's own interface: the C library has none
 * that does without threads. */
static size_t sync_together(const int *fds, size_t n, int *errors_out) {
    static aio_context_t context; /* of this process: one that was forked is told EINVAL, and makes its own */
    struct iocb orders[SYNC_AT_ONCE] = {0}, *list[SYNC_AT_ONCE];
    struct io_event events[SYNC_AT_ONCE];
    if (!context && syscall(SYS_io_setup, SYNC_AT_ONCE, &context) != 0) return 0;
    for (size_t i = 0; i < n; i++) {
        orders[i].aio_fildes = (uint32_t)fds[i];
        orders[i].aio_lio_opcode = IOCB_CMD_FSYNC;
        orders[i].aio_data = i;
        errors_out[i] = EIO;
        list[i] = &orders[i];
    }
    long taken = syscall(SYS_io_submit, context, (long)n, list), left = taken;
    if (taken < 0 && errno == EINVAL) context = 0;
    while (left > 0) {
        long ended = syscall(SYS_io_getevents, context, left, left, events, NULL);
        if (ended < 0 && errno != EINTR) abort(); /* nobody knows what the kernel still does with them */
        for (long i = 0; i < ended; i++) errors_out[events[i].data] = events[i].res < 0 ? (int)-events[i].res : 0;
        if (ended > 0) left -= ended;
    }
    return taken < 0 ? 0 : (size_t)taken;
}

void disk_sync_all(const int *fds, size_t n, int *errors_out) {
    for (size_t i = 0; i < n;) {
        size_t together = n - i < SYNC_AT_ONCE ? n - i : SYNC_AT_ONCE;
        together = together > 1 && calls == &disk_system ? sync_together(fds + i, together, errors_out + i) : 0;
        i += together;
        if (together || i == n) continue;
        errors_out[i] = calls->fsync(fds[i]) != 0 ? errno : 0;
        i++;
    }
}

int disk_directory(int directory, const char *name) {
    static bool unsure; /* once a sync has failed: what is found may not be on the disk */
    int fd = calls->open(directory, name, O_RDONLY | O_DIRECTORY, 0);
    bool made = fd < 0 && errno == ENOENT;
    if (fd < 0 && (!made || calls->mkdir(directory, name, 0700) != 0)) return -1;
    if ((made || unsure) && calls->fsync(directory) != 0) {
        int error = errno;
        unsure = true;
        if (fd >= 0) (void)calls->close(fd);
        errno = error;
        return -1;
    }
    return made ? calls->open(directory, name, O_RDONLY | O_DIRECTORY, 0) : fd;
}

int disk_list(int directory, int (*each)(void *context, const char *name), void *context) {
    return calls->list(directory, each, context);
}
