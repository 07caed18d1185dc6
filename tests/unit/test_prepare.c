/* test_prepare.c - names and passwords in the form in which they are compared: RFC 8265, with RFC 8264 and 5892.
 * Runs in: the test runner. Trusts: nothing. Never: prints a password. */
#include "auth/prepare.h"

#include <criterion/criterion.h>

struct row {
    const char *typed, *prepared; /* NULL: refused */
};

static const struct row passwords[] = {
    {"secret word", "secret word"},
    {" ~", " ~"},
    {"", NULL},
    /* RFC 8265 4.2.2: spaces of other kinds; no case and no width is mapped */
    {"a\u00a0b\u2003c\u3000d", "a b c d"},
    {"\uff21\uff42", "\uff21\uff42"},
    {"\u00c9t\u00e9", "\u00c9t\u00e9"},
    /* NFC, and not NFKC: composed by Unicode 3.11, the examples of RFC 5802 3 */
    {"e\u0301", "\u00e9"},
    {"\u212b", "\u00c5"},
    {"\u1100\u1161", "\uac00"},
    {"q\u0307\u0323", "q\u0323\u0307"},
    {"\u00bd\u00b4\ufb01", "\u00bd\u00b4\ufb01"},
    /* RFC 8265 4.3, table 4 */
    {"correct horse battery staple", "correct horse battery staple"},
    {"Correct Horse Battery Staple", "Correct Horse Battery Staple"},
    {"\u03c0\u00df\u00e5", "\u03c0\u00df\u00e5"},
    {"Jack of \u2666s", "Jack of \u2666s"},
    {"foo\u1680bar", "foo bar"},
    /* table 5 */
    {"my cat is a \tby", NULL},
    /* RFC 8264 4.3.3: controls, what is ignored, private use, no character, old Hangul; 4.3.4: not assigned */
    {"a\x01", NULL},
    {"a\x7f", NULL},
    {"a\xc2\x85", NULL},
    {"a\u00ad", NULL},
    {"a\u200b", NULL},
    {"a\ufeff", NULL},
    {"\u2764\ufe0f", NULL},
    {"a\u2028", NULL},
    {"a\ue000", NULL},
    {"a\ufdd0", NULL},
    {"\u1100", NULL},
    {"a\u0378", NULL},
    {"a\U0010ffff", NULL},
    /* RFC 5892 2.6: exceptions */
    {"\u0640", NULL},
    {"\u3031", NULL},
    {"\u3007", "\u3007"},
    /* RFC 5892 A.1, A.2: the joiners */
    {"\u0915\u094d\u200d", "\u0915\u094d\u200d"},
    {"\u0915\u200d", NULL},
    {"\u200d", NULL},
    {"\u0915\u094d\u200c", "\u0915\u094d\u200c"},
    {"\u0628\u200c\u0628", "\u0628\u200c\u0628"},
    {"\u0628\u064e\u200c\u064e\u0628", "\u0628\u064e\u200c\u064e\u0628"},
    {"\u0628\u200c", NULL},
    {"\u200c\u0628", NULL},
    {"\u0627\u200c\u0628", NULL},
    {"\u0628\u200cb", NULL},
    /* A.3 to A.9 */
    {"col\u00b7legi", "col\u00b7legi"},
    {"co\u00b7legi", NULL},
    {"col\u00b7", NULL},
    {"\u0375\u03b1", "\u0375\u03b1"},
    {"\u0375a", NULL},
    {"\u0375", NULL},
    {"\u05d0\u05f3", "\u05d0\u05f3"},
    {"\u05d0\u05f4", "\u05d0\u05f4"},
    {"a\u05f4", NULL},
    {"\u05f3\u05d0", NULL},
    {"\u30fb\u30ab", "\u30fb\u30ab"},
    {"\u30fb\u3042", "\u30fb\u3042"},
    {"\u30fb\u6f22", "\u30fb\u6f22"},
    {"a\u30fb", NULL},
    {"\u0661\u0662", "\u0661\u0662"},
    {"\u06f1\u06f2", "\u06f1\u06f2"},
    {"\u0661\u06f2", NULL},
    {"\u06f1\u0662", NULL},
    /* not UTF-8 */
    {"a\xff", NULL},
    {"\xc3", NULL},
    {"\xed\xa0\x80", NULL},
};

