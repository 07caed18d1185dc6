/* test_submit_address.c - addresses in fields and arguments.
 * Runs in: the test runner. Trusts: nothing. Never: talks to a socket. */
#include "server/submit/submit_address.h"

#include <criterion/criterion.h>
#include <stdio.h>

/* Each address, "!" behind one without a domain, and what stands behind its end. */
static void collect(const char *text, char out[2048]) {
    struct submit_mailbox mailbox;
    struct span all = span_text(text);
    size_t n = 0;
    out[0] = 0;
    for (size_t at = 0; submit_address_next(all, &at, &mailbox);) {
        cr_assert(mailbox.end <= all.n && at <= all.n && n < 1500);
        n += (size_t)snprintf(out + n, 2048 - n, "%.*s%s|", (int)mailbox.n, (const char *)mailbox.address,
                              mailbox.n && mailbox.bare ? "!" : "");
    }
}

Test(submit_address, lists) {
    static const struct {
        const char *text, *found;
    } rows[] = {
        {"a@b.example", "a@b.example|"},
        {"root", "root!|"},
        {" root (Cron Daemon)\r\n", "root!|"},
        {"a@b.example, c@d.example ,,e", "a@b.example|c@d.example|e!|"},
        {"Doe <a@b.example>, \"Doe, Jane\" <c@d.example>", "a@b.example|c@d.example|"},
        {"\"<x@y.example>\" <a@b.example>", "a@b.example|"},
        {"\"a b\"@c.example", "\"a b\"@c.example|"},
        {"\"a\\\"b,c\"@c.example", "\"a\\\"b,c\"@c.example|"},
        {"(a, b (c) \\) d) e@f.example (x@y)", "e@f.example|"},
        {"friends: a@b.example, c;, d", "a@b.example|c!|d!|"},
        {"undisclosed-recipients:;", ""},
        {"My Group: \"x\" <a@b.example>; e@f.example", "a@b.example|e@f.example|"},
        {"<>", "|"},
        {"<a@b.example> trailing words", "a@b.example|"},
        {"<@relay.example:a@b.example>", "@relay.example:a@b.example|"},
        {"a@[IPv6:2001:db8::1], b@[192.0.2.1]", "a@[IPv6:2001:db8::1]|b@[192.0.2.1]|"},
        {"a@b.example,\r\n\tc@d.example", "a@b.example|c@d.example|"},
        {"a @ b.example", "a@b.example|"},
        {"Root <root>", "root!|"},
        {"\xc3\xa4@b\xc3\xbc.example", "\xc3\xa4@b\xc3\xbc.example|"},
        {"", ""},
        {" ,; ,", ""},
        {"\"a\\\r\nRCPT TO:<x@y>\"@c.example", "\"a\\RCPT TO:<x@y>\"@c.example|"},
        {"a\\\nb@c.example\x01", "a\\b@c.example|"},
        {"\"unended", "\"unended!|"},
        {"(unended a@b", ""},
        {"<a@b.example", "a@b.example|"},
        {"\"\\", "\"\\!|"},
        {"-f@b.example", "-f@b.example|"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char found[2048];
        collect(rows[i].text, found);
        cr_expect_str_eq(found, rows[i].found, "%s: %s", rows[i].text, found);
    }
}

Test(submit_address, where_a_domain_would_go) {
    static const struct {
        const char *text, *before;
    } rows[] = {{" root (Cron)", " root"}, {"Root <root> (x)", "Root <root"}, {"\"a b\" , c", "\"a b\""}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct submit_mailbox mailbox;
        size_t at = 0;
        cr_assert(submit_address_next(span_text(rows[i].text), &at, &mailbox));
        cr_expect_eq(mailbox.end, strlen(rows[i].before), "%s: %zu", rows[i].text, mailbox.end);
    }
}

Test(submit_address, too_long) {
    char text[SUBMIT_ADDRESS_MAX + 20];
    struct submit_mailbox mailbox;
    size_t at = 0;
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = 0;
    cr_assert(submit_address_next(span_text(text), &at, &mailbox));
    cr_expect(mailbox.too_long && mailbox.n == SUBMIT_ADDRESS_MAX);
    text[SUBMIT_ADDRESS_MAX] = 0;
    at = 0;
    cr_assert(submit_address_next(span_text(text), &at, &mailbox));
    cr_expect(!mailbox.too_long && mailbox.n == SUBMIT_ADDRESS_MAX);
}

/* Whatever the octets, it ends, and stays within the text. */
Test(submit_address, any_octets) {
    static const char letters[] = "a@<>()\",;:\\[] \r\n\xc3";
    uint64_t state = 88172645463325252;
    for (int round = 0; round < 20000; round++) {
        char text[24] = "", found[2048];
        for (size_t i = 0; i < sizeof text - 1; i++) {
            state ^= state << 13, state ^= state >> 7, state ^= state << 17;
            text[i] = letters[state % (sizeof letters - 1)];
        }
        collect(text, found);
    }
}
