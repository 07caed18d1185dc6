/* log_sink.c - writing lines.
 * Runs in: the log writer. Trusts: the directory it works in to be that of syslog's socket. Never: splits a line,
 * waits more than a second for a reader. */
#include "store/log_sink.h"

#include "store/clock.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

enum { FACILITY_MAIL = 2 << 3, RETRY_MS = 1000, PATIENCE_MS = 1000 };

void log_sink_open(struct log_sink *sink, bool syslog, struct span name) {
    name = span_part(name, 0, sizeof sink->name - 1);
    memset(sink->name, 0, sizeof sink->name);
    if (name.n) memcpy(sink->name, name.p, name.n);
    if (sink->socket >= 0 && !syslog) close(sink->socket), sink->socket = -1;
    sink->batch = BUF_OVER(sink->storage);
    sink->syslog = syslog;
}

static int wait_writable(int fd) {
    struct pollfd wait = {fd, POLLOUT, 0};
    return poll(&wait, 1, PATIENCE_MS);
}

void log_sink_flush(struct log_sink *sink) {
    struct span rest = buf_span(&sink->batch);
    while (rest.n) {
        struct iovec part = {(void *)(uintptr_t)rest.p, rest.n};
        ssize_t n = writev(STDERR_FILENO, &part, 1);
        if (n >= 0)
            rest = span_from(rest, (size_t)n);
        else if (errno == EINTR)
            continue;
        else if (errno != EAGAIN || wait_writable(STDERR_FILENO) <= 0) {
            sink->lost++;
            break;
        }
    }
    buf_clear(&sink->batch);
}

static bool connect_syslog(struct log_sink *sink) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy(address.sun_path, sink->name, sizeof address.sun_path);
    uint64_t now = clock_ms();
    if (sink->socket >= 0) return true;
    if (now < sink->retry_ms) return false;
    sink->retry_ms = now + RETRY_MS;
    sink->socket = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (sink->socket < 0) return false;
    if (connect(sink->socket, (const struct sockaddr *)&address, sizeof address) == 0) return true;
    close(sink->socket);
    sink->socket = -1;
    return false;
}

/* One datagram; a syslog that was restarted is connected to again, a busy one is waited for. */
static bool send_syslog(struct log_sink *sink, struct span head, struct span line) {
    struct iovec parts[2] = {{(void *)(uintptr_t)head.p, head.n}, {(void *)(uintptr_t)line.p, line.n}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
    for (int tries = 0; tries < 3; tries++) {
        if (!connect_syslog(sink)) return false;
        if (sendmsg(sink->socket, &message, MSG_NOSIGNAL) >= 0) return true;
        if (errno == EINTR) continue;
        if (errno == EAGAIN || errno == ENOBUFS) {
            if (wait_writable(sink->socket) <= 0) return false;
            continue;
        }
        close(sink->socket);
        sink->socket = -1;
        sink->retry_ms = 0;
    }
    return false;
}

void log_sink_line(struct log_sink *sink, struct span line, enum log_level level, uint32_t pid) {
    uint8_t storage[64];
    struct buf head = BUF_OVER(storage);
    if (sink->syslog) {
        buf_put_format(&head, "<%u>gatepost[%u]: ", (unsigned)FACILITY_MAIL + (unsigned)level, pid);
        if (!send_syslog(sink, buf_span(&head), span_part(line, 0, line.n - 1))) sink->lost++;
        return;
    }
    if (line.n > sink->batch.cap - sink->batch.n) log_sink_flush(sink);
    buf_put_span(&sink->batch, line);
}
