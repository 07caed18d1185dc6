/* password_foreign.h - checking a password against a hash that another server made. */
#ifndef AUTH_PASSWORD_FOREIGN_H
#define AUTH_PASSWORD_FOREIGN_H

#include "auth/password_format.h"

/* Whether `hash`, which has been read into `cost` and is not of Argon2id, is the password's, octet for octet as it
 * was typed. Memory within PASSWORD_MEMORY_MAX_KIB is taken for the time. */
bool password_foreign_check(struct span password, struct span hash, const struct password_cost *cost) MUST_USE;

/* The 16 octets that "$apr1$" encodes: Apache's variant of crypt(3)'s MD5, which libxcrypt does not have. */
void password_apr1(struct span password, struct span salt, uint8_t out[16]);

#endif
