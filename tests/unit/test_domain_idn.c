/* test_domain_idn.c - the normal form of domains.
 * Runs in: the test runner. Trusts: nothing. Never: talks to a socket. */
#include "auth/domain_idn.h"

#include <criterion/criterion.h>

#define LABEL_63 "abcdefghijklmnopqrstuvwxyz-abcdefghijklmnopqrstuvwxyz-123456789"

static const struct {
    const char *written, *normal; /* NULL: refused */
} cases[] = {
    {"example.test", "example.test"},
    {"EXAMPLE.Test", "example.test"},
    {"example.test.", "example.test"},
    {"localhost", "localhost"},
    {"a_b.example", "a_b.example"},
    {"xn--bcher-kva.example", "xn--bcher-kva.example"},
    {"XN--BCHER-KVA.example", "xn--bcher-kva.example"},
    {"b\xc3\xbc"
     "cher.example",
     "xn--bcher-kva.example"},
    {"B\xc3\x9c"
     "CHER.Example.",
     "xn--bcher-kva.example"},
    /* u and a combining diaeresis: composed by NFC, RFC 5891 5.3 */
    {"bu\xcc\x88"
     "cher.example",
     "xn--bcher-kva.example"},
    /* non-transitional: the sharp s is a letter of its own */
    {"stra\xc3\x9f"
     "e.example",
     "xn--strae-oqa.example"},
    /* the ideographic full stop separates labels, as UTS 46 says */
    {"b\xc3\xbc"
     "cher\xe3\x80\x82"
     "example",
     "xn--bcher-kva.example"},
    /* fullwidth letters are the ASCII ones */
    {"\xef\xbd\x85xample.test", "example.test"},
    {"", NULL},
    {".", NULL},
    {"..", NULL},
    {".example", NULL},
    {"a..example", NULL},
    {"example..", NULL},
    {"-a.example", NULL},
    {"a-.example", NULL},
    {"a b.example", NULL},
    {"a@b.example", NULL},
    {"[192.0.2.1]", NULL},
    {"\xff.example", NULL},
    {"\xc0\xae.example", NULL},
    {"\xed\xa0\x80.example", NULL},
    /* mapped to what no name may hold: fullwidth @, /, a no-break space */
    {"a\xef\xbc\xa0"
     "b.example",
     NULL},
    {"a\xef\xbc\x8f"
     "b.example",
     NULL},
    {"a\xc2\xa0"
     "b.example",
     NULL},
    {LABEL_63 ".example", LABEL_63 ".example"},
    {LABEL_63 "0.example", NULL},
    {LABEL_63 "." LABEL_63 "." LABEL_63 ".abcdefghijklmnopqrstuvwxyz-abcdefghijklmnopqrstuvwxyz-1234567",
     LABEL_63 "." LABEL_63 "." LABEL_63 ".abcdefghijklmnopqrstuvwxyz-abcdefghijklmnopqrstuvwxyz-1234567"},
    {LABEL_63 "." LABEL_63 "." LABEL_63 ".abcdefghijklmnopqrstuvwxyz-abcdefghijklmnopqrstuvwxyz-12345678", NULL},
};

Test(test_domain_idn, normal_forms) {
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint8_t storage[DOMAIN_IDN_MAX];
        struct buf out = BUF_OVER(storage);
        bool valid = domain_idn_normal(span_text(cases[i].written), &out);
        cr_expect_eq(valid, cases[i].normal != NULL, "case %zu", i);
        cr_expect(span_equal(buf_span(&out), span_text(cases[i].normal)), "case %zu: %.*s", i, (int)out.n, out.p);
    }
}

/* Lengths by octets: a NUL does not end a name. */
Test(test_domain_idn, nul_is_refused) {
    uint8_t storage[DOMAIN_IDN_MAX];
    struct buf out = BUF_OVER(storage);
    cr_expect_not(domain_idn_normal(SPAN("example.test\0.evil.example"), &out));
    cr_expect_not(domain_idn_normal(SPAN("b\xc3\xbc\0.example"), &out));
    cr_expect_eq(out.n, (size_t)0);
}

Test(test_domain_idn, what_does_not_fit_is_refused) {
    uint8_t storage[11];
    struct buf out = BUF_OVER(storage);
    cr_expect_not(domain_idn_normal(SPAN("example.test"), &out));
    cr_expect_eq(out.n, (size_t)0);
    cr_expect(domain_idn_normal(SPAN("examp1e.org"), &out));
    cr_expect_not(domain_idn_normal(SPAN("a"), &out));
}

/* The normal form of a normal form is itself. */
Test(test_domain_idn, normal_is_stable) {
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint8_t storage[DOMAIN_IDN_MAX];
        struct buf again = BUF_OVER(storage);
        if (!cases[i].normal) continue;
        cr_expect(domain_idn_normal(span_text(cases[i].normal), &again));
        cr_expect(span_equal(buf_span(&again), span_text(cases[i].normal)));
    }
}
