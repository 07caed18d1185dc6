/* system_user.h - a user of this host as a principal: who has which uid, and as whom it sends. */
#ifndef AUTH_SYSTEM_USER_H
#define AUTH_SYSTEM_USER_H

#include "auth/expand.h"

enum { SYSTEM_NAME_MAX = 64 };

struct system_user {
    uint8_t name[SYSTEM_NAME_MAX];
    size_t name_n;
    struct key login; /* its address: of the user of ours that it was given, else NAME@local_domain */
    bool given;       /* by the configuration: there must be such a user */
    bool trusted;     /* any sender in a local domain */
};

/* False: nobody has this uid (or name), or the name cannot be a local part. */
bool system_user_of(const struct house *house, uint32_t uid, struct system_user *out) MUST_USE;
bool system_user_named(const struct house *house, struct span name, struct system_user *out) MUST_USE;

/* Whether the address is a system user's, by its name at local_domain. */
bool system_user_has(const struct house *house, const struct key *key);
bool system_user_is_root(const struct house *house, const struct key *key);

#endif
