/* test_login_verifier.c - what auth tells verifiers, what it makes of what they find, and which it asks; with
 * verifiers that the test plays. */
#include "store/clock.h"
#include "tests/unit/logins.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <unistd.h>

enum { VERIFIERS = 2 };

static int verifiers[VERIFIERS];
static uint8_t storage[FRAME_MAX], text[1 << 16];
#define VERIFIER verifiers[0]

static void start(size_t n) {
    logins_start_played(verifiers, n);
}

static void begin(void) {
    logins_setup();
}

static void end(void) {
    auth_fixture_stop(&logins_auth);
}

TestSuite(login_verifier, .init = begin, .fini = end, .timeout = 60);

static int submission(void) {
    return logins_session("198.51.100.7");
}

static void change(const char *verb, const char *login, const char *hash) {
    struct buf b = BUF_OVER(text);
    cr_assert_eq(auth_fixture_ask(&b, verb, "login", login, hash ? "hash" : NULL, hash, NULL), CONTROL_OK, "%s: %s",
                 verb, (const char *)text);
}

/* ---- what it is told */

Test(login_verifier, steps) {
    struct frame frame;
    start(1);
    int session = submission();
    logins_say_start(session, 1, "scram-sha-256-plus", true, SPAN("message"), SPAN("exporter"), SPAN("end point"));
    auth_fixture_expect(VERIFIER, VERIFY_STEP, storage, &frame);
    struct wire w = wire_over(frame.body);
    cr_expect_neq(wire_get_u64(&w), 0);
    cr_expect_eq(wire_get_u8(&w), MECHANISM_SCRAM_PLUS);
    cr_expect_eq(wire_get_u8(&w), 0);
    cr_expect(span_equal(wire_get_span(&w, CHANNEL_BINDING_MAX), SPAN("exporter")));
    cr_expect(span_equal(wire_get_span(&w, CHANNEL_BINDING_MAX), SPAN("end point")));
    wire_get_bytes(&w, text, VERIFY_STATE_BYTES);
    cr_expect(span_equal(wire_get_span(&w, VERIFY_MESSAGE_MAX), SPAN("message")));
    cr_expect(wire_end(&w));
}

Test(login_verifier, credentials) {
    static const struct {
        const char *name, *authorization;
        unsigned real;
        const char *login;
        bool salted;
    } rows[] = {
        {"alice@example.test", "", 1, "alice@example.test", true},
        {"ALICE", "", 1, "alice@example.test", true},
        {"alice", "alice@Example.test", 1, "alice@example.test", true},
        {"alice", "ALICE", 1, "alice@example.test", true},
        {"alice", "bob", 0, "alice@example.test", true},
        {"gone", "", 0, "gone@example.test", true},
        {"Nobody", "", 0, "nobody@example.test", false},
        {"nobody@EXAMPLE.test", "", 0, "nobody@example.test", false},
        {"Not a name", "", 0, "Not a name", false},
    };
    static const uint8_t none[VERIFY_SALT_BYTES];
    uint8_t salt[VERIFY_SALT_BYTES] = {0};
    struct logins_told told;
    start(1);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int session = submission();
        logins_say(session, "PLAIN", SPAN("x"));
        logins_play_identity(VERIFIER, rows[i].name, rows[i].authorization, 0, 0);
        logins_told(VERIFIER, &told);
        cr_expect_eq(told.real, rows[i].real, "%zu", i);
        cr_expect_eq(told.n, rows[i].real, "%zu", i);
        cr_expect_eq(told.user_id != 0, rows[i].real == 1, "%zu", i);
        cr_expect_str_eq(told.login, rows[i].login);
        cr_expect_eq(memcmp(told.salt, none, sizeof none) != 0, rows[i].salted, "%zu", i);
        if (i == 0) memcpy(salt, told.salt, sizeof salt);
        if (i < 5) cr_expect_eq(memcmp(salt, told.salt, sizeof salt), 0, "the same user's: %zu", i);
        /* Whatever a verifier finds, nobody is not let in. */
        logins_play_verdict(VERIFIER, VERIFY_ACCEPTED, 1, "");
        cr_expect_eq(logins_answered(session, NULL, NULL), rows[i].real ? AUTH_ACCEPTED : AUTH_REJECTED, "%zu", i);
        close(session);
    }
}

