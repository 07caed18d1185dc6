/* test_login_ntlm.c - AUTH NTLM through auth and a real verifier. */
#include "auth/verifier.h"
#include "store/base64.h"
#include "store/clock.h"
#include "tests/unit/auth_fixture.h"
#include "tests/unit/ntlm_client.h"

#include <criterion/criterion.h>
#include <unistd.h>

static struct auth_fixture fixture;
static struct driver verifier;
static const uint8_t nt_key[NT_KEY_BYTES] = {7, 8, 9};
static uint8_t storage[FRAME_MAX], text[1 << 16], negotiate_octets[64], challenge_octets[VERIFY_CHALLENGE_BYTES];

static void start_verifier(void) {
    struct verifier_setup setup = {.argon2_memory_bytes = 2 << 20,
                                   .argon2_passes = 1,
                                   .keys = {{1, 2, 3}, {4}, {5}},
                                   .ntlm = fixture.setup.ntlm,
                                   .hostname = SPAN("mail.example.test")};
    uint8_t payload[256];
    struct buf b = BUF_OVER(payload);
    int ends[2];
    memcpy(setup.nt_key, nt_key, sizeof nt_key);
    verifier_setup_put(&b, &setup);
    cr_assert(buf_ok(&b));
    cr_assert_eq(frame_pair(ends, true), 0);
    verifier = driver_start(verifier_run, ROLE_VERIFIER, buf_span(&b),
                            &(struct driver_link){true, {ROLE_AUTH, 0, ends[1]}}, 1);
    driver_link(&fixture.driver, (struct driver_link){true, {ROLE_VERIFIER, 0, ends[0]}});
    close(ends[0]), close(ends[1]);
}

/* The hash of this password, sealed for this login, as the command line sends it. */
static const char *sealed(const char *login, const char *password) {
    static char base64[160];
    uint8_t hash[NT_HASH_BYTES], octets[NT_SEALED_BYTES];
    struct buf b = buf_over(base64, sizeof base64 - 1);
    cr_assert(nt_hash_make(span_text(password), hash));
    cr_assert(nt_hash_seal(nt_key, span_text(login), hash, octets));
    base64_encode(span_of(octets, sizeof octets), &b);
    base64[b.n] = 0;
    return base64;
}

static void ask(const char *verb, const char *login, const char *nt) {
    struct buf b = BUF_OVER(text);
    const char *last = nt ? "nt" : NULL;
    cr_assert_eq(
        auth_fixture_command(&fixture, &b, verb, "login", login, "hash", auth_fixture_hash(), last, nt, NULL),
        CONTROL_OK, "%.*s", (int)b.n, (const char *)b.p);
}

static void start(bool ntlm) {
    fixture.setup.ntlm = ntlm;
    auth_fixture_start(&fixture);
    close(fixture.verifier);
    start_verifier();
}

static void begin(void) {
    struct buf b = BUF_OVER(text);
    auth_fixture_setup(&fixture);
    fixture.setup.n_local_domains = 1;
    static const char *const users[] = {"alice@example.test", "bob@example.test", "gone@example.test",
                                        "moved@example.test"};
    for (size_t i = 0; i < sizeof users / sizeof *users; i++) ask("user add", users[i], NULL);
    ask("user spa enable", users[0], sealed(users[0], "secret-word"));
    ask("user spa enable", users[2], sealed(users[2], "secret-word"));
    ask("user spa enable", users[3], sealed(users[0], "secret-word")); /* alice's, put into another's row */
    cr_assert_eq(auth_fixture_command(&fixture, &b, "user disable", "login", users[2], NULL), CONTROL_OK);
    start(true);
}

static void end(void) {
    auth_fixture_stop(&fixture);
    cr_expect_eq(driver_stop(&verifier), 0);
}

TestSuite(login_ntlm, .init = begin, .fini = end, .timeout = 60);

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

