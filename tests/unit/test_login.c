/* test_login.c - AUTH through auth and a real verifier; and a verifier that dies. */
#include "store/clock.h"
#include "tests/unit/logins.h"
#include "tests/unit/scram_client.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <unistd.h>

static uint8_t text[1 << 16];

static void begin(void) {
    logins_setup();
    logins_start();
}

static void end(void) {
    auth_fixture_stop(&logins_auth);
    cr_expect_eq(driver_stop(&logins_verifier), 0);
}

TestSuite(login, .init = begin, .fini = end, .timeout = 60);

static int submission(void) {
    return logins_session("198.51.100.7");
}

static void say_auth(int session, unsigned tls, const char *mechanism, bool initial, struct span message) {
    logins_say_start(session, tls, mechanism, initial, message, span_of(NULL, 0), span_of(NULL, 0));
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
        cr_expect_eq(logins_answered(session, NULL, NULL), rows[i].outcome, "%zu", i);
        close(session);
    }
}

Test(login, in_two_steps) {
    uint8_t octets[512];
    struct buf b = BUF_OVER(octets);
    int session = submission();
    cr_expect_eq(auth_fixture_mail(session, "<alice@example.test>").reason, REASON_AUTH_REQUIRED);
    say_auth(session, 1, "LOGIN", false, span_of(NULL, 0));
    cr_assert_eq(logins_answered(session, &b, NULL), AUTH_CONTINUE);
    cr_expect(span_equal(buf_span(&b), SPAN("Username:")));
    logins_say_next(session, 0, SPAN("alice@example.test"));
    cr_assert_eq(logins_answered(session, &b, NULL), AUTH_CONTINUE);
    cr_expect(span_equal(buf_span(&b), SPAN("Password:")));
    logins_say_next(session, 0, SPAN("secret-word"));
    cr_assert_eq(logins_answered(session, NULL, &b), AUTH_ACCEPTED);
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
    cr_assert_eq(logins_answered(session, NULL, NULL), AUTH_CONTINUE);
    logins_say_next(session, 1, span_of(NULL, 0));
    cr_expect_eq(logins_answered(session, NULL, NULL), AUTH_CANCELLED);
    say_auth(session, 0, "PLAIN", true, span_of("\0alice@example.test\0secret-word", 31));
    cr_expect_eq(logins_answered(session, NULL, NULL), AUTH_REJECTED, "no TLS");
    int mx = auth_fixture_session(&logins_auth, getpid(), RELAY_ROLE_MX, "198.51.100.7");
    auth_fixture_tls(mx);
    say_auth(mx, 1, "PLAIN", true, span_of("\0alice@example.test\0secret-word", 31));
    cr_expect_eq(logins_answered(mx, NULL, NULL), AUTH_UNKNOWN_MECHANISM, "mx without AUTH");
}

Test(login, failures_take_their_time) {
    int session = submission();
    uint64_t began = clock_ms();
    say_auth(session, 1, "PLAIN", true, span_of("\0alice@example.test\0wrong-word", 30));
    cr_expect_eq(logins_answered(session, NULL, NULL), AUTH_REJECTED);
    cr_expect_geq(clock_ms() - began, 19, "no sooner than the shortest time of a failure");
    for (int i = 0; i < 8; i++) {
        say_auth(session, 1, "NTLM", false, span_of(NULL, 0));
        cr_expect_eq(logins_answered(session, NULL, NULL), AUTH_UNKNOWN_MECHANISM);
    }
    say_auth(session, 1, "NTLM", false, span_of(NULL, 0));
    cr_expect_eq(logins_answered(session, NULL, NULL), AUTH_TOO_MANY);
}

Test(login, acting_for_another_is_a_failure_like_others) {
    int session = submission();
    uint64_t began = clock_ms();
    for (int i = 0; i < 10; i++) {
        say_auth(session, 1, "PLAIN", true, span_of("bob\0alice@example.test\0secret-word", 34));
        cr_expect_eq(logins_answered(session, NULL, NULL), i < 9 ? AUTH_REJECTED : AUTH_TOO_MANY);
    }
    cr_expect_geq(clock_ms() - began, 199, "no sooner than the shortest time of ten failures");
}

