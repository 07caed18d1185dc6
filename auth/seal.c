/* seal.c - XChaCha20-Poly1305 around an exchange's state. Layout: nonce, then sealed: u64 exchange, u64 deadline,
 * name.
 * Runs in: verifier. Trusts: libsodium. Never: tells why a state does not open. */
#include "auth/seal.h"

#include "store/wire.h"

#include <sodium.h>

enum {
    NONCE_BYTES = crypto_aead_xchacha20poly1305_ietf_NPUBBYTES,
    TAG_BYTES = crypto_aead_xchacha20poly1305_ietf_ABYTES,
    PLAIN_BYTES = VERIFY_STATE_BYTES - NONCE_BYTES - TAG_BYTES
};

_Static_assert(PLAIN_BYTES >= 16 + VERIFY_NAME_BYTES, "the state has room for a name");

bool seal_close(const uint8_t key[32], uint64_t exchange, uint64_t deadline_ms, struct span name,
                uint8_t state_out[VERIFY_STATE_BYTES]) {
    uint8_t plain[PLAIN_BYTES] = {0};
    struct buf b = BUF_OVER(plain);
    memset(state_out, 0, VERIFY_STATE_BYTES);
    if (name.n >= VERIFY_NAME_BYTES) return false;
    wire_put_u64(&b, exchange);
    wire_put_u64(&b, deadline_ms);
    buf_put_span(&b, name);
    randombytes_buf(state_out, NONCE_BYTES);
    bool ok = crypto_aead_xchacha20poly1305_ietf_encrypt(state_out + NONCE_BYTES, NULL, plain, sizeof plain, NULL, 0,
                                                         NULL, state_out, key) == 0;
    explicit_bzero(plain, sizeof plain);
    return ok;
}

bool seal_open(const uint8_t key[32], uint64_t exchange, uint64_t now_ms, const uint8_t state[VERIFY_STATE_BYTES],
               uint8_t name_out[VERIFY_NAME_BYTES]) {
    uint8_t plain[PLAIN_BYTES];
    memset(name_out, 0, VERIFY_NAME_BYTES);
    if (crypto_aead_xchacha20poly1305_ietf_decrypt(plain, NULL, NULL, state + NONCE_BYTES,
                                                   VERIFY_STATE_BYTES - NONCE_BYTES, NULL, 0, state, key) != 0)
        return false;
    struct wire w = wire_over(span_of(plain, sizeof plain));
    bool ok = wire_get_u64(&w) == exchange;
    ok = wire_get_u64(&w) >= now_ms && ok;
    if (ok) memcpy(name_out, w.rest.p, VERIFY_NAME_BYTES);
    explicit_bzero(plain, sizeof plain);
    return ok && name_out[VERIFY_NAME_BYTES - 1] == 0;
}
