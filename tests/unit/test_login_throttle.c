/* test_login_throttle.c - where a login meets the throttle: before a verifier is asked, before a hash is made, and
 * with each failure. What the throttle makes of it is in test_throttle.c. */
#include "store/clock.h"
#include "tests/unit/logins.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <unistd.h>

static int verifier;
static uint8_t text[1 << 16];

static void begin(void) {
    logins_setup();
    logins_auth.setup.throttle = (struct throttle_limits){.enabled = true,
                                                          .network_ipv4_bits = 24,
                                                          .network_ipv6_bits = 64,
                                                          .network_failures = 20,
                                                          .account_failures = 5,
                                                          .window_ms = 3600000,
                                                          .known_ms = 3600000};
    logins_auth.setup.cache_ms = 60000;
    logins_auth.setup.failures_per_session = 100;
    logins_start_played(&verifier, 1);
}

static void end(void) {
    auth_fixture_stop(&logins_auth);
}

TestSuite(login_throttle, .init = begin, .fini = end, .timeout = 60);

static unsigned attempt(const char *client, const char *name, uint8_t password, bool right) {
    int session = logins_session(client);
    unsigned outcome = logins_play(session, verifier, name, password, right);
    close(session);
    return outcome;
}

/* The verifier reads the message and hears no more of it. */
static unsigned attempt_unchecked(const char *client, const char *name, uint8_t password) {
    int session = logins_session(client);
    logins_say(session, "PLAIN", SPAN("x"));
    logins_play_identity(verifier, name, "", password, password);
    logins_told_to_forget(verifier);
    unsigned outcome = logins_answered(session, NULL, NULL);
    close(session);
    return outcome;
}

static bool list_has(const char *what) {
    struct buf b = BUF_OVER(text);
    cr_assert_eq(auth_fixture_ask(&b, "throttle list", NULL), CONTROL_OK);
    return strstr((const char *)text, what) != NULL;
}

Test(login_throttle, an_account_is_held_for_strangers) {
    cr_assert_eq(attempt("198.51.100.7", "alice", 1, true), AUTH_ACCEPTED);
    for (uint8_t i = 0; i < 5; i++)
        cr_expect_eq(attempt(i % 2 ? "203.0.113.1" : "192.0.2.1", "alice", (uint8_t)(10 + i), false), AUTH_REJECTED);
    /* The same words after the same time, and no hash; somebody or nobody. */
    uint64_t began = clock_ms();
    cr_expect_eq(attempt_unchecked("203.0.113.1", "alice", 20), AUTH_REJECTED);
    cr_expect_geq(clock_ms() - began, 19);
    cr_expect_eq(attempt_unchecked("203.0.113.1", "ALICE@example.test", 1), AUTH_REJECTED,
                 "the right one, which is remembered for others, is not let in from there");
    cr_expect_eq(attempt("198.51.100.7", "alice", 2, true), AUTH_ACCEPTED, "from where it was used it opens");
    cr_expect_eq(attempt_unchecked("198.51.100.9", "alice", 1), AUTH_ACCEPTED, "and what is remembered is");
}

Test(login_throttle, the_same_wrong_password_again) {
    cr_expect_eq(attempt("198.51.100.7", "alice", 1, false), AUTH_REJECTED);
    for (int i = 0; i < 8; i++) cr_expect_eq(attempt_unchecked("198.51.100.7", "alice", 1), AUTH_REJECTED);
    cr_expect_eq(attempt("198.51.100.7", "alice", 2, true), AUTH_ACCEPTED, "a few of them hold nobody");
}

/* A network that fails without end gets no verifier, and then no session. */
static void expect_held(void) {
    int session = auth_fixture_client(&logins_auth, getpid(), RELAY_ROLE_SUBMISSION, "203.0.113.77");
    cr_expect_eq(auth_fixture_welcomed(session), REASON_TOO_MANY_FAILED_LOGINS);
    close(session);
    session = auth_fixture_client(&logins_auth, getpid(), RELAY_ROLE_MX, "203.0.113.77");
    cr_expect_eq(auth_fixture_welcomed(session), REASON_COUNT, "its mail is welcome");
    close(session);
    cr_expect_eq(attempt("198.51.100.7", "alice", 1, true), AUTH_ACCEPTED, "others log in");
}

Test(login_throttle, nonsense_holds_a_network) {
    int session = logins_session("203.0.113.1");
    for (int i = 0; i < 99; i++) {
        logins_say(session, i % 2 ? "CRAM-MD5" : "XYZ", SPAN("x"));
        cr_assert_eq(logins_answered(session, NULL, NULL), AUTH_UNKNOWN_MECHANISM);
    }
    expect_held();
}