/* A user whose hash is of dearer days is not told from nobody by the time that a failure takes. */
Test(login, dear_hashes_set_the_time) {
    struct buf b = BUF_OVER(text);
    auth_fixture_stop(&logins_auth);
    cr_assert_eq(driver_stop(&logins_verifier), 0);
    cr_assert_eq(
        auth_fixture_command(
            &logins_auth, &b, "user passwd", "login", "alice@example.test", "hash",
            "$argon2id$v=19$m=65536,t=1,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
            NULL),
        CONTROL_OK);
    logins_start();
    int session = submission();
    uint64_t began = clock_ms();
    say_auth(session, 1, "PLAIN", true, span_of("\0nobody@example.test\0wrong-word", 31));
    cr_expect_eq(logins_answered(session, NULL, NULL), AUTH_REJECTED);
    /* A hash of 1 MiB takes a millisecond at least, by what a verifier says; this one has 64 times the work. */
    cr_expect_geq(clock_ms() - began, 64, "as long as the dearest stored hash takes");
}

Test(login, verifier_dies) {
    int session = submission();
    kill(logins_verifier.pid, SIGSTOP);
    say_auth(session, 1, "PLAIN", true, span_of("\0alice@example.test\0secret-word", 31));
    usleep(50000);
    kill(logins_verifier.pid, SIGKILL);
    cr_expect_eq(logins_answered(session, NULL, NULL), AUTH_FAILED_TEMPORARILY);
    (void)driver_stop(&logins_verifier);
    logins_start_verifier();
    say_auth(session, 1, "PLAIN", true, span_of("\0alice@example.test\0secret-word", 31));
    cr_expect_eq(logins_answered(session, NULL, NULL), AUTH_ACCEPTED);
}

Test(login, hash_is_replaced) {
    int session = submission();
    say_auth(session, 1, "PLAIN", true, span_of("\0alice@example.test\0secret-word", 31));
    cr_expect_eq(logins_answered(session, NULL, NULL), AUTH_ACCEPTED);
    close(session);
    session = submission(); /* by the new hash, of 2 MiB */
    say_auth(session, 1, "PLAIN", true, span_of("\0alice@example.test\0secret-word", 31));
    cr_expect_eq(logins_answered(session, NULL, NULL), AUTH_ACCEPTED);
}

/* ---- SCRAM: its keys are there after a login by PLAIN */

static void log_in_once(void) {
    int session = submission();
    say_auth(session, 1, "PLAIN", true, span_of("\0alice@example.test\0secret-word", 31));
    cr_assert_eq(logins_answered(session, NULL, NULL), AUTH_ACCEPTED);
    close(session);
}

static const uint8_t exporter[32] = {1, 2, 3}, end_point[32] = {4, 5, 6};

struct scram_row {
    const char *mechanism, *header, *name, *password;
    struct span binding;         /* what the client binds to */
    bool bound;                  /* what the connection has */
    unsigned first, final, last; /* outcomes; 0: it does not come to that */
};

static unsigned scram(int session, const struct scram_row *row) {
    static struct scram_client client;
    uint8_t octets[VERIFY_CHALLENGE_BYTES];
    struct buf challenge = BUF_OVER(octets);
    struct span none = {0};
    struct span first = scram_client_first(&client, row->header, row->name);
    logins_say_start(session, 1, row->mechanism, true, first, row->bound ? span_of(exporter, 32) : none,
                     row->bound ? span_of(end_point, 32) : none);
    unsigned outcome = logins_answered(session, &challenge, NULL);
    cr_expect_eq(outcome, row->first, "%s %s: %u", row->mechanism, row->header, outcome);
    if (outcome != AUTH_CONTINUE) return outcome;
    logins_say_next(session, 0, scram_client_final(&client, buf_span(&challenge), row->password, row->binding));
    outcome = logins_answered(session, &challenge, NULL);
    cr_expect_eq(outcome, row->final, "%s %s: %u", row->mechanism, row->header, outcome);
    if (outcome != AUTH_CONTINUE) return outcome;
    cr_expect(scram_client_believes(&client, buf_span(&challenge)));
    logins_say_next(session, 0, none);
    return logins_answered(session, NULL, NULL);
}

