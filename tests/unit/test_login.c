/* test_login.c - AUTH through auth and a real verifier; and a verifier that dies. */
#include "tests/unit/auth_fixture.h"

#include "auth/verifier.h"
#include "store/clock.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <unistd.h>

static struct auth_fixture fixture;
static struct driver verifier;
static uint8_t storage[FRAME_MAX], text[1 << 16];

static void start_verifier(void) {
    struct verifier_setup setup = {.argon2_memory_bytes = 2 << 20, .argon2_passes = 1, .keys = {{1, 2, 3}, {4}, {5}}};
    uint8_t payload[256];
    struct buf b = BUF_OVER(payload);
    verifier_setup_put(&b, &setup);
    int ends[2];
    cr_assert_eq(frame_pair(ends, true), 0);
    verifier = driver_start(verifier_run, ROLE_VERIFIER, buf_span(&b),
                            &(struct driver_link){true, {ROLE_AUTH, 0, ends[1]}}, 1);
    driver_link(&fixture.driver, (struct driver_link){true, {ROLE_VERIFIER, 0, ends[0]}});
    close(ends[0]), close(ends[1]);
}

static void begin(void) {
    struct buf b = BUF_OVER(text);
    auth_fixture_setup(&fixture);
    fixture.setup.n_local_domains = 1;
    cr_assert_eq(auth_fixture_command(&fixture, &b, "user add", "login", "alice@example.test", "hash",
                                      auth_fixture_hash(), NULL),
                 CONTROL_OK);
    cr_assert_eq(auth_fixture_command(&fixture, &b, "user add", "login", "gone@example.test", "hash",
                                      auth_fixture_hash(), NULL),
                 CONTROL_OK);
    cr_assert_eq(auth_fixture_command(&fixture, &b, "user disable", "login", "gone@example.test", NULL), CONTROL_OK);
    auth_fixture_start(&fixture);
    close(fixture.verifier);
    start_verifier();
}

static void end(void) {
    auth_fixture_stop(&fixture);
    cr_expect_eq(driver_stop(&verifier), 0);
}

TestSuite(login, .init = begin, .fini = end, .timeout = 60);

static int submission(void) {
    int session = auth_fixture_session(&fixture, getpid(), RELAY_ROLE_SUBMISSION, "198.51.100.7");
    auth_fixture_tls(session);
    return session;
}

