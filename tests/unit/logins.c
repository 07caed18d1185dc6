/* logins.c - who logs in, and who verifies.
 * Runs in: tests. Trusts: the test. Never: waits without a limit. */
#include "tests/unit/logins.h"

#include "auth/verifier.h"

#include <criterion/criterion.h>
#include <poll.h>
#include <unistd.h>

struct auth_fixture logins_auth;
struct driver logins_verifier;
static uint8_t storage[FRAME_MAX], text[1 << 16];
static uint64_t exchanges[64]; /* by descriptor: what a played verifier works on */

void logins_setup(void) {
    struct buf b = BUF_OVER(text);
    auth_fixture_setup(&logins_auth);
    logins_auth.setup.n_local_domains = 1;
    logins_auth.setup.scram = 1;
    logins_auth.setup.scram_plus = 1;
    static const char *const users[] = {"alice@example.test", "gone@example.test"};
    for (size_t i = 0; i < 2; i++)
        cr_assert_eq(
            auth_fixture_command(&logins_auth, &b, "user add", "login", users[i], "hash", auth_fixture_hash(), NULL),
            CONTROL_OK);
    cr_assert_eq(auth_fixture_command(&logins_auth, &b, "user disable", "login", users[1], NULL), CONTROL_OK);
}

void logins_start_verifier(void) {
    struct verifier_setup setup = {.argon2_memory_bytes = 2 << 20, .argon2_passes = 1, .keys = {{1, 2, 3}, {4}, {5}}};
    uint8_t payload[512];
    struct buf b = BUF_OVER(payload);
    verifier_setup_put(&b, &setup);
    int ends[2];
    cr_assert(buf_ok(&b) && frame_pair(ends, true) == 0);
    logins_verifier = driver_start(verifier_run, ROLE_VERIFIER, buf_span(&b),
                                   &(struct driver_link){true, {ROLE_AUTH, 0, ends[1]}}, 1);
    driver_link(&logins_auth.driver, (struct driver_link){true, {ROLE_VERIFIER, 0, ends[0]}});
    close(ends[0]), close(ends[1]);
}

void logins_start(void) {
    auth_fixture_start(&logins_auth);
    close(logins_auth.verifier);
    logins_start_verifier();
}

void logins_start_played(int ends_out[], size_t n) {
    auth_fixture_start(&logins_auth);
    close(logins_auth.verifier);
    for (size_t i = 0; i < n; i++) {
        uint8_t octets[4];
        struct buf b = BUF_OVER(octets);
        struct frame frame;
        int ends[2];
        cr_assert_eq(frame_pair(ends, true), 0);
        driver_link(&logins_auth.driver, (struct driver_link){true, {ROLE_VERIFIER, (uint8_t)i, ends[1]}});
        close(ends[1]);
        ends_out[i] = ends[0];
        auth_fixture_expect(ends[0], VERIFY_SETUP, storage, &frame);
        cr_assert_eq(frame.body.n, VERIFY_KEY_BYTES);
        wire_put_u32(&b, 1);
        cr_assert_eq(frame_send(ends[0], VERIFY_MEASURED, buf_span(&b)), 0);
    }
}

/* ---- sessions */

int logins_session(const char *client) {
    int session = auth_fixture_session(&logins_auth, getpid(), RELAY_ROLE_SUBMISSION, client);
    auth_fixture_tls(session);
    return session;
}

void logins_say_start(int session, unsigned tls, const char *mechanism, bool initial, struct span message,
                      struct span exporter, struct span end_point) {
    struct buf b = buf_over(storage, FRAME_BODY_MAX);
    wire_put_u8(&b, (uint8_t)tls);
    wire_put_text(&b, mechanism);
    wire_put_u8(&b, initial);
    wire_put_span(&b, message);
    wire_put_span(&b, exporter);
    wire_put_span(&b, end_point);
    cr_assert_eq(frame_send(session, SESSION_AUTH, buf_span(&b)), 0);
}

void logins_say(int session, const char *mechanism, struct span message) {
    logins_say_start(session, 1, mechanism, true, message, span_of(NULL, 0), span_of(NULL, 0));
}

void logins_say_next(int session, unsigned cancelled, struct span message) {
    struct buf b = buf_over(storage, FRAME_BODY_MAX);
    wire_put_u8(&b, (uint8_t)cancelled);
    wire_put_span(&b, message);
    cr_assert_eq(frame_send(session, SESSION_AUTH_NEXT, buf_span(&b)), 0);
}

unsigned logins_answered(int session, struct buf *challenge_out, struct buf *login_out) {
    struct frame frame;
    auth_fixture_expect(session, SESSION_AUTH_RESULT, storage, &frame);
    struct wire w = wire_over(frame.body);
    unsigned outcome = wire_get_u8(&w);
    struct span challenge = wire_get_span(&w, VERIFY_CHALLENGE_BYTES), login = wire_get_span(&w, 256);
    cr_assert(wire_end(&w));
    if (challenge_out) buf_clear(challenge_out), buf_put_span(challenge_out, challenge);
    if (login_out) buf_clear(login_out), buf_put_span(login_out, login);
    return outcome;
}

