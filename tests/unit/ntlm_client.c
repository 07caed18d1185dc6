/* ntlm_client.c - NTLMv2's messages, made.
 * Runs in: units, fuzzers. Trusts: a challenge of ours. Never: is an independent proof: vectors and real clients are.
 */
#include "tests/unit/ntlm_client.h"

#include "auth/utf16.h"
#include "store/wire.h"

#include <stdlib.h>

enum { FIXED = 64, WITH_MIC = 88, FIELDS = 6 };

static const uint8_t signature[8] = "NTLMSSP";

void ntlm_client_negotiate(struct buf *out, uint32_t flags) {
    buf_put(out, signature, sizeof signature);
    wire_put_u32(out, 1);
    wire_put_u32(out, flags);
    for (int i = 0; i < 2; i++) wire_put_u32(out, 0), wire_put_u32(out, 32);
}

struct span ntlm_client_pairs(struct span challenge) {
    struct wire w = wire_over(span_from(challenge, 40));
    size_t n = wire_get_u16(&w);
    (void)wire_get_u16(&w);
    return span_part(challenge, wire_get_u32(&w), n);
}

/* The challenge's pairs but for their end, then the client's own. */
static void put_pairs(struct buf *b, const struct ntlm_client *client, struct span challenge) {
    struct span theirs = ntlm_client_pairs(challenge);
    if (client->pairs.n) {
        buf_put_span(b, client->pairs);
        return;
    }
    buf_put_span(b, span_part(theirs, 0, theirs.n - 4));
    if (client->mic) wire_put_u16(b, 6), wire_put_u16(b, 4), wire_put_u32(b, 2);
    if (client->binding) wire_put_u16(b, 10), wire_put_u16(b, 16), buf_put(b, client->binding, NTLM_BINDING_BYTES);
    wire_put_u32(b, 0);
    wire_put_u32(b, 0);
}

static void put_client_challenge(struct buf *b, const struct ntlm_client *client, struct span challenge) {
    wire_put_u32(b, 0x0101);
    wire_put_u32(b, 0);
    wire_put_u64(b, 0x01d0000000000000);
    wire_put_u64(b, 0xaaaaaaaaaaaaaaaa);
    wire_put_u32(b, 0);
    put_pairs(b, client, challenge);
}

void ntlm_client_answer(struct buf *out, const struct ntlm_client *client, struct span negotiate,
                        struct span challenge) {
    static const uint8_t zeros[64];
    uint8_t hash[NT_HASH_BYTES], key[NTLM_KEY_BYTES], proof[NTLM_PROOF_BYTES], mic[NTLM_MIC_BYTES];
    uint8_t user_octets[1024], domain_octets[1024], blob_octets[2048], nt_octets[2048];
    struct buf user = BUF_OVER(user_octets), domain = BUF_OVER(domain_octets), blob = BUF_OVER(blob_octets),
               nt = BUF_OVER(nt_octets);
    if (!nt_hash_make(span_text(client->password), hash) || !utf16_from_utf8(span_text(client->user), &user) ||
        !utf16_from_utf8(span_text(client->domain), &domain))
        abort();
    put_client_challenge(&blob, client, challenge);
    ntlm_proof_key(hash, buf_span(&user), span_part(buf_span(&domain), 0, client->domain_not_in_key ? 0 : domain.n),
                   key);
    ntlm_proof_make(key, ntlm_server_challenge(challenge), buf_span(&blob), proof);
    buf_put(&nt, proof, sizeof proof);
    buf_put_span(&nt, buf_span(&blob));
    if (client->nt.p) nt.n = 0, buf_put_span(&nt, client->nt);
    struct span parts[FIELDS] = {span_of(zeros, client->lm_n),
                                 buf_span(&nt),
                                 buf_span(&domain),
                                 buf_span(&user),
                                 span_of(zeros, 0),
                                 span_of(zeros, 0)};
    size_t at = WITH_MIC, begin = out->n;
    buf_put(out, signature, sizeof signature);
    wire_put_u32(out, 3);
    for (size_t i = 0; i < FIELDS; i++) {
        wire_put_u16(out, (uint16_t)parts[i].n), wire_put_u16(out, (uint16_t)parts[i].n);
        wire_put_u32(out, (uint32_t)at);
        at += parts[i].n;
    }
    wire_put_u32(out, client->flags ? client->flags : NTLM_CLIENT_FLAGS);
    buf_put(out, zeros, WITH_MIC - FIXED);
    for (size_t i = 0; i < FIELDS; i++) buf_put_span(out, parts[i]);
    if (!client->mic || !buf_ok(out)) return;
    struct ntlm_kept kept = {negotiate, challenge};
    ntlm_proof_session_key(key, proof, key);
    ntlm_proof_mic(key, &kept, span_from(buf_span(out), begin), mic);
    memcpy(out->p + begin + 72, mic, sizeof mic);
}