Test(login, scram) {
    enum { GO = AUTH_CONTINUE, NO = AUTH_REJECTED, UNKNOWN = AUTH_UNKNOWN_MECHANISM };
    static const struct scram_row rows[] = {
        {"SCRAM-SHA-256", "n,,", "alice@example.test", "secret-word", {0}, false, GO, GO, AUTH_ACCEPTED},
        {"SCRAM-SHA-256", "n,,", "alice", "secret-word", {0}, true, GO, GO, AUTH_ACCEPTED},
        {"scram-sha-256", "y,,", "ALICE@example.test", "secret-word", {0}, false, GO, GO, AUTH_ACCEPTED},
        {"SCRAM-SHA-256", "n,a=alice,", "alice@example.test", "secret-word", {0}, false, GO, GO, AUTH_ACCEPTED},
        {"SCRAM-SHA-256-PLUS",
         "p=tls-exporter,,",
         "alice@example.test",
         "secret-word",
         {exporter, 32},
         true,
         GO,
         GO,
         AUTH_ACCEPTED},
        {"SCRAM-SHA-256-PLUS",
         "p=tls-server-end-point,,",
         "alice",
         "secret-word",
         {end_point, 32},
         true,
         GO,
         GO,
         AUTH_ACCEPTED},
        {"SCRAM-SHA-256", "n,,", "alice@example.test", "wrong-word", {0}, false, GO, NO, 0},
        {"SCRAM-SHA-256", "n,,", "nobody@example.test", "secret-word", {0}, false, GO, NO, 0},
        {"SCRAM-SHA-256", "n,,", "gone@example.test", "secret-word", {0}, false, GO, NO, 0},
        {"SCRAM-SHA-256", "n,a=bob,", "alice@example.test", "secret-word", {0}, false, GO, NO, 0},
        {"SCRAM-SHA-256", "y,,", "alice@example.test", "secret-word", {0}, true, NO, 0, 0},
        {"SCRAM-SHA-256-PLUS", "p=tls-exporter,,", "alice", "secret-word", {end_point, 32}, true, GO, NO, 0},
        {"SCRAM-SHA-256-PLUS", "p=tls-unique,,", "alice", "secret-word", {end_point, 32}, true, NO, 0, 0},
        {"SCRAM-SHA-256-PLUS", "n,,", "alice", "secret-word", {0}, true, AUTH_MALFORMED, 0, 0},
        {"SCRAM-SHA-256-PLUS", "p=tls-exporter,,", "alice", "secret-word", {exporter, 32}, false, UNKNOWN, 0, 0},
    };
    log_in_once();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int session = submission();
        unsigned outcome = scram(session, &rows[i]), wanted = rows[i].last    ? rows[i].last
                                                              : rows[i].final ? rows[i].final
                                                                              : rows[i].first;
        cr_expect_eq(outcome, wanted, "%zu: %u", i, outcome);
        close(session);
    }
}

