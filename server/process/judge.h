/* judge.h - what certificates and keys are worth, before anybody serves with them. Neither the master nor the command
 * line reads one: a keys process is started to judge, says its verdicts and ends. */
#ifndef SERVER_PROCESS_JUDGE_H
#define SERVER_PROCESS_JUDGE_H

#include "server/process/material.h"
#include "store/frames.h"

struct judge_certificate {
    unsigned certificate, key;      /* enum verdict */
    uint64_t not_before, not_after; /* seconds since 1970; 0 when there is no certificate */
    uint8_t self_signed;
    uint8_t spki[VERDICT_SPKI_BYTES];    /* SHA-256 of its public key, RFC 6698 2.1.2; zero when there is none */
    char names[VERDICT_NAMES_BYTES + 1]; /* its DNS names in lower case, blanks between; those that fit */
};

/* Looks into each pair of the material, in its order; `out` has room for them. False: nobody could. */
bool judge_certificates(const struct conf *conf, const struct material *material,
                        struct judge_certificate *out) MUST_USE;

/* Waits for the verdicts, a few seconds at the most. 0, or -1 when the server cannot use what is there: `errors` has
 * a line "file:line: what" for each. An expired certificate, and that nobody could judge, is a line in `warnings`.
 * `path` names the configuration. */
int judge_material(const struct conf *conf, const char *path, const struct material *material, FILE *errors,
                   FILE *warnings) MUST_USE;

#endif
