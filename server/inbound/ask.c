/* ask.c - the session's questions to auth, as frames.
 * Runs in: session. Trusts: auth. Never: talks to the client, keeps a descriptor that was not asked for. */
#include "server/inbound/ask_channel.h"

#include "store/clock.h"
#include "store/frame.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

static CHILD_STATE struct {
    int auth_fd, other_fd;
    uint64_t wait_ms;
} channels; /* nothing before ask_open */

static BUF_LARGE uint8_t frame_storage[FRAME_MAX]; /* the question, and when that is asked the answer */

void ask_open(int auth_fd, uint64_t wait_ms) {
    channels.auth_fd = auth_fd;
    channels.other_fd = -1;
    channels.wait_ms = wait_ms;
}

int ask_other_fd(void) {
    return channels.other_fd;
}

void ask_keep_other(int fd) {
    if (fd < 0) return;
    if (channels.other_fd >= 0) close(channels.other_fd);
    channels.other_fd = fd;
}

struct buf ask_question(void) {
    return BUF_OVER(frame_storage);
}

static bool wait_for(int fd, short events, uint64_t deadline_ms) {
    for (;;) {
        uint64_t now = clock_ms();
        struct pollfd wait = {fd, events, 0};
        if (now >= deadline_ms) return false;
        int n = poll(&wait, 1, deadline_ms - now > 60000 ? 60000 : (int)(deadline_ms - now));
        if (n > 0) return true;
        if (n < 0 && errno != EINTR) return false;
    }
}

bool ask_tell(int fd, enum frame_type type, struct span body) {
    uint64_t deadline = clock_ms() + channels.wait_ms;
    while (fd >= 0) {
        if (frame_send_plain(fd, (uint16_t)type, body) == 0) return true;
        if (errno != EAGAIN || !wait_for(fd, POLLOUT, deadline)) return false;
    }
    return false;
}

bool ask_hear(int fd, bool there, uint64_t wait_ms, uint8_t *storage, bool fd_wanted, struct frame *out) {
    uint64_t deadline = clock_ms() + wait_ms;
    for (;; there = false) {
        if (!there && !wait_for(fd, POLLIN, deadline)) return false;
        enum frame_status status = frame_receive(fd, storage, fd_wanted, out);
        if (status != FRAME_NONE) return status == FRAME_RECEIVED;
    }
}

/* The answer must be of this type; a descriptor is kept only where one may come. */
static bool hear(int fd, bool there, enum frame_type type, bool fd_wanted, struct frame *out) {
    if (!ask_hear(fd, there, channels.wait_ms, frame_storage, fd_wanted, out)) return false;
    if (out->type == type) return true;
    if (out->fd >= 0) close(out->fd);
    return false;
}

bool ask_hear_other(enum frame_type type, struct frame *out) {
    return hear(channels.other_fd, false, type, false, out);
}

bool ask_tell_auth(enum frame_type type, struct span body) {
    return ask_tell(channels.auth_fd, type, body);
}

bool ask_auth_for(enum frame_type type, const struct buf *body, enum frame_type answer_type, bool fd_wanted,
                  struct frame *out) {
    return buf_ok(body) && ask_tell(channels.auth_fd, type, buf_span(body)) &&
           hear(channels.auth_fd, false, answer_type, fd_wanted, out);
}

enum reason ask_get_reason(struct wire *w) {
    unsigned reason = wire_get_u16(w);
    return reason < REASON_COUNT ? (enum reason)reason : REASON_NOT_DECIDED;
}

bool ask_announce(uint8_t role, const struct netaddr *client, const struct netaddr *local, bool by_proxy) {
    struct buf b = ask_question();
    wire_put_u8(&b, role);
    wire_put_netaddr(&b, client);
    wire_put_netaddr(&b, local);
    wire_put_u8(&b, by_proxy);
    return ask_tell(channels.auth_fd, SESSION_ANNOUNCE, buf_span(&b));
}

bool ask_welcome(struct ask_welcome *out) {
    struct frame frame;
    if (!hear(channels.auth_fd, true, SESSION_WELCOME, false, &frame)) return false;
    struct wire w = wire_over(frame.body);
    unsigned reason = wire_get_u8(&w);
    wire_get_span(&w, SESSION_NAME_MAX);
    out->user = wire_get_span(&w, SESSION_USER_MAX);
    out->stranger = ask_get_reason(&w);
    out->mail_first = wire_get_u8(&w) == 1;
    out->refusal = reason <= REASON_COUNT ? (enum reason)reason : REASON_NOT_DECIDED;
    return wire_end(&w);
}

bool ask_keys(int *fd_out) {
    struct buf b = ask_question();
    struct frame frame;
    *fd_out = -1;
    if (!ask_auth_for(SESSION_KEYS, &b, SESSION_CHANNEL, true, &frame)) return false;
    struct wire w = wire_over(frame.body);
    bool ok = wire_get_u8(&w) == 1;
    *fd_out = frame.fd;
    return wire_end(&w) && ok == (frame.fd >= 0);
}

bool ask_tls(const char *description) {
    struct buf b = ask_question();
    wire_put_text(&b, description);
    return ask_tell(channels.auth_fd, SESSION_TLS, buf_span(&b));
}

static bool ask_sasl(enum frame_type type, struct buf *b, struct ask_auth *out) {
    struct frame frame;
    bool asked = buf_ok(b) && ask_tell(channels.auth_fd, type, buf_span(b));
    explicit_bzero(b->p, b->n);
    if (!asked || !hear(channels.auth_fd, false, SESSION_AUTH_RESULT, false, &frame)) return false;
    struct wire w = wire_over(frame.body);
    out->outcome = (enum auth_outcome)wire_get_u8(&w);
    out->challenge = wire_get_span(&w, FRAME_BODY_MAX);
    wire_get_span(&w, FRAME_BODY_MAX);
    return wire_end(&w);
}

bool ask_auth(const struct ask_auth_start *start, struct ask_auth *out) {
    struct buf b = ask_question();
    wire_put_u8(&b, start->tls);
    wire_put_span(&b, start->mechanism);
    wire_put_u8(&b, start->initial);
    wire_put_span(&b, start->response);
    wire_put_span(&b, start->exporter);
    wire_put_span(&b, start->end_point);
    return ask_sasl(SESSION_AUTH, &b, out);
}

bool ask_auth_next(bool cancelled, struct span response, struct ask_auth *out) {
    struct buf b = ask_question();
    wire_put_u8(&b, cancelled);
    wire_put_span(&b, response);
    return ask_sasl(SESSION_AUTH_NEXT, &b, out);
}

bool ask_failure(enum session_failure failure) {
    uint8_t octet = (uint8_t)failure;
    return ask_tell(channels.auth_fd, SESSION_FAILURE, span_of(&octet, 1));
}
