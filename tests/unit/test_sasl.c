/* test_sasl.c - the messages of PLAIN and LOGIN. */
#include "auth/sasl.h"

#include <criterion/criterion.h>

#define MESSAGE(text)                                                                                                \
    { (const uint8_t *)text, sizeof text - 1 }

Test(sasl, plain) {
    static const struct {
        struct span message;
        bool ok;
        const char *name, *password;
    } rows[] = {
        {MESSAGE("\0alice\0word"), true, "alice", "word"},
        {MESSAGE("alice\0alice\0word"), true, "alice", "word"},
        {MESSAGE("\0alice\0 w o r d "), true, "alice", " w o r d "},
        {MESSAGE("\0al\xc3\xad"
                 "ce\0w\xc3\xb6rd"),
         true,
         "al\xc3\xad"
         "ce",
         "w\xc3\xb6rd"},
        {MESSAGE("root\0alice\0word"), true, "alice", "word"},
        {MESSAGE("ro\rot\0alice\0word"), false, "", ""},
        {MESSAGE("\0alice\0"), false, "", ""},
        {MESSAGE("\0\0word"), false, "", ""},
        {MESSAGE("\0alice"), false, "", ""},
        {MESSAGE("alice"), false, "", ""},
        {MESSAGE(""), false, "", ""},
        {MESSAGE("\0"), false, "", ""},
        {MESSAGE("\0\0"), false, "", ""},
        {MESSAGE("\0alice\0word\0more"), false, "", ""},
        {MESSAGE("\0alice\0word\0"), false, "", ""},
        {MESSAGE("\0ali\nce\0word"), false, "", ""},
        {MESSAGE("\0alice\0w\xff"), false, "", ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct sasl_plain plain;
        bool ok = sasl_plain(rows[i].message, &plain);
        cr_expect_eq(ok, rows[i].ok, "%zu", i);
        if (!ok) continue;
        cr_expect(span_equal(plain.name, span_text(rows[i].name)), "%zu", i);
        cr_expect(span_equal(plain.password, span_text(rows[i].password)), "%zu", i);
        cr_expect_eq(plain.authorization.n, span_find(rows[i].message, 0), "%zu", i);
    }
}

Test(sasl, lengths) {
    uint8_t message[520];
    struct sasl_plain plain;
    memset(message, 'a', sizeof message);
    message[0] = message[256] = 0;
    cr_expect(sasl_plain(span_of(message, 257 + 255), &plain), "255 octets each");
    cr_expect_not(sasl_plain(span_of(message, 257 + 256), &plain), "a password of 256");
    message[256] = 'a', message[257] = 0;
    cr_expect_not(sasl_plain(span_of(message, 258 + 10), &plain), "a name of 256");
}
