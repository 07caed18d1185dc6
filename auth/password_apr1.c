/* password_apr1.c - what htpasswd writes unless told otherwise: a thousand rounds of MD5.
 * Runs in: verifier. Trusts: nettle. Never: takes more than a fixed number of rounds. */
#include "auth/password_foreign.h"

#include <nettle/md5.h>

enum { ROUNDS = 1000, DIGEST = MD5_DIGEST_SIZE };

static void add(struct md5_ctx *state, struct span s) {
    md5_update(state, s.n, s.p);
}

static void end(struct md5_ctx *state, uint8_t out[DIGEST]) {
    md5_digest(state, DIGEST, out); /* and begins anew */
}

void password_apr1(struct span password, struct span salt, uint8_t out[16]) {
    struct md5_ctx state;
    uint8_t inner[DIGEST];
    struct span so_far = span_of(inner, DIGEST);
    md5_init(&state);
    add(&state, password);
    add(&state, salt);
    add(&state, password);
    end(&state, inner);

    add(&state, password);
    add(&state, SPAN("$apr1$"));
    add(&state, salt);
    for (size_t left = password.n; left; left -= left < DIGEST ? left : DIGEST)
        add(&state, span_part(so_far, 0, left));
    /* A bit of the length each, the lowest first: an octet of zero, or the password's first. */
    for (size_t n = password.n; n; n >>= 1) add(&state, n & 1 ? SPAN("\0") : span_part(password, 0, 1));
    end(&state, inner);

    for (unsigned i = 0; i < ROUNDS; i++) {
        add(&state, i % 2 ? password : so_far);
        if (i % 3) add(&state, salt);
        if (i % 7) add(&state, password);
        add(&state, i % 2 ? so_far : password);
        end(&state, inner);
    }
    memcpy(out, inner, DIGEST);
    explicit_bzero(inner, sizeof inner);
    explicit_bzero(&state, sizeof state);
}