static void say_auth(int session, bool initial, struct span message, struct span end_point) {
    struct buf b = buf_over(storage, FRAME_BODY_MAX);
    wire_put_u8(&b, 1);
    wire_put_text(&b, "NTLM");
    wire_put_u8(&b, initial);
    wire_put_span(&b, message);
    wire_put_span(&b, span_of(NULL, 0));
    wire_put_span(&b, end_point);
    cr_assert_eq(frame_send(session, SESSION_AUTH, buf_span(&b)), 0);
}

static void say_next(int session, struct span message) {
    struct buf b = buf_over(storage, FRAME_BODY_MAX);
    wire_put_u8(&b, 0);
    wire_put_span(&b, message);
    cr_assert_eq(frame_send(session, SESSION_AUTH_NEXT, buf_span(&b)), 0);
}

/* As far as the challenge. */
static struct ntlm_kept begin_exchange(int session, bool initial, struct span end_point) {
    struct buf negotiate = BUF_OVER(negotiate_octets), challenge = BUF_OVER(challenge_octets);
    ntlm_client_negotiate(&negotiate, NTLM_CLIENT_OEM);
    say_auth(session, initial, initial ? buf_span(&negotiate) : span_of(NULL, 0), end_point);
    cr_assert_eq(answered(session, &challenge, NULL), AUTH_CONTINUE);
    if (!initial) {
        cr_expect_eq(challenge.n, 0);
        say_next(session, buf_span(&negotiate));
        cr_assert_eq(answered(session, &challenge, NULL), AUTH_CONTINUE);
    }
    return (struct ntlm_kept){buf_span(&negotiate), buf_span(&challenge)};
}

static unsigned exchange(int session, bool initial, const struct ntlm_client *client, struct buf *login_out) {
    uint8_t octets[2048];
    struct buf b = BUF_OVER(octets);
    struct ntlm_kept kept = begin_exchange(session, initial, span_of(NULL, 0));
    ntlm_client_answer(&b, client, kept.negotiate, kept.challenge);
    cr_assert(buf_ok(&b));
    say_next(session, buf_span(&b));
    return answered(session, NULL, login_out);
}

Test(login_ntlm, outcomes) {
    static const uint8_t old[24] = {1};
    static const struct {
        struct ntlm_client client;
        unsigned outcome;
    } rows[] = {
        {{.user = "alice@example.test", .domain = "", .password = "secret-word"}, AUTH_ACCEPTED},
        {{.user = "Alice", .domain = "EXAMPLE.test", .password = "secret-word", .mic = true}, AUTH_ACCEPTED},
        {{.user = "alice", .domain = "WORKGROUP", .password = "secret-word"}, AUTH_ACCEPTED},
        {{.user = "alice", .domain = "WORKGROUP", .password = "secret-word", .domain_not_in_key = true},
         AUTH_ACCEPTED},
        {{.user = "alice@example.test", .domain = "", .password = "secret-worD"}, AUTH_REJECTED},
        {{.user = "bob@example.test", .domain = "", .password = "secret-word"}, AUTH_REJECTED},
        {{.user = "gone@example.test", .domain = "", .password = "secret-word"}, AUTH_REJECTED},
        {{.user = "moved@example.test", .domain = "", .password = "secret-word"}, AUTH_REJECTED},
        {{.user = "nobody@example.test", .domain = "", .password = "secret-word"}, AUTH_REJECTED},
        {{.user = "alice@example.test", .domain = "", .password = "secret-word", .nt = {old, 24}, .lm_n = 24},
         AUTH_REJECTED},
        {{.user = "", .domain = "", .password = "secret-word"}, AUTH_REJECTED},
        {{.user = "a\nb", .domain = "", .password = "secret-word"}, AUTH_MALFORMED},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint8_t octets[256];
        struct buf login = BUF_OVER(octets);
        int session = submission();
        cr_expect_eq(exchange(session, i % 2, &rows[i].client, &login), rows[i].outcome, "%zu", i);
        cr_expect(
            span_equal(buf_span(&login), rows[i].outcome == AUTH_ACCEPTED ? SPAN("alice@example.test") : SPAN("")),
            "%zu", i);
        close(session);
    }
}

