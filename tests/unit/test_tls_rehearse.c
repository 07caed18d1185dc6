/* test_tls_rehearse.c - the listener's handshakes with itself. */
#include "server/inbound/tls_rehearse.h"

#include <criterion/criterion.h>
#include <openssl/rand.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static int made;

static SSL_CTX *make(void) {
    made++;
    return SSL_CTX_new(TLS_server_method());
}

static SSL_CTX *make_old(void) {
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    SSL_CTX_set_max_proto_version(context, TLS1_2_VERSION);
    return context;
}

static SSL_CTX *make_none(void) {
    return NULL;
}

Test(test_tls_rehearse, every_profile_is_shaken_hands_with) {
    cr_expect(tls_rehearse(make));
    cr_expect_eq(made, 1);
}

Test(test_tls_rehearse, what_cannot_be_had_is_told) {
    cr_expect(!tls_rehearse(make_old));
    cr_expect(!tls_rehearse(make_none));
}

/* Without a certificate it fails at once, which is no matter. */
Test(test_tls_rehearse, a_context_that_fails_is_of_use_afterwards) {
    SSL_CTX *context = make();
    tls_rehearse_certificate(context);
    SSL *ssl = SSL_new(context);
    cr_expect(ssl);
    SSL_free(ssl);
    SSL_CTX_free(context);
}

/* RFC 4086: the generator's state is in every child's memory; what it gives must not be. */
Test(test_tls_rehearse, children_draw_random_numbers_of_their_own) {
    enum { CHILDREN = 4, DRAWN = 32 };
    uint8_t drawn[CHILDREN + 1][DRAWN];
    int wire[2], status = 0;
    cr_assert(tls_rehearse(make));
    cr_assert_eq(pipe(wire), 0);
    for (int i = 0; i < CHILDREN; i++) {
        pid_t pid = fork();
        cr_assert_geq(pid, 0);
        if (pid == 0) {
            bool done = RAND_bytes(drawn[0], DRAWN) == 1 && write(wire[1], drawn[0], DRAWN) == DRAWN;
            _exit(done ? 0 : 1);
        }
        cr_assert_eq(waitpid(pid, &status, 0), pid);
        cr_assert_eq(status, 0);
        cr_assert_eq(read(wire[0], drawn[i], DRAWN), DRAWN);
    }
    cr_assert_eq(RAND_bytes(drawn[CHILDREN], DRAWN), 1);
    for (int i = 0; i <= CHILDREN; i++)
        for (int k = 0; k < i; k++) cr_expect(memcmp(drawn[i], drawn[k], DRAWN) != 0);
}
