/* command_backup.c - a copy of users, queue and configuration, from a running server or without one.
 * Runs in: the command line. Trusts: whoever may read the state directory. Never: writes into a directory that holds
 * something, follows a link in the state directory, gives a copy its manifest before all of it is on the disk. */
#include "server/process/backup.h"
#include "server/process/command_ask.h"
#include "server/process/command_run.h"
#include "server/process/nt_key.h"
#include "server/process/stand_alone.h"
#include "server/process/version.h"
#include "store/clock.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { DEPTH_MAX = 3 };

static struct backup backup;

static int fault(const char *what) {
    fprintf(stderr, "gatepost: backup: %s: %s\n", what, strerrordesc_np(errno));
    return -1;
}

/* Copies up to `limit` octets of a file to `place`/new_name and notes it. A file that has gone since it was listed
 * belonged to a message that is not accepted yet; what is `wanted` must be there. */
static int copy_file(int from, const char *name, int to, const char *place, const char *new_name, uint64_t limit,
                     bool wanted) {
    char path[BACKUP_PATH_MAX];
    uint8_t sum[BACKUP_SUM_BYTES];
    uint64_t bytes = 0;
    int n = snprintf(path, sizeof path, "%s%s%s", place, place[0] ? "/" : "", new_name);
    /* The configuration is named by the owner, who may keep it behind a link. */
    int in = openat(from, name, O_RDONLY | (from == AT_FDCWD ? 0 : O_NOFOLLOW) | O_CLOEXEC), out = -1;
    if (in < 0) return errno == ENOENT && !wanted ? 0 : fault(name);
    int result = -1;
    errno = ENAMETOOLONG;
    if (n < 0 || (size_t)n >= sizeof path ||
        (out = openat(to, new_name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600)) < 0)
        goto out;
    result = backup_copy(in, out, limit, &bytes, sum);
    if (result == 0) result = backup_add(&backup, path, bytes, sum);
out:
    if (result != 0) (void)fault(new_name);
    close(in);
    if (out >= 0) close(out);
    return result;
}

