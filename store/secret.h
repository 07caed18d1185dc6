/* secret.h - a password or key in memory. The logger takes spans and texts, never this type; whoever holds one
 * wipes it. */
#ifndef STORE_SECRET_H
#define STORE_SECRET_H

#include "store/span.h"

enum { SECRET_MAX = 1024 };

struct secret {
    uint16_t n;
    uint8_t octets[SECRET_MAX];
};

/* False when it is too long (nothing is kept). */
static inline bool secret_set(struct secret *secret, struct span from) {
    secret->n = 0;
    if (from.n > SECRET_MAX) return false;
    if (from.n) memcpy(secret->octets, from.p, from.n);
    secret->n = (uint16_t)from.n;
    return true;
}

static inline struct span secret_span(const struct secret *secret) {
    return span_of(secret->octets, secret->n);
}

static inline void secret_wipe(struct secret *secret) {
    explicit_bzero(secret, sizeof *secret);
}

#endif
