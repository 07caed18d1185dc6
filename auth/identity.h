/* identity.h - who logs in by a name that a client typed, and what may be tried for it. */
#ifndef AUTH_IDENTITY_H
#define AUTH_IDENTITY_H

#include "auth/credential.h"
#include "auth/expand.h"

struct identity {
    struct account account;
    struct credential credentials[CREDENTIALS_MAX];
    size_t n;
    bool separate; /* by a separate login name */
};

/* Writes the normal form of a separate login name: of a full address of any domain as key_parse does, of a bare word
 * in lower case. A word has at most ADDRESS_LOCAL_MAX letters, digits and . _ - + of ASCII, a letter or digit first.
 * False: it can be none. A user's login has its form from facts_login_name. */
bool identity_login_name(struct span typed, struct buf *out) MUST_USE;

/* No name is to mean two things. Whether a separate login name (in its normal form) is the address of a user or
 * alias, or, for a word, the local part of one in any domain: with one local domain that is their name too. */
enum account_found identity_login_clashes(struct database *db, struct span login_name) MUST_USE;
/* Whether an address, which is to become a user or alias, or its local part is a separate login name. */
enum account_found identity_address_clashes(struct database *db, const struct key *address) MUST_USE;

/* A separate login name goes before a user's (they never clash). NONE: nobody's name, `out` is zero. FOUND: the
 * account, also when it is disabled; its credentials are then none. Those of a suspended account are there: the login
 * is good, and MAIL says what is the matter. */
enum account_found identity_find(const struct house *house, struct span typed, enum credential_scope scope,
                                 uint64_t now_ms, struct identity *out) MUST_USE;

/* The salt of the SCRAM keys of a name: of users.login the user's (`separate` empty), of a separate login name (in
 * its normal form) one that is made of both. Two names that show one salt would both exist, and be one person's. */
void identity_salt(const struct account *account, struct span separate, uint8_t salt_out[ACCOUNT_SALT_BYTES]);

void identity_wipe(struct identity *identity);

#endif
