/* fuzz_scram.c - SCRAM's messages as they come, and whole exchanges with a client of another making, of which one
 * octet is changed at the end. Runs in: fuzzing. Trusts: OpenSSL, as the client. Never: believes a proof of another
 * password or another message. */
#include "auth/scram.h"
#include "store/base64.h"
#include "store/secret.h"
#include "tests/fuzz/fuzz.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

enum { KEYS = 3, TEXT_MAX = 4096 };

/* ---- messages alone */

static void put_name(struct buf *b, struct span name) {
    for (size_t i = 0; i < name.n; i++)
        if (name.p[i] == ',')
            buf_put_text(b, "=2C");
        else if (name.p[i] == '=')
            buf_put_text(b, "=3D");
        else
            buf_put_octet(b, name.p[i]);
}

/* What is read is all of the message, and the names have one written form. */
static void first_alone(struct span message) {
    static uint8_t storage[TEXT_MAX];
    static struct scram_first first;
    struct buf b = BUF_OVER(storage);
    if (!scram_first_read(message, &first)) return;
    HOLDS(first.header.p == message.p && first.bare.p == message.p + first.header.n);
    HOLDS(first.header.n + first.bare.n == message.n && message.n <= SCRAM_FIRST_MAX);
    HOLDS(first.name_n > 0 && first.nonce.n > 0 && first.nonce.n <= SCRAM_NONCE_MAX);
    HOLDS((first.flag == 'p') == (first.binding.n > 0));
    if (first.flag == 'p')
        buf_put_text(&b, "p="), buf_put_span(&b, first.binding);
    else
        buf_put_octet(&b, first.flag);
    buf_put_octet(&b, ',');
    if (first.authorization_n) buf_put_text(&b, "a=");
    put_name(&b, span_of(first.authorization, first.authorization_n));
    buf_put_text(&b, ",n=");
    put_name(&b, span_of(first.name, first.name_n));
    buf_put_text(&b, ",r=");
    buf_put_span(&b, first.nonce);
    HOLDS(buf_ok(&b) && span_equal(buf_span(&b), span_part(message, 0, b.n)));
    HOLDS(b.n == message.n || message.p[b.n] == ',');
    for (size_t i = b.n; i + 1 < message.n; i++) HOLDS(message.p[i] != ',' || message.p[i + 1] != 'm');
    struct scram_bindings none = {0}, exporter = {.exporter = SPAN("x")};
    HOLDS(scram_first_binds(&first, false, &none) == (first.flag != 'p') && !scram_first_binds(&first, true, &none));
    HOLDS(scram_first_binds(&first, false, &exporter) == (first.flag == 'n'));
}

static void final_alone(struct span message) {
    static struct scram_final final;
    if (!scram_final_read(message, &final)) return;
    struct span end = span_from(message, final.without_proof.n);
    HOLDS(end.n == 47 && span_equal(span_part(end, 0, 3), SPAN(",p=")));
    HOLDS(final.channel.p == message.p + 2 && final.nonce.p == message.p + final.channel.n + 5);
}

static void state_alone(struct span octets) {
    static struct scram_state state, again;
    static uint8_t storage[TEXT_MAX];
    struct buf b = BUF_OVER(storage);
    if (!scram_state_get(&state, octets)) return;
    scram_state_put(&b, &state);
    HOLDS(span_equal(buf_span(&b), octets) && scram_state_get(&again, buf_span(&b)));
}

/* ---- whole exchanges */

struct client {
    uint8_t key[32], stored[32], server[32];
};

static void mac(const uint8_t key[32], struct span message, uint8_t out[32]) {
    HOLDS(HMAC(EVP_sha256(), key, 32, message.p, message.n, out, NULL));
}

static void client_make(struct client *out, struct span password, const uint8_t salt[16], uint32_t iterations) {
    uint8_t salted[32];
    const char *text = password.n ? (const char *)password.p : "";
    HOLDS(PKCS5_PBKDF2_HMAC(text, (int)password.n, salt, 16, (int)iterations, EVP_sha256(), 32, salted) == 1);
    mac(salted, SPAN("Client Key"), out->key);
    HOLDS(EVP_Digest(out->key, 32, out->stored, NULL, EVP_sha256(), NULL) == 1);
    mac(salted, SPAN("Server Key"), out->server);
}

/* Client-first from the input; its name and nonce are such as a client may have. */
static bool put_first(struct buf *b, uint8_t kind, struct span *in) {
    static const char *const headers[] = {"n", "y", "p=tls-exporter", "p=tls-server-end-point", "p=tls-unique"};
    struct span authorization = fuzz_line(in), name = fuzz_line(in), nonce = fuzz_line(in), extension = fuzz_line(in);
    buf_put_text(b, headers[kind]);
    buf_put_octet(b, ',');
    if (authorization.n) buf_put_text(b, "a="), put_name(b, authorization);
    buf_put_text(b, ",n=");
    put_name(b, name);
    buf_put_text(b, ",r=x");
    for (size_t i = 0; i < nonce.n; i++) buf_put_octet(b, (uint8_t)('-' + nonce.p[i] % 64));
    bool good = buf_ok(b) && b->n <= SCRAM_FIRST_MAX && nonce.n < SCRAM_NONCE_MAX && sasl_name(name) &&
                (authorization.n == 0 || sasl_name(authorization));
    if (extension.n) {
        buf_put_text(b, ",x=y,");
        buf_put_span(b, extension);
    }
    struct scram_first first;
    HOLDS(extension.n || scram_first_read(buf_span(b), &first) == good);
    return buf_ok(b) && scram_first_read(buf_span(b), &first);
}

