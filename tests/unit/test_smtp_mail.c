/* test_smtp_mail.c - transactions by transcript.
 * Runs in: the test runner. Trusts: nothing. Never: talks to a socket. */
#include "auth/relay.h"
#include "tests/unit/talk.h"

#include <criterion/criterion.h>
#include <stdio.h>

/* One question for a group; what needs none keeps its place. */
Test(test_smtp_mail, groups_of_recipients) {
    talk_start(RELAY_ROLE_MX, false);
    talk_open_mail();
    talk_out = BUF_OVER(talk_storage);
    static const char *const lines[] = {"RCPT TO:<x@foreign.example>", "RCPT TO:<alice@example.test>",
                                        "RCPT TO:<y@foreign.example>", "RCPT TO:<nobody@example.test>",
                                        "RCPT TO:<bob@example.test> NOTIFY=NEVER"};
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        cr_assert_eq(smtp_line(&talk_machine, span_text(lines[i]), &talk_out), SMTP_MORE);
    cr_assert_eq(talk_world.rcpt_questions, 0);
    cr_assert_eq(smtp_line(&talk_machine, SPAN("DATA"), &talk_out), SMTP_DATA);
    cr_assert_eq(talk_world.rcpt_questions, 1);
    cr_assert_eq(talk_world.rcpts, 3);
    static const char *const codes[] = {"550 5.7.1", "250 2.1.5", "550 5.7.1", "550 5.1.1", "250 2.1.5", "354"};
    struct span rest = buf_span(&talk_out);
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
        cr_assert(span_starts_nocase(rest, span_text(codes[i])), "reply %zu", i);
        rest = span_from(rest, span_find(rest, '\n') + 1);
    }
    cr_assert_eq(rest.n, 0);
    cr_assert_eq(talk_machine.accepted, 2);
}

