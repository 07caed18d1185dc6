/* test_sender.c - patterns of sender addresses: what may be written, how it is stored, and what it allows. */
#include "auth/sender.h"

#include <criterion/criterion.h>
#include <stdio.h>

TestSuite(sender, .timeout = 30);

Test(sender, patterns_are_stored) {
    static const struct {
        const char *text, *stored; /* NULL: refused */
    } rows[] = {
        {"*", "*"},
        {"Info@Example.Test", "info@example.test"},
        {"\"a b\"@example.test", "\"a b\"@example.test"},
        {"info@b\xc3\xbc"
         "cher.example",
         "info@xn--bcher-kva.example"},
        {"info@[192.0.2.1]", "info@[192.0.2.1]"},
        {"@Example.Test", "*@example.test"},
        {"*@example.test", "*@example.test"},
        {"@b\xc3\xbc"
         "cher.example",
         "*@xn--bcher-kva.example"},
        {"@example.test.", "*@example.test"},
        {"Sales-*@example.test", "sales-*@example.test"},
        {"*-news@example.test", "*-news@example.test"},
        {"a*b*c@example.test", "a*b*c@example.test"},
        {"*.smith@example.test", "*.smith@example.test"},
        {"*@*.example.test", "*@*.example.test"},
        {"@*.Example.Test", "*@*.example.test"},
        {"bounce-*@*.example.test", "bounce-*@*.example.test"},
        {"", NULL},
        {"@", NULL},
        {"info", NULL},
        {"example.test", NULL},
        {"info@", NULL},
        {"**", NULL},
        {"**@example.test", NULL},
        {"*@*", NULL},
        {"@*", NULL},
        {"*@**.test", NULL},
        {"*@ex*mple.test", NULL},
        {"*@example.*", NULL},
        {"*@*.*.test", NULL},
        {"*@*.", NULL},
        {"*@*example.test", NULL},
        {"a@b@example.test", NULL},
        {"*a@b@example.test", NULL},
        {"a b*@example.test", NULL},
        {"\"a*\"b@example.test", NULL},
        {"<*@example.test>", NULL},
        {".*@example.test", NULL},
        {"*.@example.test", NULL},
        {"a..*@example.test", NULL},
        {"*@-example.test", NULL},
        {"*@example..test", NULL},
        {"*@exam ple.test", NULL},
        {"*@[192.0.2.1]", NULL},
        {"\xff*@example.test", NULL},
        {"a*\n@example.test", NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint8_t storage[ADDRESS_MAX];
        struct buf b = BUF_OVER(storage);
        const char *wrong = sender_pattern(span_text(rows[i].text), &b);
        cr_expect_eq(wrong == NULL, rows[i].stored != NULL, "%s: %s", rows[i].text, wrong ? wrong : "taken");
        if (rows[i].stored && !wrong)
            cr_expect(span_equal(buf_span(&b), span_text(rows[i].stored)), "%s: %.*s", rows[i].text, (int)b.n,
                      (const char *)b.p);
    }
}

Test(sender, lengths) {
    char text[512];
    for (int n = ADDRESS_LOCAL_MAX; n <= ADDRESS_LOCAL_MAX + 1; n++) {
        uint8_t storage[ADDRESS_MAX];
        struct buf b = BUF_OVER(storage);
        snprintf(text, sizeof text, "%0*d*@example.test", n - 1, 0);
        cr_expect_eq(sender_pattern(span_text(text), &b) == NULL, n == ADDRESS_LOCAL_MAX, "%d", n);
    }
}

Test(sender, patterns_match) {
    static const struct {
        const char *pattern, *address;
        bool matches;
    } rows[] = {
        {"*", "a@b", true},
        {"a@b", "a@b", true},
        {"a@b", "a@bc", false},
        {"*@b", "xyz@b", true},
        {"*@b", "xyz@cb", false},
        {"*@b", "x@y@b", false},
        {"a*@b", "abc@b", true},
        {"a*@b", "a@b", true},
        {"a*c@b", "abcbc@b", true},
        {"*@*.b", "x@y.z.b", true},
        {"*@*.b", "x@b", false},
        {"*@*.b", "x@.b@c", false},
        {"", "a@b", false},
        {"a+*@b", "a@b", false},
        {"sales-*@b", "sales-@b", true},
        {"sales-*@b", "sales@b", false},
        {"sales-*@b", "sales-eu@b.c", false},
        {"*@b", "\"a@c\"@b", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        cr_expect_eq(sender_pattern_matches(span_text(rows[i].pattern), span_text(rows[i].address)), rows[i].matches,
                     "%s %s", rows[i].pattern, rows[i].address);
}
