/* nt_hash.c - MD4 of the password in UTF-16, sealed.
 * Runs in: verifier, command line. Trusts: libsodium, nettle. Never: leaves a password or a hash on the stack. */
#include "auth/nt_hash.h"

#include "auth/address.h"
#include "auth/utf16.h"
#include "store/secret.h"

#include <nettle/md4.h>
#include <sodium.h>

enum { NONCE_BYTES = crypto_aead_xchacha20poly1305_ietf_NPUBBYTES };

_Static_assert(NT_SEALED_BYTES == NONCE_BYTES + NT_HASH_BYTES + crypto_aead_xchacha20poly1305_ietf_ABYTES,
               "the seal's size");
_Static_assert(NT_KEY_BYTES == crypto_aead_xchacha20poly1305_ietf_KEYBYTES, "the key's size");
_Static_assert(NT_HASH_BYTES == MD4_DIGEST_SIZE, "the hash is an MD4");

bool nt_hash_make(struct span password, uint8_t hash_out[NT_HASH_BYTES]) {
    uint8_t octets[2 * SECRET_MAX];
    struct buf b = BUF_OVER(octets);
    struct md4_ctx md4;
    memset(hash_out, 0, NT_HASH_BYTES);
    bool ok = password.n > 0 && utf16_from_utf8(password, &b);
    if (ok) {
        md4_init(&md4);
        md4_update(&md4, b.n, b.p);
        md4_digest(&md4, NT_HASH_BYTES, hash_out);
        explicit_bzero(&md4, sizeof md4);
    }
    buf_wipe(&b);
    return ok;
}

/* What the seal is for, and whose it is. */
static struct span bound_to(struct span login, uint8_t *storage, size_t size) {
    struct buf b = buf_over(storage, size);
    buf_put_text(&b, "gatepost NT hash 1");
    buf_put_octet(&b, 0);
    buf_put_span(&b, login);
    return buf_ok(&b) && login.n ? buf_span(&b) : span_of(NULL, 0);
}

bool nt_hash_seal(const uint8_t key[NT_KEY_BYTES], struct span login, const uint8_t hash[NT_HASH_BYTES],
                  uint8_t sealed_out[NT_SEALED_BYTES]) {
    uint8_t storage[ADDRESS_MAX + 32];
    struct span bound = bound_to(login, storage, sizeof storage);
    memset(sealed_out, 0, NT_SEALED_BYTES);
    if (bound.n == 0 || sodium_init() < 0) return false;
    randombytes_buf(sealed_out, NONCE_BYTES);
    return crypto_aead_xchacha20poly1305_ietf_encrypt(sealed_out + NONCE_BYTES, NULL, hash, NT_HASH_BYTES, bound.p,
                                                      bound.n, NULL, sealed_out, key) == 0;
}

bool nt_hash_open(const uint8_t key[NT_KEY_BYTES], struct span login, struct span sealed,
                  uint8_t hash_out[NT_HASH_BYTES]) {
    uint8_t storage[ADDRESS_MAX + 32];
    struct span bound = bound_to(login, storage, sizeof storage);
    memset(hash_out, 0, NT_HASH_BYTES);
    return bound.n && sealed.n == NT_SEALED_BYTES &&
           crypto_aead_xchacha20poly1305_ietf_decrypt(hash_out, NULL, NULL, sealed.p + NONCE_BYTES,
                                                      sealed.n - NONCE_BYTES, bound.p, bound.n, sealed.p, key) == 0;
}