static const struct row names[] = {
    {"Alice@Example.TEST", "Alice@Example.TEST"},
    {"", NULL},
    {"bu\u0308cher@example.test", "b\u00fccher@example.test"},
    /* RFC 8265 3.3.2, 1: width; case in letters other than ASCII is another mailbox's */
    {"\uff41lice\uff20example.test", "alice@example.test"},
    {"\uff76\uff9e", "\u30ac"}, /* and composed after that */
    {"\u00c9mile@example.test", "\u00c9mile@example.test"},
    {"a\u00a0b", "a\u00a0b"},
    {"a\nb", NULL},
    {"a\u200bb", NULL},
    {"a\xff", NULL},
};

Test(prepare, password) {
    for (size_t i = 0; i < sizeof passwords / sizeof *passwords; i++) {
        struct secret out, again;
        bool ok = prepare_password(span_text(passwords[i].typed), &out);
        cr_expect_eq(ok, passwords[i].prepared != NULL, "row %zu", i);
        if (!ok) cr_expect_eq(out.n, 0, "row %zu", i);
        if (!ok || !passwords[i].prepared) continue;
        cr_expect(span_equal(secret_span(&out), span_text(passwords[i].prepared)), "row %zu", i);
        cr_expect(prepare_password(secret_span(&out), &again), "row %zu", i);
        cr_expect(span_equal(secret_span(&out), secret_span(&again)), "row %zu: prepared is prepared", i);
    }
    struct secret out;
    cr_expect_not(prepare_password(span_of("a\0b", 3), &out));
    cr_expect_not(prepare_password(span_of("\xc3\xa4\0", 3), &out));
}

Test(prepare, name) {
    uint8_t storage[64];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct buf b = BUF_OVER(storage);
        buf_put_text(&b, "before ");
        bool ok = prepare_name(span_text(names[i].typed), &b);
        cr_expect_eq(ok, names[i].prepared != NULL, "row %zu", i);
        cr_expect(buf_ok(&b));
        cr_expect(span_equal(span_from(buf_span(&b), 7), span_text(names[i].prepared)), "row %zu", i);
    }
}

Test(prepare, lengths) {
    static uint8_t typed[8 * SECRET_MAX];
    struct secret out;
    uint8_t storage[255];
    struct buf b = BUF_OVER(storage);
    memset(typed, 'a', sizeof typed);
    cr_expect(prepare_password(span_of(typed, SECRET_MAX), &out));
    cr_expect_not(prepare_password(span_of(typed, SECRET_MAX + 1), &out));
    cr_expect(prepare_name(span_of(typed, 255), &b));
    cr_expect_not(prepare_name(span_of(typed, 1), &b));
    buf_clear(&b);
    cr_expect_not(prepare_name(span_of(typed, 256), &b));
    cr_expect(buf_ok(&b) && b.n == 0);
    /* U+1D160 is three characters, also by NFC: 255 octets become 765, and 1024 too many. */
    for (size_t i = 0; i + 4 <= sizeof typed; i += 4) memcpy(typed + i, "\U0001d160", 4);
    cr_expect(prepare_password(span_of(typed, 340), &out));
    cr_expect_eq(out.n, 1020);
    cr_expect_not(prepare_password(span_of(typed, 344), &out));
    cr_expect_eq(out.n, 0);
    cr_expect_not(prepare_password(span_of(typed, SECRET_MAX), &out));
    cr_expect_not(prepare_password(span_of(typed, sizeof typed), &out));
    cr_expect_not(prepare_name(span_of(typed, sizeof typed), &b));
    cr_expect_not(prepare_name(span_of(typed, 88), &b), "264 octets");
    cr_expect_eq(b.n, 0);
    cr_expect(prepare_name(span_of(typed, 84), &b));
    cr_expect_eq(b.n, 252);
    /* More marks than libunistring sorts without allocating. */
    for (size_t i = 0; i + 4 <= SECRET_MAX; i += 4) memcpy(typed + i, i % 8 ? "\u0301\u0316" : "\u0316\u0301", 4);
    cr_expect(prepare_password(span_of(typed, SECRET_MAX), &out));
    cr_expect_eq(out.n, SECRET_MAX);
}
