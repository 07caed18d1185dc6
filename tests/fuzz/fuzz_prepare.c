/* fuzz_prepare.c - names and passwords as RFC 8265 compares them.
 * Runs in: fuzzing. Trusts: libunistring, to know NFC when it sees it. Never: takes a second preparation for another
 * word. */
#include "auth/prepare.h"
#include "auth/utf8.h"
#include "tests/fuzz/fuzz.h"

#include <uninorm.h>

static void is_normal(struct span s) {
    static uint8_t storage[4 * SECRET_MAX];
    size_t n = sizeof storage;
    HOLDS(s.n && utf8_clean(s));
    HOLDS(u8_normalize(UNINORM_NFC, s.p, s.n, storage, &n) == storage && span_equal(span_of(storage, n), s));
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n) {
    static struct secret secret, again;
    static uint8_t one[255], two[255];
    struct buf name = BUF_OVER(one), twice = BUF_OVER(two);
    struct span in = span_of(p, n);
    if (prepare_password(in, &secret)) {
        is_normal(secret_span(&secret));
        HOLDS(prepare_password(secret_span(&secret), &again));
        HOLDS(span_equal(secret_span(&secret), secret_span(&again)));
        HOLDS(!span_is_ascii(in) || span_equal(in, secret_span(&secret)));
    }
    if (prepare_name(in, &name)) {
        is_normal(buf_span(&name));
        HOLDS(prepare_name(buf_span(&name), &twice) && span_equal(buf_span(&name), buf_span(&twice)));
    } else {
        HOLDS(name.n == 0);
    }
    return 0;
}
