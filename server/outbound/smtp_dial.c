/* smtp_dial.c - addresses in order.
 * Runs in: SMTP agents. Trusts: the resolver's addresses. Never: waits for one longer than its limit. */
#include "server/outbound/smtp_dial.h"

#include "store/clock.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <unistd.h>

/* errno of the connection attempt, 0: connected. */
static int finish(int fd, uint64_t limit_ms) {
    uint64_t until_ms = clock_ms() + limit_ms;
    for (;;) {
        uint64_t now = clock_ms();
        struct pollfd wait = {fd, POLLOUT, 0};
        int n = now < until_ms ? poll(&wait, 1, (int)(until_ms - now)) : 0;
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return n == 0 ? ETIMEDOUT : errno;
        int error = 0;
        socklen_t size = sizeof error;
        return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0 ? error : errno;
    }
}

static int dial_one(const struct netaddr *address, uint64_t limit_ms) {
    struct sockaddr_storage storage;
    socklen_t size = netaddr_to_socket(address, &storage);
    int on = 1, error = 0;
    int fd = socket(storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return -1;
    if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0)
        error = errno;
    else if (connect(fd, (const struct sockaddr *)&storage, size) != 0)
        error = errno == EINPROGRESS ? finish(fd, limit_ms) : errno;
    if (error == 0) return fd;
    close(fd);
    errno = error;
    return -1;
}

int smtp_dial(void *addresses, const char **why_out) {
    const struct smtp_addresses *all = addresses;
    *why_out = "it has no address";
    for (size_t i = 0; i < all->n; i++) {
        int fd = dial_one(&all->list[i], all->limit_ms);
        if (fd >= 0) return fd;
        *why_out = strerrordesc_np(errno);
    }
    return -1;
}
