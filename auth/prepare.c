/* prepare.c - RFC 8265 by libunistring; the only file that uses it.
 * Runs in: verifier, command line. Trusts: libunistring's tables. Never: leaves a password behind in its own storage,
 * lets through what it does not know. */
#include "auth/prepare.h"

#include "auth/utf8.h"

#include <stdlib.h>
#include <unictype.h>
#include <unigbrk.h>
#include <uninorm.h>
#include <unistr.h>

enum {
    TYPED_MAX = SECRET_MAX,
    NORMAL_MAX = 3 * TYPED_MAX, /* NFC makes at most three characters of one: Unicode, UAX 15 */
    STACK_BYTES = 8192,         /* more than what libunistring works in */
    ZERO_WIDTH_NON_JOINER = 0x200c,
    ZERO_WIDTH_JOINER = 0x200d,
    VIRAMA = 9 /* the combining class of that name */
};

/* Characters, not octets. */
struct points {
    size_t n;
    uint32_t at[NORMAL_MAX];
};

/* ---- what is allowed: the FreeformClass, RFC 8264 4.3 and 8 */

/* RFC 8264 9.6, which is RFC 5892 2.6: of its list those that are disallowed. */
static bool is_exception(uint32_t c) {
    return c == 0x640 || c == 0x7fa || c == 0x302e || c == 0x302f || (c >= 0x3031 && c <= 0x3035) || c == 0x303b;
}

/* RFC 8264 9.9: conjoining Jamo, which are L, V and T here as there. */
static bool is_old_hangul(uint32_t c) {
    int kind = uc_graphemeclusterbreak_property(c);
    return kind == GBP_L || kind == GBP_V || kind == GBP_T;
}

/* Letters, marks, numbers, spaces, symbols and punctuation. What is not assigned is in no such category, and refused:
 * another release of the tables might give it another NFC. */
static bool is_in_class(uint32_t c) {
    static const uint32_t categories = UC_CATEGORY_MASK_L | UC_CATEGORY_MASK_M | UC_CATEGORY_MASK_N |
                                       UC_CATEGORY_MASK_Zs | UC_CATEGORY_MASK_S | UC_CATEGORY_MASK_P;
    if (c < 0x80) return c >= 0x20 && c != 0x7f;
    return !is_exception(c) && !is_old_hangul(c) && !uc_is_property_default_ignorable_code_point(c) &&
           uc_is_general_category_withtable(c, categories);
}

/* ---- what is allowed in its place only: RFC 5892 A */

static bool is_of_script(uint32_t c, const char *name) {
    const uc_script_t *script = uc_script_byname(name);
    return script && uc_is_script(c, script);
}

static bool follows_virama(const struct points *s, size_t i) {
    return i > 0 && uc_combining_class(s->at[i - 1]) == VIRAMA;
}

static bool is_transparent(uint32_t c) {
    return uc_joining_type(c) == UC_JOINING_TYPE_T;
}

/* A.1: between letters that join, marks aside. */
static bool breaks_cursive(const struct points *s, size_t i) {
    size_t before = i, after = i + 1;
    while (before > 0 && is_transparent(s->at[before - 1])) before--;
    while (after < s->n && is_transparent(s->at[after])) after++;
    if (before == 0 || after == s->n) return false;
    int left = uc_joining_type(s->at[before - 1]), right = uc_joining_type(s->at[after]);
    return (left == UC_JOINING_TYPE_L || left == UC_JOINING_TYPE_D) &&
           (right == UC_JOINING_TYPE_R || right == UC_JOINING_TYPE_D);
}

/* A.7: among Japanese letters. */
static bool holds_japanese(const struct points *s) {
    for (size_t i = 0; i < s->n; i++)
        if (is_of_script(s->at[i], "Hiragana") || is_of_script(s->at[i], "Katakana") || is_of_script(s->at[i], "Han"))
            return true;
    return false;
}

static bool holds_extended_digit(const struct points *s) {
    for (size_t i = 0; i < s->n; i++)
        if (s->at[i] >= 0x6f0 && s->at[i] <= 0x6f9) return true;
    return false;
}

