/* sockets.c - binding.
 * Runs in: master. Trusts: the configuration, the service manager. Never: accepts. */
#include "server/process/sockets.h"

#include "server/process/notify.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <netinet/in.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { BACKLOG = 1024 };

static bool same_address(const struct netaddr *a, const struct netaddr *b) {
    return a->port == b->port && memcmp(a->octets, b->octets, sizeof a->octets) == 0;
}

static bool listens(int fd) {
    int on = 0;
    socklen_t size = sizeof on;
    return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &on, &size) == 0 && on;
}

static bool bound_to(int fd, struct netaddr *out) {
    struct sockaddr_storage bound;
    socklen_t length = sizeof bound;
    return getsockname(fd, (struct sockaddr *)&bound, &length) == 0 && netaddr_from_socket(out, &bound);
}

/* A copy of the socket for this address that the service manager passed, or -1. */
static int passed_socket(const struct netaddr *address) {
    int n = notify_sockets();
    for (int fd = 3; fd < 3 + n; fd++) {
        struct netaddr at;
        if (listens(fd) && bound_to(fd, &at) && same_address(&at, address)) return fcntl(fd, F_DUPFD_CLOEXEC, 0);
    }
    return -1;
}

/* Who connects to a socket that the service manager holds open and nobody serves waits for ever. */
static int check_passed(const struct sockets *sockets, FILE *errors) {
    int n = notify_sockets(), result = 0;
    for (int fd = 3; fd < 3 + n; fd++) {
        char text[NETADDR_TEXT_MAX];
        struct netaddr at;
        size_t i = 0;
        if (!listens(fd)) continue;
        bool known = bound_to(fd, &at);
        while (known && i < sockets->n && !same_address(&at, &sockets->addresses[i])) i++;
        if (known && i < sockets->n) continue;
        fprintf(errors, "gatepost: the service manager passed a socket for %s, which no listener names\n",
                known ? netaddr_text_port(&at, text) : "no address of the internet");
        result = -1;
    }
    return result;
}

static int held_socket(const struct sockets *before, const struct netaddr *address) {
    for (size_t i = 0; before && i < before->n; i++)
        if (same_address(&before->addresses[i], address)) return fcntl(before->fds[i], F_DUPFD_CLOEXEC, 0);
    return passed_socket(address);
}

static int bind_socket(const struct netaddr *address) {
    struct sockaddr_storage where;
    socklen_t length = netaddr_to_socket(address, &where);
    int one = 1;
    int fd = socket(where.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) return -1;
    if (where.ss_family == AF_INET6 && setsockopt(fd, SOL_IPV6, IPV6_V6ONLY, &one, sizeof one) != 0) goto bad;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) != 0) goto bad;
    if (bind(fd, (struct sockaddr *)&where, length) == 0 && listen(fd, BACKLOG) == 0) return fd;
bad:
    close(fd);
    return -1;
}

static int open_one(struct sockets *out, enum role role, const struct netaddr *address, const struct sockets *before,
                    FILE *errors) {
    char text[NETADDR_TEXT_MAX];
    int fd = held_socket(before, address);
    if (fd < 0) fd = bind_socket(address);
    if (fd < 0 || out->n == SOCKETS_MAX || fcntl(fd, F_SETFL, O_NONBLOCK) != 0) {
        fprintf(errors, "gatepost: cannot listen on %s: %s\n", netaddr_text_port(address, text),
                fd < 0 ? strerrordesc_np(errno) : "too many listeners");
        if (fd >= 0) close(fd);
        return -1;
    }
    out->addresses[out->n] = *address;
    out->roles[out->n] = role;
    out->fds[out->n++] = fd;
    return 0;
}

int sockets_open(struct sockets *out, const struct conf *conf, const struct sockets *before, FILE *errors) {
    *out = (struct sockets){0};
    for (size_t i = 0; i < conf->n_listeners; i++) {
        const struct conf_listener *listener = &conf->listeners[i];
        enum role role = conf_listener_is_pop3(listener->role) ? ROLE_POP3 : ROLE_LISTENER;
        for (size_t j = 0; j < listener->n_addresses; j++)
            if (open_one(out, role, &listener->addresses[j], before, errors) != 0) {
                sockets_close(out);
                return -1;
            }
    }
    if (check_passed(out, errors) == 0) return 0;
    sockets_close(out);
    return -1;
}

