/* test_session_setup.c - the listener's setup, there and back.
 * Runs in: the test runner. Trusts: nothing. Never: talks to a socket. */
#include "server/inbound/session_setup.h"

#include <criterion/criterion.h>
#include <stdlib.h>

static struct network networks[] = {{{[10] = 0xff, 0xff, 192, 0, 2, 0}, 120}};
static struct span local_domains[2], relay_domains[1];

static size_t put_sample(struct buf *b) {
    static struct session_setup setup;
    local_domains[0] = SPAN("a.example"), local_domains[1] = SPAN("b.example"), relay_domains[0] = SPAN("c.example");
    setup = (struct session_setup){.hostname = SPAN("mx.example.test"),
                                   .sockets = {{1, 0}, {3, 1}},
                                   .n_sockets = 2,
                                   .certificates = {{SPAN("PEM"), {SPAN("mx.example.test")}, 1}},
                                   .n_certificates = 1,
                                   .proxy_from = networks,
                                   .n_proxy_from = 1,
                                   .local_domains = local_domains,
                                   .n_local_domains = 2,
                                   .relay_domains = relay_domains,
                                   .n_relay_domains = 1,
                                   .connections = 1,
                                   .recipients_per_message = 3,
                                   .messages_per_session = 4,
                                   .failures_per_session = 5,
                                   .message_bytes = 6,
                                   .command_ms = 7,
                                   .data_ms = 8,
                                   .tls_ms = 9,
                                   .login_ms = 10,
                                   .session_ms = 11,
                                   .shutdown_ms = 12,
                                   .idle_ms = 13,
                                   .clear_login_from = networks,
                                   .n_clear_login_from = 1,
                                   .scram = 1,
                                   .scram_plus = 1,
                                   .ntlm = 1,
                                   .legacy_auth_line = 1};
    session_setup_put(b, &setup);
    return b->n;
}

static void free_arrays(struct session_setup *setup) {
    free(setup->proxy_from);
    free(setup->clear_login_from);
    free(setup->local_domains);
    free(setup->relay_domains);
}

Test(test_session_setup, comes_back_as_it_was) {
    static struct session_setup got;
    uint8_t storage[1024], again_storage[1024];
    struct buf b = BUF_OVER(storage), again = BUF_OVER(again_storage);
    put_sample(&b);
    cr_assert_eq(session_setup_get(&got, buf_span(&b)), 0);
    cr_assert_eq(got.sockets[1].role, 3);
    cr_assert_eq(got.sockets[1].auth, 1);
    cr_assert(span_equal(got.certificates[0].names[0], SPAN("mx.example.test")));
    cr_assert(span_equal(got.local_domains[1], SPAN("b.example")));
    cr_assert_eq(got.proxy_from[0].bits, 120);
    cr_assert_eq(got.shutdown_ms, 12);
    session_setup_put(&again, &got);
    cr_assert(span_equal(buf_span(&again), buf_span(&b)));
    free_arrays(&got);
}

Test(test_session_setup, half_of_one_is_refused) {
    uint8_t storage[1024];
    struct buf b = BUF_OVER(storage);
    size_t n = put_sample(&b);
    for (size_t i = 0; i < n; i++) {
        static struct session_setup got;
        cr_assert_eq(session_setup_get(&got, span_of(storage, i)), -1, "%zu octets", i);
        free_arrays(&got);
    }
    buf_put_octet(&b, 0);
    static struct session_setup got;
    cr_assert_eq(session_setup_get(&got, buf_span(&b)), -1, "an octet too many");
    free_arrays(&got);
}
