/* fuzz_body.c - a stored body on its way out, and a client's on its way in: one message stays one.
 * Runs in: fuzzing. Trusts: nothing. Never: calls more than one end of data an end. */
#include "server/inbound/data.h"
#include "server/outbound/smtp_body.h"
#include "tests/fuzz/fuzz.h"

#include <sys/socket.h>
#include <unistd.h>

/* Only CRLF ends a line, no line is a lone dot but the last. */
static void check_wire(struct span s) {
    HOLDS(s.n >= 3 && memcmp(s.p + s.n - 3, ".\r\n", 3) == 0);
    for (size_t at = 0; at < s.n;) {
        size_t n = span_find(span_from(s, at), '\n');
        HOLDS(at + n < s.n && n > 0 && s.p[at + n - 1] == '\r');
        HOLDS(!memchr(s.p + at, '\r', n - 1));
        bool dot = n == 2 && s.p[at] == '.';
        HOLDS(dot == (at + n + 1 == s.n));
        HOLDS(n < 2 || s.p[at] != '.' || dot || s.p[at + 1] == '.');
        at += n + 1;
    }
}

static void outward(struct span in) {
    static struct smtp_stream stream;
    static uint8_t wire[1 << 18], copy[1 << 16];
    struct job job = {.fd = -1, .body = copy, .body_bytes = in.n};
    struct smtp_body survey;
    int ends[2], error;
    if (in.n) memcpy(copy, in.p, in.n);
    HOLDS(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) == 0);
    smtp_stream_open(&stream, ends[1]);
    smtp_stream_limit(&stream, 1000);
    HOLDS(smtp_body_survey(&job, &survey) && smtp_body_send(&job, &stream, 1000, &error));
    smtp_stream_close(&stream);
    size_t n = 0;
    for (ssize_t got; (got = read(ends[0], wire + n, sizeof wire - n)) > 0;) n += (size_t)got;
    close(ends[0]);
    check_wire(span_of(wire, n));
}

/* In two pieces it is the same as in one. */
static size_t inward(struct span in, size_t cut, bool stuffed, struct data *data, struct buf *out) {
    size_t taken = 0;
    data_start(data, stuffed, 4000);
    if (cut > in.n) cut = in.n;
    if (cut) taken = data_take(data, span_part(in, 0, cut), out);
    if (taken == cut && data->state != DATA_END) taken += data_take(data, span_from(in, cut), out);
    if (!stuffed) data_finish(data, out);
    return taken;
}

static void check_stored(struct span s) {
    for (size_t i = 0; i < s.n; i++) {
        HOLDS(s.p[i]);
        HOLDS(s.p[i] != '\n' || (i > 0 && s.p[i - 1] == '\r'));
        HOLDS(s.p[i] != '\r' || (i + 1 < s.n && s.p[i + 1] == '\n'));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n) {
    static uint8_t one[1 << 16], two[1 << 16];
    struct data a, b;
    struct buf whole = BUF_OVER(one), cut = BUF_OVER(two);
    struct span in = span_of(p, n < 30000 ? n : 30000);
    uint8_t at = fuzz_octet(&in), stuffed = fuzz_octet(&in) & 1;
    size_t taken = inward(in, 0, stuffed, &a, &whole), taken_cut = inward(in, at, stuffed, &b, &cut);
    HOLDS(taken == taken_cut && a.state == b.state && a.fault == b.fault && buf_ok(&whole) && buf_ok(&cut));
    if (!a.fault && (a.state == DATA_END || !stuffed)) {
        HOLDS(span_equal(buf_span(&whole), buf_span(&cut)));
        check_stored(buf_span(&whole));
    }
    if (stuffed && a.state == DATA_END) /* the one end: CRLF.CRLF, or .CRLF at the start */
        HOLDS(taken >= 3 && memcmp(in.p + taken - 3, ".\r\n", 3) == 0 &&
              (taken == 3 || (taken >= 5 && memcmp(in.p + taken - 5, "\r\n", 2) == 0)));
    outward(in);
    return 0;
}
