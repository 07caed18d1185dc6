/* reply.c - the table of replies, and how one is written.
 * Runs in: session. Trusts: nothing. Never: repeats what a client said. */
#include "server/inbound/reply.h"

#include "store/base64.h"

static const struct {
    uint16_t code;
    const char *enhanced, *text;
} replies[REPLY_COUNT] = {[REPLY_NONE] = {451, "4.3.0", "Something failed on our side, please try again later"},
#define ROW(name, code, enhanced, text) [REPLY_##name] = {code, enhanced, text},
                          REPLIES(ROW)
#undef ROW
};

static void put_start(struct buf *out, unsigned code, const char *enhanced, const char *text) {
    buf_put_number(out, code);
    buf_put_octet(out, ' ');
    buf_put_text(out, enhanced);
    if (*enhanced) buf_put_octet(out, ' ');
    buf_put_text(out, text);
}

void reply_put(struct buf *out, enum reply reply) {
    unsigned i = (unsigned)reply < REPLY_COUNT ? (unsigned)reply : REPLY_NONE;
    put_start(out, replies[i].code, replies[i].enhanced, replies[i].text);
    buf_put_text(out, "\r\n");
}

static void put_reason(struct buf *out, enum reason reason, const char *text) {
    const struct reason_reply *row = reason_reply(reason);
    put_start(out, row->code, row->enhanced, text ? text : row->text);
    if (!row->accepts) {
        buf_put_text(out, " (");
        buf_put_text(out, row->name);
        buf_put_octet(out, ')');
    }
    buf_put_text(out, "\r\n");
}

void reply_put_reason(struct buf *out, enum reason reason) {
    put_reason(out, reason, NULL);
}

/* Over the same kind: who checks the mail over IPv6 and sends over IPv4 comes from two addresses. */
#define MAIL_FIRST                                                                                                   \
    "check your mail first, over the same kind of address (IPv4 or IPv6), then send again with your own address as " \
    "the sender; or switch on 'My outgoing server requires authentication'"

void reply_put_reason_mail_first(struct buf *out, enum reason reason) {
    switch (reason) {
    case REASON_RELAY_DENIED:
        put_reason(out, reason, "This server relays to other domains only for its users: " MAIL_FIRST);
        return;
    case REASON_AUTH_REQUIRED:
        put_reason(out, reason, "Please log in: " MAIL_FIRST);
        return;
    case REASON_LOCAL_SENDER_NEEDS_AUTH:
        put_reason(out, reason, "Mail from this sender's domain needs a login: " MAIL_FIRST);
        return;
    default:
        put_reason(out, reason, NULL);
    }
}

void reply_put_banner(struct buf *out, struct span hostname) {
    buf_put_text(out, "220 ");
    buf_put_span(out, hostname);
    buf_put_text(out, " ESMTP gatepost\r\n");
}

void reply_put_queued(struct buf *out, struct span message_name) {
    buf_put_text(out, "250 2.0.0 Queued as ");
    buf_put_span(out, message_name);
    buf_put_text(out, "\r\n");
}

void reply_put_challenge(struct buf *out, struct span challenge) {
    buf_put_text(out, "334 ");
    base64_encode(challenge, out);
    buf_put_text(out, "\r\n");
}
