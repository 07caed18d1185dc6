/* ntlm_proof.h - what the proofs in an NTLMv2 answer are made of (MS-NLMP 3.3.2, 3.4.2), and whether they are right.
 */
#ifndef AUTH_NTLM_PROOF_H
#define AUTH_NTLM_PROOF_H

#include "auth/nt_hash.h"
#include "auth/ntlm.h"

enum { NTLM_KEY_BYTES = 16 };

/* NTOWFv2: under the NT hash, the user in upper case and the domain as it is, both UTF-16. */
void ntlm_proof_key(const uint8_t hash[NT_HASH_BYTES], struct span user, struct span domain,
                    uint8_t key_out[NTLM_KEY_BYTES]);

/* NTProofStr, over the server's challenge and NTLMv2_CLIENT_CHALLENGE. */
void ntlm_proof_make(const uint8_t key[NTLM_KEY_BYTES], struct span server_challenge, struct span client_challenge,
                     uint8_t proof_out[NTLM_PROOF_BYTES]);

/* SessionBaseKey, which without key exchange is ExportedSessionKey: the key of the MIC. */
void ntlm_proof_session_key(const uint8_t key[NTLM_KEY_BYTES], const uint8_t proof[NTLM_PROOF_BYTES],
                            uint8_t session_key_out[NTLM_KEY_BYTES]);

/* MIC (3.1.5.1.2), over the three messages, the last with zeros in the MIC's place. */
void ntlm_proof_mic(const uint8_t session_key[NTLM_KEY_BYTES], const struct ntlm_kept *kept, struct span message,
                    uint8_t mic_out[NTLM_MIC_BYTES]);

/* MsvAvChannelBindings: MD5 of gss_channel_bindings_struct (RFC 2744 3.11) with tls-server-end-point (RFC 5929 4) of
 * this hash as application data. */
void ntlm_proof_binding(struct span end_point, uint8_t binding_out[NTLM_BINDING_BYTES]);

/* Whether the answer comes over the connection whose end point this is (empty: unknown), as far as it says. */
bool ntlm_proof_is_bound(const struct ntlm_answer *answer, struct span end_point) MUST_USE;

/* Whether who made the answer knows the hash, and the messages are as both sides sent them. Takes as long for a wrong
 * hash as for another; a client may leave the domain out of its key (3.2.5.1.2). */
bool ntlm_proof_check(const struct ntlm_answer *answer, const struct ntlm_kept *kept,
                      const uint8_t hash[NT_HASH_BYTES]) MUST_USE;

#endif
