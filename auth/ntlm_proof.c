/* ntlm_proof.c - HMAC-MD5 and MD5 of NTLMv2.
 * Runs in: verifier. Trusts: nettle; an answer that ntlm_answer_read took. Never: compares a secret octet by octet,
 * leaves a key on the stack. */
#include "auth/ntlm_proof.h"

#include "auth/utf16.h"
#include "store/wire.h"

#include <nettle/hmac.h>
#include <nettle/md5.h>
#include <nettle/memops.h>

enum { MIC_AT = 72, MIC_END = MIC_AT + NTLM_MIC_BYTES };

static void add(struct hmac_md5_ctx *hmac, struct span octets) {
    if (octets.n) hmac_md5_update(hmac, octets.n, octets.p);
}

static void finish(struct hmac_md5_ctx *hmac, uint8_t out[MD5_DIGEST_SIZE]) {
    hmac_md5_digest(hmac, MD5_DIGEST_SIZE, out);
    explicit_bzero(hmac, sizeof *hmac);
}

void ntlm_proof_key(const uint8_t hash[NT_HASH_BYTES], struct span user, struct span domain,
                    uint8_t key_out[NTLM_KEY_BYTES]) {
    struct hmac_md5_ctx hmac;
    uint8_t upper[2 * NTLM_NAME_MAX];
    struct buf b = BUF_OVER(upper);
    utf16_upper(user, &b);
    hmac_md5_set_key(&hmac, NT_HASH_BYTES, hash);
    add(&hmac, buf_span(&b));
    add(&hmac, domain);
    finish(&hmac, key_out);
}

void ntlm_proof_make(const uint8_t key[NTLM_KEY_BYTES], struct span server_challenge, struct span client_challenge,
                     uint8_t proof_out[NTLM_PROOF_BYTES]) {
    struct hmac_md5_ctx hmac;
    hmac_md5_set_key(&hmac, NTLM_KEY_BYTES, key);
    add(&hmac, server_challenge);
    add(&hmac, client_challenge);
    finish(&hmac, proof_out);
}

void ntlm_proof_session_key(const uint8_t key[NTLM_KEY_BYTES], const uint8_t proof[NTLM_PROOF_BYTES],
                            uint8_t session_key_out[NTLM_KEY_BYTES]) {
    ntlm_proof_make(key, span_of(proof, NTLM_PROOF_BYTES), span_of(NULL, 0), session_key_out);
}

void ntlm_proof_mic(const uint8_t session_key[NTLM_KEY_BYTES], const struct ntlm_kept *kept, struct span message,
                    uint8_t mic_out[NTLM_MIC_BYTES]) {
    static const uint8_t zeros[NTLM_MIC_BYTES];
    struct hmac_md5_ctx hmac;
    hmac_md5_set_key(&hmac, NTLM_KEY_BYTES, session_key);
    add(&hmac, kept->negotiate);
    add(&hmac, kept->challenge);
    add(&hmac, span_part(message, 0, MIC_AT));
    add(&hmac, span_of(zeros, sizeof zeros));
    add(&hmac, span_from(message, MIC_END));
    finish(&hmac, mic_out);
}

void ntlm_proof_binding(struct span end_point, uint8_t binding_out[NTLM_BINDING_BYTES]) {
    static const struct span prefix = {(const uint8_t *)"tls-server-end-point:", 21};
    uint8_t storage[20];
    struct buf b = BUF_OVER(storage);
    struct md5_ctx md5;
    /* Neither side's address: a type of zero and no octets, twice. */
    for (int i = 0; i < 4; i++) wire_put_u32(&b, 0);
    wire_put_u32(&b, (uint32_t)(prefix.n + end_point.n));
    md5_init(&md5);
    md5_update(&md5, b.n, b.p);
    md5_update(&md5, prefix.n, prefix.p);
    if (end_point.n) md5_update(&md5, end_point.n, end_point.p);
    md5_digest(&md5, NTLM_BINDING_BYTES, binding_out);
}

bool ntlm_proof_is_bound(const struct ntlm_answer *answer, struct span end_point) {
    uint8_t expected[NTLM_BINDING_BYTES];
    if (answer->binding.n == 0) return true;
    ntlm_proof_binding(end_point, expected);
    return end_point.n && memeql_sec(expected, answer->binding.p, sizeof expected);
}

static bool check_for(const struct ntlm_answer *answer, const struct ntlm_kept *kept,
                      const uint8_t hash[NT_HASH_BYTES], struct span domain) {
    uint8_t key[NTLM_KEY_BYTES], proof[NTLM_PROOF_BYTES], session_key[NTLM_KEY_BYTES], mic[NTLM_MIC_BYTES];
    bool ok;
    ntlm_proof_key(hash, answer->user, domain, key);
    ntlm_proof_make(key, ntlm_server_challenge(kept->challenge), answer->client_challenge, proof);
    ok = memeql_sec(proof, answer->proof.p, sizeof proof);
    ntlm_proof_session_key(key, proof, session_key);
    if (answer->has_mic) {
        ntlm_proof_mic(session_key, kept, answer->message, mic);
        ok = memeql_sec(mic, answer->message.p + MIC_AT, sizeof mic) && ok;
    }
    explicit_bzero(key, sizeof key);
    explicit_bzero(proof, sizeof proof);
    explicit_bzero(session_key, sizeof session_key);
    explicit_bzero(mic, sizeof mic);
    return ok;
}

bool ntlm_proof_check(const struct ntlm_answer *answer, const struct ntlm_kept *kept,
                      const uint8_t hash[NT_HASH_BYTES]) {
    bool ok = check_for(answer, kept, hash, answer->domain);
    /* "NTLM servers SHOULD support NTLM clients which incorrectly use NIL for the UserDom". */
    bool nil = check_for(answer, kept, hash, span_of(NULL, 0));
    return ok || nil;
}
