/* wire.h - typed fields in bytes that pass between our processes or lie on disk: fixed width, little-endian,
 * texts with a 32-bit length before them, never raw structs. Reading is sticky: after the first field that
 * is not there everything reads as zero, and wire_end, asked last, says whether all of it was well formed
 * with nothing left over. */
#ifndef STORE_WIRE_H
#define STORE_WIRE_H

#include "store/buf.h"

void wire_put_u8(struct buf *b, uint8_t value);
void wire_put_u16(struct buf *b, uint16_t value);
void wire_put_u32(struct buf *b, uint32_t value);
void wire_put_u64(struct buf *b, uint64_t value);
/* Octets of a length that both sides know. */
void wire_put_bytes(struct buf *b, const void *p, size_t n);
/* A 32-bit length and that many octets. */
void wire_put_span(struct buf *b, struct span s);
void wire_put_text(struct buf *b, const char *text);

struct wire {
    struct span rest;
    bool bad;
};

static inline struct wire wire_over(struct span s) {
    return (struct wire){s, false};
}

uint8_t wire_get_u8(struct wire *w);
uint16_t wire_get_u16(struct wire *w);
uint32_t wire_get_u32(struct wire *w);
uint64_t wire_get_u64(struct wire *w);
/* Copies exactly n octets, or zeroes them when they are not there. */
void wire_get_bytes(struct wire *w, void *p_out, size_t n);
/* A view into the wire's own bytes; empty and bad when longer than max or than what is left. */
struct span wire_get_span(struct wire *w, size_t max);
/* Like wire_get_span, into a C string of `size` octets: bad when it does not fit or holds a NUL. */
void wire_get_text(struct wire *w, char *text_out, size_t size);

/* True when every field was there and nothing is left over. */
bool wire_end(const struct wire *w) MUST_USE;

#endif
