/* test_login_scram.c - AUTH SCRAM-SHA-256 and -PLUS through auth and a real verifier, and what preparation does for
 * the mechanisms that show the password. */
#include "auth/password.h"
#include "auth/scram.h"
#include "auth/verifier.h"
#include "store/base64.h"
#include "tests/unit/auth_fixture.h"
#include "tests/unit/scram_client.h"

#include <criterion/criterion.h>
#include <unistd.h>

static struct auth_fixture fixture;
static struct driver verifier;
static struct scram_client client;
static const uint8_t exporter[32] = {1, 2, 3}, end_point[32] = {4, 5, 6}, salt[SCRAM_SALT_BYTES] = {7, 8};
static uint8_t storage[FRAME_MAX], text[1 << 16], challenge_octets[VERIFY_CHALLENGE_BYTES], login_octets[256];
static struct span challenge, login; /* of the last answer */

static void start_verifier(void) {
    struct verifier_setup setup = {.argon2_memory_bytes = 1 << 20, .argon2_passes = 1, .keys = {{1, 2, 3}, {4}, {5}}};
    uint8_t payload[256];
    struct buf b = BUF_OVER(payload);
    int ends[2];
    verifier_setup_put(&b, &setup);
    cr_assert(buf_ok(&b));
    cr_assert_eq(frame_pair(ends, true), 0);
    verifier = driver_start(verifier_run, ROLE_VERIFIER, buf_span(&b),
                            &(struct driver_link){true, {ROLE_AUTH, 0, ends[1]}}, 1);
    driver_link(&fixture.driver, (struct driver_link){true, {ROLE_VERIFIER, 0, ends[0]}});
    close(ends[0]), close(ends[1]);
}

static const char *in_base64(const void *octets, size_t n) {
    static char texts[2][128];
    static unsigned turn;
    char *out = texts[turn++ % 2];
    struct buf b = buf_over(out, sizeof texts[0] - 1);
    base64_encode(span_of(octets, n), &b);
    out[b.n] = 0;
    return out;
}

static void add_user(const char *name) {
    struct buf b = BUF_OVER(text);
    struct scram_keys keys;
    uint8_t octets[64];
    scram_keys_make(SPAN("secret-word"), span_of(salt, sizeof salt), SCRAM_ITERATIONS, &keys);
    memcpy(octets, keys.stored, 32), memcpy(octets + 32, keys.server, 32);
    cr_assert_eq(auth_fixture_command(&fixture, &b, "user add", "login", name, "hash", auth_fixture_hash(), "salt",
                                      in_base64(salt, sizeof salt), "scram", in_base64(octets, sizeof octets), NULL),
                 CONTROL_OK, "%.*s", (int)b.n, (const char *)b.p);
}

static void ask(const char *verb, const char *name, const char *hash) {
    struct buf b = BUF_OVER(text);
    const char *last = hash ? "hash" : NULL;
    cr_assert_eq(auth_fixture_command(&fixture, &b, verb, "login", name, last, hash, NULL), CONTROL_OK, "%.*s",
                 (int)b.n, (const char *)b.p);
}

static void begin(void) {
    auth_fixture_setup(&fixture);
    fixture.setup.n_local_domains = 1;
    fixture.setup.scram = 1;
    fixture.setup.scram_plus = 1;
    add_user("alice@example.test");
    ask("user add", "bob@example.test", auth_fixture_hash()); /* whom a table without keys brought */
    add_user("gone@example.test");
    ask("user disable", "gone@example.test", NULL);
    auth_fixture_start(&fixture);
    close(fixture.verifier);
    start_verifier();
}

static void end(void) {
    auth_fixture_stop(&fixture);
    cr_expect_eq(driver_stop(&verifier), 0);
}

TestSuite(login_scram, .init = begin, .fini = end, .timeout = 60);

static int submission(void) {
    int session = auth_fixture_session(&fixture, getpid(), RELAY_ROLE_SUBMISSION, "198.51.100.7");
    auth_fixture_tls(session);
    return session;
}

