/* test_utf8.c - well-formed UTF-8: every character, whole and cut.
 * Runs in: the test runner. Trusts: nothing. Never: talks to a socket. */
#include "auth/utf8.h"

#include <criterion/criterion.h>

Test(test_utf8, utf8_is_decided_as_rfc_3629_says) {
    for (uint32_t number = 0; number <= 0x110000; number++) {
        uint8_t p[4];
        size_t n = number < 0x80 ? 1 : number < 0x800 ? 2 : number < 0x10000 ? 3 : 4;
        for (size_t i = n; i-- > 1;) p[i] = (uint8_t)(0x80 | (number >> (6 * (n - 1 - i)) & 0x3f));
        uint32_t first = n == 1 ? number : (0xf00U >> n | number >> (6 * (n - 1))) & 0xff;
        p[0] = (uint8_t)first;
        bool well_formed = number < 0x110000 && (number < 0xd800 || number > 0xdfff);
        cr_assert_eq(utf8_step(span_of(p, n)), well_formed ? n : 0, "U+%04X", number);
        for (size_t cut = 1; cut < n; cut++)
            cr_assert_eq(utf8_step(span_of(p, cut)), (size_t)0, "U+%04X cut", number);
    }
    cr_expect_eq(utf8_step(SPAN("")), (size_t)0);
}

Test(test_utf8, control_characters_are_not_clean) {
    static const struct span unclean[] = {SPAN("a\0"),      SPAN("\x1f"), SPAN("\x7f"), SPAN("a\xc2\x80"),
                                          SPAN("\xc2\x9f"), SPAN("\xff"), SPAN("\xc3"), SPAN("\xed\xa0\x80")};
    static const struct span clean[] = {SPAN(""), SPAN(" ~"), SPAN("\xc2\xa0"), SPAN("\xc3\x9f"),
                                        SPAN("a\xf0\x9f\x93\xae")};
    for (size_t i = 0; i < sizeof unclean / sizeof *unclean; i++)
        cr_expect_not(utf8_clean(unclean[i]), "case %zu", i);
    for (size_t i = 0; i < sizeof clean / sizeof *clean; i++) cr_expect(utf8_clean(clean[i]), "case %zu", i);
}
