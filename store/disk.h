/* disk.h - every file operation of the queue and of Maildirs goes through here, so that tests can fail, cut and
 * record it. */
#ifndef STORE_DISK_H
#define STORE_DISK_H

#include "store/span.h"

#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>

/* One entry per system call, with its own meaning, return value and errno; list: disk_list. */
struct disk_calls {
    int (*open)(int directory, const char *name, int flags, mode_t mode);
    int (*close)(int fd);
    ssize_t (*pwritev)(int fd, const struct iovec *parts, int n, off_t offset);
    ssize_t (*pread)(int fd, void *p, size_t n, off_t offset);
    int (*fsync)(int fd);
    int (*fdatasync)(int fd);
    int (*fallocate)(int fd, int mode, off_t offset, off_t n);
    int (*rename)(int from_directory, const char *from, int to_directory, const char *to);
    int (*unlink)(int directory, const char *name);
    int (*mkdir)(int directory, const char *name, mode_t mode);
    int (*rename_new)(int from_directory, const char *from, int to_directory, const char *to); /* replaces nothing */
    int (*link)(int from_directory, const char *from, int to_directory, const char *to);
    int (*chmod)(int fd, mode_t mode);
    int (*status)(int fd, struct stat *out);
    int (*lock)(int fd);       /* for this process alone, without waiting */
    int (*begin_sync)(int fd); /* what was written starts on its way to the disk; promises nothing */
    int (*list)(int directory, int (*each)(void *context, const char *name), void *context);
    int (*free_bytes)(int directory, uint64_t *bytes_out, uint64_t *inodes_out);
};

/* The system's own. */
extern const struct disk_calls disk_system;

/* What is used from now on (tests); NULL: the system's. */
void disk_use(const struct disk_calls *calls);
const struct disk_calls *disk_calls(void);

/* Writes all of the parts at `offset`, however many calls it takes. The parts are changed. 0, or -1 with errno. */
int disk_write(int fd, struct iovec *parts, int n, uint64_t offset) MUST_USE;
int disk_write_span(int fd, struct span s, uint64_t offset) MUST_USE;

/* Reads up to n octets; returns how many there were before the end of the file, or -1 with errno. */
ssize_t disk_read(int fd, void *p, size_t n, uint64_t offset) MUST_USE;

/* Syncs every file as fsync does, all at the same time where the system can, so that one flush of the disk serves
 * them. errors_out[i]: 0 or errno. */
void disk_sync_all(const int *fds, size_t n, int *errors_out);

/* Opens a directory below `directory`, making it (mode 0700) and syncing `directory` when it is not there. -1 with
 * errno. */
int disk_directory(int directory, const char *name) MUST_USE;

/* Calls `each` with every name in the directory but "." and "..", until it returns non-zero, which is returned; -1
 * with errno when the directory cannot be read. */
int disk_list(int directory, int (*each)(void *context, const char *name), void *context) MUST_USE;

#endif
