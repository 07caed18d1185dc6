/* test_wire.c - typed fields.
 * Runs in: the test runner. Trusts: nothing. Never: talks to a socket. */
#include "store/wire.h"

#include <criterion/criterion.h>

Test(test_wire, numbers_are_little_endian) {
    uint8_t storage[15];
    struct buf b = BUF_OVER(storage);
    wire_put_u8(&b, 0xfe);
    wire_put_u16(&b, 0x0102);
    wire_put_u32(&b, 0x03040506);
    wire_put_u64(&b, 0x0708090a0b0c0d0e);
    cr_assert(buf_ok(&b));
    cr_expect(span_equal(buf_span(&b), SPAN("\xfe\x02\x01\x06\x05\x04\x03\x0e\x0d\x0c\x0b\x0a\x09\x08\x07")));
    struct wire w = wire_over(buf_span(&b));
    cr_expect_eq(wire_get_u8(&w), 0xfe);
    cr_expect_eq(wire_get_u16(&w), 0x0102);
    cr_expect_eq(wire_get_u32(&w), 0x03040506u);
    cr_expect_not(wire_end(&w));
    cr_expect_eq(wire_get_u64(&w), 0x0708090a0b0c0d0eu);
    cr_expect(wire_end(&w));
}

Test(test_wire, spans_bytes_and_texts) {
    uint8_t storage[64], four[4];
    char text[6];
    struct buf b = BUF_OVER(storage);
    wire_put_span(&b, SPAN("a\0b"));
    wire_put_bytes(&b, "1234", 4);
    wire_put_text(&b, "hello");
    wire_put_span(&b, (struct span){NULL, 0});
    struct wire w = wire_over(buf_span(&b));
    cr_expect(span_equal(wire_get_span(&w, 3), SPAN("a\0b")));
    wire_get_bytes(&w, four, 4);
    cr_expect_eq(memcmp(four, "1234", 4), 0);
    wire_get_text(&w, text, sizeof text);
    cr_expect_str_eq(text, "hello");
    cr_expect_eq(wire_get_span(&w, 0).n, (size_t)0);
    cr_expect(wire_end(&w));
}

/* Whatever is cut off: everything after it reads as zero and the end is bad. */
Test(test_wire, every_cut_is_noticed) {
    uint8_t storage[64];
    struct buf b = BUF_OVER(storage);
    wire_put_u16(&b, 0xffff);
    wire_put_text(&b, "abc");
    wire_put_u64(&b, UINT64_MAX);
    for (size_t n = 0; n < b.n; n++) {
        char text[8];
        struct wire w = wire_over(span_part(buf_span(&b), 0, n));
        cr_expect_eq(wire_get_u16(&w), n < 2 ? 0 : 0xffff);
        wire_get_text(&w, text, sizeof text);
        cr_expect_str_eq(text, n < 9 ? "" : "abc");
        cr_expect_eq(wire_get_u64(&w), (uint64_t)0);
        cr_expect_not(wire_end(&w), "%zu octets", n);
        cr_expect_eq(wire_get_u8(&w), 0);
    }
}

Test(test_wire, what_is_left_over_is_noticed) {
    struct wire w = wire_over(SPAN("\x01\x02"));
    cr_expect_eq(wire_get_u8(&w), 1);
    cr_expect_not(wire_end(&w));
    struct wire empty = wire_over((struct span){NULL, 0});
    cr_expect(wire_end(&empty));
}

Test(test_wire, bad_stays_bad) {
    struct wire w = wire_over(SPAN("\x01"));
    cr_expect_eq(wire_get_u16(&w), 0);
    cr_expect_eq(wire_get_u8(&w), 0);
    cr_expect_not(wire_end(&w));
    cr_expect_eq(wire_get_span(&w, 10).n, (size_t)0);
}

Test(test_wire, lengths_that_lie) {
    static const struct {
        struct span octets;
        size_t max;
    } cases[] = {
        {SPAN("\x04\0\0\0abc"), 100},
        {SPAN("\xff\xff\xff\xff"
              "abc"),
         SIZE_MAX},
        {SPAN("\xff\xff\xff\x7f"
              "abc"),
         SIZE_MAX},
        {SPAN("\x03\0\0\0abc"), 2},
        {SPAN("\x03\0\0"), 100},
        {SPAN("\0\0\0\x01"
              "abc"),
         SIZE_MAX},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct wire w = wire_over(cases[i].octets);
        struct span got = wire_get_span(&w, cases[i].max);
        cr_expect(got.n == 0 && !got.p, "case %zu", i);
        cr_expect_not(wire_end(&w), "case %zu", i);
    }
}

Test(test_wire, texts_that_are_none) {
    char text[4] = "???";
    struct wire nul = wire_over(SPAN("\x03\0\0\0a\0b"));
    wire_get_text(&nul, text, sizeof text);
    cr_expect_str_eq(text, "");
    cr_expect_not(wire_end(&nul));
    struct wire fits = wire_over(SPAN("\x03\0\0\0abc")), long_one = wire_over(SPAN("\x04\0\0\0abcd"));
    wire_get_text(&fits, text, sizeof text);
    cr_expect_str_eq(text, "abc");
    cr_expect(wire_end(&fits));
    wire_get_text(&long_one, text, sizeof text);
    cr_expect_str_eq(text, "");
    cr_expect_not(wire_end(&long_one));
}

Test(test_wire, bytes_that_are_not_there_are_zero) {
    uint8_t four[4] = {1, 2, 3, 4};
    static const uint8_t zeros[4];
    struct wire w = wire_over(SPAN("abc"));
    wire_get_bytes(&w, four, 4);
    cr_expect_eq(memcmp(four, zeros, 4), 0);
    cr_expect_not(wire_end(&w));
}

Test(test_wire, a_full_buffer_is_noticed) {
    uint8_t storage[6];
    struct buf b = BUF_OVER(storage);
    wire_put_span(&b, SPAN("abc"));
    cr_expect_not(buf_ok(&b));
}