Test(login_verifier, verdicts) {
    uint8_t octets[VERIFY_CHALLENGE_BYTES];
    struct buf challenge = BUF_OVER(octets);
    struct logins_told told;
    start(1);
    for (int last = 0; last < 2; last++) {
        int session = submission();
        uint64_t began = clock_ms();
        logins_say(session, "SCRAM-SHA-256", SPAN("first"));
        logins_play_identity(VERIFIER, last ? "alice" : "nobody", "", 0, 0);
        logins_told(VERIFIER, &told);
        logins_play_verdict(VERIFIER, VERIFY_GOES_ON, 0, "go on");
        cr_expect_eq(logins_answered(session, &challenge, NULL), AUTH_CONTINUE);
        cr_expect(span_equal(buf_span(&challenge), SPAN("go on")));
        cr_expect_geq(clock_ms() - began, 9, "a challenge to a name has its time too");
        logins_say_next(session, 0, SPAN("final"));
        logins_play_identity(VERIFIER, last ? "alice" : "nobody", "", 0, 0);
        logins_told(VERIFIER, &told);
        logins_play_verdict(VERIFIER, VERIFY_LAST, told.credential_id, "well done");
        if (last) {
            cr_expect_eq(logins_answered(session, &challenge, NULL), AUTH_CONTINUE);
            cr_expect(span_equal(buf_span(&challenge), SPAN("well done")));
            logins_say_next(session, 0, span_of(NULL, 0));
        }
        cr_expect_eq(logins_answered(session, NULL, NULL), last ? AUTH_ACCEPTED : AUTH_REJECTED);
        close(session);
    }
}

/* ---- a login that was right lately */

static void expect_remembered(const char *name, uint8_t tag, bool remembered) {
    struct logins_told told;
    int session = submission();
    logins_say(session, "PLAIN", SPAN("x"));
    logins_play_identity(VERIFIER, name, "", tag, tag);
    if (remembered) {
        logins_told_to_forget(VERIFIER);
    } else {
        logins_told(VERIFIER, &told);
        logins_play_verdict(VERIFIER, VERIFY_REJECTED, 0, "");
    }
    cr_expect_eq(logins_answered(session, NULL, NULL), remembered ? AUTH_ACCEPTED : AUTH_REJECTED, "%s %u", name,
                 tag);
    close(session);
}

static void log_in(uint8_t tag) {
    int session = submission();
    cr_assert_eq(logins_play(session, VERIFIER, "alice", tag, true), AUTH_ACCEPTED);
    close(session);
}

Test(login_verifier, the_same_again_needs_no_hash) {
    logins_auth.setup.cache_ms = 60000;
    start(1);
    expect_remembered("alice", 7, false);
    log_in(7);
    expect_remembered("alice", 7, true);
    expect_remembered("alice", 7, true);
    expect_remembered("alice", 8, false); /* another password */
    expect_remembered("gone", 7, false);
    log_in(0);
    expect_remembered("alice", 0, false); /* no password was shown */
}

Test(login_verifier, a_change_voids_what_is_remembered) {
    logins_auth.setup.cache_ms = 60000;
    start(1);
    log_in(7);
    expect_remembered("alice", 7, true);
    change("user passwd", "alice@example.test", auth_fixture_hash());
    expect_remembered("alice", 7, false);
    log_in(7);
    expect_remembered("alice", 7, true);
    change("user disable", "alice@example.test", NULL);
    expect_remembered("alice", 7, false);
    change("user enable", "alice@example.test", NULL);
    log_in(7);
    expect_remembered("alice", 7, true);
    change("user remove", "alice@example.test", NULL);
    expect_remembered("alice", 7, false);
}

Test(login_verifier, nothing_is_remembered_unless_wanted) {
    start(1);
    log_in(7);
    expect_remembered("alice", 7, false);
}

Test(login_verifier, nor_for_longer) {
    logins_auth.setup.cache_ms = 300;
    start(1);
    log_in(7);
    expect_remembered("alice", 7, true);
    usleep(310000);
    expect_remembered("alice", 7, false);
}

/* ---- changes while sessions live */

Test(login_verifier, a_new_password_ends_sessions) {
    start(1);
    int session = submission(), other = submission();
    cr_assert_eq(logins_play(session, VERIFIER, "alice", 7, true), AUTH_ACCEPTED);
    cr_assert_eq(auth_fixture_mail(session, "<alice@example.test>").reason, REASON_SENDER_ACCEPTED);
    change("user passwd", "gone@example.test", auth_fixture_hash());
    cr_assert_eq(frame_send(session, SESSION_RESET, span_of(NULL, 0)), 0);
    cr_assert_eq(auth_fixture_mail(session, "<alice@example.test>").reason, REASON_SENDER_ACCEPTED);
    change("user passwd", "alice@example.test", auth_fixture_hash());
    cr_expect(auth_fixture_ended(session));
    cr_expect_eq(auth_fixture_mail(other, "<alice@example.test>").reason, REASON_AUTH_REQUIRED, "others live on");
}

