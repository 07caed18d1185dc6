/* fuzz_from.c - the From field of a body, in pieces and whole, and a second look at what was found.
 * Runs in: fuzzing. Trusts: nothing. Never: uses the parser's own idea of a list. */
#include "auth/address.h"
#include "server/inbound/from.h"
#include "tests/fuzz/fuzz.h"

static enum from_verdict judge(struct from *from, struct span body, size_t piece, struct from_addresses *out) {
    from_start(from);
    for (size_t at = 0; at < body.n; at += piece) from_take(from, span_part(body, at, piece));
    return from_end(from, out);
}

/* The only line of the header that begins "from" and, perhaps after blanks, a colon; its fields by a plain count. */
static uint32_t count_fields(struct span body) {
    uint32_t n = 0;
    for (size_t at = 0; at < body.n;) {
        struct span rest = span_from(body, at);
        if (rest.n >= 2 && rest.p[0] == '\r' && rest.p[1] == '\n') break;
        size_t colon = 4;
        while (colon < rest.n && (rest.p[colon] == ' ' || rest.p[colon] == '\t')) colon++;
        n += span_starts_nocase(rest, SPAN("from")) && colon < rest.n && rest.p[colon] == ':';
        size_t end = 1;
        while (end < rest.n && (rest.p[end - 1] != '\r' || rest.p[end] != '\n')) end++;
        at += end + 1;
    }
    return n;
}

/* An address has its octets from the field, in their order, and none that would end it. */
static void check(const struct from *from, struct span address) {
    size_t at = 0;
    bool quoted = false, literal = false, has_at = false;
    HOLDS(address.n >= 3);
    for (size_t i = 0; i < address.n; i++) {
        uint8_t c = address.p[i];
        while (at < from->n && from->value[at] != c) at++;
        HOLDS(at++ < from->n);
        HOLDS(c != '\r' && c != '\n' && c != 0 && c != 0x7f);
        if (quoted && c == '\\') {
            HOLDS(++i < address.n);
            while (at < from->n && from->value[at] != address.p[i]) at++;
            HOLDS(at++ < from->n);
            continue;
        }
        if (c == '"') quoted = !quoted;
        if (!quoted && c == '[') literal = true;
        if (!quoted && c == '@') {
            HOLDS(!has_at);
            has_at = true;
        }
        HOLDS(quoted || literal || (c > ' ' && c != ',' && c != '<' && c != '>' && c != '(' && c != ';' && c != ':'));
    }
    HOLDS(has_at && !quoted);
}

/* The body's lines end in CRLF and hold no other CR, LF or NUL: the automaton before it sees to that. */
int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n) {
    static struct from whole, pieces;
    static struct from_addresses one, other;
    static uint8_t storage[1 << 17];
    struct buf b = BUF_OVER(storage);
    if (n == 0 || n > 1 << 16) return 0;
    for (size_t i = 1; i < n; i++) {
        if (p[i] == '\n') buf_put_octet(&b, '\r');
        if (p[i] != '\r' && p[i] != 0) buf_put_octet(&b, p[i]);
    }
    struct span body = buf_span(&b);
    enum from_verdict verdict = judge(&whole, body, body.n + 1, &one);
    HOLDS(judge(&pieces, body, 1 + p[0] % 16, &other) == verdict && one.n == other.n);
    HOLDS(whole.fields == count_fields(body) || whole.broken);
    HOLDS((verdict == FROM_GOOD) == (one.n > 0));
    if (verdict == FROM_GOOD) HOLDS(whole.fields == 1 && !whole.broken && !whole.too_long);
    for (size_t i = 0; i < one.n; i++) {
        struct address address;
        HOLDS(span_equal(one.of[i], other.of[i]));
        check(&whole, one.of[i]);
        (void)!address_parse_plain(&address, one.of[i]);
    }
    return 0;
}
