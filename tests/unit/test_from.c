/* test_from.c - finding From in a header, and the addresses in it: RFC 5322 3.4, appendix A. */
#include "server/inbound/from.h"

#include <criterion/criterion.h>
#include <stdio.h>

TestSuite(from, .timeout = 30);

static struct from from;
static struct from_addresses found;

/* The verdict for a body that comes in pieces of this size; *text_out: the addresses, a blank behind each. */
static enum from_verdict judge(struct span body, size_t piece, char *text, size_t size) {
    memset(&from, 0xaa, sizeof from);
    from_start(&from);
    for (size_t at = 0; at < body.n; at += piece) from_take(&from, span_part(body, at, piece));
    enum from_verdict verdict = from_end(&from, &found);
    size_t n = 0;
    text[0] = 0;
    for (size_t i = 0; i < found.n; i++)
        n += (size_t)snprintf(text + n, size - n, "%.*s ", (int)found.of[i].n, (const char *)found.of[i].p);
    return verdict;
}

static void expect(const char *body, enum from_verdict verdict, const char *addresses) {
    char text[2048];
    for (size_t piece = 1; piece < 5; piece++) {
        cr_expect_eq(judge(span_text(body), piece == 4 ? SIZE_MAX / 2 : piece, text, sizeof text), verdict, "%s",
                     body);
        cr_expect_str_eq(text, verdict == FROM_GOOD ? addresses : "", "%s", body);
    }
}

Test(from, values) {
    static const struct {
        const char *value;
        enum from_verdict verdict;
        const char *addresses;
    } rows[] = {
        {"alice@example.test", FROM_GOOD, "alice@example.test "},
        {"<alice@example.test>", FROM_GOOD, "alice@example.test "},
        {"Alice <alice@example.test>", FROM_GOOD, "alice@example.test "},
        {"\"Alice, of Sales\" <alice@example.test>", FROM_GOOD, "alice@example.test "},
        {"\"boss@example.test\" <alice@example.test>", FROM_GOOD, "alice@example.test "},
        {"Alice Q. Public <alice@example.test>", FROM_GOOD, "alice@example.test "},
        {"=?utf-8?q?J=C3=B6rg_=3Cboss=40example=2Etest=3E?= <alice@example.test>", FROM_GOOD, "alice@example.test "},
        {"J\xc3\xb6rg <j\xc3\xb6rg@example.test>", FROM_GOOD, "j\xc3\xb6rg@example.test "},
        {"J\xf6rg <alice@example.test>", FROM_GOOD, "alice@example.test "},
        {"alice@example.test (Alice, (really) \\( )", FROM_GOOD, "alice@example.test "},
        {"(c) alice (c) @ (c) example.test (c)", FROM_GOOD, "alice@example.test "},
        {"Pete(A nice \\) chap) <pete(his account)@silly.test(his host)>", FROM_GOOD, "pete@silly.test "},
        {"\"al ice\"@example.test", FROM_GOOD, "\"al ice\"@example.test "},
        {"\"a\\\"b\\\\\"@example.test", FROM_GOOD, "\"a\\\"b\\\\\"@example.test "},
        {"\"a@b\"@example.test", FROM_GOOD, "\"a@b\"@example.test "},
        {"alice@[192.0.2.1]", FROM_GOOD, "alice@[192.0.2.1] "},
        {"alice@[IPv6:2001:db8::1]", FROM_GOOD, "alice@[IPv6:2001:db8::1] "},
        {"a@x.test, B <b@x.test> ,\"C\"<c@x.test>", FROM_GOOD, "a@x.test b@x.test c@x.test "},
        {"Alice\r\n <alice@example.test>", FROM_GOOD, "alice@example.test "},
        {"\r\n\talice@example.test\r\n ", FROM_GOOD, "alice@example.test "},
        {"\"Al\r\n ice\" <alice@example.test>", FROM_GOOD, "alice@example.test "},
        {"", FROM_MALFORMED, ""},
        {"Alice", FROM_MALFORMED, ""},
        {"<>", FROM_MALFORMED, ""},
        {"Alice <>", FROM_MALFORMED, ""},
        {"@example.test", FROM_MALFORMED, ""},
        {"alice@", FROM_MALFORMED, ""},
        {"alice@example.test,", FROM_MALFORMED, ""},
        {",alice@example.test", FROM_MALFORMED, ""},
        {"a@x.test,,b@x.test", FROM_MALFORMED, ""},
        {"a@x.test b@x.test", FROM_MALFORMED, ""},
        {"a@x.test; b@x.test", FROM_MALFORMED, ""},
        {"boss@example.test <alice@example.test>", FROM_MALFORMED, ""},
        {"<boss@example.test> <alice@example.test>", FROM_MALFORMED, ""},
        {"<boss@example.test> alice@example.test", FROM_MALFORMED, ""},
        {"Alice <alice@example.test> <", FROM_MALFORMED, ""},
        {"<<alice@example.test>>", FROM_MALFORMED, ""},
        {"<@relay.test:alice@example.test>", FROM_MALFORMED, ""},
        {"Team: alice@example.test;", FROM_MALFORMED, ""},
        {"undisclosed:;", FROM_MALFORMED, ""},
        {"alice..b@example.test", FROM_MALFORMED, ""},
        {".alice@example.test", FROM_MALFORMED, ""},
        {"alice@example..test", FROM_MALFORMED, ""},
        {"alice@example.test.", FROM_MALFORMED, ""},
        {"alice@@example.test", FROM_MALFORMED, ""},
        {"alice@boss@example.test", FROM_MALFORMED, ""},
        {"al ice@example.test", FROM_MALFORMED, ""},
        {"\"alice@example.test", FROM_MALFORMED, ""},
        {"(alice@example.test", FROM_MALFORMED, ""},
        {"alice@example.test)", FROM_MALFORMED, ""},
        {"alice@[192.0.2.1", FROM_MALFORMED, ""},
        {"alice@[[192.0.2.1]]", FROM_MALFORMED, ""},
        {"alice\x01@example.test", FROM_MALFORMED, ""},
        {"\"a\x7f\" <alice@example.test>", FROM_MALFORMED, ""},
        {"Alice [home] <alice@example.test>", FROM_MALFORMED, ""},
        {"\\alice@example.test", FROM_MALFORMED, ""},
        {"((((((((((((((((((1))))))))))))))))) a@x.test", FROM_MALFORMED, ""},
        {"(((((((((((((((1))))))))))))))) a@x.test", FROM_GOOD, "a@x.test "},
    };
    char body[1024];
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        snprintf(body, sizeof body, "Subject: x\r\nFrom: %s\r\nTo: b@x.test\r\n\r\nFrom: body@x.test\r\n",
                 rows[i].value);
        expect(body, rows[i].verdict, rows[i].addresses);
    }
}

