/* fuzz_sasl.c - base64 and the SASL messages in it.
 * Runs in: fuzzing. Trusts: nothing. Never: takes a NUL into a name or a password. */
#include "auth/sasl.h"
#include "store/base64.h"
#include "tests/fuzz/fuzz.h"

static void part(struct span s) {
    HOLDS(s.n > 0 && s.n <= SASL_PART_MAX && !memchr(s.p, 0, s.n));
}

static void message(struct span s) {
    struct sasl_plain plain;
    if (sasl_plain(s, &plain)) part(plain.name), part(plain.password);
    if (sasl_name(s)) part(s);
    if (sasl_password(s)) part(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n) {
    static uint8_t decoded[1 << 14], again[1 << 15];
    struct span in = span_of(p, n);
    struct buf b = BUF_OVER(decoded), text = BUF_OVER(again);
    message(in);
    if (!base64_decode(in, &b)) return 0;
    HOLDS(buf_ok(&b));
    base64_encode(buf_span(&b), &text);
    HOLDS(span_equal(buf_span(&text), in)); /* one form for each message, RFC 4648 3.5 */
    message(buf_span(&b));
    return 0;
}