Test(login_throttle, wrong_passwords_hold_a_network) {
    char name[32];
    end();
    logins_auth.setup.throttle.network_failures = 2; /* with more of them, each of the last waits for seconds */
    logins_start_played(&verifier, 1);
    int session = logins_session("203.0.113.1");
    unsigned outcome = AUTH_REJECTED;
    for (unsigned tries = 0; outcome == AUTH_REJECTED; tries++) {
        cr_assert_lt(tries, 40U, "never held");
        snprintf(name, sizeof name, "user%u@example.test", tries);
        logins_say(session, "PLAIN", SPAN("x"));
        bool asked = false;
        while (!(asked = logins_hears(verifier, 10)) && !logins_hears(session, 10)) continue;
        if (!asked) break;
        logins_play_identity(verifier, name, "", (uint8_t)(tries + 1), tries + 1);
        struct logins_told told;
        logins_told(verifier, &told);
        logins_play_verdict(verifier, VERIFY_REJECTED, 0, "");
        outcome = logins_answered(session, NULL, NULL);
    }
    cr_expect_eq(logins_answered(session, NULL, NULL), AUTH_HELD);
    expect_held();
}

/* Who does not wait for the answer has guessed all the same. */
Test(login_throttle, who_leaves_is_counted) {
    struct logins_told told;
    int session = logins_session("203.0.113.1");
    logins_say(session, "PLAIN", SPAN("x"));
    logins_play_identity(verifier, "alice", "", 9, 9);
    logins_told(verifier, &told);
    close(session);
    cr_expect_not(list_has("203.0.113.0/24"), "nothing is certain yet");
    logins_play_verdict(verifier, VERIFY_REJECTED, 0, "");
    for (int tries = 0; tries < 500 && !list_has("203.0.113.0/24"); tries++) usleep(10000);
    cr_expect(list_has("203.0.113.0/24"));
    cr_expect(list_has("alice@example.test"));
}

Test(login_throttle, what_was_no_login_is_counted) {
    static const struct {
        unsigned tls;
        const char *client, *network, *mechanism;
        bool cancels;
    } rows[] = {{1, "203.0.113.1", "203.0.113.0/24", "XYZ", false},
                {0, "203.0.114.1", "203.0.114.0/24", "PLAIN", false},
                {1, "203.0.115.1", "203.0.115.0/24", "LOGIN", true}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int session = logins_session(rows[i].client);
        logins_say_start(session, rows[i].tls, rows[i].mechanism, !rows[i].cancels,
                         rows[i].cancels ? span_of(NULL, 0) : SPAN("x"), span_of(NULL, 0), span_of(NULL, 0));
        (void)logins_answered(session, NULL, NULL);
        if (rows[i].cancels) {
            logins_say_next(session, 1, span_of(NULL, 0));
            cr_expect_eq(logins_answered(session, NULL, NULL), AUTH_CANCELLED);
        }
        cr_expect(list_has(rows[i].network), "%zu", i);
        close(session);
    }
    int session = logins_session("203.0.116.1");
    uint8_t what = SESSION_FAILURE_LOGIN;
    cr_assert_eq(frame_send(session, SESSION_FAILURE, span_of(&what, 1)), 0);
    cr_expect_eq(auth_fixture_mail(session, "<>").reason, REASON_AUTH_REQUIRED);
    cr_expect(list_has("203.0.116.0/24"), "what the session saw of a login");
    session = logins_session("203.0.117.1");
    what = SESSION_FAILURE_JUNK;
    cr_assert_eq(frame_send(session, SESSION_FAILURE, span_of(&what, 1)), 0);
    cr_expect_eq(auth_fixture_mail(session, "<>").reason, REASON_AUTH_REQUIRED);
    cr_expect_not(list_has("203.0.117.0/24"), "junk is no login");
}

/* Strangers who never say who they are do not take the places of those who did lately. */
Test(login_throttle, places_for_known_networks) {
    cr_assert_eq(attempt("198.51.100.7", "alice", 1, true), AUTH_ACCEPTED);
    int session;
    for (unsigned i = 0; i < 6; i++) /* setup.waiting_for_auth */
        (void)auth_fixture_session(&logins_auth, getpid(), RELAY_ROLE_SUBMISSION,
                                   i < 5 ? "203.0.113.1" : "192.0.2.1");
    session = auth_fixture_client(&logins_auth, getpid(), RELAY_ROLE_SUBMISSION, "203.0.114.1");
    cr_expect_eq(auth_fixture_welcomed(session), REASON_SERVER_BUSY);
    for (unsigned i = 0; i < 3; i++)
        (void)auth_fixture_session(&logins_auth, getpid(), RELAY_ROLE_SUBMISSION, "198.51.100.9");
    session = auth_fixture_client(&logins_auth, getpid(), RELAY_ROLE_SUBMISSION, "198.51.100.9");
    cr_expect_eq(auth_fixture_welcomed(session), REASON_TOO_MANY_CONNECTIONS, "one network has its share of these");
}
