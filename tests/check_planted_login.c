/* check_planted_login.c - faults planted in logins: nobody is told from somebody. PLANT=1, linked into the verifier:
 * no hash is worked out for nobody. PLANT=2, linked into auth: nobody is refused as soon as that is known, and not at
 * the fixed time. `make check` must find both by the clock (tests/check.sh, tests/client/timing.py).
 * Runs in: tests. Trusts: nothing. Never: is built by `make test`. */
#include "auth/login_exchange.h"
#include "auth/password.h"

#if PLANT == 1

/* The linker's --wrap=password_hash and --wrap=password_check. */
int __real_password_hash(struct span password, uint64_t memory_bytes, uint32_t passes, char *hash_out) MUST_USE;
int __wrap_password_hash(struct span password, uint64_t memory_bytes, uint32_t passes, char *hash_out) MUST_USE;
bool __real_password_check(struct span password, const char *hash) MUST_USE;
bool __wrap_password_check(struct span password, const char *hash) MUST_USE;

static const char *nobodys; /* where the first one goes, which a verifier makes when it starts */

int __wrap_password_hash(struct span password, uint64_t memory_bytes, uint32_t passes, char *hash_out) {
    if (!nobodys) nobodys = hash_out;
    return __real_password_hash(password, memory_bytes, passes, hash_out);
}

bool __wrap_password_check(struct span password, const char *hash) {
    return hash != nobodys && __real_password_check(password, hash);
}

#else

/* The linker's --wrap=login_delay_failure. */
void __real_login_delay_failure(struct peer *peer, const char *why);
void __wrap_login_delay_failure(struct peer *peer, const char *why);

void __wrap_login_delay_failure(struct peer *peer, const char *why) {
    if (peer->exchange.user_id)
        __real_login_delay_failure(peer, why);
    else
        login_refuse_or_drop(peer, AUTH_REJECTED, why);
}

#endif
