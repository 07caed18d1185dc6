/* test_reply.c - the table of replies.
 * Runs in: the test runner. Trusts: nothing. Never: talks to a socket. */
#include "server/inbound/reply.h"

#include <criterion/criterion.h>

static struct span line_of(enum reply reply, uint8_t storage[REPLY_LINE_MAX]) {
    struct buf out = buf_over(storage, REPLY_LINE_MAX);
    reply_put(&out, reply);
    cr_assert(buf_ok(&out), "reply %d is too long, RFC 5321 4.5.3.1.5", (int)reply);
    return buf_span(&out);
}

static void assert_line(struct span line, const char *what) {
    cr_assert(line.n > 6 && line.p[3] == ' ' && line.p[line.n - 2] == '\r' && line.p[line.n - 1] == '\n', "%s", what);
    for (size_t i = 0; i < line.n - 2; i++) cr_assert(line.p[i] >= ' ' && line.p[i] < 0x7f, "%s", what);
}

/* RFC 2034 4: the class of the status is the first digit of the code; 354 and 334 have none. */
Test(test_reply, every_reply_is_one_line_with_the_status_of_its_class) {
    for (int i = REPLY_NONE; i < REPLY_COUNT; i++) {
        uint8_t storage[REPLY_LINE_MAX];
        struct span line = line_of((enum reply)i, storage);
        assert_line(line, "reply");
        if (line.p[0] == '3') continue;
        cr_assert_eq(line.p[4], line.p[0], "%.*s", (int)line.n, (const char *)line.p);
        cr_assert_eq(line.p[5], '.');
    }
}

Test(test_reply, zero_and_nonsense_are_our_fault) {
    uint8_t storage[REPLY_LINE_MAX];
    cr_assert(span_starts_nocase(line_of(REPLY_NONE, storage), SPAN("451 4.3.0 ")));
    cr_assert(span_starts_nocase(line_of(REPLY_COUNT, storage), SPAN("451 4.3.0 ")));
}

Test(test_reply, a_refusal_names_its_rule_and_an_acceptance_does_not) {
    for (int i = 0; i < REASON_COUNT; i++) {
        uint8_t storage[REPLY_LINE_MAX], end_storage[80];
        struct buf out = BUF_OVER(storage), end = BUF_OVER(end_storage);
        const struct reason_reply *row = reason_reply((enum reason)i);
        reply_put_reason(&out, (enum reason)i);
        cr_assert(buf_ok(&out));
        assert_line(buf_span(&out), row->name);
        buf_put_format(&end, " (%s)\r\n", row->name);
        bool named = out.n > end.n && span_equal(span_from(buf_span(&out), out.n - end.n), buf_span(&end));
        cr_assert_eq(named, !row->accepts, "%s", row->name);
    }
}

Test(test_reply, the_ones_with_a_value) {
    uint8_t storage[REPLY_LINE_MAX];
    struct buf out = BUF_OVER(storage);
    reply_put_banner(&out, SPAN("mx.example.test"));
    reply_put_queued(&out, SPAN("ABC123"));
    reply_put_challenge(&out, SPAN("Username:"));
    reply_put_challenge(&out, SPAN(""));
    cr_assert(span_equal(buf_span(&out), SPAN("220 mx.example.test ESMTP gatepost\r\n250 2.0.0 Queued as ABC123\r\n"
                                              "334 VXNlcm5hbWU6\r\n334 \r\n")));
}
