/* password_app.h - the hash of an app password: "$gp1$" salt "$" BLAKE2b-256(salt | password), both in base64 without
 * padding. It is fast, which is right for 100 bits that we drew ourselves (command_secret_generate), and for nothing
 * that a person chose. */
#ifndef AUTH_PASSWORD_APP_H
#define AUTH_PASSWORD_APP_H

#include "store/frames.h"
#include "store/span.h"

/* With a fresh salt; a C string. 0 or -1. */
int password_app_hash(struct span password, char hash_out[VERIFY_HASH_BYTES]) MUST_USE;

enum { PASSWORD_APP_HEAD = 5, PASSWORD_APP_SALT = 22, PASSWORD_APP_SUM = 43 }; /* characters */

/* Whether a stored hash looks like this format. */
static inline bool password_app_is(struct span hash) {
    return hash.n == PASSWORD_APP_HEAD + PASSWORD_APP_SALT + 1 + PASSWORD_APP_SUM &&
           span_equal(span_part(hash, 0, PASSWORD_APP_HEAD), SPAN("$gp1$")) &&
           hash.p[PASSWORD_APP_HEAD + PASSWORD_APP_SALT] == '$';
}

/* Whether the hash is of this format, and the password's. */
bool password_app_check(struct span password, const char *hash) MUST_USE;

#endif
