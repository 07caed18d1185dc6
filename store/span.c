/* span.c - comparing and cutting views of bytes.
 * Runs in: every process. Trusts: nothing in the bytes. Never: allocates, reads past the length. */
#include "store/span.h"

bool span_equal_nocase(struct span a, struct span b) {
    if (a.n != b.n) return false;
    for (size_t i = 0; i < a.n; i++)
        if (octet_lower(a.p[i]) != octet_lower(b.p[i])) return false;
    return true;
}

bool span_starts_nocase(struct span s, struct span prefix) {
    return s.n >= prefix.n && span_equal_nocase(span_part(s, 0, prefix.n), prefix);
}

size_t span_find(struct span s, uint8_t c) {
    const uint8_t *at = s.n ? memchr(s.p, c, s.n) : NULL;
    return at ? (size_t)(at - s.p) : s.n;
}

bool span_is_ascii(struct span s) {
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] >= 0x80) return false;
    return true;
}

struct span span_trim(struct span s) {
    while (s.n && (s.p[0] == ' ' || s.p[0] == '\t')) s = span_from(s, 1);
    while (s.n && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t')) s.n--;
    return s;
}

bool span_number(struct span s, uint64_t max, uint64_t *value_out) {
    uint64_t value = 0;
    if (s.n == 0) return false;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9') return false;
        uint64_t digit = (uint64_t)(s.p[i] - '0');
        if (value > (UINT64_MAX - digit) / 10) return false;
        value = value * 10 + digit;
    }
    if (value > max) return false;
    *value_out = value;
    return true;
}
