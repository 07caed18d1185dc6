/* notify.c - talking to the service manager without its library.
 * Runs in: master. Trusts: the environment it was started with. Never: fails because nobody listens. */
#include "server/process/notify.h"

#include "store/clock.h"
#include "store/span.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

void notify_send(const char *state) {
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (!path || (path[0] != '/' && path[0] != '@')) return;
    size_t n = strlen(path);
    if (n >= sizeof address.sun_path) return;
    memcpy(address.sun_path, path, n);
    if (path[0] == '@') address.sun_path[0] = 0;
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return;
    socklen_t length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
    ssize_t sent = sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&address, length);
    (void)sent; /* the manager's absence is not our fault */
    close(fd);
}

static uint64_t watchdog_pause_ms, watchdog_due_ms = UINT64_MAX;

void notify_watchdog_start(void) {
    uint64_t microseconds, pid;
    const char *time = getenv("WATCHDOG_USEC"), *for_pid = getenv("WATCHDOG_PID");
    watchdog_due_ms = UINT64_MAX;
    if (!time || !span_number(span_text(time), INT64_MAX, &microseconds) || microseconds == 0) return;
    if (for_pid && (!span_number(span_text(for_pid), INT32_MAX, &pid) || pid != (uint64_t)getpid())) return;
    watchdog_pause_ms = microseconds / 2000 ? microseconds / 2000 : 1;
    watchdog_due_ms = clock_ms();
}

uint64_t notify_watchdog_due(void) {
    return watchdog_due_ms;
}

void notify_watchdog(void) {
    if (watchdog_due_ms == UINT64_MAX || clock_ms() < watchdog_due_ms) return;
    notify_send("WATCHDOG=1");
    watchdog_due_ms = clock_ms() + watchdog_pause_ms;
}

int notify_sockets(void) {
    uint64_t pid, n;
    const char *for_pid = getenv("LISTEN_PID"), *count = getenv("LISTEN_FDS");
    if (!for_pid || !count) return 0;
    if (!span_number(span_text(for_pid), INT32_MAX, &pid) || pid != (uint64_t)getpid()) return 0;
    if (!span_number(span_text(count), 64, &n)) return 0;
    for (int fd = 3; fd < 3 + (int)n; fd++)
        if (fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) return 0;
    return (int)n;
}
