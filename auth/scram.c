/* scram.c - SCRAM's grammar (RFC 5802 7) and arithmetic (RFC 5802 3).
 * Runs in: verifier, command line. Trusts: nothing in a message. Never: draws a nonce, stops at the key that fits,
 * lets a client bind to a channel that is not its own. */
#include "auth/scram.h"

#include "auth/utf8.h"
#include "store/base64.h"
#include "store/secret.h"
#include "store/wire.h"

_Static_assert((int)SCRAM_FINAL_MAX <= (int)SECRET_MAX, "auth hands on no longer message");
_Static_assert((SCRAM_OUR_NONCE_BYTES + 2) / 3 * 4 <= SCRAM_OUR_NONCE_MAX, "our nonce fits");
_Static_assert(SCRAM_NONCE_MAX + SCRAM_OUR_NONCE_MAX + (SCRAM_SALT_BYTES + 2) / 3 * 4 + 20 <= SCRAM_CHALLENGE_MAX,
               "r=, s= and i= with ten digits fit");

/* ---- fields */

/* Cuts off what is before the next comma. Whether there was one: another field follows. */
static bool take_field(struct span *rest, struct span *field) {
    size_t comma = span_find(*rest, ',');
    bool more = comma < rest->n;
    *field = span_part(*rest, 0, comma);
    *rest = span_from(*rest, comma + 1);
    return more;
}

/* The value of an attribute of this name, which is not empty. */
static bool value_of(struct span field, char name, struct span *value) {
    *value = span_from(field, 2);
    return field.n > 2 && field.p[0] == (uint8_t)name && field.p[1] == '=';
}

/* An attribute that RFC 5802 does not know, to be ignored; m= is known, and refused (5.1). */
static bool is_extension(struct span field) {
    static const char known[] = "anmrcsipve";
    struct span value;
    if (field.n == 0) return false;
    uint8_t name = field.p[0], lower = octet_lower(name);
    return lower >= 'a' && lower <= 'z' && !memchr(known, name, sizeof known - 1) &&
           value_of(field, (char)name, &value);
}

/* UTF-8 without NUL: what value-char leaves of the octets. */
static bool is_text(struct span s) {
    while (s.n) {
        size_t step = utf8_step(s);
        if (step == 0 || s.p[0] == 0) return false;
        s = span_from(s, step);
    }
    return true;
}

static bool is_printable(struct span s) {
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] < 0x21 || s.p[i] > 0x7e || s.p[i] == ',') return false;
    return s.n > 0;
}

/* A saslname: = stands before 2C or 3D only. */
static bool read_name(struct span value, uint8_t out[SASL_PART_MAX], size_t *n_out) {
    struct buf b = buf_over(out, SASL_PART_MAX);
    for (size_t i = 0; i < value.n; i++) {
        struct span code = span_part(value, i, 3);
        bool comma = span_equal(code, SPAN("=2C")), equals = span_equal(code, SPAN("=3D"));
        if (value.p[i] == '=' && !comma && !equals) return false;
        buf_put_octet(&b, comma ? (uint8_t)',' : value.p[i]);
        if (comma || equals) i += 2;
    }
    *n_out = b.n;
    return buf_ok(&b) && sasl_name(buf_span(&b));
}

/* ---- client-first */

static bool is_binding_name(struct span name) {
    for (size_t i = 0; i < name.n; i++) {
        uint8_t c = octet_lower(name.p[i]);
        if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '.' && c != '-') return false;
    }
    return name.n > 0;
}

static bool read_flag(struct span field, struct scram_first *out) {
    out->flag = field.n ? field.p[0] : 0;
    if (out->flag == 'p') return value_of(field, 'p', &out->binding) && is_binding_name(out->binding);
    return field.n == 1 && (out->flag == 'n' || out->flag == 'y');
}

static bool read_header(struct span *rest, struct scram_first *out) {
    struct span flag, field, value;
    if (!take_field(rest, &flag) || !read_flag(flag, out) || !take_field(rest, &field)) return false;
    return field.n == 0 ||
           (value_of(field, 'a', &value) && read_name(value, out->authorization, &out->authorization_n));
}

bool scram_first_read(struct span message, struct scram_first *out) {
    struct span rest = message, field, value;
    *out = (struct scram_first){0};
    if (message.n > SCRAM_FIRST_MAX || !is_text(message) || !read_header(&rest, out)) return false;
    out->bare = rest;
    out->header = span_part(message, 0, message.n - rest.n);
    if (!take_field(&rest, &field) || !value_of(field, 'n', &value) || !read_name(value, out->name, &out->name_n))
        return false;
    bool more = take_field(&rest, &field);
    if (!value_of(field, 'r', &out->nonce) || !is_printable(out->nonce) || out->nonce.n > SCRAM_NONCE_MAX)
        return false;
    while (more) {
        more = take_field(&rest, &field);
        if (!is_extension(field)) return false;
    }
    return true;
}

