/* password_format.h - what a stored hash says of itself. Stored are our own
 * "$argon2id$v=19$m=65536,t=2,p=1$salt$hash", hashes of crypt(3) as they are, and others with their scheme in front
 * as Dovecot writes it, "{SSHA}..."; those that were imported wait to be replaced by our own at the first login. */
#ifndef AUTH_PASSWORD_FORMAT_H
#define AUTH_PASSWORD_FORMAT_H

#include "store/buf.h"

enum {
    PASSWORD_MEMORY_MAX_KIB = 65536,
    PASSWORD_PASSES_MAX = 16,
    PASSWORD_LANES_MAX = 16,
    PASSWORD_WORK_MAX = 32 * 2 * 65536 /* of the dearest hash that is checked: as 32 of the default */
};

enum password_scheme {
    PASSWORD_NONE = 0,
    PASSWORD_ARGON2ID,
    PASSWORD_BCRYPT,
    PASSWORD_YESCRYPT,
    PASSWORD_SHA512_CRYPT,
    PASSWORD_SHA256_CRYPT,
    PASSWORD_MD5_CRYPT,
    PASSWORD_APR1,
    PASSWORD_PBKDF2,
    PASSWORD_SSHA512, /* from here on base64 of a digest, and of the salt behind it */
    PASSWORD_SSHA256,
    PASSWORD_SSHA,
    PASSWORD_SMD5,
    PASSWORD_SHA512,
    PASSWORD_SHA256,
    PASSWORD_SHA,
    PASSWORD_LDAP_MD5,
    PASSWORD_SCHEMES
};

struct password_cost {
    enum password_scheme scheme;
    uint32_t memory_kib, passes; /* of Argon2id; zero for others */
    uint64_t work;               /* to compare costs: KiB times passes of Argon2id that take as long, or longer */
};

/* Whether `hash` is of a scheme above and its cost within the caps: a stored string could otherwise ask for any
 * amount of memory or time. */
bool password_format_read(struct span hash, struct password_cost *out) MUST_USE;

/* The same: NULL, or what is wrong, to follow "the hash ". */
const char *password_format_fault(struct span hash, struct password_cost *out) MUST_USE;

static inline uint64_t password_work(const struct password_cost *cost) {
    return cost->work;
}

/* As Dovecot calls it; "NONE" for none. */
const char *password_scheme_name(enum password_scheme scheme);

/* Octets of the digest of SSHA512 and those behind it, and whether a salt follows. */
size_t password_digest_bytes(enum password_scheme scheme);
bool password_digest_salted(enum password_scheme scheme);

/* Appends the hash as Dovecot reads it: with a scheme in front. */
void password_format_dovecot(struct span hash, struct buf *out);

#endif
