/* command_backup.c - a copy of users, queue and configuration, from a running server or without one.
 * Runs in: the command line. Trusts: whoever may read the state directory. Never: writes into a directory that holds
 * something, follows a link in the state directory. */
#include "server/process/command_ask.h"
#include "server/process/command_run.h"
#include "server/process/stand_alone.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BLOCK = 64 << 10, DEPTH_MAX = 3 };

static int fault(const char *what) {
    fprintf(stderr, "gatepost: backup: %s: %s\n", what, strerrordesc_np(errno));
    return -1;
}

static bool is_zero(const uint8_t *p, size_t n) {
    return n == 0 || (p[0] == 0 && memcmp(p, p + 1, n - 1) == 0);
}

/* What is allocated and not used yet stays a hole: a segment of the queue's log has much of it. */
static int copy_octets(int from, int to) {
    static uint8_t block[BLOCK];
    off_t at = 0;
    for (ssize_t n; (n = pread(from, block, sizeof block, at)) != 0; at += n) {
        if (n < 0) return -1;
        for (ssize_t done = 0; done < n && !is_zero(block, (size_t)n);) {
            ssize_t put = pwrite(to, block + done, (size_t)(n - done), at + done);
            if (put < 0) return -1;
            done += put;
        }
    }
    return ftruncate(to, at) == 0 ? fsync(to) : -1;
}

