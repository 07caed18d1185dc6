/* ask_mail.c - the session's questions about mail, to auth and queue, as frames.
 * Runs in: session, for SMTP. Trusts: auth and queue. Never: talks to the client. */
#include "server/inbound/ask_channel.h"

#include <unistd.h>

enum { BODY_HEAD = TRANSACTION_BYTES + 4 }; /* before the octets of BODY_DATA */
static BUF_LARGE uint8_t body_frame[FRAME_BODY_MAX];
static CHILD_STATE struct buf body_octets;

bool ask_mail(bool esmtp, struct span helo, struct span argument, struct ask_mail *out) {
    struct buf b = ask_question();
    struct frame frame;
    wire_put_u8(&b, esmtp);
    wire_put_span(&b, helo);
    wire_put_span(&b, argument);
    if (!ask_auth_for(SESSION_MAIL, &b, SESSION_MAIL_RESULT, false, &frame)) return false;
    struct wire w = wire_over(frame.body);
    out->reason = ask_get_reason(&w);
    out->foreign = ask_get_reason(&w);
    wire_get_bytes(&w, out->transaction, sizeof out->transaction);
    out->header_from = wire_get_u8(&w) == 1;
    return wire_end(&w);
}

bool ask_from(const struct span *addresses, size_t n, enum reason *reason_out) {
    struct buf b = ask_question();
    struct frame frame;
    wire_put_u16(&b, (uint16_t)n);
    for (size_t i = 0; i < n; i++) wire_put_span(&b, addresses[i]);
    if (!ask_auth_for(SESSION_FROM, &b, SESSION_FROM_RESULT, false, &frame)) return false;
    struct wire w = wire_over(frame.body);
    *reason_out = ask_get_reason(&w);
    return wire_end(&w);
}

bool ask_rcpt(const struct span *arguments, size_t n, enum reason *reasons_out) {
    struct buf b = ask_question();
    struct frame frame;
    wire_put_u16(&b, (uint16_t)n);
    for (size_t i = 0; i < n; i++) wire_put_span(&b, arguments[i]);
    b.full = b.full || b.n > FRAME_BODY_MAX;
    if (!ask_auth_for(SESSION_RCPT, &b, SESSION_RCPT_RESULT, true, &frame)) return false;
    struct wire w = wire_over(frame.body);
    if (wire_get_u16(&w) != n) w.bad = true;
    for (size_t i = 0; i < n; i++) reasons_out[i] = ask_get_reason(&w);
    ask_keep_other(frame.fd);
    return wire_end(&w);
}

bool ask_reset(void) {
    return ask_tell_auth(SESSION_RESET, span_of(NULL, 0));
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
    bool ok = buf_ok(&body_octets) && ask_tell(ask_other_fd(), type, all);
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
    if (!ask_hear_other(BODY_RESULT, &frame)) return false;
    struct wire w = wire_over(frame.body);
    wire_get_bytes(&w, transaction, sizeof transaction);
    out->outcome = (enum body_outcome)wire_get_u8(&w);
    out->message_name = wire_get_span(&w, MESSAGE_NAME_MAX);
    return wire_end(&w) && memcmp(transaction, body_frame, TRANSACTION_BYTES) == 0;
}

bool ask_body_abort(void) {
    return ask_tell(ask_other_fd(), BODY_ABORT, span_of(body_frame, TRANSACTION_BYTES));
}
