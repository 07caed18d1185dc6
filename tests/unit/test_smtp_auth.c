/* test_smtp_auth.c - AUTH by transcript.
 * Runs in: the test runner. Trusts: nothing. Never: talks to a socket. */
#include "auth/relay.h"
#include "tests/unit/talk.h"

#include <criterion/criterion.h>

Test(test_smtp_auth, auth_has_its_place) {
    talk_start(RELAY_ROLE_MX, true);
    EXPECT("EHLO x", "250-");
    EXPECT("AUTH PLAIN AGEAYg==", "503 5.5.1");
    talk_start(RELAY_ROLE_SUBMISSION, false);
    EXPECT("EHLO x", "250-");
    EXPECT("AUTH PLAIN AGEAYg==", "538 5.7.11");
    cr_assert(talk_machine.secret, "the line is wiped all the same");
    cr_assert_str_eq(talk_world.sasl, "", "nothing in plaintext goes to auth");
    talk_start(RELAY_ROLE_SUBMISSION, true);
    EXPECT("AUTH PLAIN AGEAYg==", "503 5.5.1");
    EXPECT("HELO x", "250 ");
    EXPECT("AUTH PLAIN AGEAYg==", "503 5.5.1");
    EXPECT("EHLO x", "250-");
    EXPECT("MAIL FROM:<a@b.example>", "250");
    EXPECT("AUTH PLAIN AGEAYg==", "503 5.5.1");
    EXPECT("RSET", "250");
    cr_assert_eq(talk_world.resets, 1);
    EXPECT("MAIL FROM:<a@b.example>", "250");
    EXPECT("RCPT TO:<alice@example.test>", "250");
    cr_assert_eq(talk_say("DATA"), SMTP_DATA);
    talk_body(".\r\n");
    cr_assert_eq(talk_end_body(), SMTP_MORE);
    EXPECT("auth plain AGEAYg==", "235 2.7.0");
    cr_assert_eq(talk_world.resets, 2, "auth need not know yet that the message went through");
    EXPECT("AUTH PLAIN AGEAYg==", "503 5.5.1");
    EXPECT("EHLO x", "250-");
    cr_assert(!talk_lists("AUTH"));
    EXPECT("AUTH LOGIN", "503 5.5.1");
}

Test(test_smtp_auth, auth_habits) {
    static const struct {
        const char *line;
        enum auth_outcome answer;
        const char *reply, *sasl;
    } lines[] = {
        {"AUTH PLAIN", AUTH_CONTINUE, "334 VXNlcm5hbWU6\r\n", "none PLAIN [];"},
        {"Zm9v", AUTH_REJECTED, "535 5.7.8", "next  [foo];"},
        {"AUTH PLAIN =", AUTH_REJECTED, "535 5.7.8", "initial PLAIN [];"},
        {"AUTH Login Zm9v", AUTH_CONTINUE, "334 ", "initial LOGIN [foo];"},
        {"*", AUTH_CANCELLED, "501 5.7.0", "cancel  [];"},
        {"AUTH LOGIN", AUTH_CONTINUE, "334 ", "none LOGIN [];"},
        {"", AUTH_CONTINUE, "334 ", "next  [];"},
        {"not base64", AUTH_CANCELLED, "501 5.5.2", "cancel  [];"},
        {"AUTH PLAIN Zg=", AUTH_ACCEPTED, "501 5.5.2", ""},
        {"AUTH PLAIN Zg== x", AUTH_ACCEPTED, "501 5.5.2", ""},
        {"AUTH", AUTH_ACCEPTED, "501 5.5.4", ""},
        {"AUTH NTLM", AUTH_ACCEPTED, "504 5.5.4", ""},
        {"AUTH CRAM-MD5", AUTH_ACCEPTED, "504 5.5.4", ""},
        {"AUTH PLAIN Zm9v", AUTH_FAILED_TEMPORARILY, "454 4.7.0", "initial PLAIN [foo];"},
        {"AUTH PLAIN Zm9v", AUTH_HELD, "454 4.7.0 Too many", "initial PLAIN [foo];"},
        {"AUTH PLAIN Zm9v", AUTH_MALFORMED, "501 5.5.2", "initial PLAIN [foo];"},
        {"NOOP", AUTH_ACCEPTED, "250", ""},
    };
    talk_start(RELAY_ROLE_SUBMISSIONS, true);
    EXPECT("EHLO x", "250-");
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        talk_world.sasl[0] = '\0';
        talk_world.n_auths = 0;
        talk_world.auths[0] = lines[i].answer;
        EXPECT(lines[i].line, lines[i].reply);
        cr_assert_str_eq(talk_world.sasl, lines[i].sasl, "%s", lines[i].line);
    }
    talk_world.n_auths = 0;
    talk_world.auths[0] = AUTH_TOO_MANY;
    cr_assert_eq(talk_say("AUTH PLAIN Zm9v"), SMTP_LEAVE);
    cr_assert(talk_starts("421 4.7.0"));
    cr_assert_eq(talk_machine.exit, SESSION_EXIT_ABUSE);
}

Test(test_smtp_auth, mechanisms) {
    static const struct {
        bool bound, scram, ntlm;
        const char *line, *reply, *sasl;
    } rows[] = {
        {false, true, false, "AUTH scram-sha-256 Zm9v", "235", "initial SCRAM-SHA-256 [foo];"},
        {true, true, false, "AUTH SCRAM-SHA-256 Zm9v", "235",
         "initial SCRAM-SHA-256 [foo];bound to exporter [end point];"},
        {true, true, false, "AUTH Scram-Sha-256-Plus Zm9v", "235",
         "initial SCRAM-SHA-256-PLUS [foo];bound to exporter [end point];"},
        {true, true, true, "AUTH Ntlm", "235", "none NTLM [];bound to exporter [end point];"},
        {true, true, false, "AUTH PLAIN Zm9v", "235", "initial PLAIN [foo];"},
        {true, true, false, "AUTH LOGIN Zm9v", "235", "initial LOGIN [foo];"},
        {false, true, false, "AUTH SCRAM-SHA-256-PLUS Zm9v", "504 5.5.4", ""},
        {true, false, false, "AUTH SCRAM-SHA-256-PLUS Zm9v", "504 5.5.4", ""},
        {true, false, false, "AUTH SCRAM-SHA-256 Zm9v", "504 5.5.4", ""},
        {true, true, false, "AUTH NTLM", "504 5.5.4", ""},
        {true, true, true, "AUTH SCRAM-SHA-1", "504 5.5.4", ""},
        {true, true, true, "AUTH SCRAM-SHA-256-", "504 5.5.4", ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        talk_start(RELAY_ROLE_SUBMISSIONS, true);
        talk_world.bound = rows[i].bound;
        talk_setup.scram = rows[i].scram;
        talk_setup.ntlm = rows[i].ntlm;
        EXPECT("EHLO x", "250-");
        EXPECT(rows[i].line, rows[i].reply);
        cr_expect_str_eq(talk_world.sasl, rows[i].sasl, "%zu", i);
    }
}

Test(test_smtp_auth, a_bad_line_ends_an_exchange) {
    talk_start(RELAY_ROLE_SUBMISSION, true);
    EXPECT("EHLO x", "250-");
    talk_world.auths[0] = AUTH_CONTINUE;
    EXPECT("AUTH LOGIN", "334 ");
    talk_out = BUF_OVER(talk_storage);
    cr_assert_eq(smtp_bad_line(&talk_machine, REPLY_LINE_TOO_LONG, &talk_out), SMTP_MORE);
    cr_assert(talk_starts("500 5.5.6"));
    EXPECT("NOOP", "250");
}
