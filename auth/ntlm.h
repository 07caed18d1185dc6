/* ntlm.h - the three messages of NTLM (MS-NLMP 2.2.1) as a server meets them: NTLMv2 and nothing older, Unicode,
 * without session security. Numbers are little-endian, texts UTF-16. What is in the messages proves nothing yet: that
 * is auth/ntlm_proof.h. */
#ifndef AUTH_NTLM_H
#define AUTH_NTLM_H

#include "store/buf.h"

enum {
    NTLM_SERVER_CHALLENGE_BYTES = 8,
    NTLM_PROOF_BYTES = 16,
    NTLM_MIC_BYTES = 16,
    NTLM_BINDING_BYTES = 16,
    NTLM_NEGOTIATE_MAX = 384, /* both are kept until the client answers: the MIC is over them */
    NTLM_CHALLENGE_MAX = 378, /* in base64 within the 512 octets of a reply line, RFC 5321 4.5.3.1.5: RFC 4954 4 lets
                                 it be longer, but whoever uses NTLM is old */
    NTLM_KEPT_MAX = 8 + NTLM_NEGOTIATE_MAX + NTLM_CHALLENGE_MAX,
    NTLM_NAME_MAX = 255 /* UTF-16 units of a user or domain */
};

/* A client's first message, at most NTLM_NEGOTIATE_MAX. The names that it may hold are not read: they are in the
 * answer again. False: it is none. */
bool ntlm_negotiate_read(struct span message, uint32_t *flags_out) MUST_USE;

/* What a CHALLENGE_MESSAGE is made of. */
struct ntlm_challenge {
    uint32_t flags;       /* the client's, of its first message */
    struct span hostname; /* of ASCII; its first label, cut to 15 octets, is the NetBIOS name */
    uint8_t server_challenge[NTLM_SERVER_CHALLENGE_BYTES];
    uint64_t wall_ms;
};

/* Appends at most NTLM_CHALLENGE_MAX octets: of a very long hostname the DNS names, which are optional, stay out. */
void ntlm_challenge_put(struct buf *out, const struct ntlm_challenge *challenge);

/* What is kept until the client answers, in at most NTLM_KEPT_MAX octets. */
struct ntlm_kept {
    struct span negotiate, challenge;
};
void ntlm_kept_put(struct buf *out, const struct ntlm_kept *kept);
bool ntlm_kept_get(struct span octets, struct ntlm_kept *out) MUST_USE;

enum ntlm_answer_kind {
    NTLM_MALFORMED = 0,
    NTLM_OLD,       /* LM or NTLMv1 */
    NTLM_ANONYMOUS, /* of nobody */
    NTLM_V2
};

/* An AUTHENTICATE_MESSAGE; views into it. */
struct ntlm_answer {
    struct span message;
    struct span user, domain;     /* UTF-16, well formed; user is not empty in V2 */
    struct span proof;            /* NTLM_PROOF_BYTES */
    struct span client_challenge; /* NTLMv2_CLIENT_CHALLENGE (2.2.2.7): what the proof is over */
    struct span binding;          /* MsvAvChannelBindings; empty: none, or zero, which means none */
    bool has_mic;                 /* MsvAvFlags says that the message has one */
};

/* Refuses any offset and length that is not within the message; buffers may overlap and have any order (2.2.1). What
 * the client repeats of the challenge's AV pairs must be as they were: both NetBIOS names, and the time where it is
 * there. Only of V2 is all of *out set. */
enum ntlm_answer_kind ntlm_answer_read(struct span message, const struct ntlm_kept *kept,
                                       struct ntlm_answer *out) MUST_USE;

/* Appends who logs in, in UTF-8: `user` when an @ is in it; user@domain when the domain looks like one of the DNS (it
 * has a dot); `user` alone when it does not: clients put their own machine's or workgroup's name there when they were
 * given none. False: it cannot be a name (auth/sasl.h). */
bool ntlm_answer_login(const struct ntlm_answer *answer, struct buf *out) MUST_USE;

/* The NTLM_SERVER_CHALLENGE_BYTES in a message that ntlm_challenge_put wrote. */
struct span ntlm_server_challenge(struct span challenge);

#endif