Test(login, scram_to_its_end) {
    static struct scram_client client;
    uint8_t octets[VERIFY_CHALLENGE_BYTES], login[256];
    struct buf challenge = BUF_OVER(octets), name = BUF_OVER(login);
    log_in_once();
    for (int how = 0; how < 4; how++) {
        int session = submission();
        logins_say(session, "SCRAM-SHA-256", scram_client_first(&client, "n,,", "alice@example.test"));
        cr_assert_eq(logins_answered(session, &challenge, NULL), AUTH_CONTINUE);
        struct span final = scram_client_final(&client, buf_span(&challenge), "secret-word", span_of(NULL, 0));
        if (how == 3) { /* without a challenge before it */
            logins_say_next(session, 1, span_of(NULL, 0));
            cr_expect_eq(logins_answered(session, NULL, NULL), AUTH_CANCELLED);
            logins_say(session, "SCRAM-SHA-256", final);
            cr_expect_eq(logins_answered(session, NULL, NULL), AUTH_MALFORMED);
            close(session);
            continue;
        }
        logins_say_next(session, 0, final);
        cr_assert_eq(logins_answered(session, &challenge, NULL), AUTH_CONTINUE);
        cr_expect(scram_client_believes(&client, buf_span(&challenge)));
        /* It is no login before the client has said so. */
        logins_say_next(session, how == 1, how == 2 ? SPAN("more") : SPAN(""));
        static const unsigned outcomes[] = {AUTH_ACCEPTED, AUTH_CANCELLED, AUTH_MALFORMED};
        cr_expect_eq(logins_answered(session, NULL, &name), outcomes[how], "%d", how);
        cr_expect(span_equal(buf_span(&name), how ? SPAN("") : SPAN("alice@example.test")));
        cr_expect_eq(auth_fixture_mail(session, "<alice@example.test>").reason,
                     how ? REASON_AUTH_REQUIRED : REASON_SENDER_ACCEPTED);
        close(session);
    }
}

/* The salt does not tell who is somebody: it stays, whoever asks and however the name is written. */
Test(login, salts_are_steady) {
    static struct scram_client client;
    static const char *const names[][2] = {{"alice@example.test", "ALICE@Example.Test"},
                                           {"nobody@example.test", "Nobody@example.TEST"},
                                           {"nobody", "NOBODY"},
                                           {"gone@example.test", "gone"}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        uint8_t octets[2][VERIFY_CHALLENGE_BYTES];
        size_t n[2];
        for (size_t k = 0; k < 2; k++) {
            int session = submission();
            struct buf challenge = BUF_OVER(octets[k]);
            logins_say(session, "SCRAM-SHA-256", scram_client_first(&client, "n,,", names[i][k]));
            cr_assert_eq(logins_answered(session, &challenge, NULL), AUTH_CONTINUE);
            struct span whole = buf_span(&challenge), salt = span_from(whole, span_find(whole, ','));
            n[k] = salt.n;
            memmove(octets[k], salt.p, salt.n);
            close(session);
        }
        cr_expect(n[0] > 20 && n[0] == n[1] && memcmp(octets[0], octets[1], n[0]) == 0, "%s", names[i][0]);
    }
}

Test(login, scram_needs_keys_and_the_owners_leave) {
    int session = submission();
    struct scram_row row = {"SCRAM-SHA-256", "n,,", "alice@example.test", "secret-word", {0}, false, AUTH_CONTINUE,
                            AUTH_REJECTED,   0};
    cr_expect_eq(scram(session, &row), AUTH_REJECTED, "no keys yet");
    close(session);
    end();
    logins_auth.setup.scram = 0;
    logins_start();
    session = submission();
    row.first = AUTH_UNKNOWN_MECHANISM;
    cr_expect_eq(scram(session, &row), AUTH_UNKNOWN_MECHANISM);
}

/* A hash that is made anew is the same secret: what came by it goes on, and ends when that is changed. */
Test(login, a_renewed_hash_is_the_same_secret) {
    struct buf b = BUF_OVER(text);
    int before = submission();
    say_auth(before, 1, "PLAIN", true, span_of("\0alice@example.test\0secret-word", 31));
    cr_assert_eq(logins_answered(before, NULL, NULL), AUTH_ACCEPTED); /* its hash, of 1 MiB, is replaced */
    log_in_once();
    cr_expect_eq(auth_fixture_mail(before, "<alice@example.test>").reason, REASON_SENDER_ACCEPTED);
    cr_assert_eq(
        auth_fixture_ask(&b, "user passwd", "login", "alice@example.test", "hash", auth_fixture_hash(), NULL),
        CONTROL_OK);
    cr_expect(auth_fixture_ended(before));
}
