/* test_policy.c - the requests and reports that the policy process reads.
 * Runs in: the test runner. Trusts: nothing. Never: opens a socket. */
#include "server/inbound/policy.h"
#include "server/inbound/policy_http.h"
#include "server/inbound/policy_report.h"

#include <criterion/criterion.h>
#include <stdio.h>

#define HEAD "POST /?command=report HTTP/1.1\r\nHost: 127.0.0.1:8025\r\n"

static enum http_found found(const char *text, struct http_request *out) {
    return http_read(span_text(text), out);
}

Test(policy, a_request_is_read) {
    struct http_request request;
    const char *text = HEAD "X-Gatepost-Secret:  abc \r\nContent-Length: 4\r\n\r\n{12}POST";
    cr_assert_eq(found(text, &request), HTTP_WHOLE);
    cr_expect(span_equal(request.method, SPAN("POST")));
    cr_expect(span_equal(request.target, SPAN("/?command=report")));
    cr_expect(span_equal(request.secret, SPAN("abc")));
    cr_expect(span_equal(request.body, SPAN("{12}")));
    cr_expect_eq(request.n_octets, strlen(text) - 4);
    cr_expect_not(request.closes);
    cr_assert_eq(found("GET / HTTP/1.0\r\n\r\n", &request), HTTP_WHOLE);
    cr_expect(request.closes);
    cr_expect_eq(request.secret.n, 0);
    cr_assert_eq(found(HEAD "connection: CLOSE\r\n\r\n", &request), HTTP_WHOLE);
    cr_expect(request.closes);
}

Test(policy, each_beginning_of_a_request_waits_for_more) {
    const char *text = HEAD "Content-Length: 4\r\n\r\n{12}";
    struct http_request request;
    for (size_t n = 0; n < strlen(text); n++)
        cr_expect_eq(http_read(span_of(text, n), &request), HTTP_MORE, "%zu", n);
}

Test(policy, what_is_no_request_is_refused) {
    static const char *const bad[] = {
        "\r\n",
        "POST\r\n",
        "POST /\r\n",
        "POST / HTTP/1.2\r\n",
        "POST / HTTP/1.1 \r\n",
        "POST  / HTTP/1.1\r\n",
        "POST x HTTP/1.1\r\n",
        "PO(ST / HTTP/1.1\r\n",
        "POST /\x01 HTTP/1.1\r\n",
        "POST / HTTP/1.1\n",
        "POST / HT\rTP/1.1\r\n",
        "POST / HTTP/1.1\r\r\n",
        HEAD "no colon\r\n",
        HEAD " folded: 1\r\n",
        HEAD "Name : 1\r\n",
        HEAD ": 1\r\n",
        HEAD "Name: \x01\r\n",
        HEAD "Content-Length: -1\r\n",
        HEAD "Content-Length: 5000\r\n",
        HEAD "Content-Length: 1, 1\r\n",
        HEAD "Content-Length: 1\r\nContent-Length: 1\r\n",
        HEAD "Transfer-Encoding: chunked\r\n",
        HEAD "X-Gatepost-Secret: a\r\nx-gatepost-secret: a\r\n",
    };
    struct http_request request;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_expect_eq(found(bad[i], &request), HTTP_BAD, "%s", bad[i]);
}

Test(policy, a_head_has_an_end) {
    static char long_line[POLICY_REQUEST_MAX], fields[POLICY_HEAD_MAX];
    struct http_request request;
    struct buf b = BUF_OVER(fields);
    memset(long_line, 'x', sizeof long_line);
    memcpy(long_line, "POST /", 6);
    cr_expect_eq(http_read(span_of(long_line, sizeof long_line), &request), HTTP_BAD);
    buf_put_text(&b, HEAD);
    for (int i = 0; i < POLICY_FIELDS_MAX; i++) buf_put_text(&b, "A: b\r\n");
    buf_put_text(&b, "\r\n");
    cr_expect_eq(http_read(buf_span(&b), &request), HTTP_BAD, "one field more than POLICY_FIELDS_MAX");
}

Test(policy, a_query_is_found_by_its_name) {
    struct span command = SPAN("command"), report = SPAN("report");
    cr_expect(http_query(SPAN("/?command=report"), command, report));
    cr_expect(http_query(SPAN("/x?a=b&command=report&c"), command, report));
    cr_expect_not(http_query(SPAN("/command=report"), command, report));
    cr_expect_not(http_query(SPAN("/?command=reports"), command, report));
    cr_expect_not(http_query(SPAN("/?command=allow&command=report"), command, report));
    cr_expect_not(http_query(SPAN("/?Xcommand=report"), command, report));
    cr_expect_not(http_query(SPAN("/"), command, report));
}

static bool is(const struct policy_text *text, const char *expected) {
    return span_equal(span_of(text->octets, text->n), span_text(expected));
}

