/* dial.c - connecting to what the owner named.
 * Runs in: master. Trusts: the configuration. Never: connects to a path that is not in it, reads what comes, waits.
 */
#include "server/process/dial.h"

#include "store/endpoint.h"

#include <errno.h>
#include <sys/un.h>
#include <unistd.h>

static bool names(const char *delivery, struct span path) {
    struct endpoint endpoint;
    return endpoint_parse(&endpoint, conf_delivery_server(delivery)) && span_equal(endpoint.path, path);
}

static bool is_configured(const struct conf *conf, struct span path) {
    bool found = names(conf->delivery.local, path);
    for (size_t i = 0; i < conf->n_local_domains && !found; i++) found = names(conf->local_domains[i].delivery, path);
    return found;
}

int dial_local(const struct conf *conf, struct span path) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    errno = EPERM;
    if (path.n == 0 || path.n >= sizeof address.sun_path || !is_configured(conf, path)) return -1;
    memcpy(address.sun_path, path.p, path.n);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof address) == 0) return fd;
    int error = errno == EPERM ? EACCES : errno; /* that word is ours */
    close(fd);
    errno = error;
    return -1;
}