Test(login_ntlm, failures_take_their_time) {
    static const char *const users[] = {"alice@example.test", "bob@example.test", "nobody@example.test"};
    for (size_t i = 0; i < sizeof users / sizeof *users; i++) {
        struct ntlm_client client = {.user = users[i], .domain = "", .password = "wrong-word"};
        int session = submission();
        uint64_t began = clock_ms();
        cr_expect_eq(exchange(session, true, &client, NULL), AUTH_REJECTED);
        cr_expect_geq(clock_ms() - began, 19, "no sooner than the shortest time of a failure");
        close(session);
    }
}

/* The answer to one challenge is none to the next, on this connection or another. */
Test(login_ntlm, once) {
    static const struct ntlm_client alice = {
        .user = "alice@example.test", .domain = "", .password = "secret-word", .mic = true};
    uint8_t octets[2048];
    struct buf b = BUF_OVER(octets);
    int session = submission(), other = submission();
    struct ntlm_kept kept = begin_exchange(session, true, span_of(NULL, 0));
    ntlm_client_answer(&b, &alice, kept.negotiate, kept.challenge);
    (void)begin_exchange(other, true, span_of(NULL, 0));
    say_next(other, buf_span(&b));
    cr_expect_neq(answered(other, NULL, NULL), AUTH_ACCEPTED);
    say_next(session, buf_span(&b));
    cr_expect_eq(answered(session, NULL, NULL), AUTH_ACCEPTED);
}

Test(login_ntlm, bound) {
    static const struct span end_point = {(const uint8_t *)"0123456789abcdef0123456789abcdef", 32};
    for (int right = 0; right < 2; right++) {
        uint8_t octets[2048], binding[NTLM_BINDING_BYTES];
        struct buf b = BUF_OVER(octets);
        int session = submission();
        ntlm_proof_binding(right ? end_point : SPAN("another certificate's digest"), binding);
        struct ntlm_client client = {
            .user = "alice", .domain = "", .password = "secret-word", .mic = true, .binding = binding};
        struct ntlm_kept kept = begin_exchange(session, true, end_point);
        ntlm_client_answer(&b, &client, kept.negotiate, kept.challenge);
        say_next(session, buf_span(&b));
        cr_expect_eq(answered(session, NULL, NULL), right ? AUTH_ACCEPTED : AUTH_REJECTED);
        close(session);
    }
}

Test(login_ntlm, off) {
    auth_fixture_stop(&fixture);
    cr_assert_eq(driver_stop(&verifier), 0);
    start(false);
    int session = submission();
    say_auth(session, false, span_of(NULL, 0), span_of(NULL, 0));
    cr_expect_eq(answered(session, NULL, NULL), AUTH_UNKNOWN_MECHANISM);
}

/* Who is no longer enrolled has no hash there any more; another password of who is has one. */
Test(login_ntlm, enrolment_ends) {
    static const struct ntlm_client before = {.user = "alice", .domain = "", .password = "secret-word"},
                                    after = {.user = "alice", .domain = "", .password = "other-word"};
    struct buf b = BUF_OVER(text);
    auth_fixture_stop(&fixture);
    cr_assert_eq(driver_stop(&verifier), 0);
    ask("user passwd", "alice@example.test", sealed("alice@example.test", "other-word"));
    start(true);
    int session = submission();
    cr_expect_eq(exchange(session, true, &before, NULL), AUTH_REJECTED);
    cr_expect_eq(exchange(session, true, &after, NULL), AUTH_ACCEPTED);
    auth_fixture_stop(&fixture);
    cr_assert_eq(driver_stop(&verifier), 0);
    cr_assert_eq(auth_fixture_command(&fixture, &b, "user spa disable", "login", "alice@example.test", NULL),
                 CONTROL_OK);
    start(true);
    session = submission();
    cr_expect_eq(exchange(session, true, &after, NULL), AUTH_REJECTED);
}