static void put_final(struct buf *b, const struct client *client, const struct scram_first *first,
                      struct span binding, struct span challenge, struct span extension) {
    static uint8_t storage[TEXT_MAX], decoded[TEXT_MAX];
    struct buf message = BUF_OVER(storage), channel = BUF_OVER(decoded);
    uint8_t signature[32];
    buf_put_span(&channel, first->header);
    if (first->flag == 'p') buf_put_span(&channel, binding);
    buf_put_text(b, "c=");
    base64_encode(buf_span(&channel), b);
    buf_put_octet(b, ',');
    buf_put_span(b, span_part(challenge, 0, span_find(challenge, ',')));
    if (extension.n) buf_put_text(b, ",Q="), buf_put_span(b, extension);
    buf_put_span(&message, first->bare);
    buf_put_octet(&message, ',');
    buf_put_span(&message, challenge);
    buf_put_octet(&message, ',');
    buf_put_span(&message, buf_span(b));
    HOLDS(buf_ok(&message));
    mac(client->stored, buf_span(&message), signature);
    for (size_t i = 0; i < 32; i++) signature[i] ^= client->key[i];
    buf_put_text(b, ",p=");
    base64_encode(span_of(signature, 32), b);
}

static bool proves(struct span message, const struct scram_state *state, const struct scram_first *first,
                   const struct scram_bindings *bindings, const struct scram_keys *keys, size_t wanted) {
    static struct scram_final final;
    static uint8_t storage[TEXT_MAX];
    struct buf b = BUF_OVER(storage);
    if (!scram_final_read(message, &final) || !scram_final_fits(&final, state, first, bindings)) return false;
    size_t found = scram_prove(&final, state, first, keys, KEYS, &b);
    HOLDS(found == wanted || found == KEYS);
    HOLDS(buf_ok(&b) && (found == KEYS) == (b.n == 0));
    return found == wanted;
}

static void exchange(struct span in) {
    static uint8_t text[TEXT_MAX], between[1024], reply[SCRAM_CHALLENGE_MAX], answer[TEXT_MAX];
    static uint8_t noise[SCRAM_BINDING_MAX], other[SCRAM_BINDING_MAX];
    static struct scram_state made, state;
    static struct scram_first first;
    struct buf message = BUF_OVER(text), kept = BUF_OVER(between), challenge = BUF_OVER(reply), b = BUF_OVER(answer);
    uint8_t salt[16] = {fuzz_octet(&in)}, dice[SCRAM_OUR_NONCE_BYTES] = {fuzz_octet(&in)}, nonce[SCRAM_OUR_NONCE_MAX];
    struct buf ours = BUF_OVER(nonce);
    uint8_t kind = fuzz_octet(&in) % 5; /* of put_first's headers */
    uint32_t iterations = 1 + fuzz_octet(&in) % 3U;
    size_t which = fuzz_octet(&in) % KEYS, place = fuzz_octet(&in) * 8U, binding_n = 1 + fuzz_octet(&in) % 64U;
    uint8_t change = fuzz_octet(&in);
    noise[0] = fuzz_octet(&in), other[0] = (uint8_t)~noise[0];
    struct scram_bindings bindings = {0};
    if (kind != 1)
        bindings = (struct scram_bindings){span_of(noise, binding_n), span_of(other, 12), span_of(other, 32)};
    struct span binding = kind == 2   ? bindings.exporter
                          : kind == 3 ? bindings.end_point
                                      : bindings.unique,
                password = fuzz_line(&in);
    if (password.n > 255 || !put_first(&message, kind, &in)) return;
    HOLDS(scram_first_read(buf_span(&message), &first));
    HOLDS(scram_first_binds(&first, kind > 1, &bindings) && !scram_first_binds(&first, kind < 2, &bindings));
    scram_put_nonce(dice, &ours);
    HOLDS(scram_state_make(&made, buf_span(&message), buf_span(&ours), span_of(salt, sizeof salt), iterations));
    scram_state_put(&kept, &made);
    HOLDS(buf_ok(&kept) && scram_state_get(&state, buf_span(&kept)));
    HOLDS(scram_first_read(span_of(state.first, state.first_n), &first));
    scram_put_challenge(&state, &first, &challenge);
    HOLDS(buf_ok(&challenge));

    struct client client;
    struct scram_keys keys[KEYS];
    client_make(&client, password, salt, iterations);
    scram_keys_make(password, span_of(salt, sizeof salt), iterations, &keys[which]);
    HOLDS(memcmp(keys[which].stored, client.stored, 32) == 0 && memcmp(keys[which].server, client.server, 32) == 0);
    for (size_t i = 0; i < KEYS; i++)
        if (i != which) keys[i] = keys[which], keys[i].stored[i] ^= 1;
    struct span extension = span_part(fuzz_line(&in), 0, SCRAM_FINAL_MAX);
    put_final(&b, &client, &first, binding, buf_span(&challenge), extension);
    HOLDS(buf_ok(&b));
    bool whole = proves(buf_span(&b), &state, &first, &bindings, keys, which);
    HOLDS(whole || extension.n || b.n > SCRAM_FINAL_MAX);

    /* One octet is another, or the channel is. */
    if (change) {
        answer[place % b.n] ^= change;
        HOLDS(!proves(buf_span(&b), &state, &first, &bindings, keys, which));
        answer[place % b.n] ^= change;
    }
    noise[binding_n - 1] ^= 1, other[11] ^= 1;
    HOLDS(proves(buf_span(&b), &state, &first, &bindings, keys, which) == (whole && first.flag != 'p'));
    noise[binding_n - 1] ^= 1, other[11] ^= 1;
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n) {
    struct span in = span_of(p, n);
    switch (fuzz_octet(&in)) {
    case 'x':
        exchange(in);
        break;
    case 's':
        state_alone(in);
        break;
    default:
        first_alone(in);
        final_alone(in);
    }
    return 0;
}