static unsigned answered(int session, struct buf *challenge_out, struct buf *login_out) {
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

static void say_auth(int session, unsigned tls, const char *mechanism, bool initial, struct span message) {
    struct buf b = buf_over(storage, FRAME_BODY_MAX);
    wire_put_u8(&b, (uint8_t)tls);
    wire_put_text(&b, mechanism);
    wire_put_u8(&b, initial);
    wire_put_span(&b, message);
    wire_put_span(&b, span_of(NULL, 0));
    wire_put_span(&b, span_of(NULL, 0));
    cr_assert_eq(frame_send(session, SESSION_AUTH, buf_span(&b)), 0);
}

static void say_next(int session, unsigned cancelled, struct span message) {
    struct buf b = buf_over(storage, FRAME_BODY_MAX);
    wire_put_u8(&b, (uint8_t)cancelled);
    wire_put_span(&b, message);
    cr_assert_eq(frame_send(session, SESSION_AUTH_NEXT, buf_span(&b)), 0);
}

Test(login, plain) {
    static const struct {
        const char *mechanism;
        struct span message;
        unsigned outcome;
    } rows[] = {
        {"PLAIN", {(const uint8_t *)"\0alice@example.test\0secret-word", 31}, AUTH_ACCEPTED},
        {"plain", {(const uint8_t *)"\0Alice@Example.Test\0secret-word", 31}, AUTH_ACCEPTED},
        {"PLAIN", {(const uint8_t *)"\0alice\0secret-word", 18}, AUTH_ACCEPTED},
        {"PLAIN", {(const uint8_t *)"\0alice@example.test\0secret-wor", 30}, AUTH_REJECTED},
        {"PLAIN", {(const uint8_t *)"\0nobody@example.test\0secret-word", 32}, AUTH_REJECTED},
        {"PLAIN", {(const uint8_t *)"\0gone@example.test\0secret-word", 30}, AUTH_REJECTED},
        {"PLAIN", {(const uint8_t *)"bob\0alice@example.test\0secret-word", 34}, AUTH_REJECTED},
        {"PLAIN", {(const uint8_t *)"gone@example.test\0alice@example.test\0secret-word", 48}, AUTH_REJECTED},
        {"PLAIN", {(const uint8_t *)"bob\0nobody@example.test\0secret-word", 35}, AUTH_REJECTED},
        {"PLAIN", {(const uint8_t *)"*\0alice@example.test\0secret-word", 32}, AUTH_REJECTED},
        {"PLAIN", {(const uint8_t *)"alice\0alice@example.test\0secret-word", 36}, AUTH_ACCEPTED},
        {"PLAIN", {(const uint8_t *)"ALICE@example.test\0alice\0secret-word", 36}, AUTH_ACCEPTED},
        {"PLAIN", {(const uint8_t *)"a\nb\0alice@example.test\0secret-word", 34}, AUTH_MALFORMED},
        {"PLAIN", {(const uint8_t *)"\0alice@example.test\0", 20}, AUTH_MALFORMED},
        {"PLAIN", {(const uint8_t *)"", 0}, AUTH_MALFORMED},
        {"CRAM-MD5", {(const uint8_t *)"", 0}, AUTH_UNKNOWN_MECHANISM},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int session = submission();
        say_auth(session, 1, rows[i].mechanism, true, rows[i].message);
        cr_expect_eq(answered(session, NULL, NULL), rows[i].outcome, "%zu", i);
        close(session);
    }
}

Test(login, in_two_steps) {
    uint8_t octets[512];
    struct buf b = BUF_OVER(octets);
    int session = submission();
    cr_expect_eq(auth_fixture_mail(session, "<alice@example.test>").reason, REASON_AUTH_REQUIRED);
    say_auth(session, 1, "LOGIN", false, span_of(NULL, 0));
    cr_assert_eq(answered(session, &b, NULL), AUTH_CONTINUE);
    cr_expect(span_equal(buf_span(&b), SPAN("Username:")));
    say_next(session, 0, SPAN("alice@example.test"));
    cr_assert_eq(answered(session, &b, NULL), AUTH_CONTINUE);
    cr_expect(span_equal(buf_span(&b), SPAN("Password:")));
    say_next(session, 0, SPAN("secret-word"));
    cr_assert_eq(answered(session, NULL, &b), AUTH_ACCEPTED);
    cr_expect(span_equal(buf_span(&b), SPAN("alice@example.test")));
    /* Now its own mail goes anywhere, and nobody else's. */
    struct auth_mail mail = auth_fixture_mail(session, "<alice+list@example.test>");
    cr_expect_eq(mail.reason, REASON_SENDER_ACCEPTED);
    cr_expect_eq(mail.foreign, REASON_RELAY_AUTHENTICATED);
    cr_expect_eq(auth_fixture_rcpt(session, "<victim%x@elsewhere.example>", NULL), REASON_RELAY_AUTHENTICATED);
    cr_assert_eq(frame_send(session, SESSION_RESET, span_of(NULL, 0)), 0);
    cr_expect_eq(auth_fixture_mail(session, "<gone@example.test>").reason, REASON_SENDER_NOT_YOURS);
    /* Twice is out of turn. */
    say_auth(session, 1, "PLAIN", false, span_of(NULL, 0));
    cr_expect(auth_fixture_ended(session));
}

Test(login, cancelled_and_clear) {
    int session = submission();
    say_auth(session, 1, "LOGIN", true, SPAN("alice@example.test"));
    cr_assert_eq(answered(session, NULL, NULL), AUTH_CONTINUE);
    say_next(session, 1, span_of(NULL, 0));
    cr_expect_eq(answered(session, NULL, NULL), AUTH_CANCELLED);
    say_auth(session, 0, "PLAIN", true, span_of("\0alice@example.test\0secret-word", 31));
    cr_expect_eq(answered(session, NULL, NULL), AUTH_REJECTED, "no TLS");
    int mx = auth_fixture_session(&fixture, getpid(), RELAY_ROLE_MX, "198.51.100.7");
    auth_fixture_tls(mx);
    say_auth(mx, 1, "PLAIN", true, span_of("\0alice@example.test\0secret-word", 31));
    cr_expect_eq(answered(mx, NULL, NULL), AUTH_UNKNOWN_MECHANISM, "mx without AUTH");
}

Test(login, failures_take_their_time) {
    int session = submission();
    uint64_t began = clock_ms();
    say_auth(session, 1, "PLAIN", true, span_of("\0alice@example.test\0wrong-word", 30));
    cr_expect_eq(answered(session, NULL, NULL), AUTH_REJECTED);
    cr_expect_geq(clock_ms() - began, 19, "no sooner than the shortest time of a failure");
    for (int i = 0; i < 8; i++) {
        say_auth(session, 1, "NTLM", false, span_of(NULL, 0));
        cr_expect_eq(answered(session, NULL, NULL), AUTH_UNKNOWN_MECHANISM);
    }
    say_auth(session, 1, "NTLM", false, span_of(NULL, 0));
    cr_expect_eq(answered(session, NULL, NULL), AUTH_TOO_MANY);
}

Test(login, acting_for_another_is_a_failure_like_others) {
    int session = submission();
    uint64_t began = clock_ms();
    for (int i = 0; i < 10; i++) {
        say_auth(session, 1, "PLAIN", true, span_of("bob\0alice@example.test\0secret-word", 34));
        cr_expect_eq(answered(session, NULL, NULL), i < 9 ? AUTH_REJECTED : AUTH_TOO_MANY);
    }
    cr_expect_geq(clock_ms() - began, 199, "no sooner than the shortest time of ten failures");
}

/* A user whose hash is of dearer days is not told from nobody by the time that a failure takes. */
Test(login, dear_hashes_set_the_time) {
    struct buf b = BUF_OVER(text);
    auth_fixture_stop(&fixture);
    cr_assert_eq(driver_stop(&verifier), 0);
    cr_assert_eq(
        auth_fixture_command(
            &fixture, &b, "user passwd", "login", "alice@example.test", "hash",
            "$argon2id$v=19$m=65536,t=1,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
            NULL),
        CONTROL_OK);
    auth_fixture_start(&fixture);
    close(fixture.verifier);
    start_verifier();
    int session = submission();
    uint64_t began = clock_ms();
    say_auth(session, 1, "PLAIN", true, span_of("\0nobody@example.test\0wrong-word", 31));
    cr_expect_eq(answered(session, NULL, NULL), AUTH_REJECTED);
    /* A hash of 1 MiB takes a millisecond at least, by what a verifier says; this one has 64 times the work. */
    cr_expect_geq(clock_ms() - began, 64, "as long as the dearest stored hash takes");
}

Test(login, verifier_dies) {
    int session = submission();
    kill(verifier.pid, SIGSTOP);
    say_auth(session, 1, "PLAIN", true, span_of("\0alice@example.test\0secret-word", 31));
    usleep(50000);
    kill(verifier.pid, SIGKILL);
    cr_expect_eq(answered(session, NULL, NULL), AUTH_FAILED_TEMPORARILY);
    (void)driver_stop(&verifier);
    start_verifier();
    say_auth(session, 1, "PLAIN", true, span_of("\0alice@example.test\0secret-word", 31));
    cr_expect_eq(answered(session, NULL, NULL), AUTH_ACCEPTED);
}

Test(login, hash_is_replaced) {
    int session = submission();
    say_auth(session, 1, "PLAIN", true, span_of("\0alice@example.test\0secret-word", 31));
    cr_expect_eq(answered(session, NULL, NULL), AUTH_ACCEPTED);
    close(session);
    session = submission(); /* by the new hash, of 2 MiB */
    say_auth(session, 1, "PLAIN", true, span_of("\0alice@example.test\0secret-word", 31));
    cr_expect_eq(answered(session, NULL, NULL), AUTH_ACCEPTED);
}

/* ---- guessing */

/* Begins anew with so few failures from a network; `waiting`: as many connections may be without a login. */
static void restart_throttled(uint32_t failures, uint32_t waiting) {
    auth_fixture_stop(&fixture);
    cr_assert_eq(driver_stop(&verifier), 0);
    fixture.setup.throttle = (struct throttle_limits){.enabled = true,
                                                      .network_ipv4_bits = 32,
                                                      .network_ipv6_bits = 64,
                                                      .network_failures = failures,
                                                      .account_failures = 40,
                                                      .window_ms = 3600000,
                                                      .known_ms = 3600000};
    fixture.setup.waiting_for_auth = waiting;
    auth_fixture_start(&fixture);
    close(fixture.verifier);
    start_verifier();
}

static unsigned guess(int session, const char *password) {
    uint8_t octets[64];
    struct buf b = BUF_OVER(octets);
    buf_put(&b, "\0alice@example.test\0", 20);
    buf_put_text(&b, password);
    say_auth(session, 1, "PLAIN", true, buf_span(&b));
    return answered(session, NULL, NULL);
}

Test(login, a_network_that_guesses_is_held) {
    restart_throttled(2, 100);
    int session = submission();
    cr_expect_eq(guess(session, "first"), AUTH_REJECTED);
    cr_expect_eq(guess(session, "second"), AUTH_REJECTED);
    cr_expect_eq(guess(session, "secret-word"), AUTH_HELD, "right or not");
    say_auth(session, 1, "LOGIN", false, span_of(NULL, 0));
    cr_expect_eq(answered(session, NULL, NULL), AUTH_HELD, "before a name is given");
    int more = auth_fixture_client(&fixture, getpid(), RELAY_ROLE_SUBMISSIONS, "198.51.100.7");
    cr_expect_eq(auth_fixture_welcomed(more), REASON_TOO_MANY_FAILED_LOGINS);
    (void)auth_fixture_session(&fixture, getpid(), RELAY_ROLE_MX, "198.51.100.7");
    int other = auth_fixture_session(&fixture, getpid(), RELAY_ROLE_SUBMISSION, "198.51.100.8");
    auth_fixture_tls(other);
    cr_expect_eq(guess(other, "secret-word"), AUTH_ACCEPTED);
}

Test(login, who_does_not_wait_for_the_answer_guesses_too) {
    restart_throttled(2, 100);
    for (int i = 0; i < 2; i++) {
        int session = submission();
        say_auth(session, 1, "PLAIN", true,
                 i ? span_of("\0alice@example.test\0first", 25) : span_of("\0alice@example.test\0second", 26));
        usleep(20000); /* a verifier has it by now */
        close(session);
    }
    unsigned reason = REASON_COUNT;
    for (int tries = 0; tries < 500 && reason != REASON_TOO_MANY_FAILED_LOGINS; tries++) {
        int session = auth_fixture_client(&fixture, getpid(), RELAY_ROLE_SUBMISSION, "198.51.100.7");
        reason = auth_fixture_welcomed(session);
        close(session);
        usleep(10000);
    }
    cr_expect_eq(reason, REASON_TOO_MANY_FAILED_LOGINS);
}

Test(login, strangers_take_no_place_from_known_networks) {
    restart_throttled(20, 2);
    int session = submission();
    cr_expect_eq(guess(session, "secret-word"), AUTH_ACCEPTED);
    for (int i = 0; i < 2; i++) (void)auth_fixture_session(&fixture, getpid(), RELAY_ROLE_SUBMISSION, "203.0.113.1");
    int stranger = auth_fixture_client(&fixture, getpid(), RELAY_ROLE_SUBMISSION, "203.0.113.2");
    cr_expect_eq(auth_fixture_welcomed(stranger), REASON_SERVER_BUSY);
    int known = auth_fixture_client(&fixture, getpid(), RELAY_ROLE_SUBMISSION, "198.51.100.7");
    cr_expect_eq(auth_fixture_welcomed(known), REASON_COUNT);
}
