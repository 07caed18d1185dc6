/* test_smtp.c - the machine by transcript: order, words, limits.
 * Runs in: the test runner. Trusts: nothing. Never: talks to a socket. */
#include "auth/relay.h"
#include "tests/unit/talk.h"

#include <criterion/criterion.h>

Test(test_smtp, order_of_commands) {
    talk_start(RELAY_ROLE_MX, false);
    EXPECT("MAIL FROM:<a@b.example>", "503 5.5.1");
    EXPECT("RCPT TO:<a@b.example>", "503 5.5.1");
    EXPECT("DATA", "503 5.5.1");
    EXPECT("NOOP", "250 2.0.0");
    EXPECT("RSET", "250 2.0.0");
    EXPECT("HELO client.example", "250 mx.example.test");
    EXPECT("RCPT TO:<a@b.example>", "503 5.5.1");
    EXPECT("DATA", "503 5.5.1");
    EXPECT("MAIL FROM:<a@b.example>", "250 2.1.0");
    EXPECT("MAIL FROM:<a@b.example>", "503 5.5.1");
    EXPECT("DATA", "503 5.5.1");
    EXPECT("RCPT TO:<nobody@example.test>", "550 5.1.1");
    EXPECT("DATA", "554 5.5.1");
    EXPECT("RCPT TO:<alice@example.test>", "250 2.1.5");
    cr_assert_eq(talk_say("DATA"), SMTP_DATA);
    cr_assert(talk_starts("354 "));
    talk_body("x\r\n.\r\n");
    cr_assert_eq(talk_end_body(), SMTP_MORE);
    cr_assert(talk_starts("250 2.0.0 Queued as M1"));
    cr_assert_eq(talk_world.committed, 1);
    cr_assert_eq(talk_world.resets, 0);
    EXPECT("DATA", "503 5.5.1");
    cr_assert_eq(talk_say("QUIT"), SMTP_LEAVE);
    cr_assert(talk_starts("221 2.0.0"));
    cr_assert_eq(talk_machine.exit, SESSION_EXIT_FINE);
}

Test(test_smtp, words_and_arguments) {
    talk_start(RELAY_ROLE_MX, false);
    static const struct {
        const char *line, *reply;
    } lines[] = {
        {"", "500 5.5.1"},
        {"FOO", "500 5.5.1"},
        {"EHLOX x", "500 5.5.1"},
        {"ehlo x", "250-"},
        {"EHLO", "501 5.5.4"},
        {"HELO  ", "501 5.5.4"},
        {"EHLO a b", "501 5.5.4"},
        {"EHLO [192.0.2.1]", "250-"},
        {"mail from:<>", "250 2.1.0"},
        {"rset", "250 2.0.0"},
        {"MAIL <a@b.example>", "501 5.5.4"},
        {"MAIL FROM: <a@b.example>", "250 2.1.0"},
        {"RCPT <a@b.example>", "501 5.5.4"},
        {"rcpt to:<Alice@Example.Test>", "250 2.1.5"},
        {"RSET x", "501 5.5.4"},
        {"DATA x", "501 5.5.4"},
        {"VRFY alice", "252 2."},
        {"VRFY", "501 5.5.4"},
        {"EXPN list", "502 5.5.1"},
        {"ETRN x", "502 5.5.1"},
        {"TURN", "502 5.5.1"},
        {"HELP", "214 2.0.0"},
        {"HELP MAIL", "214 2.0.0"},
        {"NOOP hello", "250 2.0.0"},
        {"QUIT now", "501 5.5.4"},
    };
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) EXPECT(lines[i].line, lines[i].reply);
}

Test(test_smtp, ehlo_lists_what_holds_now) {
    talk_start(RELAY_ROLE_SUBMISSION, false);
    EXPECT("EHLO x", "250-mx.example.test\r\n");
    static const char *const always[] = {"-PIPELINING", "-SIZE 1000", "-8BITMIME", "ENHANCEDSTATUSCODES",
                                         "-SMTPUTF8",   "-CHUNKING",  "-DSN",      "-LIMITS RCPTMAX=100 MAILMAX=10",
                                         "-HELP"};
    for (size_t i = 0; i < sizeof always / sizeof *always; i++) cr_assert(talk_lists(always[i]), "%s", always[i]);
    cr_assert(talk_lists("-STARTTLS") && !talk_lists("AUTH"));
    cr_assert_eq(talk_say("STARTTLS"), SMTP_STARTTLS);
    smtp_tls_started(&talk_machine);
    EXPECT("MAIL FROM:<a@b.example>", "503 5.5.1");
    EXPECT("EHLO x", "250-");
    cr_assert(!talk_lists("STARTTLS") && talk_lists("-AUTH SCRAM-SHA-256 PLAIN LOGIN\r\n") &&
              talk_lists("-AUTH=SCRAM-SHA-256 PLAIN LOGIN\r\n"));
    talk_setup.legacy_auth_line = 0;
    EXPECT("EHLO x", "250-");
    cr_assert(talk_lists("-AUTH SCRAM-SHA-256 PLAIN LOGIN\r\n") && !talk_lists("AUTH="));
    talk_world.bound = true;
    talk_setup.ntlm = 1;
    EXPECT("EHLO x", "250-");
    cr_assert(talk_lists("-AUTH SCRAM-SHA-256-PLUS SCRAM-SHA-256 PLAIN LOGIN NTLM\r\n"));
    talk_setup.scram = 0;
    EXPECT("EHLO x", "250-");
    cr_assert(talk_lists("-AUTH PLAIN LOGIN NTLM\r\n"));
    talk_start(RELAY_ROLE_MX, true);
    EXPECT("EHLO x", "250-");
    cr_assert(!talk_lists("AUTH"), "no AUTH on mx");
    smtp_start(&talk_machine, &talk_setup, RELAY_ROLE_MX, false, false, false);
    EXPECT("EHLO x", "250-");
    cr_assert(!talk_lists("STARTTLS"), "no certificate");
    EXPECT("STARTTLS", "502 5.5.1");
}

