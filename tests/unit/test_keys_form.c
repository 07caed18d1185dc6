/* test_keys_form.c - what is a TLS transcript, and what is not. */
#include "auth/keys_form.h"

#include <criterion/criterion.h>

static size_t make13(uint8_t *out, size_t hash) {
    memset(out, ' ', 64);
    memcpy(out + 64, "TLS 1.3, server CertificateVerify", 34);
    memset(out + 98, 0xaa, hash);
    return 98 + hash;
}

static size_t make12(uint8_t *out, unsigned curve, size_t point) {
    memset(out, 0x55, 64);
    out[64] = 3, out[65] = 0, out[66] = (uint8_t)curve, out[67] = (uint8_t)point, out[68] = 4;
    memset(out + 69, 0x77, point - 1);
    return 68 + point;
}

Test(keys_form, transcripts) {
    uint8_t octets[512];
    cr_expect_eq(keys_form_of(span_of(octets, make13(octets, 32))), KEYS_FORM_TLS13);
    cr_expect_eq(keys_form_of(span_of(octets, make13(octets, 48))), KEYS_FORM_TLS13);
    static const struct {
        unsigned curve;
        size_t point;
    } curves[] = {{23, 65}, {24, 97}, {25, 133}, {29, 32}, {30, 56}};
    for (size_t i = 0; i < 5; i++)
        cr_expect_eq(keys_form_of(span_of(octets, make12(octets, curves[i].curve, curves[i].point))),
                     KEYS_FORM_TLS12);
}

Test(keys_form, nothing_else) {
    uint8_t octets[512];
    static const size_t hashes[] = {0, 1, 20, 31, 33, 47, 49, 64};
    for (size_t i = 0; i < sizeof hashes / sizeof *hashes; i++)
        cr_expect_eq(keys_form_of(span_of(octets, make13(octets, hashes[i]))), KEYS_FORM_NONE, "hash of %zu",
                     hashes[i]);
    size_t n = make13(octets, 32);
    for (size_t i = 0; i < 98; i++) { /* every octet before the hash is known */
        octets[i] ^= 1;
        cr_expect_eq(keys_form_of(span_of(octets, n)), KEYS_FORM_NONE, "octet %zu", i);
        octets[i] ^= 1;
    }
    memcpy(octets + 64, "TLS 1.3, client CertificateVerify", 34);
    cr_expect_eq(keys_form_of(span_of(octets, n)), KEYS_FORM_NONE, "a client's");
    n = make12(octets, 23, 65);
    for (size_t shorter = 0; shorter < n; shorter++)
        cr_expect_eq(keys_form_of(span_of(octets, shorter)), KEYS_FORM_NONE, "cut to %zu", shorter);
    cr_expect_eq(keys_form_of(span_of(octets, n + 1)), KEYS_FORM_NONE, "one octet more");
    for (size_t i = 64; i < 69; i++) {
        octets[i] ^= 0x80;
        cr_expect_eq(keys_form_of(span_of(octets, n)), KEYS_FORM_NONE, "octet %zu", i);
        octets[i] ^= 0x80;
    }
    memset(octets, 0, sizeof octets);
    for (size_t i = 0; i <= sizeof octets; i++) cr_expect_eq(keys_form_of(span_of(octets, i)), KEYS_FORM_NONE);
    octets[0] = 0x30, octets[1] = 0x82; /* the start of a certificate */
    cr_expect_eq(keys_form_of(span_of(octets, 146)), KEYS_FORM_NONE);
}

Test(keys_form, schemes) {
    static const struct {
        uint16_t scheme;
        enum keys_kind kind;
        bool tls12, tls13;
    } rows[] = {
        {0x0403, KEYS_KIND_P256, true, true},   {0x0503, KEYS_KIND_P256, true, false},
        {0x0503, KEYS_KIND_P384, true, true},   {0x0403, KEYS_KIND_P384, true, false},
        {0x0804, KEYS_KIND_RSA, true, true},    {0x0806, KEYS_KIND_RSA, true, true},
        {0x0401, KEYS_KIND_RSA, true, false},   {0x0601, KEYS_KIND_RSA, true, false},
        {0x0807, KEYS_KIND_RSA, false, false},  {0x0201, KEYS_KIND_RSA, false, false},
        {0x0203, KEYS_KIND_P256, false, false}, {0x0403, KEYS_KIND_RSA, false, false},
        {0x0804, KEYS_KIND_P256, false, false}, {0x0807, KEYS_KIND_P256, false, false},
        {0, KEYS_KIND_RSA, false, false},       {0x0804, KEYS_KIND_NONE, false, false},
    };
    struct keys_scheme how;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        cr_expect_eq(keys_form_scheme(rows[i].kind, KEYS_FORM_TLS12, rows[i].scheme, &how), rows[i].tls12, "%zu", i);
        cr_expect_eq(keys_form_scheme(rows[i].kind, KEYS_FORM_TLS13, rows[i].scheme, &how), rows[i].tls13, "%zu", i);
        cr_expect_not(keys_form_scheme(rows[i].kind, KEYS_FORM_NONE, rows[i].scheme, &how), "%zu", i);
    }
}
