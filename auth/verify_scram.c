/* verify_scram.c - SCRAM-SHA-256 and SCRAM-SHA-256-PLUS between their messages (auth/scram.h): client-first is
 * answered with a challenge to whoever it is, client-final is held against the keys of a user. Runs in: verifier.
 * Trusts: auth, and the kernel's dice. Never: shows a password, which it never has; tells nobody from somebody before
 * the proof. */
#include "auth/prepare.h"
#include "auth/scram.h"
#include "auth/verify.h"
#include "store/random.h"

_Static_assert(sizeof((struct scram_state){0}.first) + sizeof((struct scram_state){0}.nonce) +
                       sizeof((struct scram_state){0}.salt) + 16 <=
                   (size_t)SEAL_CLEAR_MAX,
               "what is remembered fits into a sealed state");
_Static_assert(SCRAM_CHALLENGE_MAX <= (int)VERIFY_CHALLENGE_BYTES, "a challenge fits into its field");
_Static_assert((int)SCRAM_FINAL_MAX <= (int)VERIFY_MESSAGE_MAX && (int)SCRAM_FIRST_MAX <= (int)SCRAM_FINAL_MAX,
               "a message fits into a frame, and here");
_Static_assert(2 * SCRAM_HASH_BYTES == (int)VERIFY_SCRAM_BYTES && SCRAM_SALT_BYTES == (int)VERIFY_SALT_BYTES,
               "keys and salts are as long in frames");
_Static_assert((int)SCRAM_BINDING_MAX == (int)CHANNEL_BINDING_MAX, "and so are bindings");

enum { EXPORTER_BYTES = 32 /* RFC 9266 2; what follows is tls-unique */ };

/* From a message until its check. Spans in it are views into `message`, those of a first into `state` at step 1. */
static struct {
    unsigned step;
    uint8_t message[SCRAM_FINAL_MAX];
    struct scram_first first;
    struct scram_state state;
    struct scram_final final;
} held;

static void forget(void) {
    explicit_bzero(&held, sizeof held);
}

/* Whose keys are wanted. What RFC 8265 refuses is nobody's name. */
static enum verify_outcome want(struct verify_identity *out) {
    struct span authorization = span_of(held.first.authorization, held.first.authorization_n);
    if (!prepare_name(span_of(held.first.name, held.first.name_n), &out->name)) return VERIFY_DENIED;
    if (authorization.n && !prepare_name(authorization, &out->authorization)) return VERIFY_DENIED;
    return VERIFY_CHECK;
}

static struct scram_bindings bindings_of(const struct verify_message *message) {
    return (struct scram_bindings){span_part(message->exporter, 0, EXPORTER_BYTES),
                                   span_from(message->exporter, EXPORTER_BYTES), message->end_point};
}

static enum verify_outcome read_first(const struct verify_message *message, struct span first,
                                      struct verify_identity *out) {
    bool plus = message->mechanism == MECHANISM_SCRAM_PLUS;
    struct scram_bindings bindings = bindings_of(message);
    if (!scram_first_read(first, &held.first) || plus != (held.first.flag == 'p')) return VERIFY_MALFORMED;
    if (scram_first_binds(&held.first, plus, &bindings)) return want(out);
    out->why = held.first.flag == 'y' ? VERIFY_WHY_DOWNGRADE : VERIFY_WHY_BINDING;
    return VERIFY_DENIED;
}

static enum verify_outcome read_final(const struct verify_message *message, struct span final,
                                      struct verify_identity *out) {
    struct scram_bindings bindings = bindings_of(message);
    if (!scram_state_get(&held.state, message->state) ||
        !scram_first_read(span_of(held.state.first, held.state.first_n), &held.first) ||
        !scram_final_read(final, &held.final))
        return VERIFY_MALFORMED;
    if (scram_final_fits(&held.final, &held.state, &held.first, &bindings)) return want(out);
    if (held.first.flag == 'p') out->why = VERIFY_WHY_BINDING;
    return VERIFY_DENIED;
}

static enum verify_outcome read(const struct verify *verify, const struct verify_message *message,
                                struct verify_identity *out) {
    (void)verify;
    forget();
    if (message->message.n == 0 || message->message.n > sizeof held.message) return VERIFY_MALFORMED;
    memcpy(held.message, message->message.p, message->message.n);
    struct span kept = span_of(held.message, message->message.n);
    held.step = message->step;
    if (message->step == 0) return read_first(message, kept, out);
    return message->step == 1 ? read_final(message, kept, out) : VERIFY_MALFORMED;
}

/* The user's salt, or one that is as steady. Both are reckoned for everybody. */
static void choose_salt(const struct verify *verify, const struct verify_credentials *credentials,
                        uint8_t out[SCRAM_SALT_BYTES]) {
    scram_false_salt(verify->salt_key, credentials->login, out);
    if (credentials->has_salt) memcpy(out, credentials->salt, SCRAM_SALT_BYTES);
}

static enum verify_verdict challenge(const struct verify *verify, const struct verify_credentials *credentials,
                                     struct verify_result *out) {
    uint8_t dice[SCRAM_OUR_NONCE_BYTES], nonce[SCRAM_OUR_NONCE_MAX], salt[SCRAM_SALT_BYTES];
    struct buf ours = BUF_OVER(nonce);
    struct span first = span_of(held.first.header.p, held.first.header.n + held.first.bare.n);
    if (random_draw(dice, sizeof dice) != 0) return VERIFY_REJECTED;
    scram_put_nonce(dice, &ours);
    choose_salt(verify, credentials, salt);
    if (!scram_state_make(&held.state, first, buf_span(&ours), span_of(salt, sizeof salt), SCRAM_ITERATIONS))
        return VERIFY_REJECTED;
    scram_put_challenge(&held.state, &held.first, &out->challenge);
    scram_state_put(&out->state, &held.state);
    return VERIFY_GOES_ON;
}

static size_t gather(const struct verify_credentials *credentials, struct scram_keys keys[VERIFY_CREDENTIALS_MAX],
                     int64_t ids[VERIFY_CREDENTIALS_MAX]) {
    size_t n = 0;
    for (size_t i = 0; i < credentials->n; i++) {
        const struct verify_credential *credential = &credentials->list[i];
        if (credential->scram.n != VERIFY_SCRAM_BYTES) continue;
        memcpy(keys[n].stored, credential->scram.p, SCRAM_HASH_BYTES);
        memcpy(keys[n].server, credential->scram.p + SCRAM_HASH_BYTES, SCRAM_HASH_BYTES);
        ids[n++] = credential->id;
    }
    return n;
}

/* Without keys the proof is held against those of credential 0, which nobody has: the same work. */
static enum verify_verdict prove(const struct verify_credentials *credentials, struct verify_result *out) {
    struct scram_keys keys[VERIFY_CREDENTIALS_MAX] = {0};
    int64_t ids[VERIFY_CREDENTIALS_MAX] = {0};
    size_t there = gather(credentials, keys, ids), n = there ? there : 1;
    size_t found = scram_prove(&held.final, &held.state, &held.first, keys, n, &out->challenge);
    explicit_bzero(keys, sizeof keys);
    if (!there && credentials->real) out->why = VERIFY_WHY_NO_KEYS;
    if (found == n || !ids[found]) return VERIFY_REJECTED;
    out->credential_id = ids[found];
    return VERIFY_LAST;
}

static enum verify_verdict check(const struct verify *verify, const struct verify_credentials *credentials,
                                 struct verify_result *out) {
    return held.step == 0 ? challenge(verify, credentials, out) : prove(credentials, out);
}

const struct verify_mechanism verify_scram = {read, check, forget};