Test(test_smtp, starttls) {
    talk_start(RELAY_ROLE_MX, false);
    EXPECT("STARTTLS", "503 5.5.1");
    EXPECT("EHLO x", "250-");
    EXPECT("STARTTLS now", "501 5.5.4");
    talk_world.keys = false;
    EXPECT("STARTTLS", "454 4.7.0");
    EXPECT("STARTTLS", "454 4.7.0");
    talk_start(RELAY_ROLE_MX, false);
    EXPECT("EHLO x", "250-");
    EXPECT("MAIL FROM:<a@b.example>", "250");
    EXPECT("STARTTLS", "503 5.5.1");
    EXPECT("RSET", "250");
    cr_assert_eq(talk_say("STARTTLS"), SMTP_STARTTLS);
    cr_assert(talk_starts("220 2.0.0"));
    smtp_tls_started(&talk_machine);
    EXPECT("EHLO x", "250-");
    EXPECT("STARTTLS", "503 5.5.1");
}

Test(test_smtp, junk_and_failures_end_it) {
    talk_start(RELAY_ROLE_MX, false);
    for (int i = 0; i < 100; i++) EXPECT("NOOP", "250");
    cr_assert_eq(talk_say("NOOP"), SMTP_LEAVE);
    cr_assert(talk_starts("421 4.7.0"));
    cr_assert_eq(talk_machine.exit, SESSION_EXIT_ABUSE);
    talk_start(RELAY_ROLE_MX, false);
    for (int i = 0; i < 19; i++) EXPECT("FOO", "500");
    cr_assert_eq(talk_say("FOO"), SMTP_LEAVE);
    cr_assert(talk_starts("421 4.7.0"));
    talk_start(RELAY_ROLE_MX, false);
    talk_open_mail();
    for (int i = 0; i < 19; i++) EXPECT("RCPT TO:<x@foreign.example>", "550 5.7.1");
    cr_assert_eq(talk_say("RCPT TO:<x@foreign.example>"), SMTP_LEAVE);
    cr_assert(talk_starts("421 4.7.0"));
    cr_assert_eq(talk_machine.exit, SESSION_EXIT_ABUSE);
    talk_start(RELAY_ROLE_SUBMISSIONS, true);
    EXPECT("EHLO x", "250-");
    for (int i = 0; i < 19; i++) {
        talk_world.n_auths = 0;
        talk_world.auths[0] = i % 2 ? AUTH_REJECTED : AUTH_MALFORMED;
        EXPECT("AUTH PLAIN Zm9v", i % 2 ? "535" : "501");
    }
    cr_assert_eq(talk_world.failures, 0, "auth has counted them itself");
    cr_assert_eq(talk_say("FOO"), SMTP_LEAVE);
    cr_assert(talk_starts("421 4.7.0"));
}

Test(test_smtp, reset_and_hello_end_a_transaction) {
    static const char *const lines[] = {"RSET", "EHLO x", "HELO x"};
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        talk_start(RELAY_ROLE_MX, false);
        talk_open_mail();
        EXPECT("RCPT TO:<alice@example.test>", "250");
        EXPECT(lines[i], "250");
        cr_assert_eq(talk_world.resets, 1, "%s", lines[i]);
        EXPECT("DATA", "503");
        EXPECT(lines[i], "250");
        cr_assert_eq(talk_world.resets, 1, "nothing to reset");
    }
}

Test(test_smtp, without_auth_it_ends) {
    static const char *const lines[] = {"MAIL FROM:<a@b.example>", "STARTTLS", "FOO"};
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        talk_start(RELAY_ROLE_MX, false);
        EXPECT("EHLO x", "250-");
        talk_world.gone = true;
        cr_assert_eq(talk_say(lines[i]), SMTP_LEAVE, "%s", lines[i]);
        cr_assert(talk_starts("421 4.3.2"));
        cr_assert_eq(talk_machine.exit, SESSION_EXIT_FAULT);
    }
}

Test(test_smtp, lines_have_limits) {
    talk_start(RELAY_ROLE_SUBMISSION, true);
    cr_assert_eq(smtp_line_limit(&talk_machine, SPAN("NOOP xxx")), 512);
    cr_assert_eq(smtp_line_limit(&talk_machine, SPAN("UNKNOWN")), 512);
    cr_assert_eq(smtp_line_limit(&talk_machine, SPAN("auth plain x")), 12288);
    cr_assert_gt(smtp_line_limit(&talk_machine, SPAN("MAIL FROM:<")), 512 + 500 + 26);
    cr_assert_gt(smtp_line_limit(&talk_machine, SPAN("RCPT TO:<")), 512 + 500);
}
