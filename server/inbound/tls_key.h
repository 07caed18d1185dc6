/* tls_key.h - private keys that are not here: keys of OpenSSL whose signing is asked of the keys process. */
#ifndef SERVER_INBOUND_TLS_KEY_H
#define SERVER_INBOUND_TLS_KEY_H

#include "store/frames.h"
#include "store/span.h"

#include <openssl/evp.h>

/* Makes the provider known to OpenSSL; once, at start. */
bool tls_key_prepare(void) MUST_USE;

/* The "private" key for a certificate's public one; the caller frees it. NULL: neither EC nor RSA, or no memory. */
EVP_PKEY *tls_key_for(EVP_PKEY *public_key);

/* The key's name: the first octets of SHA-256 over its SubjectPublicKeyInfo. */
bool tls_key_name(const EVP_PKEY *public_key, uint8_t name_out[KEY_NAME_BYTES]) MUST_USE;

/* The channel that signatures are asked for over, and how long one may take; -1: none. */
void tls_key_use(int keys_fd, uint64_t wait_ms);

#endif