Test(test_smtp_mail, foreign_recipients_are_asked_about_unless_refused) {
    static const struct {
        enum reason foreign;
        const char *line;
        size_t questions;
    } cases[] = {
        {REASON_RELAY_DENIED, "RCPT TO:<x@foreign.example>", 0},
        {REASON_RELAY_AUTHENTICATED, "RCPT TO:<x@foreign.example>", 1},
        {REASON_NOT_DECIDED, "RCPT TO:<x@foreign.example>", 1},
        {REASON_RELAY_DENIED, "RCPT TO:<x@example.test>", 1},
        {REASON_RELAY_DENIED, "RCPT TO:<@foreign.example:x@example.test>", 1},
        {REASON_RELAY_DENIED, "RCPT TO:<@example.test:x@foreign.example>", 0},
        {REASON_RELAY_DENIED,
         "RCPT TO:<x@b\xc3\xbc"
         "cher.example>",
         1},
        {REASON_RELAY_DENIED, "RCPT TO:<x@[192.0.2.1]>", 1},
        {REASON_RELAY_DENIED, "RCPT TO:<postmaster>", 1},
        {REASON_RELAY_DENIED, "RCPT TO:<x@foreign.example> FOO=1", 1},
        {REASON_RELAY_DENIED, "RCPT TO:not a path", 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        talk_start(RELAY_ROLE_MX, false);
        talk_world.foreign = cases[i].foreign;
        talk_open_mail();
        talk_say(cases[i].line);
        cr_assert_eq(talk_world.rcpt_questions, cases[i].questions, "%s", cases[i].line);
    }
}

/* A stranger's MAIL gives no right: auth hears of a plain one with the first recipient that it is asked about. */
Test(test_smtp_mail, a_strangers_mail_waits) {
    static const struct {
        const char *mail;
        bool waits;
    } cases[] = {
        {"MAIL FROM:<a@b.example>", true},
        {"MAIL FROM:<>", true},
        {"MAIL FROM:<a@b.example> SIZE=100 BODY=8BITMIME RET=HDRS ENVID=x", true},
        {"MAIL FROM:<a@b.example> SIZE=999999999999", false},
        {"MAIL FROM:<a@b.example> SMTPUTF8 FOO=1", false},
        {"MAIL FROM:<a@example.test>", false}, /* who must log in, perhaps */
        {"MAIL FROM:<a@b\xc3\xbc"
         "cher.example> SMTPUTF8",
         false},
        {"MAIL FROM:<a@[192.0.2.1]>", false},
        {"MAIL FROM:not a path", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        talk_start(RELAY_ROLE_MX, false);
        talk_machine.stranger = REASON_RELAY_DENIED;
        EXPECT("EHLO client.example", "250");
        EXPECT(cases[i].mail, "250 2.1.0");
        cr_expect_eq(talk_world.mail_questions, !cases[i].waits, "%s", cases[i].mail);
        EXPECT("RCPT TO:<x@foreign.example>", "550 5.7.1");
        cr_expect_eq(talk_world.mail_questions, !cases[i].waits, "%s", cases[i].mail);
        EXPECT("RCPT TO:<alice@example.test>", "250 2.1.5");
        EXPECT("RCPT TO:<bob@example.test>", "250 2.1.5");
        cr_expect_eq(talk_world.mail_questions, 1, "%s", cases[i].mail);
        char want[128];
        snprintf(want, sizeof want, "1 client.example %s;", cases[i].mail + strlen("MAIL FROM:"));
        cr_expect_str_eq(talk_world.mails, want);
        talk_out = BUF_OVER(talk_storage);
        cr_assert_eq(smtp_line(&talk_machine, SPAN("DATA"), &talk_out), SMTP_DATA);
    }
}

/* Not where nobody said what a stranger gets, or somebody has logged in, or comes to submit. */
Test(test_smtp_mail, whose_mail_does_not_wait) {
    for (int i = 0; i < 3; i++) {
        talk_start(i == 0 ? RELAY_ROLE_SUBMISSION : RELAY_ROLE_MX, false);
        talk_machine.stranger = i == 1 ? REASON_NOT_DECIDED : REASON_RELAY_DENIED;
        talk_machine.authenticated = i == 2;
        EXPECT("EHLO client.example", "250");
        EXPECT("MAIL FROM:<a@b.example>", "250 2.1.0");
        cr_expect_eq(talk_world.mail_questions, 1, "%d", i);
    }
}

/* Where it is refused then, that is the answer to the recipients; and each later one asks again. */
Test(test_smtp_mail, a_mail_that_waited_is_refused) {
    talk_start(RELAY_ROLE_MX, false);
    talk_machine.stranger = REASON_RELAY_DENIED;
    talk_world.mail = REASON_STORAGE_FULL;
    EXPECT("EHLO client.example", "250");
    EXPECT("MAIL FROM:<a@b.example>", "250 2.1.0");
    EXPECT("RCPT TO:<alice@example.test>", "452 4.3.1");
    EXPECT("RCPT TO:<x@foreign.example>", "550 5.7.1");
    EXPECT("DATA", "554");
    cr_expect_eq(talk_world.rcpt_questions, 0);
    talk_world.mail = REASON_SENDER_ACCEPTED;
    EXPECT("RCPT TO:<alice@example.test>", "250 2.1.5");
    cr_expect_eq(talk_world.mail_questions, 2);
    cr_expect_eq(talk_world.rcpt_questions, 1);
}

/* What auth never heard of, it need not forget; and the next transaction does not begin with it. */
Test(test_smtp_mail, a_mail_that_waited_is_dropped) {
    talk_start(RELAY_ROLE_MX, false);
    talk_machine.stranger = REASON_RELAY_DENIED;
    EXPECT("EHLO client.example", "250");
    EXPECT("MAIL FROM:<a@b.example>", "250 2.1.0");
    EXPECT("RSET", "250");
    cr_expect_eq(talk_world.resets, 0);
    EXPECT("MAIL FROM:<c@d.example>", "250 2.1.0");
    EXPECT("RCPT TO:<alice@example.test>", "250 2.1.5");
    cr_expect_str_eq(talk_world.mails, "1 client.example <c@d.example>;");
    EXPECT("RSET", "250");
    cr_expect_eq(talk_world.resets, 1);
    talk_world.gone = true;
    EXPECT("MAIL FROM:<c@d.example>", "250 2.1.0");
    cr_expect_eq(talk_say("RCPT TO:<alice@example.test>"), SMTP_LEAVE);
    cr_expect(talk_starts("421 4.3.2"));
}

Test(test_smtp_mail, at_most_so_many_recipients) {
    talk_start(RELAY_ROLE_MX, false);
    talk_open_mail();
    for (int i = 0; i < 100; i++) EXPECT("RCPT TO:<alice@example.test>", "250");
    EXPECT("RCPT TO:<alice@example.test>", "452 4.5.3");
    EXPECT("RCPT TO:<x@foreign.example>", "550 5.7.1");
    cr_assert_eq(talk_world.rcpts, 100);
    talk_out = BUF_OVER(talk_storage);
    EXPECT("RSET", "250");
    EXPECT("MAIL FROM:<a@b.example>", "250");
    talk_setup.recipients_per_message = 3;
    talk_out = BUF_OVER(talk_storage);
    for (int i = 0; i < 5; i++)
        cr_assert_eq(smtp_line(&talk_machine, SPAN("RCPT TO:<alice@example.test>"), &talk_out), SMTP_MORE);
    cr_assert_eq(smtp_flush(&talk_machine, &talk_out), SMTP_MORE);
    cr_assert_eq(talk_machine.accepted, 3, "in one group too");
}

Test(test_smtp_mail, a_large_group_is_asked_about_in_parts) {
    talk_start(RELAY_ROLE_MX, false);
    talk_open_mail();
    talk_out = BUF_OVER(talk_storage);
    for (int i = 0; i < 70; i++)
        cr_assert_eq(smtp_line(&talk_machine, SPAN("RCPT TO:<alice@example.test>"), &talk_out), SMTP_MORE);
    cr_assert_eq(smtp_flush(&talk_machine, &talk_out), SMTP_MORE);
    cr_assert_eq(talk_world.rcpt_questions, 2);
    cr_assert_eq(talk_machine.accepted, 70);
}

Test(test_smtp_mail, faults_of_the_body) {
    static const struct {
        const char *text, *reply;
    } bodies[] = {{"a\nb\r\n.\r\n", "550 5.6.11"}, {"a\rb\r\n.\r\n", "550 5.6.11"}};
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        talk_start(RELAY_ROLE_MX, false);
        talk_open_mail();
        EXPECT("RCPT TO:<alice@example.test>", "250");
        cr_assert_eq(talk_say("DATA"), SMTP_DATA);
        talk_body(bodies[i].text);
        cr_assert_eq(talk_end_body(), SMTP_MORE);
        cr_assert(talk_starts(bodies[i].reply), "%s", (char *)talk_storage);
        cr_assert(talk_world.aborts == 1 && talk_world.resets == 1 && talk_world.committed == 0 &&
                  talk_world.failures == 1);
        EXPECT("MAIL FROM:<a@b.example>", "250");
    }
}

Test(test_smtp_mail, what_the_queue_says) {
    static const struct {
        enum body_outcome outcome;
        const char *reply;
    } outcomes[] = {{BODY_REFUSED, "451 4.3.0"},
                    {BODY_DURABLE, "250 2.0.0"},
                    {BODY_TOO_LARGE, "552 5.3.4"},
                    {BODY_NO_SPACE, "452 4.3.1"},
                    {(enum body_outcome)77, "451 4.3.0"}};
    for (size_t i = 0; i < sizeof outcomes / sizeof *outcomes; i++) {
        talk_start(RELAY_ROLE_MX, false);
        talk_world.outcome = outcomes[i].outcome;
        talk_open_mail();
        EXPECT("RCPT TO:<alice@example.test>", "250");
        cr_assert_eq(talk_say("DATA"), SMTP_DATA);
        talk_body("x\r\n.\r\n");
        cr_assert_eq(talk_end_body(), SMTP_MORE);
        cr_assert(talk_starts(outcomes[i].reply), "%s", (char *)talk_storage);
    }
}

static enum smtp_next end_chunk(const char *text) {
    talk_body(text);
    enum smtp_next next = smtp_chunk_end(&talk_machine, &talk_out);
    talk_storage[talk_out.n] = '\0';
    return next;
}

/* RFC 3030 */
Test(test_smtp_mail, chunks) {
    talk_start(RELAY_ROLE_MX, false);
    talk_open_mail();
    EXPECT("RCPT TO:<alice@example.test>", "250");
    cr_assert_eq(talk_say("BDAT 5"), SMTP_CHUNK);
    cr_assert(talk_machine.chunk_bytes == 5 && !talk_machine.chunk_dropped && !talk_machine.chunk_last);
    cr_assert_eq(end_chunk("abc\r\n"), SMTP_MORE);
    cr_assert(talk_starts("250 2.0.0"));
    EXPECT("DATA", "503 5.5.1");
    EXPECT("MAIL FROM:<x@y.example>", "503 5.5.1");
    EXPECT("RCPT TO:<alice@example.test>", "503 5.5.1");
    cr_assert_eq(talk_say("bdat 0 last"), SMTP_CHUNK);
    cr_assert(talk_machine.chunk_last);
    cr_assert_eq(end_chunk(""), SMTP_MORE);
    cr_assert(talk_starts("250 2.0.0 Queued"));
    cr_assert_eq(talk_world.committed, 1);
}

Test(test_smtp_mail, chunks_out_of_turn_are_dropped_with_their_octets) {
    talk_start(RELAY_ROLE_MX, false);
    static const struct {
        const char *before, *line, *reply;
    } cases[] = {{NULL, "BDAT 3", "503 5.5.1"},
                 {"EHLO x", "BDAT 3 LAST", "503 5.5.1"},
                 {"MAIL FROM:<a@b.example>", "BDAT 3", "503 5.5.1"},
                 {"RCPT TO:<nobody@example.test>", "BDAT 3", "554 5.5.1"},
                 {"RCPT TO:<alice@example.test>", "BDAT 3 FIRST", "501 5.5.4"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (cases[i].before) talk_say(cases[i].before);
        cr_assert_eq(talk_say(cases[i].line), SMTP_CHUNK, "%s", cases[i].line);
        cr_assert(talk_machine.chunk_bytes == 3 && talk_machine.chunk_dropped);
        talk_out = BUF_OVER(talk_storage);
        cr_assert_eq(smtp_chunk_end(&talk_machine, &talk_out), SMTP_MORE);
        cr_assert(talk_starts(cases[i].reply), "%s", cases[i].line);
    }
    static const char *const unknowable[] = {"BDAT",    "BDAT x",   "BDAT -1", "BDAT 99999999999999999999",
                                             "BDAT 1x", "BDAT LAST"};
    for (size_t i = 0; i < sizeof unknowable / sizeof *unknowable; i++)
        cr_assert_eq(talk_say(unknowable[i]), SMTP_LEAVE, "%s", unknowable[i]);
}

/* A channel that did not come is our fault, and no reason to give a message back. */
Test(test_smtp_mail, no_channel_to_the_queue_is_temporary) {
    talk_start(RELAY_ROLE_MX, false);
    talk_open_mail();
    EXPECT("RCPT TO:<alice@example.test>", "250");
    talk_world.queue = false;
    EXPECT("DATA", "451 4.3.0");
    cr_assert_eq(talk_say("BDAT 4 LAST"), SMTP_CHUNK);
    cr_assert(talk_machine.chunk_dropped && talk_machine.chunk_reply == REPLY_FAULT);
}

/* header_from: the addresses of From are asked about before the commit, for DATA and BDAT alike. */
Test(test_smtp_mail, from_is_asked_about) {
    static const struct {
        const char *body;
        enum reason answer;
        const char *asked, *reply;
    } rows[] = {
        {"From: \"A, B\" <a@x.test>,\r\n\tc@x.test\r\n\r\nFrom: d@x.test\r\n", REASON_SENDER_ACCEPTED,
         "a@x.test;c@x.test;", "250 2.0.0"},
        {"From: a@x.test\r\n\r\n", REASON_FROM_NOT_YOURS, "a@x.test;", "550 5.7.1"},
        {"From: a@x.test\r\n\r\n", REASON_NOT_DECIDED, "a@x.test;", "451 4.3.0"},
        {"Subject: x\r\n\r\nFrom: a@x.test\r\n", REASON_SENDER_ACCEPTED, "", "550 5.7.1"},
        {"From: a@x.test\r\nFrom: a@x.test\r\n\r\n", REASON_SENDER_ACCEPTED, "", "550 5.7.1"},
        {"..From: a@x.test\r\n\r\n", REASON_SENDER_ACCEPTED, "", "550 5.7.1"},
    };
    for (size_t i = 0; i < 2 * sizeof rows / sizeof *rows; i++) {
        bool data = i % 2;
        const char *body = rows[i / 2].body + (data || *rows[i / 2].body != '.' ? 0 : 1);
        talk_start(RELAY_ROLE_MX, false);
        talk_world.header_from = true;
        talk_world.from = rows[i / 2].answer;
        talk_open_mail();
        EXPECT("RCPT TO:<alice@example.test>", "250 2.1.5");
        char line[32];
        snprintf(line, sizeof line, "BDAT %zu LAST", strlen(body));
        cr_assert_eq(talk_say(data ? "DATA" : line), data ? SMTP_DATA : SMTP_CHUNK);
        talk_body(body);
        if (data) talk_body(".\r\n");
        cr_assert_eq(data ? talk_end_body() : smtp_chunk_end(&talk_machine, &talk_out), SMTP_MORE);
        cr_expect(talk_starts(rows[i / 2].reply), "%zu: %s", i, (char *)talk_storage);
        cr_expect_str_eq(talk_world.froms, rows[i / 2].asked);
        bool taken = rows[i / 2].reply[0] == '2';
        cr_expect(talk_world.committed == taken && talk_world.aborts == !taken && talk_world.resets == !taken, "%zu",
                  i);
        EXPECT("MAIL FROM:<a@example.test>", "250 2.1.0");
    }
}

/* What was asked of one transaction is not asked of the next. */
Test(test_smtp_mail, from_is_not_asked_about) {
    talk_start(RELAY_ROLE_MX, false);
    talk_world.header_from = true;
    talk_open_mail();
    EXPECT("RSET", "250");
    talk_world.header_from = false;
    EXPECT("MAIL FROM:<a@example.test>", "250 2.1.0");
    EXPECT("RCPT TO:<alice@example.test>", "250 2.1.5");
    cr_assert_eq(talk_say("DATA"), SMTP_DATA);
    talk_body("no header\r\n.\r\n");
    cr_assert_eq(talk_end_body(), SMTP_MORE);
    cr_expect(talk_starts("250 2.0.0") && !*talk_world.froms);
}
