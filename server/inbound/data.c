/* data.c - the automaton over the body's octets.
 * A bare CR, a bare LF or a NUL is refused with 550 5.6.11 in answer to the true end, CRLF.CRLF, and the session goes
 * on in step. To answer at the bare LF and close would reach most clients as a lost connection, and they would send
 * the message again for days. Who ends a message by LF.LF alone waits for an answer that the true end never brings:
 * when nothing follows for a few seconds the same 550 is said, and the connection closed, so that nothing behind it
 * is ever read as a command.
 * Runs in: session. Trusts: nothing. Never: takes anything but CRLF for the end of a line, or anything but CRLF.CRLF
 * for the end of a message; loses step when it refuses. */
#include "server/inbound/data.h"

static const char received_name[] = "received:";
enum { NAME_LENGTH = sizeof received_name - 1, NAME_OTHER = 255 };

void data_start(struct data *data, bool stuffed, uint64_t limit_bytes) {
    *data =
        (struct data){.stuffed = stuffed, .in_header = true, .limit_bytes = limit_bytes, .tail = {0, 0, '\r', '\n'}};
}

static void blame(struct data *data, enum data_fault fault) {
    if (data->fault == DATA_FINE) data->fault = fault;
}

bool data_is_smuggling(enum data_fault fault) {
    return fault == DATA_BARE_CR || fault == DATA_BARE_LF || fault == DATA_NUL;
}

static void count_name(struct data *data, uint8_t c) {
    if (data->name_matched >= NAME_LENGTH) return;
    if (octet_lower(c) != (uint8_t)received_name[data->name_matched]) {
        data->name_matched = NAME_OTHER;
        return;
    }
    if (++data->name_matched == NAME_LENGTH && ++data->received > DATA_RECEIVED_MAX) blame(data, DATA_LOOP);
}

/* Octets within a line, neither CR nor LF nor NUL. */
static void pass_text(struct data *data, struct span text, struct buf *out) {
    for (size_t i = 0; data->in_header && i < text.n && data->name_matched < NAME_LENGTH; i++)
        count_name(data, text.p[i]);
    data->line_bytes += text.n;
    data->bytes += text.n;
    if (data->line_bytes + 2 > DATA_LINE_MAX) blame(data, DATA_LONG_LINE);
    if (data->bytes > data->limit_bytes) blame(data, DATA_TOO_LARGE);
    if (data->fault == DATA_FINE) buf_put_span(out, text);
}

static void pass_octet(struct data *data, uint8_t c, struct buf *out) {
    pass_text(data, span_of(&c, 1), out);
    data->state = DATA_TEXT;
}

static void pass_line_end(struct data *data, struct buf *out) {
    data->bytes += 2;
    if (data->bytes > data->limit_bytes) blame(data, DATA_TOO_LARGE);
    if (data->fault == DATA_FINE) buf_put(out, "\r\n", 2);
    if (data->line_bytes == 0) data->in_header = false;
    data->line_bytes = 0;
    data->name_matched = 0;
    data->state = DATA_LINE_START;
}

/* An octet at the start of a line or within one. */
static void plain_octet(struct data *data, uint8_t c, struct buf *out) {
    if (c == '\r') {
        data->state = DATA_CR;
    } else if (c == '\n' || c == '\0') {
        blame(data, c ? DATA_BARE_LF : DATA_NUL);
        data->state = DATA_TEXT; /* never the start of a line */
    } else {
        pass_octet(data, c, out);
    }
}

static void step(struct data *data, uint8_t c, struct buf *out) {
    switch (data->state) {
    case DATA_LINE_START:
        if (c == '.' && data->stuffed)
            data->state = DATA_DOT;
        else
            plain_octet(data, c, out);
        break;
    case DATA_DOT: /* RFC 5321 4.5.2: the first dot of a longer line is not part of it */
        if (c == '\r')
            data->state = DATA_DOT_CR;
        else
            plain_octet(data, c, out);
        break;
    case DATA_DOT_CR:
        if (c == '\n') {
            data->state = DATA_END;
            break;
        }
        blame(data, DATA_BARE_CR);
        plain_octet(data, c, out);
        break;
    case DATA_CR:
        if (c == '\n') {
            pass_line_end(data, out);
            break;
        }
        blame(data, DATA_BARE_CR);
        plain_octet(data, c, out);
        break;
    case DATA_TEXT:
        plain_octet(data, c, out);
        break;
    case DATA_END:
        break;
    }
}

/* How many octets from the start of `in` are neither CR nor LF nor NUL. */
static size_t text_run(struct span in) {
    const uint8_t *cr = memchr(in.p, '\r', in.n);
    size_t n = cr ? (size_t)(cr - in.p) : in.n;
    const uint8_t *lf = memchr(in.p, '\n', n);
    if (lf) n = (size_t)(lf - in.p);
    const uint8_t *nul = memchr(in.p, '\0', n);
    return nul ? (size_t)(nul - in.p) : n;
}

static void keep_tail(struct data *data, struct span taken) {
    size_t n = taken.n < sizeof data->tail ? taken.n : sizeof data->tail;
    memmove(data->tail, data->tail + n, sizeof data->tail - n);
    if (n) memcpy(data->tail + sizeof data->tail - n, taken.p + taken.n - n, n);
}

bool data_ends_falsely(const struct data *data) {
    struct span tail = span_of(data->tail, sizeof data->tail);
    if (!data->stuffed || data->state == DATA_END) return false;
    return span_equal(span_from(tail, 1), SPAN("\n.\n")) || span_equal(tail, SPAN("\n.\r\n"));
}

size_t data_take(struct data *data, struct span in, struct buf *out) {
    size_t at = 0;
    while (at < in.n && data->state != DATA_END) {
        if (data->state == DATA_TEXT) {
            /* Bounded, so that a search does not run over the same octets again for each short line. */
            size_t n = text_run(span_part(in, at, DATA_LINE_MAX));
            pass_text(data, span_part(in, at, n), out);
            at += n;
            if (n) continue;
        }
        step(data, in.p[at++], out);
    }
    keep_tail(data, span_part(in, 0, at));
    return at;
}

void data_finish(struct data *data, struct buf *out) {
    if (data->state == DATA_CR)
        blame(data, DATA_BARE_CR);
    else if (data->state == DATA_TEXT)
        pass_line_end(data, out);
}
