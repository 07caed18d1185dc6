/* pop3_reply.c - the table of replies, and how one is written.
 * Runs in: session, for POP3. Trusts: nothing. Never: repeats what a client said. */
#include "server/inbound/pop3_reply.h"

#include "store/base64.h"

static const struct {
    bool ok;
    const char *text;
} replies[POP3_REPLY_COUNT] = {
    [POP3_REPLY_NONE] = {false, "[SYS/TEMP] Something failed on our side, please try again later"},
#define ROW(name, ok, text) [POP3_REPLY_##name] = {ok, text},
    POP3_REPLIES(ROW)
#undef ROW
};

void pop3_reply_put(struct buf *out, enum pop3_reply reply) {
    unsigned i = (unsigned)reply < POP3_REPLY_COUNT ? (unsigned)reply : POP3_REPLY_NONE;
    buf_put_text(out, replies[i].ok ? "+OK " : "-ERR ");
    buf_put_text(out, replies[i].text);
    buf_put_text(out, "\r\n");
}

void pop3_reply_put_reason(struct buf *out, enum reason reason) {
    const struct reason_reply *row = reason_reply(reason);
    buf_put_text(out, row->code < 500 ? "-ERR [SYS/TEMP] " : "-ERR [SYS/PERM] ");
    buf_put_text(out, row->text);
    buf_put_text(out, " (");
    buf_put_text(out, row->name);
    buf_put_text(out, ")\r\n");
}

void pop3_reply_put_banner(struct buf *out, struct span hostname) {
    buf_put_text(out, "+OK ");
    buf_put_span(out, hostname);
    buf_put_text(out, " POP3 gatepost\r\n");
}

void pop3_reply_put_challenge(struct buf *out, struct span challenge) {
    buf_put_text(out, "+ ");
    base64_encode(challenge, out);
    buf_put_text(out, "\r\n");
}