static unsigned answered(int session) {
    struct frame frame;
    auth_fixture_expect(session, SESSION_AUTH_RESULT, storage, &frame);
    struct wire w = wire_over(frame.body);
    unsigned outcome = wire_get_u8(&w);
    challenge = wire_get_span(&w, sizeof challenge_octets), login = wire_get_span(&w, sizeof login_octets);
    cr_assert(wire_end(&w));
    if (challenge.n) memcpy(challenge_octets, challenge.p, challenge.n);
    if (login.n) memcpy(login_octets, login.p, login.n);
    challenge.p = challenge_octets, login.p = login_octets;
    return outcome;
}

static unsigned say(int session, const char *mechanism, bool bound, struct span message) {
    struct buf b = buf_over(storage, FRAME_BODY_MAX);
    wire_put_u8(&b, 1);
    wire_put_text(&b, mechanism);
    wire_put_u8(&b, message.n > 0);
    wire_put_span(&b, message);
    wire_put_span(&b, span_of(exporter, bound ? sizeof exporter : 0));
    wire_put_span(&b, span_of(end_point, bound ? sizeof end_point : 0));
    cr_assert_eq(frame_send(session, SESSION_AUTH, buf_span(&b)), 0);
    return answered(session);
}

static unsigned say_next(int session, struct span message) {
    struct buf b = buf_over(storage, FRAME_BODY_MAX);
    wire_put_u8(&b, 0);
    wire_put_span(&b, message);
    cr_assert_eq(frame_send(session, SESSION_AUTH_NEXT, buf_span(&b)), 0);
    return answered(session);
}

/* From client-first to the answer to client-final. */
static unsigned prove(int session, bool bound, const char *header, const char *name, const char *password) {
    bool plus = header[0] == 'p';
    struct span binding = !plus ? span_of(NULL, 0) : span_of(strstr(header, "exporter") ? exporter : end_point, 32);
    const char *mechanism = plus ? "SCRAM-SHA-256-PLUS" : "SCRAM-SHA-256";
    unsigned outcome = say(session, mechanism, bound, scram_client_first(&client, header, name));
    if (outcome != AUTH_CONTINUE) return outcome;
    return say_next(session, scram_client_final(&client, challenge, password, binding));
}

static unsigned log_in(int session, bool bound, const char *header, const char *name, const char *password) {
    unsigned outcome = prove(session, bound, header, name, password);
    if (outcome != AUTH_CONTINUE) return outcome;
    cr_expect(scram_client_believes(&client, challenge), "the server has proved itself");
    return say_next(session, span_of(NULL, 0));
}