/* The binding of the type that the client named; empty: none. */
static struct span binding_of(const struct scram_first *first, const struct scram_bindings *bindings) {
    if (span_equal(first->binding, SPAN("tls-exporter"))) return bindings->exporter;
    if (span_equal(first->binding, SPAN("tls-unique"))) return bindings->unique;
    if (span_equal(first->binding, SPAN("tls-server-end-point"))) return bindings->end_point;
    return span_of(NULL, 0);
}

bool scram_first_binds(const struct scram_first *first, bool plus, const struct scram_bindings *bindings) {
    switch (first->flag) {
    case 'p':
        return plus && binding_of(first, bindings).n > 0;
    case 'y':
        return !plus && bindings->exporter.n == 0 && bindings->unique.n == 0 && bindings->end_point.n == 0;
    case 'n':
        return !plus;
    default:
        return false;
    }
}

/* ---- between the two */

bool scram_state_make(struct scram_state *out, struct span first, struct span nonce, struct span salt,
                      uint32_t iterations) {
    *out = (struct scram_state){0};
    if (first.n > sizeof out->first || nonce.n > sizeof out->nonce || salt.n > sizeof out->salt ||
        !is_printable(nonce) || first.n == 0 || salt.n == 0 || iterations == 0)
        return false;
    memcpy(out->first, first.p, out->first_n = first.n);
    memcpy(out->nonce, nonce.p, out->nonce_n = nonce.n);
    memcpy(out->salt, salt.p, out->salt_n = salt.n);
    out->iterations = iterations;
    return true;
}

void scram_state_put(struct buf *b, const struct scram_state *state) {
    wire_put_span(b, span_of(state->first, state->first_n));
    wire_put_span(b, span_of(state->nonce, state->nonce_n));
    wire_put_span(b, span_of(state->salt, state->salt_n));
    wire_put_u32(b, state->iterations);
}

bool scram_state_get(struct scram_state *out, struct span octets) {
    struct wire w = wire_over(octets);
    struct span first = wire_get_span(&w, sizeof out->first), nonce = wire_get_span(&w, sizeof out->nonce),
                salt = wire_get_span(&w, sizeof out->salt);
    uint32_t iterations = wire_get_u32(&w);
    *out = (struct scram_state){0};
    return wire_end(&w) && scram_state_make(out, first, nonce, salt, iterations);
}

void scram_put_nonce(const uint8_t dice[SCRAM_OUR_NONCE_BYTES], struct buf *out) {
    base64_encode(span_of(dice, SCRAM_OUR_NONCE_BYTES), out);
}

void scram_put_challenge(const struct scram_state *state, const struct scram_first *first, struct buf *out) {
    buf_put_text(out, "r=");
    buf_put_span(out, first->nonce);
    buf_put(out, state->nonce, state->nonce_n);
    buf_put_text(out, ",s=");
    base64_encode(span_of(state->salt, state->salt_n), out);
    buf_put_text(out, ",i=");
    buf_put_number(out, state->iterations);
}

/* ---- client-final */

static bool read_proof(struct span field, uint8_t out[SCRAM_HASH_BYTES]) {
    uint8_t storage[SCRAM_HASH_BYTES + 3];
    struct buf b = BUF_OVER(storage);
    struct span value;
    if (!value_of(field, 'p', &value) || !base64_decode(value, &b) || b.n != scram_hash_bytes()) return false;
    memcpy(out, storage, b.n);
    return true;
}

bool scram_final_read(struct span message, struct scram_final *out) {
    struct span rest = message, field;
    *out = (struct scram_final){0};
    if (message.n > SCRAM_FINAL_MAX || !is_text(message)) return false;
    if (!take_field(&rest, &field) || !value_of(field, 'c', &out->channel)) return false;
    if (!take_field(&rest, &field) || !value_of(field, 'r', &out->nonce)) return false;
    while (take_field(&rest, &field))
        if (!is_extension(field)) return false;
    out->without_proof = span_part(message, 0, message.n - field.n - 1);
    return read_proof(field, out->proof);
}