bool sockets_have_ipv6(void) {
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0) close(fd);
    return fd >= 0 || errno != EAFNOSUPPORT;
}

static bool is_any(const struct netaddr *address, const char *text, uint16_t port) {
    struct netaddr any;
    return netaddr_parse(&any, span_text(text)) && address->port == port &&
           memcmp(address->octets, any.octets, sizeof any.octets) == 0;
}

static bool has_any_ipv4(const struct conf_listener *listener, uint16_t port) {
    for (size_t i = 0; i < listener->n_addresses; i++)
        if (is_any(&listener->addresses[i], "0.0.0.0", port)) return true;
    return false;
}

size_t sockets_drop_ipv6(struct conf *conf) {
    size_t dropped = 0;
    for (size_t i = 0; i < conf->n_listeners; i++) {
        struct conf_listener *listener = &conf->listeners[i];
        size_t kept = 0;
        for (size_t j = 0; j < listener->n_addresses; j++) {
            const struct netaddr *address = &listener->addresses[j];
            if (is_any(address, "::", address->port) && has_any_ipv4(listener, address->port))
                dropped++;
            else
                listener->addresses[kept++] = *address;
        }
        listener->n_addresses = kept;
    }
    return dropped;
}

void sockets_close(struct sockets *sockets) {
    for (size_t i = 0; i < sockets->n; i++) close(sockets->fds[i]);
    sockets->n = 0;
}

static int listen_at(const char *directory, const char *name, int type, mode_t without, int backlog) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct buf path = buf_over(address.sun_path, sizeof address.sun_path - 1);
    buf_put_format(&path, "%s/%s", directory, name);
    if (!buf_ok(&path)) {
        errno = ENAMETOOLONG;
        return -1;
    }
    int fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) return -1;
    if (unlink(address.sun_path) != 0 && errno != ENOENT) goto bad;
    mode_t before = umask(without);
    int bound = bind(fd, (struct sockaddr *)&address, sizeof address);
    umask(before);
    if (bound == 0 && listen(fd, backlog) == 0) return fd;
bad:
    close(fd);
    return -1;
}

int sockets_control(const char *directory, const char *name) {
    return listen_at(directory, name, SOCK_SEQPACKET, 0177, 16);
}

int sockets_policy(struct sockets *out, const struct conf *conf, FILE *errors) {
    *out = (struct sockets){0};
    for (size_t i = 0; i < conf->hooks.n_policy; i++) {
        if (open_one(out, ROLE_POLICY, &conf->hooks.policy[i], NULL, errors) == 0) continue;
        sockets_close(out);
        return -1;
    }
    return 0;
}

static int give_to_group(const char *path, const char *name, FILE *errors) {
    const struct group *group = getgrnam(name);
    if (!group) {
        fprintf(errors, "gatepost: hooks.group: this host has no group \"%s\"\n", name);
        return -1;
    }
    if (chown(path, (uid_t)-1, group->gr_gid) == 0 && chmod(path, 0660) == 0) return 0;
    fprintf(errors, "gatepost: %s cannot be given to the group %s: %s\n", path, name, strerrordesc_np(errno));
    return -1;
}

int sockets_login(const char *directory, const char *group, FILE *errors) {
    struct sockaddr_un address;
    int fd = listen_at(directory, SOCKETS_LOGIN, SOCK_SEQPACKET, *group ? 0177 : 0111, BACKLOG);
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s/%s", directory, SOCKETS_LOGIN);
    if (fd < 0) fprintf(errors, "gatepost: cannot make %s: %s\n", address.sun_path, strerrordesc_np(errno));
    if (fd < 0 || !*group || give_to_group(address.sun_path, group, errors) == 0) return fd;
    close(fd);
    return -1;
}

int sockets_submit(const char *directory) {
    return listen_at(directory, SOCKETS_SUBMIT, SOCK_STREAM, 0111, BACKLOG);
}
