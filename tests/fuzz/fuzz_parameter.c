/* fuzz_parameter.c - the parameters of MAIL and RCPT, and xtext (RFC 3461 4) as it comes out in a report.
 * Runs in: fuzzing. Trusts: nothing. Never: takes a value that could end a header line. */
#include "auth/address.h"
#include "store/queue_bounce.h"
#include "tests/fuzz/fuzz.h"

static void plain(struct span value, size_t max) {
    HOLDS(value.n <= max);
    for (size_t i = 0; i < value.n; i++) HOLDS(value.p[i] > ' ' && value.p[i] != 0x7f && value.p[i] != '=');
}

static void report(const struct mail_parameters *mail, const struct rcpt_parameters *rcpt, uint8_t flags) {
    static uint8_t storage[1 << 18];
    struct message original = {.number = 1,
                               .envelope = {.flags = flags, .sender = SPAN("a@b.example"), .envid = mail->envid}};
    struct bounce_recipient to = {.recipient = {.kind = DESTINATION_SMARTHOST,
                                                .address = SPAN("u@foreign.example"),
                                                .original = SPAN("u@foreign.example"),
                                                .orcpt = rcpt->orcpt},
                                  .state = RECIPIENT_FAILED,
                                  .status = SPAN("5.1.1")};
    struct bounce bounce = {.hostname = SPAN("mx.example.test"),
                            .number = 2,
                            .to = SPAN("a@b.example"),
                            .original = &original,
                            .original_body = SPAN("Subject: x\r\n\r\n"),
                            .recipients = &to,
                            .n = 1};
    HOLDS(bounce_bytes(&bounce) <= sizeof storage);
    struct buf b = buf_over(storage, bounce_bytes(&bounce));
    bounce_put(&b, &bounce);
    HOLDS(buf_ok(&b));
    for (size_t i = 0; i < b.n; i++) {
        HOLDS(storage[i] >= ' ' || storage[i] == '\r' || storage[i] == '\n' || storage[i] == '\t');
        HOLDS((storage[i] == '\r') == (i + 1 < b.n && storage[i + 1] == '\n'));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n) {
    struct span in = span_of(p, n), first = fuzz_line(&in);
    struct mail_parameters mail = {0};
    struct rcpt_parameters rcpt = {0};
    uint8_t flags = n & 1 ? ENVELOPE_UTF8 : 0;
    bool mail_good = address_mail_parameters(&mail, first, true) == REASON_SENDER_ACCEPTED;
    bool rcpt_good = address_rcpt_parameters(&rcpt, in, true) == REASON_SENDER_ACCEPTED;
    if (mail_good) plain(mail.envid, 100);
    if (rcpt_good) plain(rcpt.orcpt, 500);
    if (mail_good && rcpt_good) report(&mail, &rcpt, flags);
    /* What was stored is not trusted either. */
    mail.envid = span_part(first, 0, ENVELOPE_TEXT_MAX), rcpt.orcpt = span_part(in, 0, ENVELOPE_TEXT_MAX);
    report(&mail, &rcpt, flags);
    return 0;
}