Test(login_scram, right_and_wrong) {
    static const struct {
        bool bound;
        const char *header, *name, *password;
        unsigned outcome;
    } rows[] = {
        {false, "n,,", "alice@example.test", "secret-word", AUTH_ACCEPTED},
        {true, "n,,", "alice@example.test", "secret-word", AUTH_ACCEPTED},
        {false, "y,,", "alice@example.test", "secret-word", AUTH_ACCEPTED},
        {true, "p=tls-exporter,,", "alice@example.test", "secret-word", AUTH_ACCEPTED},
        {true, "p=tls-server-end-point,,", "alice@example.test", "secret-word", AUTH_ACCEPTED},
        {true, "p=tls-unique,,", "alice@example.test", "secret-word", AUTH_REJECTED},
        {true, "y,,", "alice@example.test", "secret-word", AUTH_REJECTED}, /* RFC 5802 6: a downgrade */
        {false, "p=tls-exporter,,", "alice@example.test", "secret-word", AUTH_UNKNOWN_MECHANISM},
        {false, "n,,", "ALICE@Example.TEST", "secret-word", AUTH_ACCEPTED},
        {false, "n,,", "alice", "secret-word", AUTH_ACCEPTED},
        {false, "n,,", "\uff41lice", "secret-word", AUTH_ACCEPTED},
        {false, "n,,", "alice@example.test", "secret-wor", AUTH_REJECTED},
        {true, "p=tls-exporter,,", "alice@example.test", "secret-wor", AUTH_REJECTED},
        {false, "n,,", "nobody@example.test", "secret-word", AUTH_REJECTED},
        {false, "n,,", "gone@example.test", "secret-word", AUTH_REJECTED},
        {false, "n,,", "bob@example.test", "secret-word", AUTH_REJECTED}, /* no keys */
        {false, "n,,", "alice@@", "secret-word", AUTH_REJECTED},
        {false, "n,,", "a\u200blice", "secret-word", AUTH_REJECTED},
        {false, "n,,", "al=ice", "secret-word", AUTH_MALFORMED},
        {false, "x,,", "alice", "secret-word", AUTH_MALFORMED},
        /* Nobody acts for another, RFC 4616 2, and RFC 5802 5.1 the same. */
        {false, "n,a=alice@example.test,", "alice@example.test", "secret-word", AUTH_ACCEPTED},
        {false, "n,a=ALICE,", "alice@example.test", "secret-word", AUTH_ACCEPTED},
        {false, "n,a=bob@example.test,", "alice@example.test", "secret-word", AUTH_REJECTED},
        {false, "n,a=*,", "alice@example.test", "secret-word", AUTH_REJECTED},
        {true, "p=tls-exporter,a=bob@example.test,", "alice@example.test", "secret-word", AUTH_REJECTED},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int session = submission();
        unsigned found = log_in(session, rows[i].bound, rows[i].header, rows[i].name, rows[i].password);
        cr_expect_eq(found, rows[i].outcome, "%zu: %u", i, found);
        if (found == AUTH_ACCEPTED) {
            cr_expect(span_equal(login, SPAN("alice@example.test")), "%zu", i);
            cr_expect_eq(auth_fixture_mail(session, "<alice@example.test>").foreign, REASON_RELAY_AUTHENTICATED);
        }
        close(session);
    }
}

Test(login_scram, nothing_is_won_before_the_last_word) {
    int session = submission();
    cr_assert_eq(prove(session, false, "n,,", "alice", "secret-word"), AUTH_CONTINUE);
    cr_expect_eq(say_next(session, SPAN("more")), AUTH_MALFORMED);
    cr_expect_eq(auth_fixture_mail(session, "<alice@example.test>").reason, REASON_AUTH_REQUIRED);
    /* The server's challenge without client-first before it is empty. */
    cr_expect_eq(say(session, "SCRAM-SHA-256", false, span_of(NULL, 0)), AUTH_CONTINUE);
    cr_expect_eq(challenge.n, 0);
    cr_assert_eq(say_next(session, scram_client_first(&client, "n,,", "alice")), AUTH_CONTINUE);
    cr_assert_eq(say_next(session, scram_client_final(&client, challenge, "secret-word", span_of(NULL, 0))),
                 AUTH_CONTINUE);
    cr_expect_eq(say_next(session, span_of(NULL, 0)), AUTH_ACCEPTED);
}

static struct span salt_told(const char *name) {
    static char told[2][64];
    static unsigned turn;
    char *out = told[turn++ % 2];
    int session = submission();
    cr_assert_eq(say(session, "SCRAM-SHA-256", false, scram_client_first(&client, "n,,", name)), AUTH_CONTINUE);
    close(session);
    struct span rest = span_from(challenge, span_find(challenge, ',') + 1);
    cr_assert_lt(rest.n, 64);
    memcpy(out, rest.p, rest.n);
    return span_of(out, rest.n);
}

