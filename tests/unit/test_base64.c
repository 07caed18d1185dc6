/* test_base64.c - base64 as SASL uses it.
 * Runs in: the test runner. Trusts: nothing. Never: talks to a socket. */
#include "store/base64.h"

#include <criterion/criterion.h>

static const struct {
    const char *text, *octets;
} good[] = {
    {"", ""},
    {"Zg==", "f"},
    {"Zm8=", "fo"},
    {"Zm9v", "foo"}, /* RFC 4648 10 */
    {"Zm9vYg==", "foob"},
    {"Zm9vYmE=", "fooba"},
    {"Zm9vYmFy", "foobar"},
    {"VXNlcm5hbWU6", "Username:"},
};

static const char *const bad[] = {
    "Z",    "Zg",       "Zg=",      "Zg===",      "====", "Z===", "Zm9v=", "Zm=v",
    "Z=9v", "Zm9v\r\n", "Zm 9v",    "Zm9v\n",     "Zm9-", "Zm9_", "Zh==", /* stray bits, RFC 4648 3.5 */
    "Zm9=", "Zg==Zg==", "Zg==Zm9v", "\xc3\xa9==",
};

Test(test_base64, decodes_what_is_well_formed) {
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        uint8_t storage[64];
        struct buf out = BUF_OVER(storage);
        cr_assert(base64_decode(span_text(good[i].text), &out), "%s", good[i].text);
        cr_assert(span_equal(buf_span(&out), span_text(good[i].octets)), "%s", good[i].text);
    }
}

Test(test_base64, encodes) {
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        uint8_t storage[64];
        struct buf out = BUF_OVER(storage);
        base64_encode(span_text(good[i].octets), &out);
        cr_assert(span_equal(buf_span(&out), span_text(good[i].text)), "%s", good[i].octets);
    }
}

Test(test_base64, refuses_what_is_not) {
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        uint8_t storage[64];
        struct buf out = BUF_OVER(storage);
        cr_assert_not(base64_decode(span_text(bad[i]), &out), "%s", bad[i]);
    }
}

Test(test_base64, every_octet_survives) {
    uint8_t octets[256], text_storage[400], back_storage[256];
    for (size_t i = 0; i < sizeof octets; i++) octets[i] = (uint8_t)i;
    for (size_t n = 0; n <= sizeof octets; n++) {
        struct buf text = BUF_OVER(text_storage), back = BUF_OVER(back_storage);
        base64_encode(span_of(octets, n), &text);
        cr_assert(base64_decode(buf_span(&text), &back));
        cr_assert(span_equal(buf_span(&back), span_of(octets, n)));
    }
}

Test(test_base64, says_when_there_is_no_room) {
    uint8_t storage[2];
    struct buf out = BUF_OVER(storage);
    cr_assert_not(base64_decode(SPAN("Zm9v"), &out));
}
