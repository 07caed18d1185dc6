/* test_auth_pop3.c - what auth lets a session of the POP3 listener say, and as whom.
 * Runs in: the test runner. Trusts: nothing. Never: lets auth talk to a real queue. */
#include "tests/unit/logins.h"

#include <criterion/criterion.h>
#include <unistd.h>

static int verifier, smtp, pop3;
static struct network clear = {{[10] = 0xff, 0xff, 203, 0, 113, 0}, 120};

static void begin(void) {
    int ends[2];
    logins_setup();
    logins_auth.setup.clear_login_from = &clear;
    logins_auth.setup.n_clear_login_from = 1;
    logins_start_played(&verifier, 1);
    cr_assert_eq(frame_pair(ends, true), 0);
    driver_link(&logins_auth.driver, (struct driver_link){true, {ROLE_POP3, 0, ends[1]}});
    close(ends[1]);
    pop3 = ends[0];
    smtp = logins_auth.listener, logins_auth.listener = pop3; /* which names the clients from here on */
}

static void end(void) {
    auth_fixture_stop(&logins_auth);
}

TestSuite(auth_pop3, .init = begin, .fini = end, .timeout = 60);

static int session(bool logged_in) {
    int made = auth_fixture_session(&logins_auth, getpid(), RELAY_ROLE_POP3, "198.51.100.7");
    auth_fixture_tls(made);
    if (logged_in) cr_assert_eq(logins_play(made, verifier, "alice@example.test", 1, true), AUTH_ACCEPTED);
    return made;
}

static struct span mail_of(enum frame_type type, uint8_t *storage, size_t size) {
    struct buf b = buf_over(storage, size);
    if (type == SESSION_MAIL) {
        wire_put_u8(&b, 1);
        wire_put_text(&b, "client.example");
        wire_put_text(&b, "<alice@example.test>");
    } else if (type != SESSION_RESET) {
        wire_put_u16(&b, 1);
        wire_put_text(&b, "<alice@example.test>");
    }
    return buf_span(&b);
}

Test(auth_pop3, mail_is_not_theirs_to_send) {
    static const enum frame_type types[] = {SESSION_MAIL, SESSION_RCPT, SESSION_FROM, SESSION_RESET};
    uint8_t storage[256];
    for (size_t i = 0; i < 2 * sizeof types / sizeof *types; i++) {
        enum frame_type type = types[i / 2];
        int client = session(i % 2);
        cr_assert_eq(frame_send(client, (uint16_t)type, mail_of(type, storage, sizeof storage)), 0);
        cr_expect(auth_fixture_ended(client), "%#x, logged in: %zu", type, i % 2);
        close(client);
    }
    cr_expect_eq(auth_fixture_drain(logins_auth.queue), 0u, "the queue heard of one");
}

/* By a proxy's word the child itself says the role, and may be anybody's. */
Test(auth_pop3, a_role_of_the_other_listener_ends_the_session) {
    static const struct {
        bool smtp;
        enum relay_role role;
        bool fits;
    } rows[] = {{false, RELAY_ROLE_MX, false},     {false, RELAY_ROLE_SUBMISSION, false},
                {false, RELAY_ROLE_LOCAL, false},  {false, RELAY_ROLE_UNKNOWN, false},
                {false, RELAY_ROLE_POP3, true},    {false, RELAY_ROLE_POP3S, true},
                {true, RELAY_ROLE_POP3, false},    {true, RELAY_ROLE_POP3S, false},
                {true, (enum relay_role)9, false}, {true, RELAY_ROLE_SUBMISSIONS, true}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        logins_auth.listener = rows[i].smtp ? smtp : pop3;
        int child = auth_fixture_child(&logins_auth, getpid());
        auth_fixture_announce(child, rows[i].role, "198.51.100.7");
        if (rows[i].fits)
            cr_expect_eq(auth_fixture_welcomed(child), (unsigned)REASON_COUNT, "row %zu", i);
        else
            cr_expect(auth_fixture_ended(child), "row %zu", i);
        close(child);
    }
}

static unsigned log_in_clear(const char *address) {
    int client = auth_fixture_session(&logins_auth, getpid(), RELAY_ROLE_POP3, address);
    logins_say_start(client, 0, "PLAIN", true, SPAN("\0alice\0secret-word"), SPAN(""), SPAN(""));
    if (logins_hears(verifier, 200)) {
        close(client);
        return AUTH_ACCEPTED; /* it is looked at */
    }
    unsigned outcome = logins_answered(client, NULL, NULL);
    close(client);
    return outcome;
}

Test(auth_pop3, without_tls_only_from_where_the_owner_says_so) {
    cr_expect_eq(log_in_clear("198.51.100.7"), (unsigned)AUTH_REJECTED);
    cr_expect_eq(log_in_clear("203.0.113.7"), (unsigned)AUTH_ACCEPTED);
}

Test(auth_pop3, and_never_by_smtp) {
    logins_auth.listener = smtp;
    int client = auth_fixture_session(&logins_auth, getpid(), RELAY_ROLE_SUBMISSION, "203.0.113.7");
    logins_say_start(client, 0, "PLAIN", true, SPAN("\0alice\0secret-word"), SPAN(""), SPAN(""));
    cr_expect_eq(logins_answered(client, NULL, NULL), (unsigned)AUTH_REJECTED);
    cr_expect_not(logins_hears(verifier, 0));
    close(client);
}