/* However a name is written, and after a restart too, its salt is the same: nobody's as somebody's. */
Test(login_scram, salts_are_steady) {
    static const char *const same[][2] = {{"alice@example.test", "ALICE"},
                                          {"nobody@example.test", "Nobody"},
                                          {"nobody@example.test", "nobody@EXAMPLE.test"},
                                          {"gone@example.test", "gone"},
                                          {"bob@example.test", "bob"},
                                          {"who@elsewhere.example", "WHO@elsewhere.example"}};
    char before[64];
    for (size_t i = 0; i < sizeof same / sizeof *same; i++)
        cr_expect(span_equal(salt_told(same[i][0]), salt_told(same[i][1])), "%s", same[i][0]);
    cr_expect_not(span_equal(salt_told("nobody"), salt_told("nobodi")));
    cr_expect_eq(salt_told("nobody").n, salt_told("alice").n);
    struct span nobody = salt_told("nobody");
    memcpy(before, nobody.p, nobody.n);
    auth_fixture_stop(&fixture);
    cr_assert_eq(driver_stop(&verifier), 0);
    auth_fixture_start(&fixture);
    close(fixture.verifier);
    start_verifier();
    cr_expect(span_equal(salt_told("nobody"), span_of(before, nobody.n)));
}

/* A login that shows the password makes the keys that are missing. */
Test(login_scram, keys_are_made) {
    int session = submission();
    cr_expect_eq(prove(session, false, "n,,", "bob", "secret-word"), AUTH_REJECTED);
    cr_expect_eq(say(session, "PLAIN", false, span_of("\0bob\0secret-word", 16)), AUTH_ACCEPTED);
    close(session);
    session = submission();
    cr_expect_eq(log_in(session, false, "n,,", "bob", "secret-word"), AUTH_ACCEPTED);
    cr_expect(span_equal(login, SPAN("bob@example.test")));
}

/* RFC 8265 4.2: composed or not, and by which space, it is one password; what is refused is a wrong one. */
Test(login_scram, passwords_are_prepared) {
    struct buf b = BUF_OVER(text);
    auth_fixture_stop(&fixture);
    cr_assert_eq(driver_stop(&verifier), 0);
    char hash[VERIFY_HASH_BYTES];
    cr_assert_eq(password_hash(SPAN("B\u00fccher lesen"), 1 << 20, 1, hash), 0);
    cr_assert_eq(auth_fixture_command(&fixture, &b, "user passwd", "login", "bob@example.test", "hash", hash, NULL),
                 CONTROL_OK);
    auth_fixture_start(&fixture);
    close(fixture.verifier);
    start_verifier();
    static const char plain[] = "\0bob\0Bu\u0308cher\u00a0lesen", ignored[] = "\0bob\0B\u00fccher\u200b lesen";
    int session = submission();
    cr_expect_eq(say(session, "PLAIN", false, span_of(ignored, sizeof ignored - 1)), AUTH_REJECTED);
    cr_expect_eq(say(session, "PLAIN", false, span_of(plain, sizeof plain - 1)), AUTH_ACCEPTED);
    close(session);
    session = submission();
    cr_expect_eq(say(session, "LOGIN", false, SPAN("\uff42ob")), AUTH_CONTINUE);
    cr_expect_eq(say_next(session, SPAN("Bu\u0308cher\u3000lesen")), AUTH_ACCEPTED);
    close(session);
    session = submission(); /* the keys are of the prepared form */
    cr_expect_eq(log_in(session, false, "n,,", "bob", "B\u00fccher lesen"), AUTH_ACCEPTED);
}

Test(login_scram, off) {
    auth_fixture_stop(&fixture);
    cr_assert_eq(driver_stop(&verifier), 0);
    fixture.setup.scram = 0;
    auth_fixture_start(&fixture);
    close(fixture.verifier);
    start_verifier();
    int session = submission();
    cr_expect_eq(prove(session, false, "n,,", "alice", "secret-word"), AUTH_UNKNOWN_MECHANISM);
    cr_expect_eq(prove(session, true, "p=tls-exporter,,", "alice", "secret-word"), AUTH_UNKNOWN_MECHANISM);
}
