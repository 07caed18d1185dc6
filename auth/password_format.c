/* password_format.c - reading the head of a stored hash.
 * Runs in: auth, verifier, command line. Trusts: nothing in the octets. Never: sees a password. */
#include "auth/password_format.h"

#include "store/base64.h"
#include "store/frames.h"

static const char malformed[] = "is malformed, or cut short";
static const char too_large[] = "takes over 64 MiB of memory to check";

/* Work of each, in KiB times passes of Argon2id, rounded up from the dearest of several runs and with a password of
 * 255 octets; libxcrypt 4.4 and nettle 3.8 without instructions for SHA against libsodium 1.0.18. */
enum {
    BCRYPT_WORK = 160,     /* times 2 to the cost */
    YESCRYPT_KIB_WORK = 4, /* per KiB */
    SHA512_CRYPT_WORK = 4, /* per round */
    SHA256_CRYPT_WORK = 6, /* per round */
    PBKDF2_WORK = 2,       /* per round */
    MD5_CRYPT_WORK = 4000, /* its rounds are fixed */
    DIGEST_WORK = 16,
    SHA_CRYPT_ROUNDS = 5000, /* where the string names none */
    DIGEST_SALT_MAX = 32
};

/* ---- pieces */

/* Cuts the number before the octet `end` off the front. */
static bool take_number(struct span *rest, uint8_t end, uint64_t max, uint64_t *out) {
    size_t n = span_find(*rest, end);
    bool ok = n < rest->n && span_number(span_part(*rest, 0, n), max, out);
    *rest = span_from(*rest, n + 1);
    return ok;
}

static bool starts(struct span s, struct span text) {
    return s.n >= text.n && span_equal(span_part(s, 0, text.n), text);
}

static bool take_text(struct span *rest, struct span text) {
    bool ok = starts(*rest, text);
    *rest = span_from(*rest, text.n);
    return ok;
}

static bool is_alphanumeric(uint8_t c) {
    uint8_t lower = octet_lower(c);
    return (lower >= 'a' && lower <= 'z') || (c >= '0' && c <= '9');
}

/* Base64 without padding (`a` +, `b` /), or the digits of crypt(3) (. and /). */
static bool is_digits(struct span s, uint8_t a, uint8_t b) {
    for (size_t i = 0; i < s.n; i++)
        if (!is_alphanumeric(s.p[i]) && s.p[i] != a && s.p[i] != b) return false;
    return true;
}

static bool is_crypt(struct span s, size_t n) {
    return s.n == n && is_digits(s, '.', '/');
}

static bool is_hex(struct span s, size_t n) {
    for (size_t i = 0; i < s.n; i++) {
        uint8_t c = octet_lower(s.p[i]);
        if (!(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'f')) return false;
    }
    return s.n == n;
}

/* What crypt(3) takes as a salt. */
static bool is_salt(struct span s, size_t max) {
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] <= ' ' || s.p[i] > '~' || memchr("$!*:;\\", s.p[i], 6)) return false;
    return s.n <= max;
}

/* "salt$hash", with a hash of n digits. */
static bool is_salted(struct span s, size_t salt_max, size_t n) {
    size_t at = span_find(s, '$');
    return is_salt(span_part(s, 0, at), salt_max) && is_crypt(span_from(s, at + 1), n);
}

/* The value of a digit of crypt(3). */
static unsigned crypt_digit(uint8_t c) {
    if (c >= 'a') return c - 'a' + 38U;
    if (c >= 'A') return c - 'A' + 12U;
    return c >= '0' ? c - '0' + 2U : c - '.' + 0U;
}

/* ---- schemes: what is behind the prefix; `out` has the scheme */

