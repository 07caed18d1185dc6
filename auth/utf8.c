/* utf8.c - well-formed UTF-8.
 * Runs in: session, auth, command line. Trusts: nothing in the octets. Never: allocates, decodes, maps. */
#include "auth/utf8.h"

static bool continues(struct span s, size_t at) {
    return at < s.n && (s.p[at] & 0xc0) == 0x80;
}

/* The second octet tells overlong forms, surrogates and what lies above U+10FFFF (RFC 3629 4, UTF8-3, UTF8-4). */
static bool second_fits(uint8_t first, uint8_t second) {
    switch (first) {
    case 0xe0:
        return second >= 0xa0;
    case 0xed:
        return second <= 0x9f;
    case 0xf0:
        return second >= 0x90;
    case 0xf4:
        return second <= 0x8f;
    default:
        return true;
    }
}

size_t utf8_step(struct span s) {
    if (s.n == 0) return 0;
    uint8_t first = s.p[0];
    if (first < 0x80) return 1;
    if (first < 0xc2 || first > 0xf4 || !continues(s, 1) || !second_fits(first, s.p[1])) return 0;
    if (first < 0xe0) return 2;
    if (!continues(s, 2)) return 0;
    if (first < 0xf0) return 3;
    return continues(s, 3) ? 4 : 0;
}

bool utf8_clean(struct span s) {
    while (s.n) {
        size_t step = utf8_step(s);
        if (step == 0 || s.p[0] < 0x20 || s.p[0] == 0x7f || (s.p[0] == 0xc2 && s.p[1] < 0xa0)) return false;
        s = span_from(s, step);
    }
    return true;
}
