/* test_scram_sha1.c - RFC 5802's own exchange, SCRAM-SHA-1, through the code that serves SHA-256: what is built of
 * SHA-1 stands here in scram_hash.c's place, so that the linker takes it and not that. Runs in: the test runner.
 * Trusts: OpenSSL. Never: is in a program of gatepost's. */
#include "auth/scram.h"

#include "store/base64.h"

#include <criterion/criterion.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

enum { SHA1_BYTES = 20 };

size_t scram_hash_bytes(void) {
    return SHA1_BYTES;
}

void scram_hash(struct span data, uint8_t out[SCRAM_HASH_BYTES]) {
    cr_assert_eq(EVP_Digest(data.p, data.n, out, NULL, EVP_sha1(), NULL), 1);
}

/* The state is the key behind its length. */
void scram_hmac_key(struct scram_hmac *hmac, struct span key) {
    cr_assert_lt(key.n, sizeof hmac->state);
    hmac->state[0] = (uint8_t)key.n;
    memcpy(hmac->state + 1, key.p, key.n);
}

void scram_hmac(const struct scram_hmac *hmac, const struct span *parts, size_t n, uint8_t out[SCRAM_HASH_BYTES]) {
    uint8_t message[1024];
    struct buf b = BUF_OVER(message);
    for (size_t i = 0; i < n; i++) buf_put_span(&b, parts[i]);
    cr_assert(buf_ok(&b));
    cr_assert_not_null(HMAC(EVP_sha1(), hmac->state + 1, hmac->state[0], message, b.n, out, NULL));
}

bool scram_hash_equal(const uint8_t a[SCRAM_HASH_BYTES], const uint8_t b[SCRAM_HASH_BYTES]) {
    return CRYPTO_memcmp(a, b, SHA1_BYTES) == 0;
}

void scram_false_salt(const uint8_t key[32], struct span name, uint8_t salt_out[SCRAM_SALT_BYTES]) {
    (void)key, (void)name, (void)salt_out;
}

Test(scram_sha1, published_exchange) {
    static const char first_message[] = "n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL";
    uint8_t salt_octets[16], text[256];
    struct buf salt = BUF_OVER(salt_octets), b = BUF_OVER(text);
    struct scram_first first;
    struct scram_state state;
    struct scram_final final;
    struct scram_keys keys, other;
    cr_assert(base64_decode(SPAN("QSXCR+Q6sek8bf92"), &salt));
    cr_assert(scram_first_read(span_text(first_message), &first));
    cr_expect(scram_first_binds(&first, false, &(struct scram_bindings){0}));
    cr_assert(scram_state_make(&state, span_text(first_message), SPAN("3rfcNHYJY1ZVvWVs7j"), buf_span(&salt), 4096));
    scram_put_challenge(&state, &first, &b);
    cr_expect(
        span_equal(buf_span(&b), SPAN("r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096")));
    cr_assert(scram_final_read(
        SPAN("c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts="), &final));
    cr_expect(scram_final_fits(&final, &state, &first, &(struct scram_bindings){0}));
    scram_keys_make(SPAN("pencil"), buf_span(&salt), 4096, &keys);
    scram_keys_make(SPAN("Pencil"), buf_span(&salt), 4096, &other);
    buf_clear(&b);
    cr_expect_eq(scram_prove(&final, &state, &first, &other, 1, &b), 1);
    cr_expect_eq(scram_prove(&final, &state, &first, &keys, 1, &b), 0);
    cr_expect(span_equal(buf_span(&b), SPAN("v=rmF9pqV8S7suAoZWja4dJRkFsKQ=")));
}
