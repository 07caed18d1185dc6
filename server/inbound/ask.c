/* ask.c - the session's questions to auth and queue, as frames.
 * Runs in: session. Trusts: auth and queue. Never: talks to the client, keeps a descriptor that was not asked for. */
#include "server/inbound/ask.h"

#include "store/clock.h"
#include "store/frame.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

static CHILD_STATE struct {
    int auth_fd, queue_fd;
    uint64_t wait_ms;
} channels; /* nothing before ask_open */

static BUF_LARGE uint8_t frame_storage[FRAME_MAX]; /* the question, and when that is asked the answer */

enum { BODY_HEAD = TRANSACTION_BYTES + 4 }; /* before the octets of BODY_DATA */
static BUF_LARGE uint8_t body_frame[FRAME_BODY_MAX];
static CHILD_STATE struct buf body_octets;

void ask_open(int auth_fd, uint64_t wait_ms) {
    channels.auth_fd = auth_fd;
    channels.queue_fd = -1;
    channels.wait_ms = wait_ms;
}

int ask_queue_fd(void) {
    return channels.queue_fd;
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

static bool tell(int fd, enum frame_type type, struct span body) {
    uint64_t deadline = clock_ms() + channels.wait_ms;
    while (fd >= 0) {
        if (frame_send_plain(fd, (uint16_t)type, body) == 0) return true;
        if (errno != EAGAIN || !wait_for(fd, POLLOUT, deadline)) return false;
    }
    return false;
}

/* The answer must be of this type; a descriptor is kept only where one may come. `there`: it may have come already.
 */
static bool hear(int fd, bool there, enum frame_type type, bool fd_wanted, struct frame *out) {
    uint64_t deadline = clock_ms() + channels.wait_ms;
    for (;; there = false) {
        if (!there && !wait_for(fd, POLLIN, deadline)) return false;
        enum frame_status status = frame_receive(fd, frame_storage, fd_wanted, out);
        if (status == FRAME_NONE) continue;
        if (status == FRAME_RECEIVED && out->type == type) return true;
        if (status == FRAME_RECEIVED && out->fd >= 0) close(out->fd);
        return false;
    }
}

static bool ask(enum frame_type type, const struct buf *body, enum frame_type answer_type, bool fd_wanted,
                struct frame *out) {
    return buf_ok(body) && tell(channels.auth_fd, type, buf_span(body)) &&
           hear(channels.auth_fd, false, answer_type, fd_wanted, out);
}

bool ask_announce(uint8_t role, const struct netaddr *client, const struct netaddr *local, bool by_proxy) {
    struct buf b = BUF_OVER(frame_storage);
    wire_put_u8(&b, role);
    wire_put_netaddr(&b, client);
    wire_put_netaddr(&b, local);
    wire_put_u8(&b, by_proxy);
    return tell(channels.auth_fd, SESSION_ANNOUNCE, buf_span(&b));
}

static enum reason get_reason(struct wire *w) {
    unsigned reason = wire_get_u16(w);
    return reason < REASON_COUNT ? (enum reason)reason : REASON_NOT_DECIDED;
}

bool ask_welcome(struct ask_welcome *out) {
    struct frame frame;
    if (!hear(channels.auth_fd, true, SESSION_WELCOME, false, &frame)) return false;
    struct wire w = wire_over(frame.body);
    unsigned reason = wire_get_u8(&w);
    wire_get_span(&w, SESSION_NAME_MAX);
    out->user = wire_get_span(&w, SESSION_USER_MAX);
    out->stranger = get_reason(&w);
    out->mail_first = wire_get_u8(&w) == 1;
    out->refusal = reason <= REASON_COUNT ? (enum reason)reason : REASON_NOT_DECIDED;
    return wire_end(&w);
}

bool ask_keys(int *fd_out) {
    struct buf b = BUF_OVER(frame_storage);
    struct frame frame;
    *fd_out = -1;
    if (!ask(SESSION_KEYS, &b, SESSION_CHANNEL, true, &frame)) return false;
    struct wire w = wire_over(frame.body);
    bool ok = wire_get_u8(&w) == 1;
    *fd_out = frame.fd;
    return wire_end(&w) && ok == (frame.fd >= 0);
}

bool ask_tls(const char *description) {
    struct buf b = BUF_OVER(frame_storage);
    wire_put_text(&b, description);
    return tell(channels.auth_fd, SESSION_TLS, buf_span(&b));
}

static bool ask_sasl(enum frame_type type, struct buf *b, struct ask_auth *out) {
    struct frame frame;
    bool asked = buf_ok(b) && tell(channels.auth_fd, type, buf_span(b));
    explicit_bzero(b->p, b->n);
    if (!asked || !hear(channels.auth_fd, false, SESSION_AUTH_RESULT, false, &frame)) return false;
    struct wire w = wire_over(frame.body);
    out->outcome = (enum auth_outcome)wire_get_u8(&w);
    out->challenge = wire_get_span(&w, FRAME_BODY_MAX);
    wire_get_span(&w, FRAME_BODY_MAX);
    return wire_end(&w);
}

bool ask_auth(const struct ask_auth_start *start, struct ask_auth *out) {
    struct buf b = BUF_OVER(frame_storage);
    wire_put_u8(&b, start->tls);
    wire_put_span(&b, start->mechanism);
    wire_put_u8(&b, start->initial);
    wire_put_span(&b, start->response);
    wire_put_span(&b, start->exporter);
    wire_put_span(&b, start->end_point);
    return ask_sasl(SESSION_AUTH, &b, out);
}

bool ask_auth_next(bool cancelled, struct span response, struct ask_auth *out) {
    struct buf b = BUF_OVER(frame_storage);
    wire_put_u8(&b, cancelled);
    wire_put_span(&b, response);
    return ask_sasl(SESSION_AUTH_NEXT, &b, out);
}

bool ask_mail(bool esmtp, struct span helo, struct span argument, struct ask_mail *out) {
    struct buf b = BUF_OVER(frame_storage);
    struct frame frame;
    wire_put_u8(&b, esmtp);
    wire_put_span(&b, helo);
    wire_put_span(&b, argument);
    if (!ask(SESSION_MAIL, &b, SESSION_MAIL_RESULT, false, &frame)) return false;
    struct wire w = wire_over(frame.body);
    out->reason = get_reason(&w);
    out->foreign = get_reason(&w);
    wire_get_bytes(&w, out->transaction, sizeof out->transaction);
    out->header_from = wire_get_u8(&w) == 1;
    return wire_end(&w);
}

bool ask_from(const struct span *addresses, size_t n, enum reason *reason_out) {
    struct buf b = BUF_OVER(frame_storage);
    struct frame frame;
    wire_put_u16(&b, (uint16_t)n);
    for (size_t i = 0; i < n; i++) wire_put_span(&b, addresses[i]);
    if (!ask(SESSION_FROM, &b, SESSION_FROM_RESULT, false, &frame)) return false;
    struct wire w = wire_over(frame.body);
    *reason_out = get_reason(&w);
    return wire_end(&w);
}

static void take_queue(int fd) {
    if (fd < 0) return;
    if (channels.queue_fd >= 0) close(channels.queue_fd);
    channels.queue_fd = fd;
}

bool ask_rcpt(const struct span *arguments, size_t n, enum reason *reasons_out) {
    struct buf b = BUF_OVER(frame_storage);
    struct frame frame;
    wire_put_u16(&b, (uint16_t)n);
    for (size_t i = 0; i < n; i++) wire_put_span(&b, arguments[i]);
    b.full = b.full || b.n > FRAME_BODY_MAX;
    if (!ask(SESSION_RCPT, &b, SESSION_RCPT_RESULT, true, &frame)) return false;
    struct wire w = wire_over(frame.body);
    if (wire_get_u16(&w) != n) w.bad = true;
    for (size_t i = 0; i < n; i++) reasons_out[i] = get_reason(&w);
    take_queue(frame.fd);
    return wire_end(&w);
}

bool ask_reset(void) {
    return tell(channels.auth_fd, SESSION_RESET, span_of(NULL, 0));
}

bool ask_failure(enum session_failure failure) {
    uint8_t octet = (uint8_t)failure;
    return tell(channels.auth_fd, SESSION_FAILURE, span_of(&octet, 1));
}

struct buf *ask_body_start(const uint8_t transaction[TRANSACTION_BYTES]) {
    memcpy(body_frame, transaction, TRANSACTION_BYTES);
    body_octets = buf_over(body_frame + BODY_HEAD, sizeof body_frame - BODY_HEAD);
    return &body_octets;
}

/* BODY_DATA and BODY_COMMIT look alike: T, a number, octets. */
static bool send_body(enum frame_type type, uint32_t number) {
    struct buf place = buf_over(body_frame + TRANSACTION_BYTES, 4);
    wire_put_u32(&place, number);
    struct span all = span_of(body_frame, BODY_HEAD + body_octets.n);
    bool ok = buf_ok(&body_octets) && tell(channels.queue_fd, type, all);
    buf_clear(&body_octets);
    return ok;
}

bool ask_body_send(void) {
    return body_octets.n == 0 || send_body(BODY_DATA, (uint32_t)body_octets.n);
}

bool ask_body_commit(uint32_t recipients, struct ask_body *out) {
    struct frame frame;
    uint8_t transaction[TRANSACTION_BYTES];
    if (!send_body(BODY_COMMIT, recipients)) return false;
    if (!hear(channels.queue_fd, false, BODY_RESULT, false, &frame)) return false;
    struct wire w = wire_over(frame.body);
    wire_get_bytes(&w, transaction, sizeof transaction);
    out->outcome = (enum body_outcome)wire_get_u8(&w);
    out->message_name = wire_get_span(&w, MESSAGE_NAME_MAX);
    return wire_end(&w) && memcmp(transaction, body_frame, TRANSACTION_BYTES) == 0;
}

bool ask_body_abort(void) {
    return tell(channels.queue_fd, BODY_ABORT, span_of(body_frame, TRANSACTION_BYTES));
}