Test(login_verifier, and_logins_under_way) {
    struct logins_told told;
    start(1);
    for (int last = 0; last < 2; last++) {
        int session = submission();
        logins_say(session, "PLAIN", SPAN("x"));
        logins_play_identity(VERIFIER, "alice", "", 7, 7);
        logins_told(VERIFIER, &told);
        if (last) {
            logins_play_verdict(VERIFIER, VERIFY_LAST, told.credential_id, "well done");
            cr_expect_eq(logins_answered(session, NULL, NULL), AUTH_CONTINUE);
        }
        change("user passwd", "alice@example.test", auth_fixture_hash());
        if (!last) logins_play_verdict(VERIFIER, VERIFY_ACCEPTED, told.credential_id, "");
        cr_expect(auth_fixture_ended(session));
        close(session);
    }
    int session = submission();
    cr_expect_eq(logins_play(session, VERIFIER, "alice", 7, true), AUTH_ACCEPTED, "the next is fine");
}

/* ---- whose turn it is */

static int waits(const char *client) {
    int session = logins_session(client);
    logins_say(session, "PLAIN", SPAN("x"));
    return session;
}

/* Until auth has heard of them all. */
static void expect_waiting(unsigned n) {
    char wanted[32];
    snprintf(wanted, sizeof wanted, "logins_waiting=%u\n", n);
    for (int tries = 0; tries < 500; tries++) {
        struct buf b = BUF_OVER(text);
        cr_assert_eq(auth_fixture_ask(&b, "status", NULL), CONTROL_OK);
        if (strstr((const char *)text, wanted)) return;
        usleep(10000);
    }
    cr_assert_fail("%u do not wait", n);
}

static void finish(int verifier, const char *name, int session, bool right) {
    struct logins_told told;
    logins_play_identity(verifier, name, "", 0, 0);
    logins_told(verifier, &told);
    logins_play_verdict(verifier, right ? VERIFY_ACCEPTED : VERIFY_REJECTED, told.credential_id, "");
    cr_expect_eq(logins_answered(session, NULL, NULL), right ? AUTH_ACCEPTED : AUTH_REJECTED);
}

Test(login_verifier, one_is_for_networks_that_are_known) {
    static const char *const strangers[] = {"203.0.113.1", "203.0.114.1", "203.0.115.1", "203.0.116.1",
                                            "203.0.117.1", "203.0.118.1", "203.0.119.1", "203.0.120.1"};
    int sessions[8];
    logins_auth.setup.throttle = (struct throttle_limits){.enabled = true,
                                                          .network_ipv4_bits = 24,
                                                          .network_ipv6_bits = 64,
                                                          .network_failures = 100,
                                                          .account_failures = 100,
                                                          .window_ms = 3600000,
                                                          .known_ms = 3600000};
    logins_auth.setup.waiting_for_auth = 20;
    start(VERIFIERS);
    int known = logins_session("198.51.100.7");
    cr_assert_eq(logins_play(known, VERIFIER, "alice", 0, true), AUTH_ACCEPTED);
    /* Both work for strangers, as long as few wait. */
    for (size_t i = 0; i < VERIFIERS; i++) {
        sessions[i] = waits(strangers[i]);
        cr_assert(logins_hears(verifiers[i], 30000));
    }
    for (size_t i = VERIFIERS; i < 8; i++) sessions[i] = waits(strangers[i]);
    expect_waiting(6);
    finish(verifiers[0], "nobody", sessions[0], false);
    /* Six wait: this one is not for them any more. */
    cr_expect_not(logins_hears(verifiers[0], 200));
    known = waits("198.51.100.8"); /* of the same network */
    finish(verifiers[0], "alice", known, true);
    finish(verifiers[1], "nobody", sessions[1], false);
    finish(verifiers[1], "nobody", sessions[2], false);
    finish(verifiers[1], "nobody", sessions[3], false);
    /* Four wait at most, and it helps again. */
    finish(verifiers[0], "nobody", sessions[4], false);
}

/* Two of one user at once: the hash is made anew for one, and the other came by the same secret. */
Test(login_verifier, two_logins_while_the_hash_is_renewed) {
    struct logins_told told;
    start(VERIFIERS);
    int first = waits("198.51.100.7"), second = waits("198.51.100.8");
    for (size_t i = 0; i < VERIFIERS; i++) {
        logins_play_identity(verifiers[i], "alice", "", 0, 0);
        logins_told(verifiers[i], &told);
    }
    logins_play_renewal(verifiers[0], told.credential_id, auth_fixture_hash());
    logins_play_verdict(verifiers[1], VERIFY_ACCEPTED, told.credential_id, "");
    cr_expect_eq(logins_answered(first, NULL, NULL), AUTH_ACCEPTED);
    cr_expect_eq(logins_answered(second, NULL, NULL), AUTH_ACCEPTED);
    change("user passwd", "alice@example.test", auth_fixture_hash());
    cr_expect(auth_fixture_ended(first));
    cr_expect(auth_fixture_ended(second));
}
