/* fuzz_import.c - password files of other servers: lines, hashes in any encoding, and cheap ones checked.
 * Runs in: fuzzing. Trusts: nothing. Never: checks a hash that costs much. */
#include "auth/import_line.h"
#include "auth/password.h"
#include "auth/password_import.h"
#include "tests/fuzz/fuzz.h"

enum { CHEAP = 4096 };

static bool within(struct span part, struct span whole) {
    return part.n == 0 || (part.p >= whole.p && part.p + part.n <= whole.p + whole.n);
}

/* What was brought into the stored form is read again as the same, and is the form of itself. */
static void stored(struct span hash, const struct password_cost *cost) {
    char text[VERIFY_HASH_BYTES], again[VERIFY_HASH_BYTES + 64];
    struct buf b = BUF_OVER(again), dovecot = BUF_OVER(again);
    struct password_cost other;
    const char *why;
    HOLDS(hash.n < sizeof text && cost->scheme != PASSWORD_NONE && cost->work > 0 && cost->work <= PASSWORD_WORK_MAX);
    HOLDS(password_format_read(hash, &other) && other.work == cost->work && other.scheme == cost->scheme);
    HOLDS(password_import(hash, SPAN("CRYPT"), &b, &other, &why) == PASSWORD_IMPORT_HASH);
    HOLDS(span_equal(buf_span(&b), hash));
    password_format_dovecot(hash, &dovecot);
    HOLDS(buf_ok(&dovecot) && again[0] == '{');
    memcpy(text, hash.p, hash.n);
    text[hash.n] = '\0';
    if (cost->work <= CHEAP) (void)!password_check(SPAN("a password"), text);
}

static void field(struct span in, struct span scheme) {
    uint8_t storage[512];
    struct buf b = BUF_OVER(storage);
    struct password_cost cost;
    const char *why = NULL;
    switch (password_import(in, scheme, &b, &cost, &why)) {
    case PASSWORD_IMPORT_FAULT:
        HOLDS(why && *why);
        break;
    case PASSWORD_IMPORT_HASH:
        HOLDS(!why);
        stored(buf_span(&b), &cost);
        break;
    case PASSWORD_IMPORT_PLAIN:
        HOLDS(!why && cost.scheme == PASSWORD_NONE && b.n <= in.n);
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n) {
    struct span in = span_of(p, n), scheme = fuzz_line(&in), text = in, line;
    enum import_format guess = import_format_guess(in);
    struct password_cost cost;
    (void)!password_format_read(in, &cost);
    while (import_line_next(&text, &line)) {
        for (int format = IMPORT_DOVECOT; format <= IMPORT_SHADOW; format++) {
            struct import_line out;
            enum import_line_kind kind = import_line_read(line, (enum import_format)format, 20000, &out);
            HOLDS(within(out.name, line) && within(out.field, line));
            HOLDS((kind == IMPORT_LINE_FAULT || kind == IMPORT_LINE_SKIPPED) == (out.why != NULL));
            if (kind == IMPORT_LINE_USER) HOLDS(out.name.n && out.field.n && guess != IMPORT_NONE);
            if (kind == IMPORT_LINE_USER) field(out.field, scheme);
        }
    }
    return 0;
}
