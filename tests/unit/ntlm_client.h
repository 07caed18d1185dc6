/* ntlm_client.h - the client's side of NTLMv2, as units and fuzzers need it: right, or wrong where they say so. */
#ifndef TESTS_UNIT_NTLM_CLIENT_H
#define TESTS_UNIT_NTLM_CLIENT_H

#include "auth/ntlm_proof.h"

enum {
    NTLM_CLIENT_FLAGS = 0x20088205, /* Unicode, target, NTLM, always sign, extended security, 128 */
    NTLM_CLIENT_OEM = 0x00088206    /* as curl has it: asks for OEM, and goes along with Unicode */
};

struct ntlm_client {
    const char *user, *domain, *password; /* UTF-8 */
    bool domain_not_in_key;               /* 3.2.5.1.2: clients that leave it out */
    bool mic;
    const uint8_t *binding; /* NTLM_BINDING_BYTES; NULL: no such pair */
    uint32_t flags;         /* of the answer; 0: NTLM_CLIENT_FLAGS */
    struct span pairs;      /* in place of the challenge's, when not empty */
    struct span nt;         /* in place of an NTLMv2 response, when not empty */
    size_t lm_n;            /* octets of LM response */
};

void ntlm_client_negotiate(struct buf *out, uint32_t flags);
void ntlm_client_answer(struct buf *out, const struct ntlm_client *client, struct span negotiate,
                        struct span challenge);

/* The AV pairs of a challenge. */
struct span ntlm_client_pairs(struct span challenge);

#endif
