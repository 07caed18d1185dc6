/* test_envelope.c - the envelope in frames and records: what goes in comes out, what is cut or too long does not.
 * Runs in: the test runner. Trusts: nothing. Never: talks to a socket. */
#include "store/envelope.h"

#include <criterion/criterion.h>

static uint8_t storage[32768], text[ENVELOPE_TEXT_MAX + 1];

static struct envelope whole(void) {
    struct envelope e = {
        .session_number = 0x1122334455667788,
        .session_name = SPAN("0123456789ABCDEF"),
        .client = {{0x20, 0x01, 0x0d, 0xb8, [15] = 1}, 50000},
        .local = {{[10] = 0xff, 0xff, 192, 0, 2, 1}, 25},
        .role = 2,
        .flags = ENVELOPE_TLS | ENVELOPE_BOUNCE,
        .helo = SPAN("client.example"),
        .tls = SPAN("TLS1.3 TLS_AES_256_GCM_SHA384"),
        .principal = SPAN("alice@example.test"),
        .sender = SPAN("alice+x@example.test"),
        .declared_bytes = 1ULL << 40,
        .limit_bytes = 25 << 20,
        .recipients_max = 1000,
        .dsn_return = DSN_RETURN_HEADERS,
        .envid = SPAN("QQ314159"),
    };
    return e;
}

static bool equal(const struct envelope *a, const struct envelope *b) {
    return a->session_number == b->session_number && span_equal(a->session_name, b->session_name) &&
           memcmp(a->client.octets, b->client.octets, 16) == 0 && a->client.port == b->client.port &&
           memcmp(a->local.octets, b->local.octets, 16) == 0 && a->local.port == b->local.port &&
           a->role == b->role && a->flags == b->flags && span_equal(a->helo, b->helo) && span_equal(a->tls, b->tls) &&
           span_equal(a->principal, b->principal) && span_equal(a->sender, b->sender) &&
           a->declared_bytes == b->declared_bytes && a->limit_bytes == b->limit_bytes &&
           a->recipients_max == b->recipients_max && a->dsn_return == b->dsn_return && span_equal(a->envid, b->envid);
}

Test(test_envelope, comes_out_as_it_went_in) {
    struct envelope envelopes[] = {whole(), {0}}, got;
    for (size_t i = 0; i < 2; i++) {
        struct buf b = BUF_OVER(storage);
        envelope_put(&b, &envelopes[i]);
        cr_assert(buf_ok(&b));
        struct wire w = wire_over(buf_span(&b));
        envelope_get(&w, &got);
        cr_expect(wire_end(&w));
        cr_expect(equal(&envelopes[i], &got));
    }
}

Test(test_envelope, every_cut_is_noticed) {
    struct envelope e = whole(), got;
    struct buf b = BUF_OVER(storage);
    envelope_put(&b, &e);
    for (size_t n = 0; n < b.n; n++) {
        struct wire w = wire_over(span_part(buf_span(&b), 0, n));
        envelope_get(&w, &got);
        cr_expect_not(wire_end(&w), "%zu", n);
    }
}

Test(test_envelope, over_long_fields) {
    static const size_t fields[] = {offsetof(struct envelope, helo),      offsetof(struct envelope, tls),
                                    offsetof(struct envelope, principal), offsetof(struct envelope, sender),
                                    offsetof(struct envelope, envid),     offsetof(struct envelope, session_name)};
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        size_t max = i == 5 ? SESSION_NAME_MAX : ENVELOPE_TEXT_MAX;
        for (size_t n = max; n <= max + 1; n++) {
            struct envelope e = whole(), got;
            struct buf b = BUF_OVER(storage);
            *(struct span *)((uint8_t *)&e + fields[i]) = span_of(text, n);
            envelope_put(&b, &e);
            struct wire w = wire_over(buf_span(&b));
            envelope_get(&w, &got);
            cr_expect_eq(wire_end(&w), n == max, "field %zu of %zu octets", i, n);
        }
    }
}

static struct recipient whole_recipient(void) {
    return (struct recipient){DESTINATION_MAILDIR,
                              SPAN("bob@example.test"),
                              SPAN("bob@example.test"),
                              SPAN("\"b o b\"@EXAMPLE.test"),
                              DSN_NOTIFY_SUCCESS | DSN_NOTIFY_DELAY,
                              SPAN("rfc822;b+20ob"),
                              SPAN("owner-b@example.test")};
}

Test(test_envelope, recipients) {
    struct recipient recipient = whole_recipient(), none = {0}, got;
    struct buf b = BUF_OVER(storage);
    recipient_put(&b, &recipient);
    recipient_put(&b, &none);
    struct wire w = wire_over(buf_span(&b));
    recipient_get(&w, &got);
    cr_expect_eq(got.kind, DESTINATION_MAILDIR);
    cr_expect(span_equal(got.destination, recipient.destination));
    cr_expect(span_equal(got.address, recipient.address));
    cr_expect(span_equal(got.original, recipient.original));
    cr_expect_eq(got.notify, recipient.notify);
    cr_expect(span_equal(got.orcpt, recipient.orcpt));
    cr_expect(span_equal(got.sender, recipient.sender));
    recipient_get(&w, &got);
    cr_expect(wire_end(&w) && got.kind == DESTINATION_NONE && got.address.n == 0 && got.sender.n == 0);
    for (size_t n = 0; n < b.n; n++) {
        struct wire cut = wire_over(span_part(buf_span(&b), 0, n));
        recipient_get(&cut, &got);
        recipient_get(&cut, &got);
        cr_expect_not(wire_end(&cut), "%zu", n);
    }
}

Test(test_envelope, over_long_fields_of_a_recipient) {
    static const size_t fields[] = {offsetof(struct recipient, destination), offsetof(struct recipient, address),
                                    offsetof(struct recipient, original), offsetof(struct recipient, orcpt),
                                    offsetof(struct recipient, sender)};
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        for (size_t n = ENVELOPE_TEXT_MAX; n <= ENVELOPE_TEXT_MAX + 1; n++) {
            struct recipient recipient = whole_recipient(), got;
            struct buf b = BUF_OVER(storage);
            *(struct span *)((uint8_t *)&recipient + fields[i]) = span_of(text, n);
            recipient_put(&b, &recipient);
            struct wire w = wire_over(buf_span(&b));
            recipient_get(&w, &got);
            cr_expect_eq(wire_end(&w), n == ENVELOPE_TEXT_MAX, "field %zu of %zu octets", i, n);
        }
}