static int make_directory(int in, const char *name) {
    if (mkdirat(in, name, 0700) != 0 && errno != EEXIST) return fault(name);
    int fd = openat(in, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return fd < 0 ? fault(name) : fd;
}

static int copy_tree(int from, int to, const char *place, unsigned depth);

static int copy_entry(int from, const char *name, int to, const char *place, unsigned depth) {
    struct stat status;
    char below[BACKUP_PATH_MAX];
    if (name[0] == '.') return 0;
    if (fstatat(from, name, &status, AT_SYMLINK_NOFOLLOW) != 0) return errno == ENOENT ? 0 : fault(name);
    if (S_ISREG(status.st_mode)) return copy_file(from, name, to, place, name, UINT64_MAX, false);
    if (!S_ISDIR(status.st_mode) || depth == DEPTH_MAX) return 0;
    int n = snprintf(below, sizeof below, "%s/%s", place, name);
    errno = ENAMETOOLONG;
    if (n < 0 || (size_t)n >= sizeof below) return fault(name);
    int in = openat(from, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), out = make_directory(to, name);
    int result = in < 0 ? fault(name) : out < 0 ? -1 : copy_tree(in, out, below, depth + 1);
    if (in >= 0) close(in);
    if (out >= 0) close(out);
    return result;
}

static int copy_tree(int from, int to, const char *place, unsigned depth) {
    int copy = openat(from, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), result = 0;
    DIR *directory = copy < 0 ? NULL : fdopendir(copy);
    if (!directory) {
        result = fault("a directory");
        if (copy >= 0) close(copy);
        return result;
    }
    struct dirent *entry;
    while (result == 0 && (errno = 0, entry = readdir(directory)))
        result = copy_entry(from, entry->d_name, to, place, depth);
    if (result == 0 && errno) result = fault(place);
    closedir(directory);
    return result;
}

static int open_state(const struct conf *conf, const char *name) {
    char path[PATH_MAX];
    int n = snprintf(path, sizeof path, "%s/%s", conf->state_directory, name);
    errno = ENAMETOOLONG;
    int fd = n < 0 || (size_t)n >= sizeof path ? -1 : open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? fault(path) : fd;
}

/* Asks over the channel; the lines of the answer, to be freed, or NULL after saying why. */
static char *ask(int fd, const char *verb) {
    struct command_print print;
    char *lines = NULL;
    size_t n = 0;
    FILE *out = open_memstream(&lines, &n);
    if (!out) return NULL;
    command_print_open(&print, out, PRINT_OCTETS);
    int code = command_exchange(fd, verb, NULL, 0, &print);
    if (fclose(out) == 0 && code == CONTROL_OK) return lines;
    free(lines);
    return NULL;
}

/* Copies while the asked process knows of us, and asks it again at the end: one that was started anew meanwhile did
 * not, and may have removed what was still to be copied. */
static int copy_state(const struct conf *conf, enum role role, int to,
                      int (*copy)(int from, int to, const char *answer)) {
    bool auth = role == ROLE_AUTH;
    const char *name = auth ? "auth" : "queue";
    int fd = command_reach(conf, role), from = -1, out = -1, result = -1;
    char *answer = fd < 0 ? NULL : ask(fd, auth ? "backup" : "queue backup"), *still = NULL;
    if (!answer) goto out;
    if ((from = open_state(conf, name)) < 0 || (out = make_directory(to, name)) < 0) goto out;
    result = copy(from, out, answer);
    if (result == 0 && !(still = ask(fd, auth ? "status" : "queue status"))) {
        fprintf(stderr, "gatepost: backup: the %s process ended, or ended the backup, meanwhile\n", name);
        result = -1;
    }
out:
    free(answer);
    free(still);
    if (from >= 0) close(from);
    if (out >= 0) close(out);
    if (fd >= 0) stand_alone_end(fd);
    return result;
}

/* Auth has made a consistent copy of its database beside it, by SQLite's own means, and removes it when we leave.
 * What is sealed in it opens with the key alone. */
static int copy_auth(int from, int to, const char *answer) {
    (void)answer;
    if (copy_file(from, "gatepost.db.backup", to, "auth", "gatepost.db", UINT64_MAX, true) != 0) return -1;
    return copy_file(from, NT_KEY_FILE, to, "auth", NT_KEY_FILE, UINT64_MAX, false);
}

/* The log as it was when the queue answered: what is appended after that is not in the answer. */
static int copy_log(int from, int to, const char *answer) {
    int in = openat(from, "log", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), out = make_directory(to, "log");
    int result = in < 0 ? fault("log") : out < 0 ? -1 : 0;
    while (result == 0 && *answer) {
        char name[32], *end;
        size_t n = strcspn(answer, " \n");
        errno = EBADMSG;
        if (n >= sizeof name || answer[n] != ' ' || memchr(answer, '/', n)) {
            result = fault("the queue's answer");
            break;
        }
        memcpy(name, answer, n);
        name[n] = 0;
        uint64_t bytes = strtoull(answer + n + 1, &end, 10);
        result = copy_file(in, name, out, "queue/log", name, bytes, true);
        answer = *end == '\n' ? end + 1 : end;
    }
    if (in >= 0) close(in);
    if (out >= 0) close(out);
    return result;
}

/* The queue removes and moves nothing while it is asked: whatever file a record of the log refers to is there. More
 * may be: bodies that no record refers to yet, which recovery throws away. */
static int copy_queue(int from, int to, const char *answer) {
    if (copy_file(from, "key", to, "queue", "key", UINT64_MAX, true) != 0 || copy_log(from, to, answer) != 0)
        return -1;
    return copy_entry(from, "deferred", to, "queue", 0) != 0 || copy_entry(from, "body", to, "queue", 0) != 0 ? -1
                                                                                                              : 0;
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
    if (copy_file(AT_FDCWD, config, to, "", "gatepost.conf", UINT64_MAX, true) != 0) return -1;
    int out = conf->n_includes ? make_directory(to, "included") : -1, result = 0;
    if (conf->n_includes && out < 0) return -1;
    for (size_t i = 0; result == 0 && i < conf->n_includes; i++) {
        errno = ENAMETOOLONG;
        result = flat_name(config, conf->includes[i], name, sizeof name)
                     ? copy_file(AT_FDCWD, conf->includes[i], out, "included", name, UINT64_MAX, true)
                     : fault(conf->includes[i]);
    }
    if (out >= 0) close(out);
    return result;
}

/* One sync for all: there may be as many files as there are messages. */
static int finish(const struct conf *conf, int to) {
    struct buf made = buf_over((uint8_t *)backup.made, sizeof backup.made - 1);
    if (syncfs(to) != 0) return fault("syncing the copy");
    clock_put_iso(&made, clock_wall_ms());
    (void)snprintf(backup.host, sizeof backup.host, "%s", conf->hostname);
    (void)snprintf(backup.gatepost, sizeof backup.gatepost, "%s", version_gatepost());
    return backup_write(&backup, to) == 0 ? 0 : fault(BACKUP_MANIFEST);
}

int command_run_backup(const struct command_line *line) {
    const char *path = command_value(line, "directory");
    struct conf *conf = conf_read(line->config, stderr);
    if (!conf) return CONTROL_FAILED;
    int to = open_target(path);
    int code = to < 0 ? CONTROL_REFUSED : CONTROL_OK;
    if (to >= 0) {
        /* The queue last: who is in it, its users are. */
        bool done = copy_state(conf, ROLE_AUTH, to, copy_auth) == 0 &&
                    copy_state(conf, ROLE_QUEUE, to, copy_queue) == 0 &&
                    copy_configuration(conf, line->config, to) == 0 && finish(conf, to) == 0;
        if (!done) fprintf(stderr, "gatepost: the backup in %s is not complete: do not use it\n", path);
        if (!done) code = CONTROL_FAILED;
        close(to);
    }
    backup_free(&backup);
    conf_free(conf);
    return code;
}
