/* password_app.c - the fast hash of passwords that we drew.
 * Runs in: verifier, command line. Trusts: libsodium. Never: takes a hash of another format. */
#include "auth/password_app.h"

#include <sodium.h>
#include <stdio.h>

enum {
    SALT_BYTES = 16,
    SUM_BYTES = 32,
    VARIANT = sodium_base64_VARIANT_ORIGINAL_NO_PADDING,
    SALT_TEXT = sodium_base64_ENCODED_LEN(SALT_BYTES, VARIANT) - 1, /* without the NUL */
    SUM_TEXT = sodium_base64_ENCODED_LEN(SUM_BYTES, VARIANT) - 1,
    HEAD = 5
};

_Static_assert(HEAD + SALT_TEXT + 1 + SUM_TEXT < VERIFY_HASH_BYTES, "a hash fits its field");

static const struct span head = SPAN("$gp1$");

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
    char salt_text[SALT_TEXT + 1], sum_text[SUM_TEXT + 1];
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

bool password_app_is(struct span hash) {
    return hash.n == HEAD + SALT_TEXT + 1 + SUM_TEXT && span_equal(span_part(hash, 0, head.n), head) &&
           hash.p[HEAD + SALT_TEXT] == '$';
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
              decode(span_part(text, HEAD, SALT_TEXT), salt, sizeof salt) &&
              decode(span_from(text, HEAD + SALT_TEXT + 1), wanted, sizeof wanted) &&
              sum(salt, password, octets) == 0 && sodium_memcmp(wanted, octets, sizeof octets) == 0;
    explicit_bzero(wanted, sizeof wanted);
    explicit_bzero(octets, sizeof octets);
    return ok;
}
