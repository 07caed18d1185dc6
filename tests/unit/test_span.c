/* test_span.c - views of bytes.
 * Runs in: the test runner. Trusts: nothing. Never: talks to a socket. */
#include "store/span.h"

#include <criterion/criterion.h>

Test(test_span, parts_stay_inside) {
    struct span s = SPAN("abcdef");
    cr_expect(span_equal(span_part(s, 2, 3), SPAN("cde")));
    cr_expect(span_equal(span_part(s, 0, 6), s));
    cr_expect(span_equal(span_part(s, 4, 100), SPAN("ef")));
    cr_expect(span_equal(span_part(s, 4, SIZE_MAX), SPAN("ef")));
    cr_expect_eq(span_part(s, 6, 1).n, (size_t)0);
    cr_expect_eq(span_part(s, SIZE_MAX, SIZE_MAX).n, (size_t)0);
    cr_expect_eq(span_part(s, SIZE_MAX, SIZE_MAX).p, s.p + 6);
    cr_expect(span_equal(span_from(s, 5), SPAN("f")));
    cr_expect_eq(span_from(s, 7).n, (size_t)0);
    cr_expect_null(span_part((struct span){NULL, 0}, 3, 3).p);
}

Test(test_span, texts) {
    cr_expect_eq(span_text("abc").n, (size_t)3);
    cr_expect_eq(span_text(NULL).n, (size_t)0);
    cr_expect_eq(SPAN("a\0b").n, (size_t)3);
}

Test(test_span, equality) {
    static const struct {
        struct span a, b;
        bool same, same_nocase;
    } cases[] = {
        {SPAN(""), SPAN(""), true, true},
        {SPAN(""), {NULL, 0}, true, true},
        {SPAN("a"), SPAN(""), false, false},
        {SPAN("abc"), SPAN("abc"), true, true},
        {SPAN("abc"), SPAN("abd"), false, false},
        {SPAN("abc"), SPAN("ab"), false, false},
        {SPAN("abc"), SPAN("ABC"), false, true},
        {SPAN("az"), SPAN("AZ"), false, true},
        {SPAN("a\0b"), SPAN("a\0c"), false, false},
        /* only letters have a case: @ and `, [ and {, and the octets of Latin-1 or UTF-8 do not */
        {SPAN("@"), SPAN("`"), false, false},
        {SPAN("["), SPAN("{"), false, false},
        {SPAN("\xc4"), SPAN("\xe4"), false, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        cr_expect_eq(span_equal(cases[i].a, cases[i].b), cases[i].same, "case %zu", i);
        cr_expect_eq(span_equal_nocase(cases[i].a, cases[i].b), cases[i].same_nocase, "case %zu", i);
        cr_expect_eq(span_equal_nocase(cases[i].b, cases[i].a), cases[i].same_nocase, "case %zu", i);
    }
}

Test(test_span, lower_case_is_ascii) {
    for (unsigned c = 0; c < 256; c++) {
        bool upper = c >= 'A' && c <= 'Z';
        cr_expect_eq(octet_lower((uint8_t)c), (uint8_t)(upper ? c - 'A' + 'a' : c), "%u", c);
    }
}

Test(test_span, ascii) {
    cr_expect(span_is_ascii(SPAN("")));
    cr_expect(span_is_ascii(SPAN("a\0\x7f")));
    cr_expect_not(span_is_ascii(SPAN("ab\x80")));
    cr_expect_not(span_is_ascii(SPAN("\xff")));
}

Test(test_span, prefixes) {
    cr_expect(span_starts_nocase(SPAN("MAIL FROM:<>"), SPAN("mail from:")));
    cr_expect(span_starts_nocase(SPAN("x"), SPAN("")));
    cr_expect(span_starts_nocase(SPAN(""), SPAN("")));
    cr_expect_not(span_starts_nocase(SPAN("MAIL"), SPAN("MAIL FROM")));
    cr_expect_not(span_starts_nocase(SPAN("xMAIL"), SPAN("MAIL")));
}

Test(test_span, finding) {
    cr_expect_eq(span_find(SPAN("abcabc"), 'b'), (size_t)1);
    cr_expect_eq(span_find(SPAN("abc"), 'x'), (size_t)3);
    cr_expect_eq(span_find(SPAN("a\0c"), 0), (size_t)1);
    cr_expect_eq(span_find(SPAN("a\xff"), 0xff), (size_t)1);
    cr_expect_eq(span_find(SPAN(""), 'a'), (size_t)0);
    cr_expect_eq(span_find((struct span){NULL, 0}, 'a'), (size_t)0);
    cr_expect_eq(span_find(span_part(SPAN("abc"), 0, 2), 'c'), (size_t)2);
}

Test(test_span, trimming) {
    cr_expect(span_equal(span_trim(SPAN(" \t a b\t ")), SPAN("a b")));
    cr_expect(span_equal(span_trim(SPAN("a")), SPAN("a")));
    cr_expect_eq(span_trim(SPAN(" \t ")).n, (size_t)0);
    cr_expect_eq(span_trim((struct span){NULL, 0}).n, (size_t)0);
    cr_expect(span_equal(span_trim(SPAN("\r a\n")), SPAN("\r a\n")));
}

Test(test_span, numbers) {
    static const struct {
        struct span text;
        uint64_t max, value;
        bool valid;
    } cases[] = {
        {SPAN("0"), 0, 0, true},
        {SPAN("1"), 0, 0, false},
        {SPAN("00007"), 7, 7, true},
        {SPAN("65535"), 65535, 65535, true},
        {SPAN("65536"), 65535, 0, false},
        {SPAN("18446744073709551615"), UINT64_MAX, UINT64_MAX, true},
        {SPAN("18446744073709551616"), UINT64_MAX, 0, false},
        {SPAN("99999999999999999999"), UINT64_MAX, 0, false},
        {SPAN("184467440737095516150"), UINT64_MAX, 0, false},
        {SPAN(""), 9, 0, false},
        {SPAN(" 1"), 9, 0, false},
        {SPAN("1 "), 9, 0, false},
        {SPAN("+1"), 9, 0, false},
        {SPAN("-1"), 9, 0, false},
        {SPAN("0x1"), 9, 0, false},
        {SPAN("1\0"), 9, 0, false},
        {SPAN("1/"), 99, 0, false},
        {SPAN("1:"), 99, 0, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint64_t value = 4711;
        cr_expect_eq(span_number(cases[i].text, cases[i].max, &value), cases[i].valid, "case %zu", i);
        cr_expect_eq(value, cases[i].valid ? cases[i].value : 4711, "case %zu", i);
    }
}
