/* scram_hash.c - the door from SCRAM to libsodium.
 * Runs in: verifier, command line. Trusts: libsodium. Never: sees a message as anything but octets. */
#include "auth/scram_hash.h"

#include <sodium.h>

_Static_assert(crypto_hash_sha256_BYTES == SCRAM_HASH_BYTES && crypto_auth_hmacsha256_BYTES == SCRAM_HASH_BYTES,
               "SHA-256 has 32 octets");
_Static_assert(sizeof(crypto_auth_hmacsha256_state) <= sizeof(struct scram_hmac), "a keyed state fits");

/* libsodium takes no NULL, however short. */
static const uint8_t *octets(struct span s) {
    return s.p ? s.p : (const uint8_t *)"";
}

size_t scram_hash_bytes(void) {
    return SCRAM_HASH_BYTES;
}

void scram_hash(struct span data, uint8_t out[SCRAM_HASH_BYTES]) {
    (void)crypto_hash_sha256(out, octets(data), data.n); /* cannot fail */
}

void scram_hmac_key(struct scram_hmac *hmac, struct span key) {
    crypto_auth_hmacsha256_state state;
    (void)crypto_auth_hmacsha256_init(&state, octets(key), key.n);
    memcpy(hmac->state, &state, sizeof state);
    explicit_bzero(&state, sizeof state);
}

void scram_hmac(const struct scram_hmac *hmac, const struct span *parts, size_t n, uint8_t out[SCRAM_HASH_BYTES]) {
    crypto_auth_hmacsha256_state state;
    memcpy(&state, hmac->state, sizeof state);
    for (size_t i = 0; i < n; i++) (void)crypto_auth_hmacsha256_update(&state, octets(parts[i]), parts[i].n);
    (void)crypto_auth_hmacsha256_final(&state, out);
    explicit_bzero(&state, sizeof state);
}

bool scram_hash_equal(const uint8_t a[SCRAM_HASH_BYTES], const uint8_t b[SCRAM_HASH_BYTES]) {
    return sodium_memcmp(a, b, SCRAM_HASH_BYTES) == 0;
}

void scram_false_salt(const uint8_t key[32], struct span name, uint8_t salt_out[SCRAM_SALT_BYTES]) {
    (void)crypto_generichash(salt_out, SCRAM_SALT_BYTES, octets(name), name.n, key, 32);
}
