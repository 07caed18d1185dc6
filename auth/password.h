/* password.h - making a hash, Argon2id by libsodium; checking a password against any that is stored. */
#ifndef AUTH_PASSWORD_H
#define AUTH_PASSWORD_H

#include "auth/password_format.h"
#include "store/frames.h"

/* Hashes with a fresh salt; memory is rounded down to KiB. 0, or -1: no memory, or a cost out of bounds. */
int password_hash(struct span password, uint64_t memory_bytes, uint32_t passes,
                  char hash_out[VERIFY_HASH_BYTES]) MUST_USE;

/* Whether the hash is within the caps (auth/password_format.h), and the password's. */
bool password_check(struct span password, const char *hash) MUST_USE;

#endif
