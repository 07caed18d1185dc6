/* nt_key.c - NT_KEY_FILE: NT_KEY_BYTES octets, and nothing else.
 * Runs in: master, command line. Trusts: the owner. Never: follows a link to it, writes over one, waits for a pipe.
 */
#include "server/process/nt_key.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

static int open_directory(const struct conf *conf) {
    char path[PATH_MAX];
    int n = snprintf(path, sizeof path, "%s/auth", conf->state_directory);
    errno = ENAMETOOLONG;
    return n < 0 || (size_t)n >= sizeof path ? -1 : open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* What a restore or a copy gave to the auth process is root's again. */
static int check(int fd) {
    struct stat status;
    if (fstat(fd, &status) != 0) return -1;
    errno = EBADMSG;
    if (!S_ISREG(status.st_mode) || status.st_size != NT_KEY_BYTES) return -1;
    errno = EPERM;
    if (status.st_mode & 077) return -1;
    return geteuid() == 0 && status.st_uid != 0 ? fchown(fd, 0, 0) : 0;
}

static int read_key(int directory, uint8_t key_out[NT_KEY_BYTES]) {
    int fd = openat(directory, NT_KEY_FILE, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) return -1;
    int result = check(fd);
    if (result == 0 && read(fd, key_out, NT_KEY_BYTES) != NT_KEY_BYTES) result = -1, errno = EBADMSG;
    int error = errno;
    close(fd);
    errno = error;
    return result;
}

static int fill(int fd) {
    uint8_t key[NT_KEY_BYTES];
    int result = -1;
    errno = EIO; /* where less was drawn or written than asked for */
    if (getrandom(key, sizeof key, 0) == (ssize_t)sizeof key && write(fd, key, sizeof key) == (ssize_t)sizeof key)
        result = fsync(fd);
    explicit_bzero(key, sizeof key);
    return result;
}

/* It gets its name when all of it is on the disk; another's that got there before stays. */
static int make_key(int directory) {
    char name[64];
    (void)snprintf(name, sizeof name, ".%s.%ld", NT_KEY_FILE, (long)getpid());
    int fd = openat(directory, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0) return -1;
    int result = fill(fd);
    if (result == 0 && linkat(directory, name, directory, NT_KEY_FILE, 0) != 0 && errno != EEXIST) result = -1;
    if (result == 0) result = fsync(directory);
    int error = errno;
    (void)unlinkat(directory, name, 0);
    close(fd);
    errno = error;
    return result;
}

int nt_key_get(const struct conf *conf, uint8_t key_out[NT_KEY_BYTES]) {
    memset(key_out, 0, NT_KEY_BYTES);
    int directory = open_directory(conf);
    if (directory < 0) return -1;
    int result = read_key(directory, key_out);
    if (result != 0 && errno == ENOENT) result = make_key(directory) == 0 ? read_key(directory, key_out) : -1;
    int error = errno;
    close(directory);
    errno = error;
    return result;
}

const char *nt_key_why(int error) {
    if (error == EBADMSG) return "not a key: it has 32 octets";
    return error == EPERM ? "others may read it, or it is not ours; its mode is to be 0600" : strerrordesc_np(error);
}
