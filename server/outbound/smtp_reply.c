/* smtp_reply.c - replies of other servers.
 * Runs in: SMTP agents. Trusts: nothing; codes, lines and lengths are bounded, text is cleaned. Never: reads past the
 * reply that is due. */
#include "server/outbound/smtp_reply.h"

static bool digit(uint8_t c) {
    return c >= '0' && c <= '9';
}

/* Length of "c.sss.ddd" at the start of the text, followed by a space or the end; 0 when there is none. */
static size_t status_length(struct span text, uint8_t class) {
    size_t at = 2;
    if (text.n < 5 || text.p[0] != class || text.p[1] != '.') return 0;
    for (int part = 0; part < 2; part++) {
        size_t digits = 0;
        while (at < text.n && digit(text.p[at])) at++, digits++;
        if (digits < 1 || digits > 3) return 0;
        if (part == 0 && (at >= text.n || text.p[at++] != '.')) return 0;
    }
    return at == text.n || text.p[at] == ' ' ? at : 0;
}

static void put_clean(struct smtp_reply *reply, struct span text) {
    if (reply->n && reply->n < sizeof reply->text) reply->text[reply->n++] = ' ';
    for (size_t i = 0; i < text.n && reply->n < sizeof reply->text; i++)
        reply->text[reply->n++] = text.p[i] >= 0x20 && text.p[i] < 0x7f ? text.p[i] : '?';
}

static bool malformed(struct smtp_stream *stream) {
    if (!stream->fault) stream->fault = "the reply is malformed";
    return false;
}

static void take_first(struct smtp_reply *out, struct span line) {
    size_t status = status_length(span_from(line, 4), line.p[0]);
    out->code = (uint16_t)((line.p[0] - '0') * 100 + (line.p[1] - '0') * 10 + (line.p[2] - '0'));
    memcpy(out->status, "0.0.0", 6);
    out->status[0] = (char)line.p[0];
    if (!status) return;
    memcpy(out->status, line.p + 4, status);
    out->status[status] = 0;
}

bool smtp_reply_read(struct smtp_stream *stream, struct smtp_reply *out,
                     void (*each)(void *context, size_t line, struct span text), void *context) {
    struct span line;
    *out = (struct smtp_reply){0};
    for (size_t i = 0; i < SMTP_REPLY_LINES_MAX; i++) {
        if (!smtp_stream_line(stream, &line)) return false;
        if (line.n < 3 || line.p[0] < '2' || line.p[0] > '5' || !digit(line.p[1]) || !digit(line.p[2]) ||
            (line.n > 3 && line.p[3] != ' ' && line.p[3] != '-'))
            return malformed(stream);
        struct smtp_reply head = {0};
        take_first(&head, line);
        if (i == 0)
            *out = head;
        else if (head.code != out->code)
            return malformed(stream);
        put_clean(out, span_from(line, 4));
        if (each) each(context, i, span_from(line, 4));
        if (line.n == 3 || line.p[3] == ' ') return true;
    }
    return malformed(stream);
}

/* Replies that are about our login (RFC 4954 6), not about the message: the owner can mend that. */
static bool about_login(uint16_t code) {
    return code == 530 || code == 534 || code == 535 || code == 538;
}

struct job_answer smtp_reply_answer(const struct smtp_reply *reply) {
    bool final = reply->code / 100 == 5 && !about_login(reply->code);
    bool deferred = reply->code / 100 == 4 || reply->code == 0;
    return (struct job_answer){
        .outcome = final ? JOB_FAILED : JOB_DEFERRED,
        .code = reply->code,
        .status = final || deferred          ? reply->status
                  : about_login(reply->code) ? "4.7.0"
                                             : "4.5.0",
        .diagnostic = span_of(reply->text, reply->n),
    };
}

void smtp_reply_make(struct smtp_reply *out, const char *status, const char *what, struct span detail) {
    size_t n = strlen(status);
    *out = (struct smtp_reply){0};
    if (n < sizeof out->status) memcpy(out->status, status, n);
    put_clean(out, span_text(what));
    if (detail.n) put_clean(out, detail);
}
