/* fuzz_mechanism.c - a client's lines of one login, base64 and all, through each mechanism as a verifier runs it. The
 * first octet says which, and whose name is given; the lines follow.
 * Runs in: fuzzing. Trusts: nothing. Never: lets in who does not know the password, or nobody. */
#include "auth/password.h"
#include "auth/password_app.h"
#include "auth/sasl.h"
#include "auth/scram.h"
#include "auth/verify.h"
#include "store/base64.h"
#include "tests/fuzz/fuzz.h"

enum { STEPS = 4, CREDENTIAL = 7 };

static const struct verify_mechanism *const mechanisms[MECHANISM_COUNT] = {
    [MECHANISM_PLAIN] = &verify_plain,      [MECHANISM_LOGIN] = &verify_login, [MECHANISM_SCRAM] = &verify_scram,
    [MECHANISM_SCRAM_PLUS] = &verify_scram, [MECHANISM_NTLM] = &verify_ntlm,
};

static const struct span secret = {(const uint8_t *)"secret-word", 11}, login = {(const uint8_t *)"a@b.example", 11};
static struct verify verify;
static struct verify_credentials somebody, nobody;
static uint8_t scram_keys[VERIFY_SCRAM_BYTES], sealed[NT_SEALED_BYTES];

int LLVMFuzzerInitialize(int *argc, char ***argv) {
    uint8_t hash[NT_HASH_BYTES];
    struct scram_keys keys;
    (void)argc, (void)argv;
    verify.setup = (struct verifier_setup){
        .argon2_memory_bytes = 8192, .argon2_passes = 1, .ntlm = 1, .hostname = SPAN("mx.b.example")};
    HOLDS(password_hash(SPAN("nobody's"), 8192, 1, verify.dummy) == 0);
    somebody = (struct verify_credentials){.real = true, .login = login, .user_id = 1, .has_salt = true, .n = 1};
    nobody = (struct verify_credentials){.login = login};
    scram_keys_make(secret, span_of(somebody.salt, VERIFY_SALT_BYTES), SCRAM_ITERATIONS, &keys);
    memcpy(scram_keys, keys.stored, SCRAM_HASH_BYTES);
    memcpy(scram_keys + SCRAM_HASH_BYTES, keys.server, SCRAM_HASH_BYTES);
    HOLDS(nt_hash_make(secret, hash) && nt_hash_seal(verify.setup.nt_key, login, hash, sealed));
    somebody.list[0].id = CREDENTIAL;
    HOLDS(password_app_hash(secret, somebody.list[0].hash) == 0);
    somebody.list[0].scram = span_of(scram_keys, sizeof scram_keys);
    somebody.list[0].nt = span_of(sealed, sizeof sealed);
    return 0;
}

static void check_name(const struct buf *name, bool wanted) {
    HOLDS(buf_ok(name) && (name->n || !wanted) && !memchr(name->p, 0, name->n));
}

/* Only who shows the password is let in: a proof over our dice is not made by chance. */
static void check_right(unsigned mechanism, const struct verify_credentials *credentials, struct span message,
                        const struct verify_result *result) {
    HOLDS(mechanism == MECHANISM_PLAIN || mechanism == MECHANISM_LOGIN);
    HOLDS(message.n >= secret.n && span_equal(span_from(message, message.n - secret.n), secret));
    HOLDS(credentials->real && result->credential_id == CREDENTIAL);
}

/* One step; whether another may follow. Its state is in *state, before and after. */
static bool step(unsigned mechanism, const struct verify_credentials *credentials, struct verify_message *message,
                 struct buf *state) {
    static uint8_t names[2][VERIFY_NAME_BYTES - 1], challenge[VERIFY_CHALLENGE_BYTES], next[SEAL_CLEAR_MAX];
    struct verify_identity identity = {.name = BUF_OVER(names[0]),
                                       .authorization = BUF_OVER(names[1]),
                                       .challenge = BUF_OVER(challenge),
                                       .state = BUF_OVER(next)};
    enum verify_outcome outcome = mechanisms[mechanism]->read(&verify, message, &identity);
    struct buf *left = &identity.state;
    struct verify_result result = {.challenge = BUF_OVER(challenge), .state = BUF_OVER(next)};
    enum verify_verdict verdict = VERIFY_REJECTED;
    if (outcome == VERIFY_CHECK) {
        check_name(&identity.name, true);
        check_name(&identity.authorization, false);
        HOLDS(identity.password.n == 0 || identity.password.p);
        verdict = mechanisms[mechanism]->check(&verify, credentials, &result);
        if (verdict == VERIFY_ACCEPTED || verdict == VERIFY_LAST)
            check_right(mechanism, credentials, message->message, &result);
        left = &result.state;
    }
    mechanisms[mechanism]->forget();
    bool more = outcome == VERIFY_CONTINUE || verdict == VERIFY_GOES_ON;
    HOLDS(!more || (message->step == 0 && buf_ok(left) && buf_ok(&identity.challenge)));
    buf_clear(state);
    if (more) buf_put_span(state, buf_span(left));
    return more;
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n) {
    static uint8_t octets[VERIFY_MESSAGE_MAX], kept[SEAL_CLEAR_MAX];
    static const uint8_t exporter[44] = {1}, end_point[32] = {2};
    struct span in = span_of(p, n);
    uint8_t mood = fuzz_octet(&in);
    unsigned mechanism = MECHANISM_PLAIN + mood % (MECHANISM_COUNT - MECHANISM_PLAIN);
    const struct verify_credentials *credentials = mood & 64 ? &nobody : &somebody;
    struct verify_message message = {.mechanism = mechanism};
    struct buf state = BUF_OVER(kept);
    if (mood & 128) message.exporter = span_of(exporter, 44), message.end_point = span_of(end_point, 32);
    for (; message.step < STEPS; message.step++) {
        struct buf decoded = BUF_OVER(octets);
        struct span line = fuzz_line(&in);
        if (!base64_decode(line, &decoded) || !buf_ok(&decoded)) return 0; /* the session says 501 */
        message.message = buf_span(&decoded);
        message.state = buf_span(&state);
        if (!step(mechanism, credentials, &message, &state)) return 0;
    }
    return 0;
}
