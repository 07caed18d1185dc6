/* password_check.c - is this the password? Apart from password.c, so that who only makes hashes links none of the
 * libraries that check others'.
 * Runs in: verifier. Trusts: libsodium, and the doors in password_foreign.c. Never: checks a hash that asks for more
 * than the caps. */
#include "auth/password.h"
#include "auth/password_foreign.h"

#include <sodium.h>

static bool check_argon2id(struct span password, struct span hash) {
    char text[crypto_pwhash_STRBYTES] = "";
    if (sodium_init() < 0 || hash.n >= sizeof text) return false;
    memcpy(text, hash.p, hash.n);
    const char *p = password.n ? (const char *)password.p : "";
    return crypto_pwhash_str_verify(text, p, password.n) == 0;
}

bool password_check(struct span password, const char *hash) {
    struct password_cost cost;
    struct span stored = span_text(hash);
    if (!password_format_read(stored, &cost)) return false;
    return cost.scheme == PASSWORD_ARGON2ID ? check_argon2id(password, stored)
                                            : password_foreign_check(password, stored, &cost);
}
