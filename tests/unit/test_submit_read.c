/* test_submit_read.c - line ends, dots and long lines, however the octets come.
 * Runs in: the test runner. Trusts: nothing. Never: talks to a socket. */
#include "server/submit/submit_read.h"

#include <criterion/criterion.h>
#include <stdlib.h>

static struct submit_reader read_all(struct span in, size_t step, bool dots_are_text, struct submit_text *out) {
    struct submit_reader reader = {.out = out, .dots_are_text = dots_are_text};
    out->n = 0;
    for (size_t at = 0; at < in.n; at += step) submit_read(&reader, span_part(in, at, step));
    submit_read_end(&reader);
    return reader;
}

Test(submit_read, lines) {
    static const struct {
        const char *in, *out;
        bool dots_are_text;
    } rows[] = {
        {"", "", false},
        {"a\nb\n", "a\r\nb\r\n", false},
        {"a\r\nb\r\n", "a\r\nb\r\n", false},
        {"a\rb\r\rc", "a\r\nb\r\n\r\nc\r\n", false},
        {"a\n\r\nb", "a\r\n\r\nb\r\n", false},
        {"no end", "no end\r\n", false},
        {"a\n.\nb\n", "a\r\n", false},
        {"a\n.", "a\r\n", false},
        {"a\n.\r\nb\n", "a\r\n", false},
        {"a\n..\n.b\n", "a\r\n..\r\n.b\r\n", false},
        {"a\n.\nb\n", "a\r\n.\r\nb\r\n", true},
        {".\n", "", false},
    };
    struct submit_text out = {0};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (size_t step = 1; step < 5; step++) {
            read_all(span_text(rows[i].in), step, rows[i].dots_are_text, &out);
            cr_expect(span_equal(submit_text_span(&out), span_text(rows[i].out)), "%zu by %zu: %.*s", i, step,
                      (int)out.n, (const char *)out.p);
        }
    submit_text_free(&out);
}

Test(submit_read, what_is_told_of_octets) {
    struct submit_text out = {0};
    struct submit_reader plain = read_all(SPAN("a\n"), 9, true, &out);
    cr_expect(!plain.eight_bit && !plain.nul);
    struct submit_reader eight = read_all(SPAN("\xc3\xa4\n"), 9, true, &out);
    cr_expect(eight.eight_bit && !eight.nul);
    struct submit_reader nul = read_all(SPAN("a\0b\n"), 9, true, &out);
    cr_expect(nul.nul && !nul.eight_bit);
    submit_text_free(&out);
}

/* No line of a body is over the limit, nothing is lost, no character is torn. */
Test(submit_read, long_lines) {
    static const char *const units[] = {"x", "word ", "\xc3\xa4", "\xe2\x82\xac", "\xf0\x9f\x98\x80", "\x80"};
    struct submit_text in = {0}, out = {0};
    for (size_t u = 0; u < sizeof units / sizeof *units; u++) {
        in.n = 0;
        submit_text_put(&in, SPAN("Subject: x\n\n"));
        for (int i = 0; i < 3000; i++) submit_text_put(&in, span_text(units[u]));
        read_all(submit_text_span(&in), 1000, true, &out);
        struct span rest = span_from(submit_text_span(&out), strlen("Subject: x\r\n\r\n"));
        size_t octets = 0;
        while (rest.n) {
            size_t n = span_find(rest, '\n');
            cr_assert(n >= 2 && n - 1 <= SUBMIT_LINE_MAX && rest.p[n - 1] == '\r', "%s: %zu", units[u], n);
            cr_expect((n - 1) % strlen(units[u]) == 0, "%s is torn", units[u]);
            octets += n - 1;
            rest = span_from(rest, n + 1);
        }
        cr_expect_eq(octets, 3000 * strlen(units[u]));
    }
    submit_text_free(&in);
    submit_text_free(&out);
}

/* A header cannot be broken anywhere: the server refuses it. */
Test(submit_read, long_fields_stay) {
    struct submit_text in = {0}, out = {0};
    submit_text_put(&in, SPAN("X: "));
    for (int i = 0; i < 2000; i++) submit_text_put(&in, SPAN("y"));
    read_all(submit_text_span(&in), 64, true, &out);
    cr_expect_eq(out.n, (size_t)2005);
    submit_text_free(&in);
    submit_text_free(&out);
}