Test(policy, what_dovecot_says_is_read) {
    struct policy_report report;
    cr_assert(policy_report_read(SPAN("{\"device_id\":\"\",\"login\":\"alice@example.test\",\"protocol\":\"pop3\","
                                      "\"pwhash\":\"0523\",\"remote\":\"192.0.2.7\",\"session_id\":\"hZRR\","
                                      "\"success\":false,\"policy_reject\":false,\"tls\":false}"),
                                 &report));
    cr_expect(is(&report.login, "alice@example.test") && is(&report.remote, "192.0.2.7"));
    cr_expect(is(&report.pwhash, "0523") && is(&report.protocol, "pop3") && !report.success);
}

Test(policy, texts_are_decoded_and_the_rest_is_passed_over) {
    struct policy_report report;
    cr_assert(
        policy_report_read(SPAN(" { \"x\" : [1, -2.5e3, {\"a\":[]}, null, true] , \"login\" : "
                                "\"a\\\"\\\\\\/\\n\\u0041\\u00e9\\u20AC\\ud83d\\ude00\" ,\"success\" : true } "),
                           &report));
    cr_expect(is(&report.login, "a\"\\/\nA\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"));
    cr_expect(report.success);
}

Test(policy, what_is_no_report_is_refused) {
    static const char *const bad[] = {
        "",
        "{}",
        "[]",
        "{\"success\":false",
        "{\"success\":false}}",
        "{\"success\":false,}",
        "{\"success\":0}",
        "{\"success\":falsey}",
        "{\"success\":\"false\"}",
        "{\"success\":false,\"success\":false}",
        "{\"success\":false \"login\":\"a\"}",
        "{\"success\":false,\"login\":1}",
        "{\"success\":false,\"login\":\"a\",\"login\":\"b\"}",
        "{\"success\":false,\"login\":\"a}",
        "{\"success\":false,\"login\":\"\x01\"}",
        "{\"success\":false,\"login\":\"\\x\"}",
        "{\"success\":false,\"login\":\"\\u12g4\"}",
        "{\"success\":false,\"login\":\"\\ud83d\"}",
        "{\"success\":false,\"login\":\"\\ud83d\\u0041\"}",
        "{\"success\":false,\"login\":\"\\ude00\"}",
        "{\"success\":false,\"x\":}",
        "{\"success\":false,\"x\":[1}",
        "{\"success\":false,\"x\":[[[[[[[[[1]]]]]]]]]}",
        "{success:false}",
    };
    struct policy_report report;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_expect_not(policy_report_read(span_text(bad[i]), &report), "%s", bad[i]);
}

static bool counts(const char *members, enum policy_failure *what_out) {
    char text[512];
    struct netaddr client;
    struct policy_report report;
    (void)snprintf(text, sizeof text, "{%s}", members);
    cr_assert(policy_report_read(span_text(text), &report), "%s", text);
    return policy_report_counts(&report, what_out, &client);
}

Test(policy, what_counts) {
    enum policy_failure what;
    cr_expect(counts("\"success\":false,\"remote\":\"192.0.2.7\"", &what));
    cr_expect_eq(what, POLICY_FAILURE_PASSWORD);
    cr_expect(counts("\"success\":false,\"remote\":\"2001:db8::1\",\"fail_type\":\"credentials\"", &what));
    cr_expect_eq(what, POLICY_FAILURE_PASSWORD);
    cr_expect(counts("\"success\":false,\"remote\":\"192.0.2.7\",\"fail_type\":\"disabled\"", &what));
    cr_expect_eq(what, POLICY_FAILURE_OTHER);
    cr_expect_not(counts("\"success\":true,\"remote\":\"192.0.2.7\"", &what));
    cr_expect_not(counts("\"success\":false,\"remote\":\"\"", &what));
    cr_expect_not(counts("\"success\":false", &what));
    cr_expect_not(counts("\"success\":false,\"remote\":\"192.0.2.7\",\"policy_reject\":true", &what));
    cr_expect_not(counts("\"success\":false,\"remote\":\"192.0.2.7\",\"fail_type\":\"internal\"", &what));
    cr_expect_not(counts("\"success\":false,\"remote\":\"192.0.2.7\",\"fail_type\":\"policy\"", &what));
}

Test(policy, a_secret_is_long_and_plain) {
    cr_expect(policy_secret_ok(SPAN("0123456789abcdefXYZ")));
    cr_expect_not(policy_secret_ok(SPAN("")));
    cr_expect_not(policy_secret_ok(SPAN("0123456789abcde")));
    cr_expect_not(policy_secret_ok(SPAN("0123456789abcdef ")));
    cr_expect_not(policy_secret_ok(SPAN("0123456789abcdef\0")));
}

Test(policy, the_setup_goes_through_the_wire) {
    uint8_t storage[256];
    struct buf b = BUF_OVER(storage);
    static struct policy_setup setup, back;
    cr_assert(secret_set(&setup.secret, SPAN("0123456789abcdef")));
    policy_setup_put(&b, &setup);
    cr_assert_eq(policy_setup_get(&back, buf_span(&b)), 0);
    cr_expect(span_equal(secret_span(&back.secret), SPAN("0123456789abcdef")));
    cr_expect_eq(policy_setup_get(&back, span_part(buf_span(&b), 0, b.n - 1)), -1);
}
