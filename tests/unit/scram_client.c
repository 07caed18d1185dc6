/* scram_client.c - RFC 5802 3 from the other side.
 * Runs in: the test runner. Trusts: OpenSSL. Never: uses auth/scram.c. */
#include "tests/unit/scram_client.h"

#include "store/base64.h"

#include <criterion/criterion.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

static void mac(const uint8_t key[32], struct span message, uint8_t out[32]) {
    cr_assert_not_null(HMAC(EVP_sha256(), key, 32, message.p, message.n, out, NULL));
}

struct span scram_client_first(struct scram_client *client, const char *header, const char *name) {
    static unsigned number;
    struct buf b = BUF_OVER(client->first), bare = BUF_OVER(client->bare);
    *client = (struct scram_client){0};
    buf_put_format(&bare, "n=%s,r=nonce-%u", name, ++number);
    buf_put_text(&b, header);
    buf_put_span(&b, buf_span(&bare));
    cr_assert(buf_ok(&b) && buf_ok(&bare) && strlen(header) < sizeof client->header);
    memcpy(client->header, header, strlen(header));
    client->bare[bare.n] = 0;
    return span_of(client->first, b.n);
}

/* "r=", "s=", "i=", up to the comma. */
static struct span value_of(struct span challenge, const char *name) {
    size_t at = 0;
    while (at < challenge.n && !span_equal(span_part(challenge, at, 2), span_text(name)))
        at += span_find(span_from(challenge, at), ',') + 1;
    cr_assert_lt(at, challenge.n, "no %s in the challenge", name);
    return span_part(challenge, at + 2, span_find(span_from(challenge, at + 2), ','));
}

struct span scram_client_final(struct scram_client *client, struct span challenge, const char *password,
                               struct span binding) {
    uint8_t salt_octets[32], salted[32], client_key[32], stored[32], server_key[32], proof[32], channel[512],
        text[2048];
    struct buf salt = BUF_OVER(salt_octets), in = BUF_OVER(channel), message = BUF_OVER(text),
               b = BUF_OVER(client->final);
    uint64_t iterations = 0;
    cr_assert(base64_decode(value_of(challenge, "s="), &salt));
    cr_assert(span_number(value_of(challenge, "i="), 1000000, &iterations));
    cr_assert_eq(PKCS5_PBKDF2_HMAC(password, (int)strlen(password), salt.p, (int)salt.n, (int)iterations,
                                   EVP_sha256(), 32, salted),
                 1);
    mac(salted, SPAN("Client Key"), client_key);
    mac(salted, SPAN("Server Key"), server_key);
    cr_assert_eq(EVP_Digest(client_key, 32, stored, NULL, EVP_sha256(), NULL), 1);
    buf_put_text(&in, client->header);
    buf_put_span(&in, binding);
    buf_put_text(&b, "c=");
    base64_encode(buf_span(&in), &b);
    buf_put_text(&b, ",r=");
    buf_put_span(&b, value_of(challenge, "r="));
    buf_put_text(&message, client->bare);
    buf_put_octet(&message, ',');
    buf_put_span(&message, challenge);
    buf_put_octet(&message, ',');
    buf_put_span(&message, buf_span(&b));
    mac(stored, buf_span(&message), proof);
    mac(server_key, buf_span(&message), client->signature);
    for (size_t i = 0; i < 32; i++) proof[i] ^= client_key[i];
    buf_put_text(&b, ",p=");
    base64_encode(span_of(proof, 32), &b);
    cr_assert(buf_ok(&b) && buf_ok(&in) && buf_ok(&message));
    return buf_span(&b);
}

bool scram_client_believes(const struct scram_client *client, struct span server_final) {
    uint8_t octets[35];
    struct buf b = BUF_OVER(octets);
    return span_equal(span_part(server_final, 0, 2), SPAN("v=")) && base64_decode(span_from(server_final, 2), &b) &&
           span_equal(buf_span(&b), span_of(client->signature, 32));
}
