/* system_users.c - the users of this host.
 * Runs in: master, command line. Trusts: /etc/passwd, the configuration. Never: asks a name service, which could wait
 * for the network. */
#include "server/process/system_users.h"

#include "store/log.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <unistd.h>

enum { NAME_MAX_OCTETS = 64 }; /* a local part: RFC 5321 4.5.3.1.1 */

static bool is_listed(const struct conf_list *list, const char *name) {
    for (size_t i = 0; i < list->n; i++)
        if (strcmp(list->items[i], name) == 0) return true;
    return false;
}

static struct span login_of(const struct conf *conf, const char *name) {
    for (size_t i = 0; i < conf->local.n_users; i++)
        if (strcmp(conf->local.users[i].name, name) == 0) return span_text(conf->local.users[i].login);
    return span_of(NULL, 0);
}

static void add(struct system_users *users, const struct conf *conf, uint32_t uid, char *name) {
    users->items[users->n++] = (struct auth_system_user){
        .uid = uid,
        .name = span_text(name),
        .login = login_of(conf, name),
        .trusted = is_listed(&conf->local.trusted, name),
    };
}

void system_users_read(struct system_users *out, const struct conf *conf, const char *path) {
    FILE *file = fopen(path, "re"), *names;
    size_t n = 0, size = 0;
    uint32_t *uids = NULL;
    *out = (struct system_users){0};
    if (!file) log_fault(path, errno);
    names = open_memstream(&out->names, &size);
    if (!names) abort();
    for (struct passwd *user; file && n < AUTH_SYSTEM_USERS_MAX && (user = fgetpwent(file));) {
        if (strlen(user->pw_name) > NAME_MAX_OCTETS || !*user->pw_name) continue;
        uint32_t *more = reallocarray(uids, n + 1, sizeof *uids);
        if (!more) abort();
        uids = more;
        uids[n++] = user->pw_uid;
        if (fwrite(user->pw_name, strlen(user->pw_name) + 1, 1, names) != 1) abort();
    }
    if (file) fclose(file);
    if (fclose(names) != 0) abort();
    out->items = calloc(n + 1, sizeof *out->items);
    if (!out->items) abort();
    char *name = out->names;
    for (size_t i = 0; i < n; i++, name += strlen(name) + 1) add(out, conf, uids[i], name);
    free(uids);
}

void system_users_free(struct system_users *users) {
    free(users->items);
    free(users->names);
    *users = (struct system_users){0};
}

/* ---- changes */

static void (*tell)(void);
static const char *watched; /* its name in its directory */

/* Most tools write a new file beside it and rename that. */
static void stirred(void *context, uint32_t events) {
    _Alignas(struct inotify_event) char storage[4096];
    const struct loop_watch *watch = context;
    bool ours = false;
    (void)events;
    for (ssize_t n; (n = read(watch->fd, storage, sizeof storage)) > 0;) {
        for (size_t at = 0; at + sizeof(struct inotify_event) <= (size_t)n;) {
            struct inotify_event event;
            memcpy(&event, storage + at, sizeof event);
            const char *name = storage + at + sizeof event;
            if (event.mask & IN_Q_OVERFLOW || (event.len && strcmp(name, watched) == 0)) ours = true;
            at += sizeof event + event.len;
        }
    }
    if (ours) tell();
}

bool system_users_watch(struct loop *loop, struct loop_watch *watch, const char *path, void (*changed)(void)) {
    const char *slash = strrchr(path, '/');
    char directory[4096];
    struct buf b = buf_over(directory, sizeof directory - 1);
    buf_put(&b, path, slash ? (size_t)(slash - path) + 1 : 0);
    directory[b.n] = 0;
    if (!slash || !buf_ok(&b)) return false;
    int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (fd < 0) return false;
    *watch = (struct loop_watch){fd, stirred, watch};
    tell = changed;
    watched = slash + 1;
    if (inotify_add_watch(fd, directory, IN_CLOSE_WRITE | IN_MOVED_TO) >= 0 && loop_add(loop, watch, EPOLLIN) == 0)
        return true;
    close(fd);
    watch->fd = -1;
    return false;
}
