/* keys_judge.h - reading private keys, and what a certificate and its key are worth before anybody serves with
 * them. */
#ifndef AUTH_KEYS_JUDGE_H
#define AUTH_KEYS_JUDGE_H

#include "auth/keys_form.h"
#include "store/role.h"

#include <openssl/evp.h>

struct keys_worth {
    enum verdict certificate, key;
    uint64_t not_before, not_after; /* seconds since 1970; 0 when there is no certificate */
    uint8_t self_signed;
    uint8_t spki[VERDICT_SPKI_BYTES];    /* SHA-256 of the public key */
    char names[VERDICT_NAMES_BYTES + 1]; /* DNS names, lower case, blanks between; those that fit */
};

enum keys_kind keys_kind_of(const EVP_PKEY *pkey);

/* The first private key in the file, which the caller frees; NULL, and why, when there is none that can be read. The
 * descriptor's offset stays. */
EVP_PKEY *keys_read_key(int fd, enum verdict *verdict_out);

struct keys_worth keys_worth(int certificate, int key);

/* Says CHILD_VERDICTS for the n pairs among the descriptors. Returns an exit status. */
int keys_judge(const struct role_start *start, uint32_t n);

#endif
