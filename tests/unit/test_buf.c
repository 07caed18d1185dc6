/* test_buf.c - capped buffers.
 * Runs in: the test runner. Trusts: nothing. Never: talks to a socket. */
#include "store/buf.h"

#include <criterion/criterion.h>

Test(test_buf, puts_up_to_the_cap) {
    uint8_t storage[8];
    struct buf b = BUF_OVER(storage);
    buf_put_text(&b, "abc");
    buf_put_octet(&b, 0);
    buf_put_span(&b, SPAN("de"));
    buf_put(&b, "fg", 2);
    cr_expect(buf_ok(&b));
    cr_expect(span_equal(buf_span(&b), SPAN("abc\0defg")));
    buf_put(&b, "", 0);
    buf_put(&b, NULL, 0);
    cr_expect(buf_ok(&b));
    buf_put_octet(&b, 'x');
    cr_expect_not(buf_ok(&b));
}

/* After the first put that does not fit, what would fit is dropped too: no hole in the middle. */
Test(test_buf, full_is_sticky_and_writes_nothing) {
    uint8_t storage[6] = "......";
    struct buf b = buf_over(storage, 4);
    buf_put_text(&b, "abc");
    buf_put_text(&b, "de");
    buf_put_octet(&b, 'f');
    buf_put_number(&b, 1);
    buf_put_format(&b, "%d", 2);
    cr_expect_not(buf_ok(&b));
    cr_expect(span_equal(buf_span(&b), SPAN("abc")));
    cr_expect_eq(memcmp(storage, "abc...", 6), 0);
    buf_clear(&b);
    cr_expect(buf_ok(&b));
    buf_put_text(&b, "xyzw");
    cr_expect(buf_ok(&b));
    cr_expect_eq(memcmp(storage, "xyzw..", 6), 0);
}

Test(test_buf, sizes_that_would_wrap) {
    uint8_t storage[4];
    struct buf b = BUF_OVER(storage);
    buf_put_octet(&b, 'a');
    buf_put(&b, "x", SIZE_MAX);
    cr_expect_not(buf_ok(&b));
    cr_expect_eq(b.n, (size_t)1);
}

Test(test_buf, numbers) {
    static const struct {
        uint64_t value;
        const char *text;
    } cases[] = {{0, "0"}, {9, "9"}, {10, "10"}, {4096, "4096"}, {UINT64_MAX, "18446744073709551615"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint8_t storage[20];
        struct buf b = BUF_OVER(storage);
        buf_put_number(&b, cases[i].value);
        cr_expect(buf_ok(&b) && span_equal(buf_span(&b), span_text(cases[i].text)), "%s", cases[i].text);
    }
}

/* printf wants room for its terminator, which does not count. */
Test(test_buf, formats) {
    uint8_t storage[8] = ".......!";
    struct buf b = buf_over(storage, 7);
    buf_put_text(&b, "ab");
    buf_put_format(&b, "%d%s", 12, "x");
    cr_expect(buf_ok(&b) && span_equal(buf_span(&b), SPAN("ab12x")));
    buf_put_format(&b, "%s", "toolong");
    cr_expect_not(buf_ok(&b));
    cr_expect_eq(b.n, (size_t)5);
    cr_expect_eq(storage[7], '!');
}

Test(test_buf, wiping) {
    static const uint8_t zeros[8];
    uint8_t storage[8];
    struct buf b = BUF_OVER(storage);
    buf_put_text(&b, "secret!!");
    b.n = 2; /* what lies behind the end is wiped as well */
    buf_wipe(&b);
    cr_expect_eq(memcmp(storage, zeros, 8), 0);
    cr_expect(b.n == 0 && buf_ok(&b));
}

Test(test_buf, no_storage_at_all) {
    struct buf b = buf_over(NULL, 0);
    buf_put_span(&b, (struct span){NULL, 0});
    buf_wipe(&b);
    cr_expect(buf_ok(&b));
    buf_put_octet(&b, 'a');
    cr_expect_not(buf_ok(&b));
}
