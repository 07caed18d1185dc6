/* logins.h - auth with users, sessions that log in, and verifiers: a real one, or such as the test plays. */
#ifndef TESTS_UNIT_LOGINS_H
#define TESTS_UNIT_LOGINS_H

#include "tests/unit/auth_fixture.h"

extern struct auth_fixture logins_auth;
extern struct driver logins_verifier; /* the real one */

/* One local domain; alice and gone with the password "secret-word", gone is disabled. Not started yet. */
void logins_setup(void);

/* Auth with one real verifier, or with `n` that are the test's. */
void logins_start(void);
void logins_start_verifier(void);
void logins_start_played(int ends_out[], size_t n);

/* A session on the submission port, with TLS. */
int logins_session(const char *client);

/* SESSION_AUTH and SESSION_AUTH_NEXT, and what came of it. NULL: not wanted. */
void logins_say(int session, const char *mechanism, struct span message);
void logins_say_start(int session, unsigned tls, const char *mechanism, bool initial, struct span message,
                      struct span exporter, struct span end_point);
void logins_say_next(int session, unsigned cancelled, struct span message);
unsigned logins_answered(int session, struct buf *challenge_out, struct buf *login_out);

/* ---- a verifier that is played */

/* Awaits a step and says whose it is. The tag is made of this octet, the fingerprint is the number. */
void logins_play_identity(int verifier, const char *name, const char *authorization, uint8_t tag,
                          uint64_t fingerprint);

/* What it is told: VERIFY_CREDENTIALS, and of the first credential the id. */
struct logins_told {
    unsigned real;
    char login[256];
    int64_t user_id, credential_id;
    uint8_t salt[VERIFY_SALT_BYTES];
    size_t n;
};
void logins_told(int verifier, struct logins_told *out);
/* VERIFY_FORGET. */
void logins_told_to_forget(int verifier);
/* Whether something has come for it. */
bool logins_hears(int verifier, int within_ms);

void logins_play_verdict(int verifier, enum verify_verdict verdict, int64_t credential_id, const char *challenge);

/* Right, and a hash in place of the credential's. */
void logins_play_renewal(int verifier, int64_t credential_id, const char *new_hash);

/* A whole login by a played verifier, right or wrong; the outcome. */
unsigned logins_play(int session, int verifier, const char *name, uint8_t tag, bool right);

#endif
