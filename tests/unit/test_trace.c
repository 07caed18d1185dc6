/* test_trace.c - Received, and what submissions lack.
 * Runs in: the test runner. Trusts: nothing. Never: touches a file. */
#include "store/trace.h"

#include <criterion/criterion.h>

static struct span trace(struct message *message, struct span only, unsigned fields) {
    static uint8_t storage[TRACE_MAX];
    struct buf b = BUF_OVER(storage);
    cr_assert(message->envelope.client.octets[15] || netaddr_parse(&message->envelope.client, SPAN("192.0.2.7")));
    trace_put(&b, message, SPAN("mx.example.test"), only, fields);
    cr_assert(buf_ok(&b));
    return buf_span(&b);
}

static bool holds(struct span s, const char *text) {
    return memmem(s.p, s.n, text, strlen(text)) != NULL;
}

Test(trace, protocol_words) {
    static const struct {
        uint8_t flags;
        const char *with;
    } cases[] = {{0, "with SMTP\r\n"},
                 {ENVELOPE_ESMTP, "with ESMTP\r\n"},
                 {ENVELOPE_ESMTP | ENVELOPE_TLS, "with ESMTPS\r\n"},
                 {ENVELOPE_ESMTP | ENVELOPE_TLS | ENVELOPE_PRINCIPAL, "with ESMTPSA\r\n"},
                 {ENVELOPE_ESMTP | ENVELOPE_PRINCIPAL | ENVELOPE_GRANT, "with ESMTP\r\n"},
                 {ENVELOPE_ESMTP | ENVELOPE_TLS | ENVELOPE_PRINCIPAL | ENVELOPE_UTF8, "with UTF8SMTPSA\r\n"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct message message = {.number = 1};
        message.envelope.flags = cases[i].flags;
        cr_assert(holds(trace(&message, (struct span){0}, 3), cases[i].with), "case %zu", i);
    }
}

Test(trace, nothing_ends_a_line_or_a_comment) {
    for (int field = 0; field < 3; field++)
        for (unsigned c = 0; c < 256; c++) {
            uint8_t text[3] = {'a', (uint8_t)c, 'b'};
            struct message message = {.number = 1};
            struct span evil = span_of(text, 3), only = {0};
            message.envelope.flags = ENVELOPE_ESMTP | ENVELOPE_TLS | ENVELOPE_PRINCIPAL;
            if (field == 0)
                message.envelope.helo = evil;
            else if (field == 1)
                message.envelope.tls = evil;
            else
                only = evil;
            struct span s = trace(&message, only, 3);
            size_t lines = 0, open = 0, closed = 0;
            for (size_t i = 0; i < s.n; i++) {
                lines += s.p[i] == '\n', open += s.p[i] == '(', closed += s.p[i] == ')';
                cr_assert(s.p[i] >= 0x20 || s.p[i] == '\t' || s.p[i] == '\r' || s.p[i] == '\n');
                cr_assert(s.p[i] < 0x7f);
            }
            cr_assert_eq(lines, field == 0 ? 4 : 5, "field %d octet %u: %zu lines", field, c, lines);
            cr_assert_eq(open, field == 1 ? 2 : 1);
            cr_assert_eq(open, closed);
        }
}

Test(trace, submissions_get_what_they_lack) {
    static const struct {
        const char *body;
        unsigned fields;
    } cases[] = {{"", 0},
                 {"Subject: x\r\n\r\nDate: in the body\r\n", 0},
                 {"DATE: x\r\nmessage-id: <x@example.test>\r\n\r\n", 3},
                 {"Subject: x\r\n Date: folded\r\nDate: y\r\n", TRACE_HAS_DATE},
                 {"Message-ID:<x>", TRACE_HAS_MESSAGE_ID}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct message message = {.number = 1};
        unsigned fields = trace_fields(span_text(cases[i].body));
        cr_assert_eq(fields, cases[i].fields, "case %zu", i);
        message.envelope.flags = ENVELOPE_PRINCIPAL;
        struct span s = trace(&message, (struct span){0}, fields);
        cr_assert_eq(holds(s, "\nDate: "), !(fields & TRACE_HAS_DATE));
        cr_assert_eq(holds(s, "\nMessage-ID: <"), !(fields & TRACE_HAS_MESSAGE_ID));
        message.envelope.flags = 0;
        cr_assert_not(holds(trace(&message, (struct span){0}, fields), "\nDate: "));
    }
}
