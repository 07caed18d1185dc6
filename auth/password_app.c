/* password_app.c - the fast hash of passwords that we drew.
 * Runs in: verifier, command line. Trusts: libsodium. Never: takes a hash of another format. */
#include "auth/password_app.h"

#include <sodium.h>
#include <stdio.h>

enum {
    SALT_BYTES = 16,
    SUM_BYTES = 32,
    VARIANT = sodium_base64_VARIANT_ORIGINAL_NO_PADDING,
};

_Static_assert(PASSWORD_APP_SALT == sodium_base64_ENCODED_LEN(SALT_BYTES, VARIANT) - 1, "without the NUL");
_Static_assert(PASSWORD_APP_SUM == sodium_base64_ENCODED_LEN(SUM_BYTES, VARIANT) - 1, "without the NUL");
_Static_assert(PASSWORD_APP_HEAD + PASSWORD_APP_SALT + 1 + PASSWORD_APP_SUM < VERIFY_HASH_BYTES, "it fits its field");

static int sum(const uint8_t salt[SALT_BYTES], struct span password, uint8_t out[SUM_BYTES]) {
    crypto_generichash_state state;
    if (crypto_generichash_init(&state, NULL, 0, SUM_BYTES) != 0) return -1;
    int result = crypto_generichash_update(&state, salt, SALT_BYTES);
    if (result == 0 && password.n) result = crypto_generichash_update(&state, password.p, password.n);
    if (result == 0) result = crypto_generichash_final(&state, out, SUM_BYTES);
    explicit_bzero(&state, sizeof state);
    return result;
}

int password_app_hash(struct span password, char hash_out[VERIFY_HASH_BYTES]) {
    uint8_t salt[SALT_BYTES], octets[SUM_BYTES];
    char salt_text[PASSWORD_APP_SALT + 1], sum_text[PASSWORD_APP_SUM + 1];
    memset(hash_out, 0, VERIFY_HASH_BYTES);
    if (sodium_init() < 0) return -1;
    randombytes_buf(salt, sizeof salt);
    if (sum(salt, password, octets) != 0) return -1;
    sodium_bin2base64(salt_text, sizeof salt_text, salt, sizeof salt, VARIANT);
    sodium_bin2base64(sum_text, sizeof sum_text, octets, sizeof octets, VARIANT);
    snprintf(hash_out, VERIFY_HASH_BYTES, "$gp1$%s$%s", salt_text, sum_text);
    explicit_bzero(octets, sizeof octets);
    explicit_bzero(sum_text, sizeof sum_text);
    return 0;
}

static bool decode(struct span text, uint8_t *out, size_t n) {
    size_t decoded;
    return sodium_base642bin(out, n, (const char *)text.p, text.n, NULL, &decoded, NULL, VARIANT) == 0 &&
           decoded == n;
}

bool password_app_check(struct span password, const char *hash) {
    uint8_t salt[SALT_BYTES], wanted[SUM_BYTES], octets[SUM_BYTES] = {0};
    struct span text = span_of(hash, strlen(hash));
    bool ok = sodium_init() >= 0 && password_app_is(text) &&
              decode(span_part(text, PASSWORD_APP_HEAD, PASSWORD_APP_SALT), salt, sizeof salt) &&
              decode(span_from(text, PASSWORD_APP_HEAD + PASSWORD_APP_SALT + 1), wanted, sizeof wanted) &&
              sum(salt, password, octets) == 0 && sodium_memcmp(wanted, octets, sizeof octets) == 0;
    explicit_bzero(wanted, sizeof wanted);
    explicit_bzero(octets, sizeof octets);
    return ok;
}
