/* password.c - the door to libsodium's password hash.
 * Runs in: verifier, command line. Trusts: libsodium. Never: takes more memory or passes than the caps. */
#include "auth/password.h"

#include <sodium.h>

_Static_assert(crypto_pwhash_STRBYTES < VERIFY_HASH_BYTES, "a hash fits its field");

int password_hash(struct span password, uint64_t memory_bytes, uint32_t passes, char hash_out[VERIFY_HASH_BYTES]) {
    memset(hash_out, 0, VERIFY_HASH_BYTES);
    if (sodium_init() < 0 || memory_bytes / 1024 > PASSWORD_MEMORY_MAX_KIB || passes > PASSWORD_PASSES_MAX) return -1;
    const char *p = password.n ? (const char *)password.p : "";
    return crypto_pwhash_str_alg(hash_out, p, password.n, passes, (size_t)memory_bytes, crypto_pwhash_ALG_ARGON2ID13);
}