/* ---- a verifier that is played */

static void put_padded(struct buf *b, const char *octets, size_t size) {
    static const uint8_t zeros[VERIFY_STATE_BYTES];
    buf_put_text(b, octets);
    wire_put_bytes(b, zeros, size - strlen(octets));
}

static void put_challenge(struct buf *b, const char *challenge) {
    wire_put_u16(b, (uint16_t)strlen(challenge));
    put_padded(b, challenge, VERIFY_CHALLENGE_BYTES);
}

void logins_play_identity(int verifier, const char *name, const char *authorization, uint8_t tag,
                          uint64_t fingerprint) {
    uint8_t octets[VERIFY_TAG_BYTES];
    struct frame frame;
    auth_fixture_expect(verifier, VERIFY_STEP, storage, &frame);
    struct wire w = wire_over(frame.body);
    cr_assert(verifier < 64);
    exchanges[verifier] = wire_get_u64(&w);
    struct buf b = buf_over(storage, FRAME_BODY_MAX);
    memset(octets, tag, sizeof octets);
    wire_put_u64(&b, exchanges[verifier]);
    wire_put_u8(&b, VERIFY_CHECK);
    wire_put_u8(&b, VERIFY_WHY_NONE);
    put_padded(&b, name, VERIFY_NAME_BYTES);
    put_padded(&b, authorization, VERIFY_NAME_BYTES);
    wire_put_bytes(&b, octets, sizeof octets);
    wire_put_bytes(&b, &fingerprint, VERIFY_FINGERPRINT_BYTES);
    put_challenge(&b, "");
    put_padded(&b, "", VERIFY_STATE_BYTES);
    cr_assert_eq(frame_send(verifier, VERIFY_IDENTITY, buf_span(&b)), 0);
}

void logins_told(int verifier, struct logins_told *out) {
    struct frame frame;
    auth_fixture_expect(verifier, VERIFY_CREDENTIALS, storage, &frame);
    struct wire w = wire_over(frame.body);
    *out = (struct logins_told){0};
    cr_assert_eq(wire_get_u64(&w), exchanges[verifier]);
    out->real = wire_get_u8(&w);
    wire_get_text(&w, out->login, sizeof out->login);
    out->user_id = (int64_t)wire_get_u64(&w);
    wire_get_bytes(&w, out->salt, sizeof out->salt);
    out->n = wire_get_u16(&w);
    for (size_t i = 0; i < out->n; i++) {
        int64_t id = (int64_t)wire_get_u64(&w);
        if (i == 0) out->credential_id = id;
        (void)wire_get_span(&w, VERIFY_HASH_BYTES);
        (void)wire_get_span(&w, VERIFY_SCRAM_BYTES);
        (void)wire_get_span(&w, VERIFY_NT_MAX);
    }
    cr_assert(wire_end(&w));
}

void logins_told_to_forget(int verifier) {
    struct frame frame;
    auth_fixture_expect(verifier, VERIFY_FORGET, storage, &frame);
    struct wire w = wire_over(frame.body);
    cr_assert_eq(wire_get_u64(&w), exchanges[verifier]);
    cr_assert(wire_end(&w));
}

bool logins_hears(int verifier, int within_ms) {
    struct pollfd wait = {verifier, POLLIN, 0};
    return poll(&wait, 1, within_ms) == 1;
}

static void say_result(int verifier, enum verify_verdict verdict, int64_t credential_id, const char *challenge,
                       const char *new_hash) {
    struct buf b = buf_over(storage, FRAME_BODY_MAX);
    wire_put_u64(&b, exchanges[verifier]);
    wire_put_u8(&b, (uint8_t)verdict);
    wire_put_u8(&b, VERIFY_WHY_NONE);
    wire_put_u64(&b, (uint64_t)credential_id);
    put_challenge(&b, challenge);
    put_padded(&b, "", VERIFY_STATE_BYTES);
    put_padded(&b, new_hash, VERIFY_HASH_BYTES);
    put_padded(&b, "", VERIFY_SCRAM_BYTES);
    cr_assert_eq(frame_send(verifier, VERIFY_RESULT, buf_span(&b)), 0);
}

void logins_play_verdict(int verifier, enum verify_verdict verdict, int64_t credential_id, const char *challenge) {
    say_result(verifier, verdict, credential_id, challenge, "");
}

void logins_play_renewal(int verifier, int64_t credential_id, const char *new_hash) {
    say_result(verifier, VERIFY_ACCEPTED, credential_id, "", new_hash);
}

unsigned logins_play(int session, int verifier, const char *name, uint8_t tag, bool right) {
    struct logins_told told;
    logins_say(session, "PLAIN", SPAN("x"));
    logins_play_identity(verifier, name, "", tag, tag);
    logins_told(verifier, &told);
    logins_play_verdict(verifier, right ? VERIFY_ACCEPTED : VERIFY_REJECTED, right ? told.credential_id : 0, "");
    return logins_answered(session, NULL, NULL);
}
