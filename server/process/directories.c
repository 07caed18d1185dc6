/* directories.c - making and opening the directories of state.
 * Runs in: master. Trusts: the configuration. Never: changes the owner of a directory that was there. */
#include "server/process/directories.h"

#include "server/process/setup.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static bool path_of(char *out, size_t size, const char *directory, const char *name) {
    struct buf b = buf_over(out, size - 1);
    buf_put_text(&b, directory);
    if (name[0]) buf_put_octet(&b, '/');
    buf_put_text(&b, name);
    out[b.n] = 0;
    return buf_ok(&b);
}

static int fault(FILE *errors, const char *path) {
    fprintf(errors, "gatepost: cannot make the directory %s: %s\n", path, strerrordesc_np(errno));
    return -1;
}

static int make(const char *path, mode_t mode, bool give, uint32_t uid, uint32_t gid, FILE *errors) {
    struct stat status;
    if (mkdir(path, mode) != 0) {
        if (errno != EEXIST) return fault(errors, path);
        if (stat(path, &status) == 0 && S_ISDIR(status.st_mode)) return 0;
        errno = ENOTDIR;
        return fault(errors, path);
    }
    if (chmod(path, mode) != 0 || (give && chown(path, uid, gid) != 0)) return fault(errors, path);
    return 0;
}

/* A copy that was put back may be root's, and its process could not use it. */
static int check_owner(const char *path, uint32_t uid, const char *user, FILE *errors) {
    struct stat status;
    if (stat(path, &status) != 0) return fault(errors, path);
    if (status.st_uid == uid) return 0;
    fprintf(errors, "gatepost: %s does not belong to %s; as root: chown -R %s: %s\n", path, user, user, path);
    return -1;
}

int directories_make(const struct conf *conf, bool as_root, FILE *errors) {
    const struct {
        const char *name;
        enum role role;
        mode_t mode;
        const char *elsewhere; /* where the configuration names another place */
    } own[] = {{"auth", ROLE_AUTH, 0711, NULL},
               {"queue", ROLE_QUEUE, 0700, NULL},
               {"mail", ROLE_DELIVERY, 0700, NULL},
               {"capture", ROLE_DELIVERY, 0700, conf->delivery.capture_directory}};
    char path[4096];
    uint32_t uid = 0, gid = 0;
    const char *user;
    if (make(conf->state_directory, 0755, false, 0, 0, errors) != 0) return -1;
    if (!path_of(path, sizeof path, conf->state_directory, DIRECTORIES_UNFINISHED)) return -1;
    if (access(path, F_OK) == 0) {
        fprintf(errors, "gatepost: a restore was cut short: %s is there; restore again\n", path);
        return -1;
    }
    if (make(conf->run_directory, 0755, false, 0, 0, errors) != 0) return -1;
    if (!path_of(path, sizeof path, conf->run_directory, "empty")) return -1;
    if (make(path, 0755, false, 0, 0, errors) != 0) return -1;
    for (size_t i = 0; i < sizeof own / sizeof *own; i++) {
        if (as_root && setup_user(conf, own[i].role, &uid, &gid, &user) != 0) return -1;
        bool configured = own[i].elsewhere;
        if (!path_of(path, sizeof path, configured ? own[i].elsewhere : conf->state_directory,
                     configured ? "" : own[i].name))
            return -1;
        if (make(path, own[i].mode, as_root, uid, gid, errors) != 0) return -1;
        if (as_root && !configured && check_owner(path, uid, user, errors) != 0) return -1;
    }
    return 0;
}

int directories_lock(const struct conf *conf, FILE *errors) {
    int fd = open(conf->state_directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    /* Where a file system cannot lock, auth's and queue's own locks are what is left. */
    if (fd >= 0 && (flock(fd, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK)) return fd;
    if (fd >= 0)
        fprintf(errors, "gatepost: another server runs with the state directory %s\n", conf->state_directory);
    else
        fprintf(errors, "gatepost: %s: %s\n", conf->state_directory, strerrordesc_np(errno));
    if (fd >= 0) close(fd);
    return -1;
}

/* The socket's own path, without a link at its end. */
static const char *syslog_path(const struct conf *conf) {
    static char path[PATH_MAX];
    if (path[0]) return path;
    if (realpath(conf->log.socket, path)) return path;
    ssize_t n = readlink(conf->log.socket, path, sizeof path - 1); /* who will listen there does not yet */
    path[n > 0 ? n : 0] = 0;
    if (path[0] != '/' && !path_of(path, sizeof path, conf->log.socket, "")) path[0] = 0;
    return path;
}

const char *directories_syslog_name(const struct conf *conf) {
    const char *path = syslog_path(conf), *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static bool syslog_directory(const struct conf *conf, char *out, size_t size) {
    const char *path = syslog_path(conf), *slash = strrchr(path, '/');
    struct buf b = buf_over(out, size - 1);
    if (!slash) return false;
    buf_put(&b, path, slash > path ? (size_t)(slash - path) : 1);
    out[b.n] = 0;
    return buf_ok(&b);
}

int directories_open(const struct conf *conf, enum role role, unsigned index) {
    char path[4096];
    bool fits = true;
    if (role == ROLE_AUTH && index == 0)
        fits = path_of(path, sizeof path, conf->state_directory, "auth");
    else if (role == ROLE_QUEUE && index == 0)
        fits = path_of(path, sizeof path, conf->state_directory, "queue");
    else if (role == ROLE_DELIVERY && index == 0)
        fits = path_of(path, sizeof path, conf->state_directory, "mail");
    else if (role == ROLE_DELIVERY && index == 1 && conf->delivery.foreign == CONF_FOREIGN_CAPTURE) {
        if (conf->delivery.capture_directory)
            fits = path_of(path, sizeof path, conf->delivery.capture_directory, "");
        else
            fits = path_of(path, sizeof path, conf->state_directory, "capture");
    } else if (role == ROLE_LOG && index == 0 && conf->log.to == CONF_LOG_SYSLOG)
        fits = syslog_directory(conf, path, sizeof path);
    else if (index == 0)
        fits = path_of(path, sizeof path, conf->run_directory, "empty");
    else
        return -1;
    return fits ? open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
}
