/* test_nt_hash.c - UTF-16, the NT hash, and its seal. */
#include "auth/nt_hash.h"
#include "auth/utf16.h"

#include <criterion/criterion.h>

#define BYTES(literal)                                                                                               \
    { (const uint8_t *)(literal), sizeof(literal) - 1 }

Test(utf16, both_ways) {
    static const struct {
        struct span utf8, utf16;
    } rows[] = {
        {BYTES(""), BYTES("")},
        {BYTES("a@b"), BYTES("a\0@\0b\0")},
        {BYTES("\x7f\xc2\x80\xdf\xbf"), BYTES("\x7f\0\x80\0\xff\x07")},
        {BYTES("\xe0\xa0\x80\xef\xbf\xbf"), BYTES("\0\x08\xff\xff")},
        {BYTES("\xed\x9f\xbf\xee\x80\x80"), BYTES("\xff\xd7\0\xe0")},
        {BYTES("\xf0\x90\x80\x80\xf4\x8f\xbf\xbf"), BYTES("\0\xd8\0\xdc\xff\xdb\xff\xdf")},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint8_t octets[64], again[64];
        struct buf b = BUF_OVER(octets), back = BUF_OVER(again);
        cr_assert(utf16_from_utf8(rows[i].utf8, &b), "%zu", i);
        cr_expect(span_equal(buf_span(&b), rows[i].utf16), "%zu", i);
        cr_assert(utf16_to_utf8(rows[i].utf16, &back), "%zu", i);
        cr_expect(span_equal(buf_span(&back), rows[i].utf8), "%zu", i);
    }
}

Test(utf16, refused) {
    static const struct span utf16[] = {BYTES("a"),
                                        BYTES("a\0b"),
                                        BYTES("\0\xd8"),
                                        BYTES("\0\xdc"),
                                        BYTES("\0\xd8"
                                              "a\0"),
                                        BYTES("\0\xd8\0\xd8"),
                                        BYTES("\0\xd8\0"),
                                        BYTES("\0\xdc\0\xd8")};
    static const struct span utf8[] = {BYTES("\xed\xa0\x80"), BYTES("\xc0\x80"), BYTES("\xf4\x90\x80\x80"),
                                       BYTES("a\xff")};
    uint8_t octets[64];
    for (size_t i = 0; i < sizeof utf16 / sizeof *utf16; i++) {
        struct buf b = BUF_OVER(octets);
        cr_expect_not(utf16_to_utf8(utf16[i], &b), "%zu", i);
    }
    for (size_t i = 0; i < sizeof utf8 / sizeof *utf8; i++) {
        struct buf b = BUF_OVER(octets);
        cr_expect_not(utf16_from_utf8(utf8[i], &b), "%zu", i);
    }
    struct buf small = buf_over(octets, 3);
    cr_expect_not(utf16_from_utf8(SPAN("ab"), &small), "no room");
    small = buf_over(octets, 1);
    cr_expect_not(utf16_to_utf8((struct span)BYTES("a\0b\0"), &small), "no room");
}

Test(utf16, upper) {
    static const struct {
        struct span from, to;
    } rows[] = {
        {BYTES("a\0z\0A\0@\0.\0001\0"), BYTES("A\0Z\0A\0@\0.\0001\0")},
        {BYTES("\xe4\0\xff\0\xdf\0"), BYTES("\xc4\0\x78\x01\xdf\0")}, /* the sharp s has no single upper case */
        {BYTES("\xb1\x03\x34\x04"), BYTES("\x91\x03\x14\x04")},
        {BYTES("\x01\xd8\x28\xdc"), BYTES("\x01\xd8\x28\xdc")}, /* beyond the first plane */
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint8_t octets[64];
        struct buf b = BUF_OVER(octets);
        utf16_upper(rows[i].from, &b);
        cr_expect(span_equal(buf_span(&b), rows[i].to), "%zu", i);
    }
}

