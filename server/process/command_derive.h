/* command_derive.h - what is derived of a new password: it does not travel itself. */
#ifndef SERVER_PROCESS_COMMAND_DERIVE_H
#define SERVER_PROCESS_COMMAND_DERIVE_H

#include "auth/credential.h"
#include "conf/conf.h"
#include "store/secret.h"

/* Whom it is for, as auth has told; or of a user who is to be made, with a salt of ours. */
struct command_enrolment {
    char login[ADDRESS_MAX + 1]; /* in its normal form */
    uint8_t salt[ACCOUNT_SALT_BYTES];
    bool spa; /* an NT hash is wanted too */
};

/* As arguments of a request (auth/account_control.h): C strings, `nt` empty when none is wanted. To be wiped. */
struct command_derived {
    char hash[VERIFY_HASH_BYTES], salt[32], scram[96], nt[160];
};

/* Of a prepared password. `app`: one that was drawn, whose hash is a fast one. -1 after saying why. */
int command_derive(const struct conf *conf, const struct command_enrolment *enrolment, const struct secret *password,
                   bool app, struct command_derived *out) MUST_USE;

#endif
