/* password_foreign.c - hashes of crypt(3), and digests: the door to libxcrypt, and one of nettle's.
 * Runs in: verifier. Trusts: libxcrypt, nettle. Never: checks a hash whose cost was not read and found within the
 * caps, tells by its time where two hashes differ. */
#include "auth/password_foreign.h"

#include "store/base64.h"
#include "store/frames.h"

#include <crypt.h>
#include <nettle/nettle-meta.h>
#include <nettle/pbkdf2.h>
#include <nettle/sha2.h>

enum { DIGEST_MAX = 64, DECODED_MAX = 128 };
_Static_assert((int)VERIFY_HASH_BYTES <= (int)CRYPT_OUTPUT_SIZE, "a hash fits libxcrypt's field");

static bool same(struct span a, struct span b) {
    unsigned differ = a.n != b.n;
    for (size_t i = 0; i < a.n && i < b.n; i++) differ |= a.p[i] ^ b.p[i];
    return differ == 0;
}

/* The stored string is the setting, and what comes out again when the password is right. */
static bool check_crypt(struct span password, struct span hash) {
    static struct crypt_data data;
    if (password.n >= sizeof data.input || span_find(password, 0) < password.n) return false;
    memset(&data, 0, sizeof data);
    if (password.n) memcpy(data.input, password.p, password.n);
    memcpy(data.setting, hash.p, hash.n);
    const char *result = crypt_rn(data.input, data.setting, &data, sizeof data);
    bool matches = result && same(span_text(result), hash);
    explicit_bzero(&data, sizeof data);
    return matches;
}

/* "$apr1$salt$", then four digits for each three octets, in an order of its own. */
static bool check_apr1(struct span password, struct span hash) {
    static const char digits[] = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    static const uint8_t order[16] = {0, 6, 12, 1, 7, 13, 2, 8, 14, 3, 9, 15, 4, 10, 5, 11};
    uint8_t digest[16], storage[22];
    struct buf text = BUF_OVER(storage);
    struct span rest = span_from(hash, sizeof "$apr1$" - 1);
    size_t n = span_find(rest, '$');
    password_apr1(password, span_part(rest, 0, n), digest);
    for (size_t i = 0; i < 15; i += 3) {
        uint32_t bits = (uint32_t)digest[order[i]] << 16 | (uint32_t)digest[order[i + 1]] << 8 | digest[order[i + 2]];
        for (int j = 0; j < 4; j++) buf_put_octet(&text, (uint8_t)digits[bits >> 6 * j & 63]);
    }
    for (int j = 0; j < 2; j++) buf_put_octet(&text, (uint8_t)digits[digest[11] >> 6 * j & 63]);
    bool matches = same(buf_span(&text), span_from(rest, n + 1));
    explicit_bzero(digest, sizeof digest);
    explicit_bzero(storage, sizeof storage);
    return matches;
}

/* "{PBKDF2}$1$salt$rounds$hex": RFC 8018 5.2 with HMAC-SHA-1; the salt is its letters. */
static bool check_pbkdf2(struct span password, struct span hash) {
    static const char digits[] = "0123456789abcdef";
    uint8_t key[20], hex[40], stored[40];
    uint64_t rounds = 0;
    struct span rest = span_from(hash, sizeof "{PBKDF2}$1$" - 1);
    struct span salt = span_part(rest, 0, span_find(rest, '$'));
    rest = span_from(rest, salt.n + 1);
    size_t n = span_find(rest, '$');
    if (rest.n - n != 1 + sizeof stored || !span_number(span_part(rest, 0, n), UINT32_MAX, &rounds)) return false;
    for (size_t i = 0; i < sizeof stored; i++) stored[i] = octet_lower(rest.p[n + 1 + i]);
    nettle_pbkdf2_hmac_sha1(password.n, password.p, (unsigned)rounds, salt.n, salt.p, sizeof key, key);
    for (size_t i = 0; i < sizeof hex; i++) hex[i] = (uint8_t)digits[key[i / 2] >> (i % 2 ? 0 : 4) & 15];
    bool matches = same(span_of(hex, sizeof hex), span_of(stored, sizeof stored));
    explicit_bzero(key, sizeof key);
    explicit_bzero(hex, sizeof hex);
    return matches;
}

static void digest(size_t n, struct span password, struct span salt, uint8_t *out) {
    _Alignas(max_align_t) uint8_t state[sizeof(struct sha512_ctx)]; /* the largest of them */
    const struct nettle_hash *hash = n == nettle_sha512.digest_size   ? &nettle_sha512
                                     : n == nettle_sha256.digest_size ? &nettle_sha256
                                     : n == nettle_sha1.digest_size   ? &nettle_sha1
                                                                      : &nettle_md5;
    hash->init(state);
    hash->update(state, password.n, password.p);
    hash->update(state, salt.n, salt.p);
    hash->digest(state, n, out);
    explicit_bzero(state, sizeof state);
}

/* "{SSHA}" and base64 of a digest of password and salt, and of the salt. */
static bool check_digest(struct span password, struct span hash, enum password_scheme scheme) {
    uint8_t storage[DECODED_MAX], fresh[DIGEST_MAX];
    struct buf decoded = BUF_OVER(storage);
    size_t n = password_digest_bytes(scheme);
    if (!base64_decode(span_from(hash, span_find(hash, '}') + 1), &decoded) || decoded.n < n) return false;
    digest(n, password, span_from(buf_span(&decoded), n), fresh);
    bool matches = same(span_of(fresh, n), span_part(buf_span(&decoded), 0, n));
    explicit_bzero(storage, sizeof storage);
    explicit_bzero(fresh, sizeof fresh);
    return matches;
}

bool password_foreign_check(struct span password, struct span hash, const struct password_cost *cost) {
    if (!password.p) password = SPAN("");
    switch (cost->scheme) {
    case PASSWORD_BCRYPT:
    case PASSWORD_YESCRYPT:
    case PASSWORD_SHA512_CRYPT:
    case PASSWORD_SHA256_CRYPT:
    case PASSWORD_MD5_CRYPT:
        return check_crypt(password, hash);
    case PASSWORD_APR1:
        return check_apr1(password, hash);
    case PASSWORD_PBKDF2:
        return check_pbkdf2(password, hash);
    case PASSWORD_SSHA512:
    case PASSWORD_SSHA256:
    case PASSWORD_SSHA:
    case PASSWORD_SMD5:
    case PASSWORD_SHA512:
    case PASSWORD_SHA256:
    case PASSWORD_SHA:
    case PASSWORD_LDAP_MD5:
        return check_digest(password, hash, cost->scheme);
    case PASSWORD_NONE:
    case PASSWORD_ARGON2ID:
    case PASSWORD_SCHEMES:
        break;
    }
    return false;
}
