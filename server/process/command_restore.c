/* command_restore.c - users and queue from a backup into a state directory that has none.
 * Runs in: the command line. Trusts: who may write the state directory; of a backup only what its sums confirm.
 * Never: deletes or overwrites state, touches anything before all of the backup was read and found whole. */
#include "server/process/backup.h"
#include "server/process/command_ask.h"
#include "server/process/command_run.h"
#include "server/process/directories.h"
#include "server/process/setup.h"
#include "server/process/stand_alone.h"
#include "store/clock.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PARTS = 2, STAMP_BYTES = 64 };

static struct backup backup;

/* What a backup holds of the state; the queue first, because without users nothing is accepted. */
static struct part {
    const char *name;
    enum role role;
    mode_t mode;
    uint32_t uid, gid;
} parts[PARTS] = {{"queue", ROLE_QUEUE, 0700, 0, 0}, {"auth", ROLE_AUTH, 0711, 0, 0}};

static int fault(const char *what) {
    fprintf(stderr, "gatepost: restore: %s: %s\n", what, strerrordesc_np(errno));
    return -1;
}

static const struct part *part_of(const char *path) {
    for (size_t i = 0; i < PARTS; i++) {
        size_t n = strlen(parts[i].name);
        if (strncmp(path, parts[i].name, n) == 0 && path[n] == '/') return &parts[i];
    }
    return NULL;
}

/* Reads a file of the backup, to `out` when it is not -1. */
static int read_file(int from, const struct backup_file *file, int out) {
    uint8_t sum[BACKUP_SUM_BYTES];
    uint64_t bytes = 0;
    int in = openat(from, file->path, O_RDONLY | O_CLOEXEC);
    if (in < 0) return fault(file->path);
    int result = backup_copy(in, out, UINT64_MAX, &bytes, sum) == 0 ? 0 : fault(file->path);
    close(in);
    if (result == 0 && (bytes != file->bytes || memcmp(sum, file->sum, sizeof sum) != 0)) {
        fprintf(stderr, "gatepost: restore: %s of the backup was altered or is cut short\n", file->path);
        result = -1;
    }
    return result;
}

/* All of it, before anything is touched. */
static int check_backup(int from, const char *name) {
    bool key = false, users = false;
    size_t bad = 0;
    if (backup_read(&backup, from, name, stderr) != 0) return -1;
    for (size_t i = 0; i < backup.n; i++) {
        if (read_file(from, &backup.files[i], -1) != 0 && ++bad == 10) break;
        key = key || strcmp(backup.files[i].path, "queue/key") == 0;
        users = users || strcmp(backup.files[i].path, "auth/gatepost.db") == 0;
    }
    if (!bad && key && users) return 0;
    if (!bad) fprintf(stderr, "gatepost: restore: %s lacks the users or the key of the queue\n", name);
    fprintf(stderr, "gatepost: nothing was restored from %s\n", name);
    return -1;
}

/* ---- the place where it goes */

/* 1 when there is nothing in it but a lock, or it is not there; 0 when there is; -1 after saying why. */
static int is_empty(int state, const char *name) {
    int fd = openat(state, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), empty = 1;
    if (fd < 0) return errno == ENOENT ? 1 : fault(name);
    DIR *directory = fdopendir(fd);
    if (!directory) {
        close(fd);
        return fault(name);
    }
    for (struct dirent *entry; (entry = readdir(directory));)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 && strcmp(entry->d_name, "lock") != 0)
            empty = 0;
    closedir(directory);
    return empty;
}

/* A command that works without a server holds this lock, and a part of one that ends would write what it knows. */
static int check_lock(int state, const char *name) {
    char path[32];
    (void)snprintf(path, sizeof path, "%s/lock", name);
    int fd = openat(state, path, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) return errno == ENOENT ? 0 : fault(path);
    int result = flock(fd, LOCK_EX | LOCK_NB);
    bool held = result != 0 && errno == EWOULDBLOCK;
    close(fd);
    if (held) fprintf(stderr, "gatepost: restore: another gatepost uses %s in the state directory\n", name);
    return held ? -1 : 0;
}

/* The state directory, locked as a server locks it; made when it is not there. */
static int open_state(const struct conf *conf) {
    if (mkdir(conf->state_directory, 0755) == 0) {
        if (chmod(conf->state_directory, 0755) != 0) return fault(conf->state_directory);
    } else if (errno != EEXIST) {
        return fault(conf->state_directory);
    }
    int state = directories_lock(conf, stderr);
    for (size_t i = 0; state >= 0 && i < PARTS; i++) {
        if (check_lock(state, parts[i].name) == 0) continue;
        close(state);
        state = -1;
    }
    return state;
}

