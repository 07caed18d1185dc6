/* wire.c - typed fields in and out of bytes.
 * Runs in: every process. Trusts: nothing it reads. Never: allocates, interprets what it carries. */
#include "store/wire.h"

static void put_le(struct buf *b, uint64_t value, size_t width) {
    uint8_t octets[8];
    for (size_t i = 0; i < width; i++) octets[i] = (uint8_t)(value >> (8 * i));
    buf_put(b, octets, width);
}

void wire_put_u8(struct buf *b, uint8_t value) {
    put_le(b, value, 1);
}
void wire_put_u16(struct buf *b, uint16_t value) {
    put_le(b, value, 2);
}
void wire_put_u32(struct buf *b, uint32_t value) {
    put_le(b, value, 4);
}
void wire_put_u64(struct buf *b, uint64_t value) {
    put_le(b, value, 8);
}
void wire_put_bytes(struct buf *b, const void *p, size_t n) {
    buf_put(b, p, n);
}

void wire_put_span(struct buf *b, struct span s) {
    if (s.n > UINT32_MAX) {
        b->full = true;
        return;
    }
    put_le(b, s.n, 4);
    buf_put_span(b, s);
}

void wire_put_text(struct buf *b, const char *text) {
    wire_put_span(b, span_text(text));
}

static const uint8_t *take(struct wire *w, size_t n) {
    if (w->bad || n > w->rest.n) {
        w->bad = true;
        w->rest = (struct span){NULL, 0};
        return NULL;
    }
    const uint8_t *p = w->rest.p;
    w->rest = span_from(w->rest, n);
    return p;
}

static uint64_t get_le(struct wire *w, size_t width) {
    const uint8_t *p = take(w, width);
    uint64_t value = 0;
    for (size_t i = 0; p && i < width; i++) value |= (uint64_t)p[i] << (8 * i);
    return value;
}

uint8_t wire_get_u8(struct wire *w) {
    return (uint8_t)get_le(w, 1);
}
uint16_t wire_get_u16(struct wire *w) {
    return (uint16_t)get_le(w, 2);
}
uint32_t wire_get_u32(struct wire *w) {
    return (uint32_t)get_le(w, 4);
}
uint64_t wire_get_u64(struct wire *w) {
    return get_le(w, 8);
}

void wire_get_bytes(struct wire *w, void *p_out, size_t n) {
    const uint8_t *p = take(w, n);
    if (p)
        memcpy(p_out, p, n);
    else
        memset(p_out, 0, n);
}

struct span wire_get_span(struct wire *w, size_t max) {
    size_t n = wire_get_u32(w);
    if (n > max) w->bad = true;
    const uint8_t *p = take(w, n);
    return p ? (struct span){p, n} : (struct span){NULL, 0};
}

void wire_get_text(struct wire *w, char *text_out, size_t size) {
    struct span s = wire_get_span(w, size - 1);
    if (s.n && memchr(s.p, 0, s.n)) w->bad = true, s.n = 0;
    if (s.n) memcpy(text_out, s.p, s.n);
    text_out[s.n] = 0;
}

bool wire_end(const struct wire *w) {
    return !w->bad && w->rest.n == 0;
}