Test(nt_hash, vectors) {
    static const struct {
        struct span password;
        uint8_t hash[NT_HASH_BYTES];
    } rows[] = {
        /* MS-NLMP 4.2.2.1.2 */
        {BYTES("Password"),
         {0xa4, 0xf4, 0x9c, 0x40, 0x65, 0x10, 0xbd, 0xca, 0xb6, 0x82, 0x4e, 0xe7, 0xc3, 0x0f, 0xd8, 0x52}},
        /* openssl dgst -md4 of what iconv -t utf-16le makes */
        {BYTES("B\xc3\xbc"
               "cher"),
         {0x8f, 0x60, 0x80, 0x89, 0x05, 0x94, 0x17, 0x4f, 0x69, 0xed, 0x7a, 0x29, 0x59, 0x00, 0x72, 0x22}},
        {BYTES("\xf0\x9f\x94\x91key"),
         {0x08, 0x63, 0x6a, 0xd2, 0xdb, 0xbe, 0x22, 0x21, 0x03, 0x05, 0xdb, 0x72, 0x78, 0xde, 0x57, 0x7f}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint8_t hash[NT_HASH_BYTES];
        cr_assert(nt_hash_make(rows[i].password, hash), "%zu", i);
        cr_expect_arr_eq(hash, rows[i].hash, sizeof hash, "%zu", i);
    }
}

Test(nt_hash, refused) {
    static const uint8_t zeros[NT_HASH_BYTES];
    static uint8_t octets[1025];
    uint8_t hash[NT_HASH_BYTES];
    memset(octets, 'a', sizeof octets);
    cr_expect(nt_hash_make(span_of(octets, 1024), hash));
    cr_expect_not(nt_hash_make(span_of(octets, 1025), hash), "too long");
    cr_expect_not(nt_hash_make(SPAN(""), hash), "empty");
    cr_expect_not(nt_hash_make(SPAN("w\xc3rd"), hash), "not UTF-8");
    cr_expect_arr_eq(hash, zeros, sizeof hash);
}

Test(nt_hash, seals) {
    static const uint8_t zeros[NT_HASH_BYTES];
    uint8_t key[NT_KEY_BYTES] = {7}, other[NT_KEY_BYTES] = {8}, hash[NT_HASH_BYTES] = {1, 2, 3};
    uint8_t sealed[NT_SEALED_BYTES], again[NT_SEALED_BYTES], opened[NT_HASH_BYTES];
    struct span alice = SPAN("alice@example.test"), whole = span_of(sealed, sizeof sealed);
    cr_assert(nt_hash_seal(key, alice, hash, sealed));
    cr_assert(nt_hash_seal(key, alice, hash, again));
    cr_expect_arr_neq(sealed, again, sizeof sealed, "sealed twice it looks different");
    cr_assert(nt_hash_open(key, alice, whole, opened));
    cr_expect_arr_eq(opened, hash, sizeof hash);
    cr_expect_not(nt_hash_open(key, SPAN("alic@example.test"), whole, opened), "another user's");
    cr_expect_arr_eq(opened, zeros, sizeof opened);
    cr_expect_not(nt_hash_open(key, SPAN(""), whole, opened), "nobody's");
    cr_expect_not(nt_hash_open(other, alice, whole, opened), "another key");
    cr_expect_not(nt_hash_open(key, alice, span_part(whole, 0, whole.n - 1), opened), "cut");
    cr_expect_not(nt_hash_open(key, alice, SPAN(""), opened), "none");
    for (size_t i = 0; i < sizeof sealed; i++) {
        sealed[i] ^= 1;
        cr_expect_not(nt_hash_open(key, alice, whole, opened), "octet %zu changed", i);
        sealed[i] ^= 1;
    }
    cr_expect(nt_hash_open(key, alice, whole, opened));
    cr_expect_not(nt_hash_seal(key, SPAN(""), hash, sealed), "for nobody");
}
