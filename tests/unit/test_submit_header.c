/* test_submit_header.c - whom a header names, and what becomes of it.
 * Runs in: the test runner. Trusts: nothing. Never: talks to a socket. */
#include "server/submit/submit_header.h"

#include <criterion/criterion.h>
#include <stdio.h>

static struct submit_text out;
static struct submit_recipients recipients;

static const char *put(const char *message, bool take) {
    static char names[1024];
    struct submit_header header = {.domain = SPAN("example.test"),
                                   .from_name = SPAN("Web \"M\" Server"),
                                   .from = SPAN("www-data@example.test"),
                                   .take_recipients = take};
    out.n = recipients.text.n = recipients.n = 0;
    submit_header_put(&header, span_text(message), &out, &recipients);
    size_t n = 0;
    names[0] = 0;
    for (size_t i = 0, at = 0; i < recipients.n; i++, at += strlen((const char *)recipients.text.p + at) + 1)
        n += (size_t)snprintf(names + n, sizeof names - n, "%s ", recipients.text.p + at);
    return names;
}

static void end(void) {
    submit_text_free(&out);
    submit_text_free(&recipients.text);
}

TestSuite(submit_header, .fini = end);

#define FROM "From: \"Web \\\"M\\\" Server\" <www-data@example.test>\r\n"

Test(submit_header, rows) {
    static const struct {
        const char *in, *out, *recipients;
    } rows[] = {
        {"From: a@b.example\r\nTo: c@d.example\r\n\r\nbody\r\n",
         "From: a@b.example\r\nTo: c@d.example\r\n\r\nbody\r\n", "c@d.example "},
        {"From: root (Cron Daemon)\r\nTo: root\r\nSubject: root\r\n\r\nx\r\n",
         "From: root@example.test (Cron Daemon)\r\nTo: root@example.test\r\nSubject: root\r\n\r\nx\r\n",
         "root@example.test "},
        {"Subject: x\r\nTo: a@b.example\r\n\r\n", FROM "Subject: x\r\nTo: a@b.example\r\n\r\n", "a@b.example "},
        {"From: a@b.example\r\nBcc: x@y.example,\r\n z\r\nCC: <Q@r.example>\r\nX: y\r\n\r\n",
         "From: a@b.example\r\nCC: <Q@r.example>\r\nX: y\r\n\r\n", "x@y.example z@example.test Q@r.example "},
        {"From: a@b.example\r\nTo: old@x.example\r\nResent-To: n1, n2@x.example\r\nResent-Bcc: n3@x.example\r\nBcc: "
         "no\r\n"
         "\r\n",
         "From: a@b.example\r\nTo: old@x.example\r\nResent-To: n1@example.test, n2@x.example\r\n\r\n",
         "n1@example.test n2@x.example n3@x.example "},
        {"From: a@b.example\r\nReturn-Path: <x@y>\r\nContent-Length: 3\r\nReturn-Path-Not: z\r\n\r\n",
         "From: a@b.example\r\nReturn-Path-Not: z\r\n\r\n", ""},
        /* no header at all, or one that ends without an empty line */
        {"just text\r\nmore\r\n", FROM "\r\njust text\r\nmore\r\n", ""},
        {"", FROM "\r\n", ""},
        {"\r\nbody\r\n", FROM "\r\nbody\r\n", ""},
        {"From: a@b.example\r\nbody: with a colon\r\nno field\r\nTo: c@d.example\r\n",
         "From: a@b.example\r\nbody: with a colon\r\n\r\nno field\r\nTo: c@d.example\r\n", ""},
        {"From: a@b.example\r\n\r\nTo: in@the.body\r\n", "From: a@b.example\r\n\r\nTo: in@the.body\r\n", ""},
        {"From: a@b.example\r\nTo : c@d.example\r\n\r\n", "From: a@b.example\r\nTo : c@d.example\r\n\r\n",
         "c@d.example "},
        {"From sender Mon Jan  1 00:00:00 2026\r\nFrom: a@b.example\r\n\r\nx\r\n", "From: a@b.example\r\n\r\nx\r\n",
         ""},
        {"From: a@b.example\r\nTo:\r\n c@d.example,\r\n\te (x@y)\r\n\r\n",
         "From: a@b.example\r\nTo:\r\n c@d.example,\r\n\te@example.test (x@y)\r\n\r\n",
         "c@d.example e@example.test "},
        {"From: Friends: a, b;\r\n\r\n", "From: Friends: a@example.test, b@example.test;\r\n\r\n", ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *names = put(rows[i].in, true);
        cr_expect(span_equal(submit_text_span(&out), span_text(rows[i].out)), "%zu: %.*s", i, (int)out.n,
                  (const char *)out.p);
        cr_expect_str_eq(names, rows[i].recipients, "%zu: %s", i, names);
        names = put(rows[i].in, false);
        cr_expect(span_equal(submit_text_span(&out), span_text(rows[i].out)), "%zu without -t", i);
        cr_expect_str_eq(names, "", "%zu without -t: %s", i, names);
    }
}

Test(submit_header, names) {
    static const struct {
        const char *name, *put;
    } rows[] = {
        {"CronDaemon", "\"CronDaemon\""},
        {"a\\b\r\nX: y", "\"a\\\\bX: y\""},
        {"J\xc3\xb6rg", "=?UTF-8?B?SsO2cmc=?="},
        {"\xc3\xb6\xc3\xb6\xc3\xb6\xc3\xb6\xc3\xb6\xc3\xb6\xc3\xb6\xc3\xb6\xc3\xb6\xc3\xb6\xc3\xb6\xc3\xb6\xc3\xb6"
         "\xc3\xb6"
         "\xc3\xb6\xc3\xb6\xc3\xb6\xc3\xb6\xc3\xb6\xc3\xb6o\xc3\xb6o",
         "=?UTF-8?B?w7bDtsO2w7bDtsO2w7bDtsO2w7bDtsO2w7bDtsO2w7bDtsO2w7bDtm8=?=\r\n =?UTF-8?B?w7Zv?="},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        out.n = 0;
        submit_header_name(&out, span_text(rows[i].name));
        cr_expect(span_equal(submit_text_span(&out), span_text(rows[i].put)), "%.*s", (int)out.n,
                  (const char *)out.p);
    }
}

Test(submit_header, arguments) {
    recipients.text.n = recipients.n = 0;
    submit_header_addresses(&recipients, SPAN("a, \"B C\" <d@e.example>,<>"), SPAN("example.test"));
    cr_expect_eq(recipients.n, (size_t)2);
    cr_expect_arr_eq(recipients.text.p, "a@example.test\0d@e.example", sizeof "a@example.test\0d@e.example");
}
