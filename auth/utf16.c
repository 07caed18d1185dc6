/* utf16.c - UTF-16 as NTLM writes it.
 * Runs in: verifier, command line. Trusts: libunistring; nothing in the octets. Never: allocates, replaces what it
 * cannot read. */
#include "auth/utf16.h"

#include "auth/utf8.h"
#include "store/wire.h"

#include <unicase.h>

enum { HIGH_FIRST = 0xd800, LOW_FIRST = 0xdc00, LOW_LAST = 0xdfff, BEYOND = 0x10000 };

/* Of a form that utf8_step found to be well formed. */
static uint32_t scalar(const uint8_t *p, size_t step) {
    uint32_t value = step == 1 ? p[0] : p[0] & (0x7fU >> step);
    for (size_t i = 1; i < step; i++) value = value << 6 | (p[i] & 0x3f);
    return value;
}

bool utf16_from_utf8(struct span utf8, struct buf *out) {
    while (utf8.n) {
        size_t step = utf8_step(utf8);
        if (step == 0) return false;
        uint32_t value = scalar(utf8.p, step);
        if (value >= BEYOND) wire_put_u16(out, (uint16_t)(HIGH_FIRST + ((value - BEYOND) >> 10)));
        wire_put_u16(out, value < BEYOND ? (uint16_t)value : (uint16_t)(LOW_FIRST + ((value - BEYOND) & 0x3ff)));
        utf8 = span_from(utf8, step);
    }
    return buf_ok(out);
}

static void put_utf8(struct buf *out, uint32_t value) {
    if (value < 0x80) {
        buf_put_octet(out, (uint8_t)value);
        return;
    }
    unsigned more = value < 0x800 ? 1 : value < BEYOND ? 2 : 3;
    buf_put_octet(out, (uint8_t)((0x7f80U >> more) | (value >> (6 * more))));
    while (more--) buf_put_octet(out, (uint8_t)(0x80 | ((value >> (6 * more)) & 0x3f)));
}

bool utf16_to_utf8(struct span utf16, struct buf *out) {
    struct wire w = wire_over(utf16);
    while (w.rest.n) {
        uint32_t value = wire_get_u16(&w);
        if (value >= LOW_FIRST && value <= LOW_LAST) return false;
        if (value >= HIGH_FIRST && value < LOW_FIRST) {
            uint32_t low = wire_get_u16(&w);
            if (low < LOW_FIRST || low > LOW_LAST) return false;
            value = BEYOND + ((value - HIGH_FIRST) << 10) + (low - LOW_FIRST);
        }
        if (w.bad) return false;
        put_utf8(out, value);
    }
    return buf_ok(out);
}

/* Half a surrogate pair has no mapping. */
void utf16_upper(struct span utf16, struct buf *out) {
    struct wire w = wire_over(utf16);
    while (w.rest.n) {
        uint32_t value = wire_get_u16(&w), upper = uc_toupper(value);
        wire_put_u16(out, (uint16_t)(upper < BEYOND ? upper : value));
    }
}
