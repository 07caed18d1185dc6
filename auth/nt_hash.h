/* nt_hash.h - the NT hash of a password (MS-NLMP 3.3.1, NTOWFv1), and how it is kept. Whoever has it can log in by
 * NTLM as if it were the password, and it has no salt: it exists for users who are enrolled for NTLM alone, and is
 * stored sealed with XChaCha20-Poly1305 under a key that does not lie in the database (server/process/nt_key.h). The
 * seal is bound to the user's login in its normal form: put into another user's row it does not open. Nonce, then
 * what was sealed. */
#ifndef AUTH_NT_HASH_H
#define AUTH_NT_HASH_H

#include "store/span.h"

enum { NT_HASH_BYTES = 16, NT_KEY_BYTES = 32, NT_SEALED_BYTES = 24 + NT_HASH_BYTES + 16 };

/* Of a password that is prepared as the others are (RFC 8265 4.2). False: it is empty, too long, or not UTF-8. */
bool nt_hash_make(struct span password, uint8_t hash_out[NT_HASH_BYTES]) MUST_USE;

/* False: libsodium does not start. */
bool nt_hash_seal(const uint8_t key[NT_KEY_BYTES], struct span login, const uint8_t hash[NT_HASH_BYTES],
                  uint8_t sealed_out[NT_SEALED_BYTES]) MUST_USE;

/* False, and hash_out is zero: of another key or another user, or altered. */
bool nt_hash_open(const uint8_t key[NT_KEY_BYTES], struct span login, struct span sealed,
                  uint8_t hash_out[NT_HASH_BYTES]) MUST_USE;

#endif
