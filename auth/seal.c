/* seal.c - XChaCha20-Poly1305 around an exchange's state. Layout: nonce, then sealed: u64 exchange, u8 mechanism, u8
 * step, u64 deadline, u16 n, n octets, zeros.
 * Runs in: verifier. Trusts: libsodium. Never: tells why a state does not open. */
#include "auth/seal.h"

#include "store/wire.h"

#include <sodium.h>

enum {
    NONCE_BYTES = crypto_aead_xchacha20poly1305_ietf_NPUBBYTES,
    TAG_BYTES = crypto_aead_xchacha20poly1305_ietf_ABYTES,
    PLAIN_BYTES = VERIFY_STATE_BYTES - NONCE_BYTES - TAG_BYTES,
    HEAD_BYTES = 8 + 1 + 1 + 8 + 2
};

_Static_assert(SEAL_CLEAR_MAX <= PLAIN_BYTES - HEAD_BYTES, "what is sealed fits");

bool seal_close(const uint8_t key[32], struct seal_label label, uint64_t deadline_ms, struct span clear,
                uint8_t state_out[VERIFY_STATE_BYTES]) {
    uint8_t plain[PLAIN_BYTES] = {0};
    struct buf b = BUF_OVER(plain);
    memset(state_out, 0, VERIFY_STATE_BYTES);
    if (clear.n > SEAL_CLEAR_MAX) return false;
    wire_put_u64(&b, label.exchange);
    wire_put_u8(&b, label.mechanism);
    wire_put_u8(&b, label.step);
    wire_put_u64(&b, deadline_ms);
    wire_put_u16(&b, (uint16_t)clear.n);
    buf_put_span(&b, clear);
    randombytes_buf(state_out, NONCE_BYTES);
    bool ok = crypto_aead_xchacha20poly1305_ietf_encrypt(state_out + NONCE_BYTES, NULL, plain, sizeof plain, NULL, 0,
                                                         NULL, state_out, key) == 0;
    explicit_bzero(plain, sizeof plain);
    return ok;
}

bool seal_open(const uint8_t key[32], struct seal_label label, uint64_t now_ms,
               const uint8_t state[VERIFY_STATE_BYTES], struct buf *clear_out) {
    uint8_t plain[PLAIN_BYTES];
    if (crypto_aead_xchacha20poly1305_ietf_decrypt(plain, NULL, NULL, state + NONCE_BYTES,
                                                   VERIFY_STATE_BYTES - NONCE_BYTES, NULL, 0, state, key) != 0)
        return false;
    struct wire w = wire_over(span_of(plain, sizeof plain));
    bool ok = wire_get_u64(&w) == label.exchange;
    ok = wire_get_u8(&w) == label.mechanism && ok;
    ok = wire_get_u8(&w) == label.step && ok;
    ok = wire_get_u64(&w) >= now_ms && ok;
    size_t n = wire_get_u16(&w);
    ok = ok && n <= w.rest.n;
    if (ok) buf_put_span(clear_out, span_part(w.rest, 0, n));
    explicit_bzero(plain, sizeof plain);
    return ok && buf_ok(clear_out);
}
