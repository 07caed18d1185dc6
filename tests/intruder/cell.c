/* cell.c - the frames of a session, sent by hand.
 * Runs in: the intruder, in the place of gatepost-session. Trusts: nothing. Never: stops at what a session would not
 * do. */
#include "tests/intruder/intruder.h"

#include <poll.h>
#include <unistd.h>

static uint8_t storage[FRAME_MAX];

bool cell_send(int fd, enum frame_type type, const struct buf *b) {
    return frame_send_plain(fd, (uint16_t)type, buf_span(b)) == 0;
}

enum frame_status cell_receive(int fd, struct frame *out) {
    struct pollfd wait = {fd, POLLIN, 0};
    if (poll(&wait, 1, 2000) <= 0) return FRAME_NONE;
    return frame_receive(fd, storage, true, out);
}

bool cell_ended(int fd) {
    struct frame frame;
    for (int i = 0; i < 16; i++) {
        enum frame_status status = cell_receive(fd, &frame);
        if (status == FRAME_CLOSED) return true;
        if (status != FRAME_RECEIVED) return false;
    }
    return false;
}

bool cell_announce(struct cell *cell, enum relay_role role, const char *client) {
    uint8_t octets[128];
    struct buf b = BUF_OVER(octets);
    struct netaddr address = {.port = 4242}, local = {.port = 25};
    struct frame frame;
    if (!netaddr_parse(&address, span_text(client)) || !netaddr_parse(&local, SPAN("127.0.0.1"))) return false;
    address.port = 4242, local.port = 25;
    wire_put_u8(&b, (uint8_t)role);
    wire_put_netaddr(&b, &address);
    wire_put_netaddr(&b, &local);
    wire_put_u8(&b, 0);
    if (!cell_send(cell->auth, SESSION_ANNOUNCE, &b)) return false;
    if (cell_receive(cell->auth, &frame) != FRAME_RECEIVED || frame.type != SESSION_WELCOME) return false;
    return frame.body.n && frame.body.p[0] == REASON_COUNT;
}

enum reason cell_mail_span(struct cell *cell, struct span helo, struct span argument) {
    uint8_t octets[8192];
    struct buf b = BUF_OVER(octets);
    struct frame frame;
    wire_put_u8(&b, 1);
    wire_put_span(&b, helo);
    wire_put_span(&b, argument);
    if (!cell_send(cell->auth, SESSION_MAIL, &b)) return REASON_COUNT;
    if (cell_receive(cell->auth, &frame) != FRAME_RECEIVED || frame.type != SESSION_MAIL_RESULT) return REASON_COUNT;
    struct wire w = wire_over(frame.body);
    uint16_t reason = wire_get_u16(&w);
    (void)wire_get_u16(&w);
    wire_get_bytes(&w, cell->transaction, sizeof cell->transaction);
    (void)wire_get_u8(&w);
    return wire_end(&w) ? (enum reason)reason : REASON_COUNT;
}

enum reason cell_mail(struct cell *cell, const char *helo, const char *argument) {
    return cell_mail_span(cell, span_text(helo), span_text(argument));
}

enum reason cell_rcpt_span(struct cell *cell, struct span argument) {
    uint8_t octets[8192];
    struct buf b = BUF_OVER(octets);
    struct frame frame;
    wire_put_u16(&b, 1);
    wire_put_span(&b, argument);
    if (!cell_send(cell->auth, SESSION_RCPT, &b)) return REASON_COUNT;
    if (cell_receive(cell->auth, &frame) != FRAME_RECEIVED || frame.type != SESSION_RCPT_RESULT) return REASON_COUNT;
    if (frame.fd >= 0) cell->queue = frame.fd;
    struct wire w = wire_over(frame.body);
    if (wire_get_u16(&w) != 1) return REASON_COUNT;
    uint16_t reason = wire_get_u16(&w);
    return wire_end(&w) ? (enum reason)reason : REASON_COUNT;
}

enum reason cell_rcpt(struct cell *cell, const char *argument) {
    return cell_rcpt_span(cell, span_text(argument));
}

bool cell_body(struct cell *cell, const uint8_t transaction[TRANSACTION_BYTES], struct span octets) {
    static uint8_t frame[FRAME_BODY_MAX];
    struct buf b = BUF_OVER(frame);
    wire_put_bytes(&b, transaction, TRANSACTION_BYTES);
    wire_put_span(&b, octets);
    return cell_send(cell->queue, BODY_DATA, &b);
}

int cell_commit(struct cell *cell, const uint8_t transaction[TRANSACTION_BYTES], uint32_t recipients) {
    uint8_t octets[64];
    struct buf b = BUF_OVER(octets);
    struct frame frame;
    wire_put_bytes(&b, transaction, TRANSACTION_BYTES);
    wire_put_u32(&b, recipients);
    if (!cell_send(cell->queue, BODY_COMMIT, &b)) return -1;
    enum frame_status status = cell_receive(cell->queue, &frame);
    if (status == FRAME_CLOSED) return -1;
    if (status != FRAME_RECEIVED || frame.type != BODY_RESULT || frame.body.n <= TRANSACTION_BYTES) return -2;
    return frame.body.p[TRANSACTION_BYTES];
}

const char *cell_open(struct cell *cell, const char *sender) {
    char argument[256];
    struct buf b = buf_over(argument, sizeof argument - 1);
    buf_put_format(&b, "<%s>", sender);
    argument[b.n] = 0;
    if (!cell_announce(cell, RELAY_ROLE_MX, "127.0.0.1")) return "no welcome";
    if (cell_mail(cell, "intruder.example", argument) != REASON_SENDER_ACCEPTED) return "MAIL was refused";
    if (cell_rcpt(cell, "<alice@example.test>") != REASON_LOCAL_RECIPIENT) return "RCPT to a local user was refused";
    return cell->queue < 0 ? "no channel to the queue" : NULL;
}

bool cell_keys(struct cell *cell) {
    struct buf b = {0};
    struct frame frame;
    if (!cell_send(cell->auth, SESSION_KEYS, &b)) return false;
    if (cell_receive(cell->auth, &frame) != FRAME_RECEIVED || frame.type != SESSION_CHANNEL || frame.fd < 0)
        return false;
    cell->keys = frame.fd;
    return true;
}
