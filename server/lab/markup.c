/* markup.c - escaping for XML and HTML, and texts with gaps.
 * Runs in: page, command line. Trusts: its caller for the text around the values. Never: lets a value end where it
 * stands. */
#include "server/lab/markup.h"

#include "auth/utf8.h"

#include <stdlib.h>

/* XML 1.0 2.2 without C1, which HTML takes for an error, and without U+FFFE and U+FFFF. */
static bool is_char(struct span s, size_t step) {
    if (step == 1) return s.p[0] >= 0x20 ? s.p[0] != 0x7f : s.p[0] == '\t' || s.p[0] == '\n' || s.p[0] == '\r';
    if (step == 2) return s.p[0] != 0xc2 || s.p[1] >= 0xa0;
    if (step == 3) return s.p[0] != 0xef || s.p[1] != 0xbf || s.p[2] < 0xbe;
    return step == 4;
}

static const char *reference(uint8_t c) {
    switch (c) {
    case '&':
        return "&amp;";
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '"':
        return "&quot;";
    case '\'':
        return "&#39;";
    case '\r':
        return "&#13;"; /* else it is read as a line feed */
    default:
        return NULL;
    }
}

void markup_put(struct buf *out, struct span text) {
    while (text.n) {
        size_t step = utf8_step(text);
        const char *instead = step == 1 ? reference(text.p[0]) : NULL;
        if (instead)
            buf_put_text(out, instead);
        else if (is_char(text, step))
            buf_put(out, text.p, step);
        else
            buf_put_text(out, "\xef\xbf\xbd");
        text = span_from(text, step ? step : 1);
    }
}

static void put_field(struct buf *out, struct span name, const struct markup_field *fields, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (span_equal(name, span_text(fields[i].name))) {
            markup_put(out, fields[i].value);
            return;
        }
    abort();
}

void markup_fill(struct buf *out, const char *text, const struct markup_field *fields, size_t n) {
    struct span rest = span_text(text);
    while (rest.n) {
        size_t gap = span_find(rest, '{'), end = span_find(rest, '}');
        buf_put_span(out, span_part(rest, 0, gap));
        if (gap < rest.n) put_field(out, span_part(rest, gap + 1, end - gap - 1), fields, n);
        rest = span_from(rest, gap < rest.n ? end + 1 : gap);
    }
}