static const char *read_argon2id(struct span s, struct password_cost *out) {
    uint64_t memory, passes, lanes;
    if (!take_number(&s, ',', UINT32_MAX, &memory) || memory < 8 || !take_text(&s, SPAN("t=")) ||
        !take_number(&s, ',', UINT32_MAX, &passes) || passes < 1 || !take_text(&s, SPAN("p=")) ||
        !take_number(&s, '$', UINT32_MAX, &lanes) || lanes < 1)
        return malformed;
    size_t salt = span_find(s, '$');
    struct span hash = span_from(s, salt + 1);
    if (salt == 0 || !is_digits(span_part(s, 0, salt), '+', '/') || hash.n == 0 || !is_digits(hash, '+', '/'))
        return malformed;
    if (memory > PASSWORD_MEMORY_MAX_KIB) return too_large;
    if (passes > PASSWORD_PASSES_MAX) return "takes over 16 passes of Argon2id";
    if (lanes > PASSWORD_LANES_MAX) return "takes over 16 lanes of Argon2id";
    out->memory_kib = (uint32_t)memory, out->passes = (uint32_t)passes;
    out->work = memory * passes;
    return NULL;
}

/* "12$", 22 octets of salt and 31 of hash. */
static const char *read_bcrypt(struct span s, struct password_cost *out) {
    uint64_t cost;
    if (span_find(s, '$') != 2 || !take_number(&s, '$', 31, &cost) || cost < 4 || !is_crypt(s, 53)) return malformed;
    out->work = (uint64_t)BCRYPT_WORK << cost;
    return out->work > PASSWORD_WORK_MAX ? "is bcrypt of a cost over 14, which takes too long" : NULL;
}

/* "j", a digit for N, one for r, "$salt$hash"; what crypt_gensalt(3) writes. */
static const char *read_yescrypt(struct span s, struct password_cost *out) {
    if (span_find(s, '$') != 3 || s.p[0] != 'j' || !is_crypt(span_part(s, 0, 3), 3))
        return "is yescrypt with parameters of an unusual kind";
    unsigned log_n = crypt_digit(s.p[1]) + 1, r = crypt_digit(s.p[2]) + 1;
    /* digits above 47 begin longer numbers */
    if (log_n > 30 || r > 48 || ((uint64_t)r << log_n) / 8 > PASSWORD_MEMORY_MAX_KIB) return too_large;
    if (!is_salted(span_from(s, 4), 86, 43)) return malformed;
    out->work = YESCRYPT_KIB_WORK * ((((uint64_t)r << log_n) / 8) + 1); /* 128 octets each */
    return NULL;
}

static const char *read_sha_crypt(struct span s, struct password_cost *out) {
    bool wide = out->scheme == PASSWORD_SHA512_CRYPT;
    uint64_t rounds = SHA_CRYPT_ROUNDS;
    if (starts(s, SPAN("rounds="))) {
        s = span_from(s, 7);
        if (s.n == 0 || s.p[0] == '0' || !take_number(&s, '$', 999999999, &rounds) || rounds < 1000) return malformed;
    }
    if (!is_salted(s, 16, wide ? 86 : 43)) return malformed;
    out->work = rounds * (wide ? SHA512_CRYPT_WORK : SHA256_CRYPT_WORK);
    if (out->work <= PASSWORD_WORK_MAX) return NULL;
    return wide ? "is sha512-crypt of over 1048576 rounds, which takes too long"
                : "is sha256-crypt of over 699050 rounds, which takes too long";
}

static const char *read_md5_crypt(struct span s, struct password_cost *out) {
    out->work = MD5_CRYPT_WORK;
    return is_salted(s, 8, 22) ? NULL : malformed;
}

/* "salt$rounds$hex", of HMAC-SHA-1. */
static const char *read_pbkdf2(struct span s, struct password_cost *out) {
    uint64_t rounds;
    size_t salt = span_find(s, '$');
    if (salt == 0 || !is_salt(span_part(s, 0, salt), 64)) return malformed;
    s = span_from(s, salt + 1);
    if (!take_number(&s, '$', UINT32_MAX, &rounds) || rounds < 1 || !is_hex(s, 40)) return malformed;
    out->work = rounds * PBKDF2_WORK + 1;
    return out->work > PASSWORD_WORK_MAX ? "is PBKDF2 of over 2097151 rounds, which takes too long" : NULL;
}

static const char *read_digest(struct span s, struct password_cost *out) {
    uint8_t octets[64 + DIGEST_SALT_MAX];
    struct buf b = BUF_OVER(octets);
    size_t n = password_digest_bytes(out->scheme);
    out->work = DIGEST_WORK;
    bool fits = base64_decode(s, &b) && (password_digest_salted(out->scheme) ? b.n > n : b.n == n);
    explicit_bzero(octets, sizeof octets);
    return fits ? NULL : malformed;
}

