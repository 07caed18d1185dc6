/* password_format.h - what a stored hash says of itself: "$argon2id$v=19$m=65536,t=2,p=1$salt$hash". */
#ifndef AUTH_PASSWORD_FORMAT_H
#define AUTH_PASSWORD_FORMAT_H

#include "store/span.h"

enum { PASSWORD_MEMORY_MAX_KIB = 65536, PASSWORD_PASSES_MAX = 16 };

struct password_cost {
    uint32_t memory_kib, passes;
};

/* Whether `hash` is an Argon2id hash of version 1.3 as libsodium writes them, and its cost within the caps: a stored
 * string could otherwise ask for any amount of memory. */
bool password_format_read(struct span hash, struct password_cost *out) MUST_USE;

/* Work of a hash, to compare costs: its time grows at most in proportion. */
static inline uint64_t password_work(const struct password_cost *cost) {
    return (uint64_t)cost->memory_kib * cost->passes;
}

#endif
