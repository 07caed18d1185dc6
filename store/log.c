/* log.c - building a log line and handing it to the log writer.
 * Runs in: every process. Trusts: nothing in the values (the writer escapes them). Never: writes to a file, takes a
 * secret. */
#include "store/log.h"

#include "store/frames.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/wait.h>

static int log_fd = LOG_FD;
static CHILD_GATHERED uint8_t gathered_storage[CHILD_GATHERED_BYTES];
static CHILD_STATE struct frame_bundle gathered; /* without a place for octets: nothing is gathered */
static CHILD_STATE bool stuck; /* the writer did not read for a whole second: nobody waits again before it does */

int log_use(int fd) {
    int before = log_fd;
    log_fd = fd;
    return before;
}

void log_open(struct log_line *line, enum log_event event) {
    line->b = BUF_OVER(line->storage);
    wire_put_u16(&line->b, (uint16_t)event);
}

void log_span(struct log_line *line, enum log_key key, struct span value) {
    value = span_part(value, 0, LOG_VALUE_MAX);
    if (value.n + 6 > line->b.cap - line->b.n) return; /* a line that is full keeps what it has */
    wire_put_u16(&line->b, (uint16_t)key);
    wire_put_span(&line->b, value);
}

void log_text(struct log_line *line, enum log_key key, const char *value) {
    log_span(line, key, span_text(value));
}

void log_number(struct log_line *line, enum log_key key, uint64_t value) {
    uint8_t digits[20];
    struct buf b = BUF_OVER(digits);
    buf_put_number(&b, value);
    log_span(line, key, buf_span(&b));
}

void log_exit(struct log_line *line, uint64_t pid, int status) {
    log_number(line, KEY_PID, pid);
    if (WIFSIGNALED(status))
        log_number(line, KEY_SIGNAL, (uint64_t)WTERMSIG(status));
    else
        log_number(line, KEY_STATUS, (uint64_t)WEXITSTATUS(status));
}

void log_client(struct log_line *line, const struct netaddr *client) {
    char text[NETADDR_TEXT_MAX];
    log_text(line, KEY_CLIENT, netaddr_text(client, text));
    log_number(line, KEY_PORT, client->port);
}

static void send_frame(enum frame_type type, struct span body) {
    int saved = errno;
    bool sent = frame_send_plain(log_fd, (uint16_t)type, body) == 0;
    if (!sent && errno == EAGAIN && !stuck) {
        struct pollfd wait = {log_fd, POLLOUT, 0};
        sent = poll(&wait, 1, 1000) > 0 && frame_send_plain(log_fd, (uint16_t)type, body) == 0;
        stuck = !sent;
    }
    if (sent) stuck = false;
    errno = saved;
}

void log_gather(void) {
    gathered.b = BUF_OVER(gathered_storage);
}

bool log_waiting(void) {
    return gathered.frames > 0;
}

void log_flush(void) {
    struct span body;
    if (!gathered.frames) return;
    enum frame_type type = frame_bundle_type(&gathered, &body);
    send_frame(type, body);
    frame_bundle_clear(&gathered);
}

static void send_or_gather(enum frame_type type, struct span body) {
    if (gathered.b.p && frame_bundle_add(&gathered, (uint16_t)type, body)) return;
    log_flush();
    if (!gathered.b.p || !frame_bundle_add(&gathered, (uint16_t)type, body)) send_frame(type, body);
}

void log_send(struct log_line *line) {
    send_or_gather(LOG_LINE, buf_span(&line->b));
}

void log_role(uint32_t pid, unsigned role) {
    uint8_t storage[8];
    struct buf b = BUF_OVER(storage);
    wire_put_u32(&b, pid);
    wire_put_u8(&b, (uint8_t)role);
    send_or_gather(LOG_ROLE, buf_span(&b));
}

void log_session(uint32_t pid, struct span name, const struct netaddr *client) {
    uint8_t storage[128];
    struct buf b = BUF_OVER(storage);
    wire_put_u32(&b, pid);
    wire_put_span(&b, name);
    wire_put_netaddr(&b, client);
    send_or_gather(LOG_SESSION, buf_span(&b));
}

void log_fault(const char *what, int error) {
    struct log_line line;
    log_open(&line, LOG_FAULT);
    log_text(&line, KEY_WHAT, what);
    log_text(&line, KEY_ERROR, strerrordesc_np(error));
    log_send(&line);
    log_flush();
}

void log_bug(const char *what) {
    struct log_line line;
    log_open(&line, LOG_BUG);
    log_text(&line, KEY_WHAT, what);
    log_send(&line);
    log_flush();
    abort();
}
