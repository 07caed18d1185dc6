/* submit_read.c - line ends, the dot, and lines that are too long.
 * Runs in: the command line. Trusts: nothing. Never: loses an octet but line ends. */
#include "server/submit/submit_read.h"

static void end_line(struct submit_reader *reader) {
    struct submit_text *out = reader->out;
    size_t n = out->n - reader->line_from;
    if (n == 1 && out->p[reader->line_from] == '.' && !reader->dots_are_text) {
        out->n--;
        reader->ended = true;
        return;
    }
    if (n == 0) reader->in_body = true;
    submit_text_put(out, SPAN("\r\n"));
    reader->line_from = out->n;
}

/* Behind the last blank, else so that no character in UTF-8 is torn. */
static size_t break_at(struct span line) {
    for (size_t at = line.n; at > line.n / 2; at--)
        if (line.p[at - 1] == ' ' || line.p[at - 1] == '\t') return at;
    size_t at = line.n;
    while (at > line.n - 4 && (line.p[at - 1] & 0xc0) == 0x80) at--;
    return (line.p[at - 1] & 0xc0) == 0xc0 ? at - 1 : line.n;
}

static void break_line(struct submit_reader *reader) {
    struct submit_text *out = reader->out;
    uint8_t rest[SUBMIT_LINE_MAX];
    size_t at = break_at(span_of(out->p + reader->line_from, out->n - reader->line_from)) + reader->line_from;
    size_t n = out->n - at;
    memcpy(rest, out->p + at, n);
    out->n = at;
    submit_text_put(out, SPAN("\r\n"));
    reader->line_from = out->n;
    submit_text_put(out, span_of(rest, n));
}

void submit_read(struct submit_reader *reader, struct span octets) {
    for (size_t i = 0; i < octets.n && !reader->ended && !reader->out->failed; i++) {
        uint8_t c = octets.p[i];
        bool line_feed_of_crlf = reader->after_cr && c == '\n';
        reader->after_cr = c == '\r';
        if (line_feed_of_crlf) continue;
        if (c == '\r' || c == '\n') {
            end_line(reader);
            continue;
        }
        reader->nul |= c == 0;
        reader->eight_bit |= c > 127;
        if (reader->in_body && reader->out->n - reader->line_from == SUBMIT_LINE_MAX) break_line(reader);
        submit_text_put(reader->out, span_of(&c, 1));
    }
}

void submit_read_end(struct submit_reader *reader) {
    if (!reader->ended && reader->out->n > reader->line_from) end_line(reader);
}
