/* scram_hash.h - what SCRAM is built of (RFC 5802 2.2): H, HMAC, a comparison that takes its time, and salts for
 * nobody. Here SHA-256; the units put SHA-1 in its place, so that one body of code meets the vectors of both. */
#ifndef AUTH_SCRAM_HASH_H
#define AUTH_SCRAM_HASH_H

#include "store/span.h"

enum { SCRAM_HASH_BYTES = 32 /* the most that a hash has */, SCRAM_SALT_BYTES = 16 };

/* A key, ready for many messages. Wiped by its holder. */
struct scram_hmac {
    _Alignas(16) uint8_t state[256];
};

/* Octets of H and HMAC, at most SCRAM_HASH_BYTES; what is written here is that long. */
size_t scram_hash_bytes(void);

void scram_hash(struct span data, uint8_t out[SCRAM_HASH_BYTES]);
void scram_hmac_key(struct scram_hmac *hmac, struct span key);

/* HMAC of the parts in a row. */
void scram_hmac(const struct scram_hmac *hmac, const struct span *parts, size_t n, uint8_t out[SCRAM_HASH_BYTES]);

/* Whether two hashes are equal, in a time that does not tell where they differ. */
bool scram_hash_equal(const uint8_t a[SCRAM_HASH_BYTES], const uint8_t b[SCRAM_HASH_BYTES]) MUST_USE;

/* The salt of a name that nobody has: always the same under one key, and without the key like a drawn one. */
void scram_false_salt(const uint8_t key[32], struct span name, uint8_t salt_out[SCRAM_SALT_BYTES]);

#endif