Test(from, headers) {
    static const struct {
        const char *body;
        enum from_verdict verdict;
    } rows[] = {
        {"From: a@x.test\r\n\r\n", FROM_GOOD},
        {"FROM:a@x.test\r\n\r\nhi\r\n", FROM_GOOD},
        {"from \t: a@x.test\r\n\r\n", FROM_GOOD},
        {"From: a@x.test\r\n", FROM_GOOD},
        {"From: a@x.test", FROM_GOOD},
        {"X: 1\r\n y\r\nFrom: a@x.test\r\n\r\n", FROM_GOOD},
        {"X: 1\r\n From: b@x.test\r\nFrom: a@x.test\r\n\r\n", FROM_GOOD},
        {"From: a@x.test\r\n\r\nFrom: b@x.test\r\n", FROM_GOOD},
        {"X-From: b@x.test\r\nFrom-X: c@x.test\r\nFro: d\r\nFroms: e\r\nFrom: a@x.test\r\n\r\n", FROM_GOOD},
        {"Resent-From: b@x.test\r\nSender: c@x.test\r\nReply-To: d@x.test\r\nFrom: a@x.test\r\n\r\n", FROM_GOOD},
        {"", FROM_MISSING},
        {"\r\nFrom: a@x.test\r\n", FROM_MISSING},
        {"Subject: x\r\n\r\nFrom: a@x.test\r\n", FROM_MISSING},
        {"From: a@x.test\r\nFrom: a@x.test\r\n\r\n", FROM_SEVERAL},
        {"From: a@x.test\r\nX: y\r\nfrom : b@x.test\r\n\r\n", FROM_SEVERAL},
        {"From:\r\nFrom: a@x.test\r\n\r\n", FROM_SEVERAL},
        {"From: a@x.test\r\nhello\r\n\r\n", FROM_MALFORMED},
        {"hello\r\nFrom: a@x.test\r\n\r\n", FROM_MALFORMED},
        {" From: a@x.test\r\n\r\n", FROM_MALFORMED},
        {" X: y\r\nFrom: a@x.test\r\n\r\n", FROM_MALFORMED},
        {": y\r\nFrom: a@x.test\r\n\r\n", FROM_MALFORMED},
        {"From a@x.test Mon Nov 23 2026\r\nFrom: a@x.test\r\n\r\n", FROM_MALFORMED},
        {"From a: a@x.test\r\nFrom: a@x.test\r\n\r\n", FROM_MALFORMED},
        {"\xef\xbb\xbf"
         "From: b@x.test\r\nFrom: a@x.test\r\n\r\n",
         FROM_MALFORMED},
        {"From\x01: b@x.test\r\nFrom: a@x.test\r\n\r\n", FROM_MALFORMED},
        {"From: a@x.test\r\nFrom", FROM_MALFORMED},
        {"From: a@x.test\r\nFrom \r\n\r\n", FROM_MALFORMED},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) expect(rows[i].body, rows[i].verdict, "a@x.test ");
}

Test(from, as_many_and_as_long_as_fit) {
    static char body[FROM_FIELD_MAX + 4096], text[2048];
    for (size_t n = FROM_ADDRESSES_MAX; n <= FROM_ADDRESSES_MAX + 1; n++) {
        size_t at = (size_t)snprintf(body, sizeof body, "From: a@x.test");
        for (size_t i = 1; i < n; i++) at += (size_t)snprintf(body + at, sizeof body - at, ", a@x.test");
        snprintf(body + at, sizeof body - at, "\r\n\r\n");
        enum from_verdict verdict = judge(span_text(body), 7, text, sizeof text);
        cr_expect_eq(verdict, n == FROM_ADDRESSES_MAX ? FROM_GOOD : FROM_MALFORMED);
        cr_expect_eq(found.n, n == FROM_ADDRESSES_MAX ? n : 0);
    }
    for (size_t more = 0; more < 2; more++) {
        snprintf(body, sizeof body, "From:%*s\r\n\r\n", FROM_FIELD_MAX + (int)more, "a@x.test");
        cr_expect_eq(judge(span_text(body), 100, text, sizeof text), more ? FROM_MALFORMED : FROM_GOOD);
    }
}
