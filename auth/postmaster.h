/* postmaster.h - where the postmaster's mail ends: with somebody as soon as there is a user (RFC 5321 4.5.1). */
#ifndef AUTH_POSTMASTER_H
#define AUTH_POSTMASTER_H

#include "auth/expand.h"

enum postmaster_way {
    POSTMASTER_UNKNOWN = 0, /* the database */
    POSTMASTER_NAMED,       /* a user or alias of that very address, or the configured one */
    POSTMASTER_STAND_IN,    /* neither leads to anybody: the oldest user, an enabled one first */
    POSTMASTER_NOBODY       /* no user at all */
};

/* `key`: postmaster at a local domain, or n = 0 for the bare one. *out holds the ends where NAMED or STAND_IN. */
enum postmaster_way postmaster_expand(const struct house *house, const struct key *key,
                                      struct expansion *out) MUST_USE;

enum { POSTMASTER_WARNING_MAX = 1024 };

/* What the owner is to be told; false when mail for the bare postmaster goes where it was named. *scratch is used.
 * At most POSTMASTER_WARNING_MAX octets. */
bool postmaster_warning(const struct house *house, struct expansion *scratch, struct buf *out) MUST_USE;

#endif
