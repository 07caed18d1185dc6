/* smtp_body.c - line ends and dots.
 * Runs in: SMTP agents. Trusts: nothing in the body. Never: lets a body end the data before its end. */
#include "server/outbound/smtp_body.h"

#include <errno.h>

enum { READ_BYTES = 32 << 10 };

/* Takes octets as they come and gives lines: a CR, an LF, or both in this order, end one. */
struct lines {
    bool after_cr, in_line;
};

struct output {
    struct smtp_stream *stream; /* NULL: only counts */
    uint64_t bytes;
};

static void put(struct output *out, struct span octets) {
    out->bytes += octets.n;
    if (out->stream) smtp_stream_put(out->stream, octets);
}

static void end_line(struct lines *lines, struct output *out) {
    put(out, SPAN("\r\n"));
    lines->in_line = false;
}

static size_t plain_length(struct span s) {
    size_t n = 0;
    while (n < s.n && s.p[n] != '\r' && s.p[n] != '\n') n++;
    return n;
}

static void take(struct lines *lines, struct output *out, struct span rest) {
    while (rest.n) {
        size_t n = plain_length(rest);
        if (lines->after_cr && (n || rest.p[0] == '\r')) end_line(lines, out);
        if (n) {
            if (!lines->in_line && rest.p[0] == '.' && out->stream) put(out, SPAN("."));
            put(out, span_part(rest, 0, n));
            lines->in_line = true, lines->after_cr = false;
            rest = span_from(rest, n);
            continue;
        }
        lines->after_cr = rest.p[0] == '\r';
        if (!lines->after_cr) end_line(lines, out);
        rest = span_from(rest, 1);
    }
}

static void finish(struct lines *lines, struct output *out) {
    if (lines->after_cr || lines->in_line) end_line(lines, out);
}

bool smtp_body_survey(const struct job *job, struct smtp_body *out) {
    static uint8_t octets[READ_BYTES];
    struct lines lines = {false, false};
    struct output counter = {NULL, 0};
    ssize_t n;
    *out = (struct smtp_body){0};
    for (uint64_t at = 0; (n = job_body_read(job, at, octets, sizeof octets)) > 0; at += (uint64_t)n) {
        for (ssize_t i = 0; i < n && !out->has_8bit; i++) out->has_8bit = octets[i] >= 0x80;
        take(&lines, &counter, span_of(octets, (size_t)n));
    }
    finish(&lines, &counter);
    out->bytes = counter.bytes;
    return n == 0;
}

bool smtp_body_send(const struct job *job, struct smtp_stream *stream, uint64_t limit_ms, int *read_error_out) {
    static uint8_t octets[READ_BYTES];
    struct lines lines = {false, false};
    struct output out = {stream, 0};
    ssize_t n;
    *read_error_out = 0;
    for (uint64_t at = 0; (n = job_body_read(job, at, octets, sizeof octets)) > 0; at += (uint64_t)n) {
        smtp_stream_limit(stream, limit_ms);
        take(&lines, &out, span_of(octets, (size_t)n));
        if (stream->fault) return false;
    }
    if (n < 0) {
        *read_error_out = errno;
        return false;
    }
    finish(&lines, &out);
    put(&out, SPAN(".\r\n"));
    smtp_stream_limit(stream, limit_ms);
    return smtp_stream_flush(stream);
}
