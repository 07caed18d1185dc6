/* test_queue_bounce.c - the texts of delivery reports.
 * Runs in: the test runner. Trusts: nothing. Never: touches a file. */
#include "store/queue_bounce.h"

#include <criterion/criterion.h>
#include <stdlib.h>

static const char original[] = "From: a@client.example\r\nSubject: hello\r\n\r\nthe body\r\n";
static struct message head = {.number = 1, .arrival_ms = 1700000000000};
static struct bounce_recipient recipients[3];

static struct span text(struct bounce bounce) {
    static uint8_t storage[65536];
    struct buf b = BUF_OVER(storage);
    bounce.hostname = SPAN("mx.example.test"), bounce.number = 77, bounce.now_ms = 1700000001000;
    bounce.original = &head, bounce.recipients = recipients;
    if (!bounce.original_body.p) bounce.original_body = span_text(original);
    bounce_put(&b, &bounce);
    cr_assert(buf_ok(&b));
    cr_assert_leq(b.n, bounce_bytes(&bounce));
    return buf_span(&b);
}

static size_t count(struct span s, const char *wanted) {
    size_t n = 0;
    for (const uint8_t *at; s.p && s.n && (at = memmem(s.p, s.n, wanted, strlen(wanted))); n++)
        s = span_from(s, (size_t)(at - s.p) + 1);
    return n;
}

static void set(size_t i, uint8_t state, const char *status, const char *diagnostic) {
    recipients[i] = (struct bounce_recipient){
        .recipient = {.original = SPAN("bob@example.test"), .orcpt = SPAN("rfc822;b+2Bb@example.test")},
        .state = state,
        .status = span_text(status),
        .diagnostic = span_text(diagnostic),
        .remote = SPAN("next.example")};
}

Test(queue_bounce, failure) {
    set(0, RECIPIENT_FAILED, "5.1.1", "550 5.1.1 nobody");
    head.envelope.envid = SPAN("id+3D1");
    struct span s = text((struct bounce){.to = SPAN("a@client.example"), .n = 1});
    cr_assert_eq(count(s, "To: <a@client.example>\r\n"), 1);
    cr_assert_eq(count(s, "Content-Type: multipart/report; report-type=delivery-status;"), 1);
    cr_assert_eq(count(s, "Reporting-MTA: dns; mx.example.test\r\n"), 1);
    cr_assert_eq(count(s, "Original-Envelope-Id: id=1\r\n"), 1);
    cr_assert_eq(count(s,
                       "Original-Recipient: rfc822;b+b@example.test\r\nFinal-Recipient: rfc822; bob@example.test\r\n"
                       "Action: failed\r\nStatus: 5.1.1\r\nRemote-MTA: dns; next.example\r\nDiagnostic-Code: smtp; "
                       "550 5.1.1 nobody\r\n"),
                 1);
    cr_assert_eq(count(s, "Content-Type: text/rfc822-headers\r\n\r\nFrom: a@client.example\r\nSubject: hello\r\n"),
                 1);
    cr_assert_eq(count(s, "the body"), 0);
    cr_assert_eq(count(s, "\r\n--=_"), 4);
    cr_assert_eq(count(s, "/report--\r\n"), 1);
}

Test(queue_bounce, full_body_where_it_may) {
    set(0, RECIPIENT_FAILED, "5.1.1", "");
    struct span s = text((struct bounce){.to = SPAN("a@example.test"), .n = 1, .full = true});
    cr_assert_eq(count(s, "Content-Type: message/rfc822\r\n\r\nFrom: "), 1);
    cr_assert_eq(count(s, "the body"), 1);
}

Test(queue_bounce, class_of_status_fits_the_action) {
    static const struct {
        uint8_t state;
        const char *status, *expected;
    } cases[] = {{RECIPIENT_FAILED, "", "failed\r\nStatus: 5.0.0\r\n"},
                 {RECIPIENT_FAILED, "4.4.1", "failed\r\nStatus: 5.0.0\r\n"},
                 {RECIPIENT_FAILED, "5.4.7", "failed\r\nStatus: 5.4.7\r\n"},
                 {RECIPIENT_DELIVERED, "", "delivered\r\nStatus: 2.0.0\r\n"},
                 {RECIPIENT_RELAYED, "2.1.5", "relayed\r\nStatus: 2.1.5\r\n"},
                 {RECIPIENT_DELIVERED, "5.0.0", "delivered\r\nStatus: 2.0.0\r\n"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        set(0, cases[i].state, cases[i].status, "");
        cr_assert_eq(count(text((struct bounce){.to = SPAN("a@example.test"), .n = 1}), cases[i].expected), 1,
                     "case %zu", i);
    }
}

Test(queue_bounce, stored_texts_end_no_line) {
    for (unsigned c = 0; c < 256; c++) {
        uint8_t evil[] = {'x', (uint8_t)c, 'y'};
        set(0, RECIPIENT_FAILED, "5.1.1", "");
        size_t usual = count(text((struct bounce){.to = SPAN("a@example.test"), .n = 1}), "\n");
        recipients[0].recipient.original = recipients[0].remote = span_of(evil, 3);
        recipients[0].recipient.orcpt = span_of(evil, 3);
        cr_assert_eq(count(text((struct bounce){.to = SPAN("a@example.test"), .n = 1}), "\n"), usual, "octet %u", c);
        cr_assert_eq(count(text((struct bounce){.to = span_of(evil, 3), .n = 1}), "\n"), usual, "octet %u", c);
    }
    set(0, RECIPIENT_FAILED, "5.1.1", "");
    recipients[0].recipient.orcpt = SPAN("rfc822;x+0D+0AAction:+20delivered");
    cr_assert_eq(count(text((struct bounce){.to = SPAN("a@example.test"), .n = 1}), "\nAction:"), 1);
}

Test(queue_bounce, utf8_has_its_own_types) {
    set(0, RECIPIENT_FAILED, "5.1.1", "");
    head.envelope.flags = ENVELOPE_UTF8;
    struct span s = text((struct bounce){.to = SPAN("a@example.test"), .n = 1});
    cr_assert_eq(count(s, "report-type=global-delivery-status"), 1);
    cr_assert_eq(count(s, "Content-Type: message/global-delivery-status\r\n"), 1);
    cr_assert_eq(count(s, "Content-Type: message/global-headers\r\n"), 1);
    cr_assert_eq(count(s, "Final-Recipient: utf-8; "), 1);
}

Test(queue_bounce, headers_of_odd_messages) {
    static const struct {
        const char *body;
        size_t n;
    } cases[] = {{"", 0}, {"\r\nbody", 0}, {"A: b\r\n\r\nbody", 6}, {"A: b\r\nC: d", 10}, {"A: b\n\nbody", 5}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        cr_assert_eq(bounce_headers(span_text(cases[i].body)).n, cases[i].n, "case %zu", i);
}

Test(queue_bounce, notice_goes_to_postmaster) {
    set(0, RECIPIENT_FAILED, "5.1.1", "");
    set(1, RECIPIENT_RELAYED, "", "");
    set(2, RECIPIENT_DELIVERED, "", "");
    struct span s = text((struct bounce){.n = 3});
    cr_assert_eq(count(s, "To: <postmaster@mx.example.test>\r\n"), 1);
    cr_assert_eq(count(s, "\nAction: "), 3);
}