bool scram_final_fits(const struct scram_final *final, const struct scram_state *state,
                      const struct scram_first *first, const struct scram_bindings *bindings) {
    uint8_t input[SCRAM_FIRST_MAX + SCRAM_BINDING_MAX], text[(sizeof input + 2) / 3 * 4];
    struct buf in = BUF_OVER(input), b = BUF_OVER(text);
    struct span nonce = final->nonce, ours = span_of(state->nonce, state->nonce_n);
    buf_put_span(&in, first->header);
    buf_put_span(&in, binding_of(first, bindings)); /* of flags n and y: none */
    base64_encode(buf_span(&in), &b);
    return buf_ok(&in) && buf_ok(&b) && span_equal(buf_span(&b), final->channel) &&
           span_equal(span_part(nonce, 0, first->nonce.n), first->nonce) &&
           span_equal(span_from(nonce, first->nonce.n), ours);
}

/* ---- arithmetic */

/* Hi, RFC 5802 2.2. */
static void salt_password(struct span password, struct span salt, uint32_t iterations,
                          uint8_t out[SCRAM_HASH_BYTES]) {
    static const uint8_t one[4] = {0, 0, 0, 1};
    struct scram_hmac hmac;
    uint8_t u[SCRAM_HASH_BYTES] = {0};
    struct span first[2] = {salt, span_of(one, sizeof one)}, next = span_of(u, scram_hash_bytes());
    scram_hmac_key(&hmac, password);
    scram_hmac(&hmac, first, 2, u);
    memcpy(out, u, sizeof u);
    for (uint32_t i = 1; i < iterations; i++) {
        scram_hmac(&hmac, &next, 1, u);
        for (size_t at = 0; at < sizeof u; at++) out[at] ^= u[at];
    }
    explicit_bzero(&hmac, sizeof hmac);
    explicit_bzero(u, sizeof u);
}

void scram_keys_make(struct span password, struct span salt, uint32_t iterations, struct scram_keys *out) {
    struct span client = SPAN("Client Key"), server = SPAN("Server Key");
    uint8_t salted[SCRAM_HASH_BYTES], key[SCRAM_HASH_BYTES] = {0};
    struct scram_hmac hmac;
    *out = (struct scram_keys){0};
    salt_password(password, salt, iterations, salted);
    scram_hmac_key(&hmac, span_of(salted, scram_hash_bytes()));
    scram_hmac(&hmac, &client, 1, key);
    scram_hash(span_of(key, scram_hash_bytes()), out->stored);
    scram_hmac(&hmac, &server, 1, out->server);
    explicit_bzero(&hmac, sizeof hmac);
    explicit_bzero(salted, sizeof salted);
    explicit_bzero(key, sizeof key);
}

/* HMAC over AuthMessage: client-first-bare "," server-first "," client-final without its proof. */
static void sign(const uint8_t key[SCRAM_HASH_BYTES], const struct span message[3], uint8_t out[SCRAM_HASH_BYTES]) {
    struct span parts[5] = {message[0], SPAN(","), message[1], SPAN(","), message[2]};
    struct scram_hmac hmac;
    scram_hmac_key(&hmac, span_of(key, scram_hash_bytes()));
    scram_hmac(&hmac, parts, 5, out);
    explicit_bzero(&hmac, sizeof hmac);
}

static bool fits_key(const struct scram_keys *keys, const uint8_t proof[SCRAM_HASH_BYTES],
                     const struct span message[3]) {
    uint8_t key[SCRAM_HASH_BYTES] = {0}, stored[SCRAM_HASH_BYTES] = {0};
    sign(keys->stored, message, key);
    for (size_t i = 0; i < sizeof key; i++) key[i] ^= proof[i];
    scram_hash(span_of(key, scram_hash_bytes()), stored);
    bool fits = scram_hash_equal(stored, keys->stored);
    explicit_bzero(key, sizeof key);
    explicit_bzero(stored, sizeof stored);
    return fits;
}

size_t scram_prove(const struct scram_final *final, const struct scram_state *state, const struct scram_first *first,
                   const struct scram_keys *keys, size_t n, struct buf *out) {
    uint8_t storage[SCRAM_CHALLENGE_MAX], signature[SCRAM_HASH_BYTES];
    struct buf challenge = BUF_OVER(storage);
    size_t found = n;
    scram_put_challenge(state, first, &challenge);
    struct span message[3] = {first->bare, buf_span(&challenge), final->without_proof};
    for (size_t i = 0; i < n; i++)
        if (fits_key(&keys[i], final->proof, message) && found == n) found = i;
    if (found == n) return n;
    sign(keys[found].server, message, signature);
    buf_put_text(out, "v=");
    base64_encode(span_of(signature, scram_hash_bytes()), out);
    return found;
}
