/* password_format.c - reading the head of a stored hash.
 * Runs in: auth, verifier, command line. Trusts: nothing in the octets. Never: sees a password. */
#include "auth/password_format.h"

#include "store/frames.h"

/* Cuts the number before the octet `end` off the front. */
static bool take_number(struct span *rest, uint8_t end, uint64_t max, uint64_t *out) {
    size_t n = span_find(*rest, end);
    bool ok = n < rest->n && span_number(span_part(*rest, 0, n), max, out);
    *rest = span_from(*rest, n + 1);
    return ok;
}

static bool take_text(struct span *rest, struct span text) {
    bool ok = rest->n >= text.n && span_equal(span_part(*rest, 0, text.n), text);
    *rest = span_from(*rest, text.n);
    return ok;
}

static bool is_base64(struct span s) {
    for (size_t i = 0; i < s.n; i++) {
        uint8_t c = octet_lower(s.p[i]);
        if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '+' && c != '/') return false;
    }
    return s.n > 0;
}

bool password_format_read(struct span hash, struct password_cost *out) {
    uint64_t memory, passes;
    *out = (struct password_cost){0};
    if (hash.n >= VERIFY_HASH_BYTES || !take_text(&hash, SPAN("$argon2id$v=19$m="))) return false;
    if (!take_number(&hash, ',', PASSWORD_MEMORY_MAX_KIB, &memory) || memory < 8) return false;
    if (!take_text(&hash, SPAN("t=")) || !take_number(&hash, ',', PASSWORD_PASSES_MAX, &passes) || passes < 1)
        return false;
    if (!take_text(&hash, SPAN("p=1$"))) return false;
    size_t salt = span_find(hash, '$');
    if (!is_base64(span_part(hash, 0, salt)) || !is_base64(span_from(hash, salt + 1))) return false;
    *out = (struct password_cost){(uint32_t)memory, (uint32_t)passes};
    return true;
}