static bool is_allowed(const struct points *s, size_t i) {
    uint32_t c = s->at[i], before = i > 0 ? s->at[i - 1] : 0, after = i + 1 < s->n ? s->at[i + 1] : 0;
    switch (c) {
    case ZERO_WIDTH_NON_JOINER:
        return follows_virama(s, i) || breaks_cursive(s, i);
    case ZERO_WIDTH_JOINER:
        return follows_virama(s, i); /* A.2 */
    case 0xb7:
        return before == 'l' && after == 'l'; /* A.3, Catalan */
    case 0x375:
        return after && is_of_script(after, "Greek"); /* A.4 */
    case 0x5f3:
    case 0x5f4:
        return before && is_of_script(before, "Hebrew"); /* A.5, A.6 */
    case 0x30fb:
        return holds_japanese(s);
    default:
        break;
    }
    /* A.8, A.9: digits of the two Arabic kinds are not mixed; the one kind's refuse for both. */
    if (c >= 0x660 && c <= 0x669) return !holds_extended_digit(s);
    return is_in_class(c);
}

/* ---- mappings, in the order of RFC 8264 7: width, other mappings, NFC; the classes last */

static uint32_t map_space(uint32_t c) {
    return uc_is_general_category_withtable(c, UC_CATEGORY_MASK_Zs) ? ' ' : c;
}

static uint32_t map_width(uint32_t c) {
    uint32_t parts[UC_DECOMPOSITION_MAX_LENGTH];
    int tag = 0;
    bool maps = uc_decomposition(c, &tag, parts) == 1 && (tag == UC_DECOMP_WIDE || tag == UC_DECOMP_NARROW);
    return maps ? parts[0] : c;
}

static bool decode(struct span typed, uint32_t map(uint32_t), struct points *out) {
    out->n = 0;
    if (typed.n == 0 || typed.n > TYPED_MAX) return false;
    while (typed.n) {
        uint32_t c;
        size_t step = utf8_step(typed);
        if (step == 0) return false;
        (void)u8_mbtouc_unsafe(&c, typed.p, step);
        out->at[out->n++] = map(c);
        typed = span_from(typed, step);
    }
    return true;
}

static bool compose(const struct points *from, struct points *out) {
    out->n = NORMAL_MAX;
    uint32_t *result = u32_normalize(UNINORM_NFC, from->at, from->n, out->at, &out->n);
    if (result == out->at) return true;
    if (result) explicit_bzero(result, out->n * sizeof *result);
    free(result);
    out->n = 0;
    return false;
}

static bool encode(const struct points *s, struct buf *out) {
    for (size_t i = 0; i < s->n; i++) {
        uint8_t octets[4];
        int n = u8_uctomb(octets, s->at[i], sizeof octets);
        if (n < 1 || !is_allowed(s, i)) return false;
        buf_put(out, octets, (size_t)n);
    }
    return buf_ok(out);
}

/* What libunistring left of the characters below us on the stack. */
__attribute__((noinline)) static void wipe_stack(void) {
    uint8_t below[STACK_BYTES];
    explicit_bzero(below, sizeof below);
}

static bool prepare(struct span typed, uint32_t map(uint32_t), struct buf *out) {
    struct points points, normal;
    bool ok = decode(typed, map, &points) && compose(&points, &normal) && encode(&normal, out);
    wipe_stack();
    explicit_bzero(&points, sizeof points);
    explicit_bzero(&normal, sizeof normal);
    return ok;
}

/* ASCII needs no tables: it is its own normal form. */
static bool is_plain(struct span typed) {
    return typed.n && span_is_ascii(typed) && utf8_clean(typed);
}

bool prepare_password(struct span typed, struct secret *out) {
    struct buf b = BUF_OVER(out->octets);
    if (is_plain(typed)) return secret_set(out, typed);
    out->n = 0;
    if (prepare(typed, map_space, &b)) out->n = (uint16_t)b.n;
    if (!out->n) secret_wipe(out);
    return out->n > 0;
}

bool prepare_name(struct span typed, struct buf *out) {
    struct buf b = buf_over(out->p + out->n, out->cap - out->n);
    if (!buf_ok(out)) return false;
    if (is_plain(typed))
        buf_put_span(&b, typed);
    else if (!prepare(typed, map_width, &b))
        return false;
    if (!buf_ok(&b)) return false;
    out->n += b.n;
    return true;
}