static int find_users(const struct conf *conf) {
    const char *user = NULL;
    if (geteuid() != 0) return 0;
    for (size_t i = 0; i < PARTS; i++) {
        if (setup_user(conf, parts[i].role, &parts[i].uid, &parts[i].gid, &user) == 0) continue;
        fprintf(stderr, "gatepost: restore: there is no user %s\n", user);
        return -1;
    }
    return 0;
}

/* ---- copying */

static int own(int fd, const struct part *part, mode_t mode) {
    if (fchmod(fd, mode) != 0) return -1;
    return geteuid() == 0 ? fchown(fd, part->uid, part->gid) : 0;
}

static int make_directory(int in, const char *name, const struct part *part, mode_t mode) {
    bool made = mkdirat(in, name, mode) == 0;
    if (!made && errno != EEXIST) return -1;
    int fd = openat(in, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || !made || own(fd, part, mode) == 0) return fd;
    close(fd);
    return -1;
}

/* One file with the directories that lead to it. */
static int place_file(int from, int stage, const struct backup_file *file) {
    const struct part *part = part_of(file->path);
    const char *step = file->path;
    char name[NAME_MAX + 1];
    int at = dup(stage), out = -1, result = -1;
    while (at >= 0 && strchr(step, '/')) {
        size_t n = strcspn(step, "/");
        bool top = step == file->path;
        errno = ENAMETOOLONG;
        if (n >= sizeof name) goto out;
        memcpy(name, step, n);
        name[n] = 0;
        int below = make_directory(at, name, part, top ? part->mode : 0700);
        close(at);
        at = below;
        step += n + 1;
    }
    if (at >= 0) out = openat(at, step, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (out < 0 || own(out, part, 0600) != 0) goto out;
    result = read_file(from, file, out);
out:
    if (result != 0) (void)fault(file->path);
    if (at >= 0) close(at);
    if (out >= 0) close(out);
    return result;
}

/* Everything into DIRECTORIES_UNFINISHED, on the disk when this returns 0. */
static int fill_stage(int from, int state) {
    int stage = -1, result = -1;
    if (mkdirat(state, DIRECTORIES_UNFINISHED, 0700) != 0 ||
        (stage = openat(state, DIRECTORIES_UNFINISHED, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)) < 0) {
        return fault(DIRECTORIES_UNFINISHED);
    }
    result = 0;
    for (size_t i = 0; result == 0 && i < backup.n; i++)
        if (part_of(backup.files[i].path)) result = place_file(from, stage, &backup.files[i]);
    if (result == 0 && syncfs(stage) != 0) result = fault("syncing");
    close(stage);
    return result;
}

/* ---- changing places */

static int put_aside(int state, const char *name, const char *aside) {
    char path[STAMP_BYTES + 32];
    if (mkdirat(state, aside, 0700) != 0 && errno != EEXIST) return fault(aside);
    (void)snprintf(path, sizeof path, "%s/%s", aside, name);
    if (renameat(state, name, state, path) == 0 || errno == ENOENT) return 0;
    return fault(name);
}

static int put_in_place(int state, const struct part *part, const char *aside) {
    char path[64];
    int empty = is_empty(state, part->name);
    if (empty < 0 || (!empty && put_aside(state, part->name, aside) != 0)) return -1;
    (void)snprintf(path, sizeof path, "%s/lock", part->name);
    if (empty && unlinkat(state, path, 0) != 0 && errno != ENOENT) return fault(path);
    if (empty && unlinkat(state, part->name, AT_REMOVEDIR) != 0 && errno != ENOENT) return fault(part->name);
    (void)snprintf(path, sizeof path, DIRECTORIES_UNFINISHED "/%s", part->name);
    return renameat(state, path, state, part->name) == 0 ? 0 : fault(path);
}

/* As long as DIRECTORIES_UNFINISHED is there no server starts: half of a backup is none. */
static int change_places(int state, const char *aside) {
    for (size_t i = 0; i < PARTS; i++)
        if (put_in_place(state, &parts[i], aside) != 0) return -1;
    if (fsync(state) != 0 || unlinkat(state, DIRECTORIES_UNFINISHED, AT_REMOVEDIR) != 0 || fsync(state) != 0)
        return fault(DIRECTORIES_UNFINISHED);
    return 0;
}

/* ---- afterwards */

/* Starts the role's process over what was restored: it must read it. The number that it has under `name`, or -1. */
static long long count(const struct conf *conf, enum role role, const char *verb, const char *name) {
    struct command_print print;
    char *text = NULL, wanted[32];
    size_t n = 0;
    long long result = -1;
    FILE *out = open_memstream(&text, &n);
    int fd = out ? stand_alone_start(conf, role) : -1;
    if (fd >= 0) {
        command_print_open(&print, out, PRINT_JSON);
        if (command_exchange(fd, verb, NULL, 0, &print) == CONTROL_OK && fflush(out) == 0) {
            (void)snprintf(wanted, sizeof wanted, "\"%s\": ", name);
            const char *at = strstr(text, wanted);
            if (at) result = strtoll(at + strlen(wanted), NULL, 10);
        }
        stand_alone_end(fd);
    }
    if (out) fclose(out);
    free(text);
    return result;
}

static int confirm(const struct conf *conf, const char *path, const char *aside, bool moved) {
    long long users = count(conf, ROLE_AUTH, "status", "users");
    long long messages = users < 0 ? -1 : count(conf, ROLE_QUEUE, "queue status", "messages");
    if (moved) printf("What was there is in %s/%s.\n", conf->state_directory, aside);
    if (users < 0 || messages < 0) {
        fprintf(stderr, "gatepost: %s was restored to %s, but its %s cannot be read: see above\n", path,
                conf->state_directory, users < 0 ? "users" : "queue");
        return CONTROL_FAILED;
    }
    printf("Restored to %s: %lld users, %lld messages that wait; of %s, as it was at %s.\n", conf->state_directory,
           users, messages, backup.host, backup.made);
    printf("Not restored: delivered mail, certificates, password files, and the configuration, which is in %s.\n"
           "Mail that was accepted after the backup is not in it. Mail that was delivered after it will be delivered "
           "again:\nnot to a Maildir where it still lies, but a second time where it was moved or fetched, or sent "
           "to another host.\nTo see it before the server starts: gatepost queue list; queue remove drops what "
           "need not go.\n",
           path);
    return CONTROL_OK;
}

/* What changes places lies in one file system. */
static int check_plain(int state, const struct conf *conf, const char *name) {
    struct stat outer, inner;
    if (fstat(state, &outer) != 0) return fault(conf->state_directory);
    if (fstatat(state, name, &inner, AT_SYMLINK_NOFOLLOW) != 0) return errno == ENOENT ? 0 : fault(name);
    if (S_ISDIR(inner.st_mode) && inner.st_dev == outer.st_dev) return 0;
    fprintf(stderr,
            "gatepost: %s/%s is a link or a disk of its own; nothing was restored. Restore with another "
            "state_directory and copy it there\n",
            conf->state_directory, name);
    return -1;
}

/* Refuses a place in use, unless it is to be moved aside. */
static int check_place(int state, const struct conf *conf, bool force, bool *moved_out) {
    *moved_out = faccessat(state, DIRECTORIES_UNFINISHED, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
    for (size_t i = 0; i < PARTS; i++) {
        if (check_plain(state, conf, parts[i].name) != 0) return -1;
        int empty = is_empty(state, parts[i].name);
        if (empty < 0) return -1;
        if (empty) continue;
        *moved_out = true;
        if (force) continue;
        fprintf(stderr,
                "gatepost: %s/%s is not empty; nothing was restored. With --force what is there is moved aside, "
                "not deleted\n",
                conf->state_directory, parts[i].name);
        return -1;
    }
    return 0;
}

static int restore(const struct conf *conf, int from, const char *path, bool force) {
    char aside[STAMP_BYTES];
    uint8_t stamp[32];
    struct buf b = BUF_OVER(stamp);
    bool moved = false;
    int state = -1, code = CONTROL_REFUSED;
    if (find_users(conf) != 0 || (state = open_state(conf)) < 0 || check_place(state, conf, force, &moved) != 0 ||
        check_backup(from, path) != 0)
        goto out;
    code = CONTROL_FAILED;
    clock_put_iso(&b, clock_wall_ms());
    (void)snprintf(aside, sizeof aside, "before-restore-%.*s", (int)b.n, (const char *)stamp);
    /* An earlier attempt that was cut short. */
    if (faccessat(state, DIRECTORIES_UNFINISHED, F_OK, AT_SYMLINK_NOFOLLOW) == 0 &&
        put_aside(state, DIRECTORIES_UNFINISHED, aside) != 0)
        goto out;
    if (fill_stage(from, state) == 0 && change_places(state, aside) == 0) {
        code = confirm(conf, path, aside, moved);
        goto out;
    }
    fprintf(stderr, "gatepost: the restore is not complete, and no server will start in %s: restore again%s%s\n",
            conf->state_directory, moved ? "; what was there is in " : "", moved ? aside : "");
out:
    if (state >= 0) close(state);
    return code;
}

int command_run_restore(const struct command_line *line) {
    const char *path = command_value(line, "directory");
    struct conf *conf = conf_read(line->config, stderr);
    if (!conf) return CONTROL_FAILED;
    int from = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), code = CONTROL_REFUSED;
    if (from < 0)
        (void)fault(path);
    else
        code = restore(conf, from, path, command_value(line, "force"));
    if (from >= 0) close(from);
    backup_free(&backup);
    conf_free(conf);
    return code;
}