static const struct row {
    const char *prefix, *name;
    enum password_scheme scheme;
    const char *(*read)(struct span rest, struct password_cost *out);
} rows[] = {
    {"$argon2id$v=19$m=", "ARGON2ID", PASSWORD_ARGON2ID, read_argon2id},
    {"$2b$", "BLF-CRYPT", PASSWORD_BCRYPT, read_bcrypt},
    {"$2y$", "BCRYPT", PASSWORD_BCRYPT, read_bcrypt},
    {"$2a$", "BCRYPT", PASSWORD_BCRYPT, read_bcrypt},
    {"$y$", "YESCRYPT", PASSWORD_YESCRYPT, read_yescrypt},
    {"$6$", "SHA512-CRYPT", PASSWORD_SHA512_CRYPT, read_sha_crypt},
    {"$5$", "SHA256-CRYPT", PASSWORD_SHA256_CRYPT, read_sha_crypt},
    {"$1$", "MD5-CRYPT", PASSWORD_MD5_CRYPT, read_md5_crypt},
    {"$apr1$", "APR1", PASSWORD_APR1, read_md5_crypt},
    {"{PBKDF2}$1$", "PBKDF2", PASSWORD_PBKDF2, read_pbkdf2},
    {"{SSHA512}", "SSHA512", PASSWORD_SSHA512, read_digest},
    {"{SSHA256}", "SSHA256", PASSWORD_SSHA256, read_digest},
    {"{SSHA}", "SSHA", PASSWORD_SSHA, read_digest},
    {"{SMD5}", "SMD5", PASSWORD_SMD5, read_digest},
    {"{SHA512}", "SHA512", PASSWORD_SHA512, read_digest},
    {"{SHA256}", "SHA256", PASSWORD_SHA256, read_digest},
    {"{SHA}", "SHA", PASSWORD_SHA, read_digest},
    {"{LDAP-MD5}", "LDAP-MD5", PASSWORD_LDAP_MD5, read_digest},
};
enum { ROWS = sizeof rows / sizeof *rows };

const char *password_format_fault(struct span hash, struct password_cost *out) {
    *out = (struct password_cost){0};
    if (hash.n >= VERIFY_HASH_BYTES) return "is longer than any that is checked here";
    for (size_t i = 0; i < ROWS; i++) {
        struct password_cost cost = {.scheme = rows[i].scheme};
        if (!starts(hash, span_text(rows[i].prefix))) continue;
        const char *fault = rows[i].read(span_from(hash, strlen(rows[i].prefix)), &cost);
        if (!fault) *out = cost;
        return fault;
    }
    return "is of a scheme that is not checked here";
}

bool password_format_read(struct span hash, struct password_cost *out) {
    return !password_format_fault(hash, out);
}

const char *password_scheme_name(enum password_scheme scheme) {
    for (size_t i = 0; i < ROWS; i++)
        if (rows[i].scheme == scheme) return rows[i].name;
    return "NONE";
}

size_t password_digest_bytes(enum password_scheme scheme) {
    switch (scheme) {
    case PASSWORD_SSHA512:
    case PASSWORD_SHA512:
        return 64;
    case PASSWORD_SSHA256:
    case PASSWORD_SHA256:
        return 32;
    case PASSWORD_SSHA:
    case PASSWORD_SHA:
        return 20;
    case PASSWORD_SMD5:
    case PASSWORD_LDAP_MD5:
        return 16;
    default:
        return 0;
    }
}

bool password_digest_salted(enum password_scheme scheme) {
    return scheme >= PASSWORD_SSHA512 && scheme <= PASSWORD_SMD5;
}

void password_format_dovecot(struct span hash, struct buf *out) {
    if (starts(hash, SPAN("$argon2id$")))
        buf_put_text(out, "{ARGON2ID}");
    else if (hash.n && hash.p[0] == '$')
        buf_put_text(out, "{CRYPT}"); /* whose crypt(3) knows what ours does */
    buf_put_span(out, hash);
}
