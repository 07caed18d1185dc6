/* nt_key.h - the key that seals NT hashes (auth/nt_hash.h): NT_KEY_FILE in the directory of auth's state. It is not
 * in the database, so that a copy of that alone tells no hash; a backup has both. The master hands it to the
 * verifiers and the command line seals with it; as root it belongs to root, and the auth process cannot read it. */
#ifndef SERVER_PROCESS_NT_KEY_H
#define SERVER_PROCESS_NT_KEY_H

#include "auth/nt_hash.h"
#include "conf/conf.h"

#define NT_KEY_FILE "ntlm.key"

/* Reads the key, after making one where there is none; who reads first wins. 0, or -1 with errno: EBADMSG when the
 * file is no key, EPERM when others may read it. */
int nt_key_get(const struct conf *conf, uint8_t key_out[NT_KEY_BYTES]) MUST_USE;

/* In words for the owner. */
const char *nt_key_why(int error);

#endif
