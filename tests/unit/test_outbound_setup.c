/* test_outbound_setup.c - what the master writes is what delivery and outbound read; a part of it is nothing. */
#include "server/outbound/outbound_setup.h"

#include <criterion/criterion.h>

Test(outbound_setup, delivery) {
    uint8_t storage[256];
    struct buf b = BUF_OVER(storage);
    const struct delivery_setup setup = {SPAN("mx.example.test"), 17, 18, SPAN("filter")};
    struct delivery_setup got;
    delivery_setup_put(&b, &setup);
    cr_assert_eq(delivery_setup_get(&got, buf_span(&b)), 0);
    cr_expect(span_equal(got.hostname, setup.hostname) && got.agents_max == 17 && got.mailboxes_max == 18);
    cr_expect(span_equal(got.mailbox_filter, setup.mailbox_filter));
    for (size_t n = 0; n < b.n; n++) cr_expect_neq(delivery_setup_get(&got, span_of(b.p, n)), 0, "%zu", n);
    buf_put_octet(&b, 0);
    cr_expect_neq(delivery_setup_get(&got, buf_span(&b)), 0);
}

Test(outbound_setup, outbound) {
    uint8_t storage[2048];
    struct buf b = BUF_OVER(storage);
    struct outbound_setup setup = {.hostname = SPAN("mx.example.test"),
                                   .host = SPAN("relay.example"),
                                   .port = 587,
                                   .tls = SMARTHOST_TLS_IMPLICIT,
                                   .verify = 1,
                                   .user = SPAN("me"),
                                   .agents_max = 3,
                                   .clear_password_ok = 1};
    struct outbound_setup got;
    cr_assert(secret_set(&setup.password, SPAN("pass\0word")));
    outbound_setup_put(&b, &setup);
    cr_assert_eq(outbound_setup_get(&got, buf_span(&b)), 0);
    cr_expect(span_equal(got.hostname, setup.hostname) && span_equal(got.host, setup.host) &&
              span_equal(got.user, setup.user) && span_equal(secret_span(&got.password), SPAN("pass\0word")));
    cr_expect(got.port == 587 && got.tls == SMARTHOST_TLS_IMPLICIT && got.verify == 1 && got.agents_max == 3 &&
              got.clear_password_ok == 1);
    for (size_t n = 0; n < b.n; n++) cr_expect_neq(outbound_setup_get(&got, span_of(b.p, n)), 0, "%zu", n);
    buf_clear(&b);
    setup.tls = 3;
    outbound_setup_put(&b, &setup);
    cr_expect_neq(outbound_setup_get(&got, buf_span(&b)), 0);
}
