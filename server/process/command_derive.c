/* command_derive.c - hashes and keys of a new password.
 * Runs in: the command line. Trusts: whoever types it. Never: keeps or sends a password. */
#include "server/process/command_derive.h"

#include "auth/password.h"
#include "auth/password_app.h"
#include "auth/scram.h"
#include "server/process/nt_key.h"
#include "store/base64.h"

#include <errno.h>
#include <stdio.h>

_Static_assert(sizeof((struct scram_keys){0}.stored) == 32 && CREDENTIAL_SCRAM_BYTES == 64,
               "one key behind the other");

static void put_text(char *out, size_t size, struct span octets) {
    struct buf b = buf_over(out, size - 1);
    base64_encode(octets, &b);
    out[b.n] = 0;
}

static void derive_scram(const struct command_enrolment *enrolment, const struct secret *password,
                         struct command_derived *out) {
    struct scram_keys keys;
    uint8_t octets[CREDENTIAL_SCRAM_BYTES];
    struct span salt = span_of(enrolment->salt, sizeof enrolment->salt);
    scram_keys_make(secret_span(password), salt, SCRAM_ITERATIONS, &keys);
    memcpy(octets, keys.stored, 32);
    memcpy(octets + 32, keys.server, 32);
    put_text(out->salt, sizeof out->salt, salt);
    put_text(out->scram, sizeof out->scram, span_of(octets, sizeof octets));
    explicit_bzero(&keys, sizeof keys);
    explicit_bzero(octets, sizeof octets);
}

/* Sealed for this user with the key of this host. */
static int derive_nt(const struct conf *conf, const struct command_enrolment *enrolment,
                     const struct secret *password, struct command_derived *out) {
    uint8_t key[NT_KEY_BYTES], hash[NT_HASH_BYTES], sealed[NT_SEALED_BYTES];
    bool keyed = nt_key_get(conf, key) == 0;
    if (!keyed) fprintf(stderr, "gatepost: %s/auth/" NT_KEY_FILE ": %s\n", conf->state_directory, nt_key_why(errno));
    bool made = keyed && nt_hash_make(secret_span(password), hash) &&
                nt_hash_seal(key, span_text(enrolment->login), hash, sealed);
    if (made)
        put_text(out->nt, sizeof out->nt, span_of(sealed, sizeof sealed));
    else if (keyed)
        fputs("gatepost: the NT hash could not be made\n", stderr);
    explicit_bzero(key, sizeof key);
    explicit_bzero(hash, sizeof hash);
    return made ? 0 : -1;
}

int command_derive(const struct conf *conf, const struct command_enrolment *enrolment, const struct secret *password,
                   bool app, struct command_derived *out) {
    *out = (struct command_derived){0};
    int result = app ? password_app_hash(secret_span(password), out->hash)
                     : password_hash(secret_span(password), conf->auth.argon2_memory_bytes, conf->auth.argon2_passes,
                                     out->hash);
    if (result != 0) {
        fputs("gatepost: the password could not be hashed: too little memory\n", stderr);
        return -1;
    }
    derive_scram(enrolment, password, out);
    return enrolment->spa ? derive_nt(conf, enrolment, password, out) : 0;
}
