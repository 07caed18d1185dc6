/* test_markup.c - what a value may do to the XML or HTML around it: nothing. */
#include "server/lab/markup.h"

#include <criterion/criterion.h>
#include <signal.h>

#define LOST "\xef\xbf\xbd"

Test(markup, escapes) {
    static const struct {
        struct span from, to;
    } rows[] = {
        {SPAN("plain"), SPAN("plain")},
        {SPAN("<b>&\"'</b>"), SPAN("&lt;b&gt;&amp;&quot;&#39;&lt;/b&gt;")},
        {SPAN("&amp;"), SPAN("&amp;amp;")},
        {SPAN("]]>"), SPAN("]]&gt;")},
        {SPAN("a\tb\nc\r"), SPAN("a\tb\nc&#13;")},
        {SPAN("\0\x01\x1b\x7f"), SPAN(LOST LOST LOST LOST)},
        {SPAN("\xc2\x80\xc2\x9f\xc2\xa0"), SPAN(LOST LOST "\xc2\xa0")}, /* C1, and what comes after it */
        {SPAN("b\xc3\xbc\xe2\x82\xac\xf0\x9f\x98\x80"), SPAN("b\xc3\xbc\xe2\x82\xac\xf0\x9f\x98\x80")},
        {SPAN("\xef\xbf\xbd\xef\xbf\xbe\xef\xbf\xbf"),
         SPAN(LOST LOST LOST)}, /* U+FFFE and U+FFFF are no characters */
        {SPAN("\xc0\xbc\xff\xed\xa0\x80"), SPAN(LOST LOST LOST LOST LOST LOST)}, /* an overlong <; a surrogate */
        {SPAN("\xe2\x82"), SPAN(LOST LOST)},                                     /* cut off */
        {SPAN("\xc3<"), SPAN(LOST "&lt;")},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint8_t storage[200];
        struct buf b = BUF_OVER(storage);
        markup_put(&b, rows[i].from);
        cr_expect(span_equal(buf_span(&b), rows[i].to), "row %zu: %.*s", i, (int)b.n, (const char *)b.p);
    }
}

Test(markup, every_octet_is_escaped_or_itself) {
    for (unsigned c = 0; c < 128; c++) {
        uint8_t storage[16], octet = (uint8_t)c;
        struct buf b = BUF_OVER(storage);
        markup_put(&b, span_of(&octet, 1));
        bool itself = b.n == 1 && b.p[0] == octet;
        bool special = strchr("<>&\"'\r", (int)c) || c < 9 || (c > 10 && c < 32) || c == 127;
        cr_expect_eq(itself, !special, "octet %u", c);
    }
}

Test(markup, fills_gaps_and_reads_no_gap_in_a_value) {
    uint8_t storage[100];
    struct buf b = BUF_OVER(storage);
    const struct markup_field fields[] = {{"a", SPAN("{b}<")}, {"b", SPAN("x")}};
    MARKUP_FILL(&b, "1{a}2{b}{a}3", fields);
    cr_expect(span_equal(buf_span(&b), SPAN("1{b}&lt;2x{b}&lt;3")), "%.*s", (int)b.n, (const char *)b.p);
}

Test(markup, an_unknown_gap_is_a_bug, .signal = SIGABRT) {
    uint8_t storage[100];
    struct buf b = BUF_OVER(storage);
    const struct markup_field fields[] = {{"a", SPAN("x")}};
    MARKUP_FILL(&b, "{c}", fields);
}
