/* verify.h - the seam between the verifier and its mechanisms. One step of an exchange is one or two calls: `read`
 * takes the client's message; where it says VERIFY_CHECK, auth looks up the credentials of the name, and `check`
 * holds what the mechanism kept of the message against them. A mechanism does no I/O, and keeps nothing after
 * `forget`: what the next step needs goes into `state`, which the dispatcher seals, and opens for that step of that
 * exchange alone. */
#ifndef AUTH_VERIFY_H
#define AUTH_VERIFY_H

#include "auth/auth_setup.h"
#include "auth/seal.h"

/* What every exchange has in common. */
struct verify {
    struct verifier_setup setup;
    uint8_t salt_key[VERIFY_KEY_BYTES]; /* of the salts that nobody has; auth's, the same at every start */
    char dummy[VERIFY_HASH_BYTES];      /* the hash of nobody, at the configured cost: the same work as for a user */
};

/* One message of a client's. */
struct verify_message {
    unsigned mechanism, step;        /* enum mechanism; 0 for the first message */
    struct span exporter, end_point; /* tls-exporter (and tls-unique, store/frames.h) or tls-server-end-point of the
                                        connection; both empty: there is none, and -PLUS was not offered */
    struct span state;               /* as the step before left it; empty at step 0 */
    struct span message;
};

/* What it came to; all is empty before. The buffers are capped at what fits into the frame (SEAL_CLEAR_MAX
 * of state); one that is `full` makes
 * it VERIFY_MALFORMED. */
struct verify_identity {
    enum verify_why why;
    struct buf name, authorization; /* VERIFY_CHECK */
    struct span password; /* VERIFY_CHECK, where the mechanism shows it: a view into what the mechanism keeps */
    struct buf challenge, state; /* VERIFY_CONTINUE */
};

struct verify_credential {
    int64_t id;
    char hash[VERIFY_HASH_BYTES]; /* C string; empty: none */
    struct span scram;            /* VERIFY_SCRAM_BYTES, or empty */
    struct span nt;               /* sealed; empty: none */
};

/* What auth knows of the name: the login's credentials, at most one of which has a slow hash. Nobody: none. */
struct verify_credentials {
    bool real;
    struct span login; /* in its normal form, also of nobody's */
    int64_t user_id;
    bool has_salt;
    uint8_t salt[VERIFY_SALT_BYTES]; /* of the user's SCRAM keys */
    size_t n;
    struct verify_credential list[VERIFY_CREDENTIALS_MAX];
};

/* What the check came to; all is empty before. */
struct verify_result {
    enum verify_why why;
    int64_t credential_id;                 /* VERIFY_LAST, VERIFY_ACCEPTED */
    struct buf challenge, state;           /* VERIFY_GOES_ON; challenge also VERIFY_LAST */
    char new_hash[VERIFY_HASH_BYTES];      /* VERIFY_ACCEPTED: in place of the credential's old one; empty: none */
    uint8_t new_scram[VERIFY_SCRAM_BYTES]; /* likewise; zero: none */
};

struct verify_mechanism {
    enum verify_outcome (*read)(const struct verify *verify, const struct verify_message *message,
                                struct verify_identity *out);
    enum verify_verdict (*check)(const struct verify *verify, const struct verify_credentials *credentials,
                                 struct verify_result *out);
    /* After every check, and whenever none will follow. */
    void (*forget)(void);
};

/* verify_password.c: PLAIN (RFC 4616), LOGIN (draft-murchison-sasl-login). */
extern const struct verify_mechanism verify_plain, verify_login;

/* verify_scram.c: SCRAM-SHA-256 and SCRAM-SHA-256-PLUS (RFC 5802, 7677). */
extern const struct verify_mechanism verify_scram;

/* verify_ntlm.c: NTLM (MS-NLMP). */
extern const struct verify_mechanism verify_ntlm;

#endif
