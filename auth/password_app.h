/* password_app.h - the hash of an app password: "$gp1$" salt "$" BLAKE2b-256(salt | password), both in base64 without
 * padding. It is fast, which is right for 100 bits that we drew ourselves (command_secret_generate), and for nothing
 * that a person chose. */
#ifndef AUTH_PASSWORD_APP_H
#define AUTH_PASSWORD_APP_H

#include "store/frames.h"
#include "store/span.h"

/* With a fresh salt; a C string. 0 or -1. */
int password_app_hash(struct span password, char hash_out[VERIFY_HASH_BYTES]) MUST_USE;

/* Whether a stored hash is of this format. */
bool password_app_is(struct span hash) MUST_USE;

/* Whether the hash is of this format, and the password's. */
bool password_app_check(struct span password, const char *hash) MUST_USE;

#endif
