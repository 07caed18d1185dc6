/* scram.h - the server's side of SCRAM-SHA-256 and SCRAM-SHA-256-PLUS: RFC 5802, 7677, with the channel bindings
 * tls-exporter (RFC 9266), tls-unique (RFC 5929 3, for TLS 1.2) and tls-server-end-point (RFC 5929 4). Messages in
 * and out, keys; no clock, no dice, no I/O.
 *
 *     client-first:  gs2-header "n=" name ",r=" nonce            scram_first_read, scram_first_binds
 *     server-first:  "r=" nonce, ours appended ",s=" salt ",i="  scram_put_challenge
 *     client-final:  "c=" gs2-header and binding ",r=" ",p="     scram_final_read, scram_final_fits, scram_prove
 *     server-final:  "v=" signature                              written by scram_prove */
#ifndef AUTH_SCRAM_H
#define AUTH_SCRAM_H

#include "auth/sasl.h"
#include "auth/scram_hash.h"
#include "store/buf.h"

enum {
    SCRAM_ITERATIONS = 10000, /* of all users: RFC 7677 4 asks for 4096 at least */
    SCRAM_FIRST_MAX = 768,    /* client-first: two names of 255 octets, a nonce, a binding's name */
    SCRAM_CHALLENGE_MAX = 256,
    SCRAM_FINAL_MAX = 1024,
    SCRAM_NONCE_MAX = 128, /* the client's part */
    SCRAM_OUR_NONCE_BYTES = 24,
    SCRAM_OUR_NONCE_MAX = 32, /* its text, by base64 */
    SCRAM_BINDING_MAX = 64
};

/* What is kept of a password. The first scram_hash_bytes of each. */
struct scram_keys {
    uint8_t stored[SCRAM_HASH_BYTES], server[SCRAM_HASH_BYTES];
};

/* From a prepared password (prepare.h); the salt is its user's. */
void scram_keys_make(struct span password, struct span salt, uint32_t iterations, struct scram_keys *out);

/* A client-first. Views into the message, and the two names as they are meant: =2C and =3D undone. */
struct scram_first {
    struct span header, bare, nonce, binding; /* binding: the type that flag p names */
    uint8_t flag;                             /* n: no channel binding; y: the server seems to have none; p: used */
    uint8_t name[SASL_PART_MAX], authorization[SASL_PART_MAX];
    size_t name_n, authorization_n; /* of authorization 0: as the name */
};

/* False when malformed: RFC 5802 7, with the caps above; for mandatory extensions (m=), and for an attribute of
 * RFC 5802 out of its place. Unknown extensions after the nonce are ignored. */
bool scram_first_read(struct span message, struct scram_first *out) MUST_USE;

/* The channel's bindings; empty: it has none of that type. At most SCRAM_BINDING_MAX octets each. */
struct scram_bindings {
    struct span exporter, unique, end_point;
};

/* Whether the flag goes with the mechanism and with the channel (RFC 5802 6): y where we have bindings is a downgrade
 * by somebody between; a type that this channel lacks is refused. */
bool scram_first_binds(const struct scram_first *first, bool plus, const struct scram_bindings *bindings) MUST_USE;

/* What is remembered between client-first and client-final. */
struct scram_state {
    uint8_t first[SCRAM_FIRST_MAX], nonce[SCRAM_OUR_NONCE_MAX], salt[SCRAM_SALT_BYTES];
    size_t first_n, nonce_n, salt_n;
    uint32_t iterations;
};

/* False when a part does not fit. `nonce`: our part, printable without comma. */
bool scram_state_make(struct scram_state *out, struct span first, struct span nonce, struct span salt,
                      uint32_t iterations) MUST_USE;
void scram_state_put(struct buf *b, const struct scram_state *state);
bool scram_state_get(struct scram_state *out, struct span octets) MUST_USE;

/* Our part of the nonce from SCRAM_OUR_NONCE_BYTES random octets. */
void scram_put_nonce(const uint8_t dice[SCRAM_OUR_NONCE_BYTES], struct buf *out);

/* Appends server-first. */
void scram_put_challenge(const struct scram_state *state, const struct scram_first *first, struct buf *out);

/* A client-final. */
struct scram_final {
    struct span channel, nonce, without_proof; /* views; channel is base64 */
    uint8_t proof[SCRAM_HASH_BYTES];
};
bool scram_final_read(struct span message, struct scram_final *out) MUST_USE;

/* Whether c= is the header of client-first with the channel's binding, and r= both nonces, octet for octet. */
bool scram_final_fits(const struct scram_final *final, const struct scram_state *state,
                      const struct scram_first *first, const struct scram_bindings *bindings) MUST_USE;

/* Which of n keys the proof is made with, and server-final by it appended to `out`; n: none, nothing appended. All
 * are tried, whichever fits. */
size_t scram_prove(const struct scram_final *final, const struct scram_state *state, const struct scram_first *first,
                   const struct scram_keys *keys, size_t n, struct buf *out) MUST_USE;

#endif
