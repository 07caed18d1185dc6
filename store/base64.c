/* base64.c - base64 for SASL.
 * Runs in: session, verifier, outbound. Trusts: nothing in the text. Never: skips an octet that it does not know. */
#include "store/base64.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static int digit(uint8_t c) {
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* One group of four with `pads` of them "=": up to three octets. */
static bool group(const uint8_t *p, unsigned pads, struct buf *out) {
    uint32_t bits = 0;
    for (unsigned i = 0; i < 4; i++) {
        int value = i >= 4 - pads ? 0 : digit(p[i]);
        if (value < 0) return false;
        bits = bits << 6 | (uint32_t)value;
    }
    /* RFC 4648 3.5: the bits that padding cuts off are zero. */
    if ((pads == 1 && (bits & 0xffU)) || (pads == 2 && (bits & 0xffffU))) return false;
    for (unsigned i = 0; i < 3 - pads; i++) buf_put_octet(out, (uint8_t)(bits >> (16 - 8 * i)));
    return true;
}

bool base64_decode(struct span text, struct buf *out) {
    if (text.n % 4) return false;
    for (size_t at = 0; at < text.n; at += 4) {
        unsigned pads = 0;
        if (at + 4 == text.n && text.p[at + 3] == '=') pads = text.p[at + 2] == '=' ? 2 : 1;
        if (!group(text.p + at, pads, out)) return false;
    }
    return buf_ok(out);
}

void base64_encode(struct span octets, struct buf *out) {
    for (size_t at = 0; at < octets.n; at += 3) {
        size_t n = octets.n - at < 3 ? octets.n - at : 3;
        uint32_t bits = 0;
        for (size_t i = 0; i < 3; i++) bits = bits << 8 | (i < n ? octets.p[at + i] : 0U);
        for (size_t i = 0; i < 4; i++)
            buf_put_octet(out, i <= n ? (uint8_t)alphabet[bits >> (18 - 6 * i) & 63] : (uint8_t)'=');
    }
}
