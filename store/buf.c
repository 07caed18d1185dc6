/* buf.c - capped buffers.
 * Runs in: every process. Trusts: its caller for the storage. Never: allocates, writes past the cap. */
#include "store/buf.h"

#include <stdarg.h>
#include <stdio.h>

void buf_put(struct buf *b, const void *p, size_t n) {
    if (b->full || n > b->cap - b->n) {
        b->full = true;
        return;
    }
    if (n) memcpy(b->p + b->n, p, n);
    b->n += n;
}

void buf_put_span(struct buf *b, struct span s) {
    buf_put(b, s.p, s.n);
}
void buf_put_text(struct buf *b, const char *text) {
    buf_put(b, text, strlen(text));
}
void buf_put_octet(struct buf *b, uint8_t c) {
    buf_put(b, &c, 1);
}

void buf_put_number(struct buf *b, uint64_t value) {
    uint8_t digits[20];
    size_t at = sizeof digits;
    do digits[--at] = (uint8_t)('0' + value % 10), value /= 10;
    while (value);
    buf_put(b, digits + at, sizeof digits - at);
}

void buf_put_format(struct buf *b, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    size_t space = b->cap - b->n;
    int n = b->full ? -1 : vsnprintf((char *)b->p + b->n, space, format, arguments);
    va_end(arguments);
    if (n < 0 || (size_t)n >= space)
        b->full = true;
    else
        b->n += (size_t)n;
}

void buf_wipe(struct buf *b) {
    if (b->cap) explicit_bzero(b->p, b->cap);
    buf_clear(b);
}