/* A file that has gone since it was listed belonged to a message that is not accepted yet. */
static int copy_file(int from, const char *name, int to, const char *new_name) {
    /* The configuration is named by the owner, who may keep it behind a link. */
    int in = openat(from, name, O_RDONLY | (from == AT_FDCWD ? 0 : O_NOFOLLOW) | O_CLOEXEC);
    if (in < 0) return errno == ENOENT ? 0 : fault(name);
    int out = openat(to, new_name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    int result = out < 0 || copy_octets(in, out) != 0 ? fault(new_name) : 0;
    close(in);
    if (out >= 0) close(out);
    return result;
}

static int make_directory(int in, const char *name) {
    if (mkdirat(in, name, 0700) != 0 && errno != EEXIST) return fault(name);
    int fd = openat(in, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return fd < 0 ? fault(name) : fd;
}

static int copy_tree(int from, int to, unsigned depth);

static int copy_entry(int from, const char *name, int to, unsigned depth) {
    struct stat status;
    if (name[0] == '.' || strcmp(name, "lock") == 0) return 0;
    if (fstatat(from, name, &status, AT_SYMLINK_NOFOLLOW) != 0) return errno == ENOENT ? 0 : fault(name);
    if (S_ISREG(status.st_mode)) return copy_file(from, name, to, name);
    if (!S_ISDIR(status.st_mode) || depth == DEPTH_MAX) return 0;
    int in = openat(from, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), out = make_directory(to, name);
    int result = in < 0 ? fault(name) : out < 0 ? -1 : copy_tree(in, out, depth + 1);
    if (in >= 0) close(in);
    if (out >= 0) close(out);
    return result;
}

static int copy_tree(int from, int to, unsigned depth) {
    int copy = openat(from, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), result = 0;
    DIR *directory = copy < 0 ? NULL : fdopendir(copy);
    if (!directory) {
        result = fault("a directory");
        if (copy >= 0) close(copy);
        return result;
    }
    for (struct dirent *entry; result == 0 && (entry = readdir(directory));)
        result = copy_entry(from, entry->d_name, to, depth);
    closedir(directory);
    return result == 0 && fsync(to) != 0 ? fault("a directory") : result;
}

static int open_state(const struct conf *conf, const char *name) {
    char path[PATH_MAX];
    int n = snprintf(path, sizeof path, "%s/%s", conf->state_directory, name);
    errno = ENAMETOOLONG;
    int fd = n < 0 || (size_t)n >= sizeof path ? -1 : open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? fault(path) : fd;
}

/* Asks the process for the verb, and copies while it knows of us. Its rows are not shown. */
static int copy_state(const struct conf *conf, enum role role, const char *verb, int to,
                      int (*copy)(int from, int to)) {
    struct command_print print;
    FILE *null = fopen("/dev/null", "w");
    const char *name = role == ROLE_AUTH ? "auth" : "queue";
    int fd = null ? command_reach(conf, role) : -1, from = -1, out = -1, result = -1;
    if (fd < 0) goto out;
    command_print_open(&print, null, PRINT_JSON);
    if (command_exchange(fd, verb, NULL, 0, &print) != CONTROL_OK) goto out;
    if ((from = open_state(conf, name)) < 0 || (out = make_directory(to, name)) < 0) goto out;
    result = copy(from, out);
    if (result == 0 && fsync(out) != 0) result = fault(name);
out:
    if (null) fclose(null);
    if (from >= 0) close(from);
    if (out >= 0) close(out);
    if (fd >= 0) stand_alone_end(fd);
    return result;
}

/* Auth has made a consistent copy of its database beside it, by SQLite's own means. */
static int copy_auth(int from, int to) {
    struct stat status;
    int result = copy_file(from, "gatepost.db.backup", to, "gatepost.db");
    if (result == 0 && fstatat(to, "gatepost.db", &status, AT_SYMLINK_NOFOLLOW) != 0) result = fault("gatepost.db");
    if (unlinkat(from, "gatepost.db.backup", 0) != 0 && errno != ENOENT) return fault("gatepost.db.backup");
    return result;
}

/* The queue removes nothing while it is asked. The log first: whatever file a record in it refers to is there, and is
 * still there when its turn comes. The end of the log is as after a crash, which recovery knows. */
static int copy_queue(int from, int to) {
    if (copy_entry(from, "key", to, 0) != 0 || copy_entry(from, "log", to, 0) != 0) return -1;
    return copy_entry(from, "deferred", to, 0) != 0 || copy_entry(from, "body", to, 0) != 0 ? -1 : 0;
}

/* A new directory, or an empty one. -1 after saying why not. */
static int open_target(const char *path) {
    if (mkdir(path, 0700) != 0 && errno != EEXIST) return fault(path);
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), copy = fd < 0 ? -1 : dup(fd);
    DIR *directory = copy < 0 ? NULL : fdopendir(copy);
    bool empty = true;
    if (!directory) return fault(path);
    for (struct dirent *entry; (entry = readdir(directory));)
        empty = empty && (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0);
    closedir(directory);
    if (empty && fchmod(fd, 0700) == 0) return fd;
    fprintf(stderr, "gatepost: backup: %s is not empty; nothing was written\n", path);
    close(fd);
    return -1;
}

/* The name of an included file in the backup: as the configuration names it, which may be a path. */
static bool flat_name(const char *config, const char *name, char *out, size_t size) {
    const char *slash = strrchr(config, '/');
    size_t skip = slash ? (size_t)(slash - config) + 1 : 0, n = strlen(name);
    if (n <= skip || strncmp(config, name, skip) != 0) skip = 0;
    if (n - skip >= size) return false;
    for (size_t i = skip; i <= n; i++) out[i - skip] = name[i] == '/' ? '%' : name[i];
    return true;
}

static int copy_configuration(const struct conf *conf, const char *config, int to) {
    char name[NAME_MAX + 1];
    if (copy_file(AT_FDCWD, config, to, "gatepost.conf") != 0) return -1;
    int out = conf->n_includes ? make_directory(to, "included") : -1, result = 0;
    if (conf->n_includes && out < 0) return -1;
    for (size_t i = 0; result == 0 && i < conf->n_includes; i++) {
        errno = ENAMETOOLONG;
        result = flat_name(config, conf->includes[i], name, sizeof name)
                     ? copy_file(AT_FDCWD, conf->includes[i], out, name)
                     : fault(conf->includes[i]);
    }
    if (out >= 0 && result == 0 && fsync(out) != 0) result = fault("included");
    if (out >= 0) close(out);
    return result;
}

int command_run_backup(const struct command_line *line) {
    const char *path = command_value(line, "directory");
    struct conf *conf = conf_read(line->config, stderr);
    if (!conf) return CONTROL_FAILED;
    int to = open_target(path);
    int code = to < 0 ? CONTROL_REFUSED : CONTROL_OK;
    if (to >= 0) {
        bool done = copy_state(conf, ROLE_AUTH, "backup", to, copy_auth) == 0 &&
                    copy_state(conf, ROLE_QUEUE, "queue backup", to, copy_queue) == 0 &&
                    copy_configuration(conf, line->config, to) == 0 && fsync(to) == 0;
        if (!done) fprintf(stderr, "gatepost: the backup in %s is not complete: do not use it\n", path);
        if (!done) code = CONTROL_FAILED;
        close(to);
    }
    conf_free(conf);
    return code;
}
