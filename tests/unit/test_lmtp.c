/* test_lmtp.c - dialogues with scripted LMTP servers: RFC 2033, and what breaks in the middle of it. */
#include "server/outbound/smtp_transaction.h"
#include "store/envelope.h"
#include "tests/unit/fake_queue.h"
#include "tests/unit/fake_smarthost.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <unistd.h>

#define GREETING "S 220 lmtp ready\nC LHLO me.example.test\n"
#define BARE GREETING "S 250 lmtp\n"
#define FULL                                                                                                         \
    GREETING "S 250-lmtp\nS 250-8BITMIME\nS 250-SIZE 1000\nS 250-DSN\nS 250-SMTPUTF8\nS 250-PIPELINING\n"            \
             "S 250 ENHANCEDSTATUSCODES\n"
#define PIPELINED GREETING "S 250-lmtp\nS 250 PIPELINING\n"
#define MAIL "C MAIL FROM:<s@a.example>\n"
#define RCPT_A "C RCPT TO:<a@b.example>\n"
#define RCPT_B "C RCPT TO:<b@b.example>\n"
#define RCPT_C "C RCPT TO:<c@b.example>\n"
#define OK "S 250 2.1.0 ok\n"
#define THREE MAIL OK RCPT_A OK RCPT_B OK RCPT_C OK "C DATA\nS 354 go\nD x|\n"
#define PIPELINED_THREE MAIL RCPT_A RCPT_B RCPT_C "C DATA\n" OK OK OK OK "S 354 go\nD x|\n"
#define DONE "S 250 2.0.0 <someone> saved\n"
#define QUIT "C QUIT\nS 221 bye\n"
#define DELIVERED                                                                                                    \
    { JOB_DELIVERED, "2.0.0", 250, NULL }
#define LOST                                                                                                         \
    { JOB_DEFERRED, "4.4.2", 0, "may have been delivered" }

struct expectation {
    uint8_t outcome;
    const char *status;
    uint16_t code;
    const char *says; /* NULL: anything */
};
struct dialogue {
    const char *name;
    const char *scripts[FAKE_CONNECTIONS];
    struct fake_job jobs[2];
    struct expectation expected[2][4];
};

#define TO(text)                                                                                                     \
    { .address = (text), .orcpt = "" }
#define TO_THREE .n = 3, .recipients = {TO("a@b.example"), TO("b@b.example"), TO("c@b.example")}
#define JOB(...)                                                                                                     \
    { __VA_ARGS__ }

static const struct dialogue dialogues[] = {
    {"one after the other, mixed replies",
     {BARE THREE DONE "S 451 4.3.0 later\nS 550 5.1.1 gone\n" QUIT},
     {JOB(.number = 1, TO_THREE)},
     {{DELIVERED, {JOB_DEFERRED, "4.3.0", 451, "later"}, {JOB_FAILED, "5.1.1", 550, "gone"}}}},
    {"pipelined, mixed replies",
     {PIPELINED PIPELINED_THREE "S 550 5.2.2 full\n" DONE "S 451 4.2.0 locked\n" QUIT},
     {JOB(.number = 1, TO_THREE)},
     {{{JOB_FAILED, "5.2.2", 550, "full"}, DELIVERED, {JOB_DEFERRED, "4.2.0", 451, NULL}}}},
    {"all replies in one write",
     {PIPELINED MAIL RCPT_A RCPT_B RCPT_C "C DATA\nR 250 ok|250 ok|250 ok|250 ok|354 go|\nD x|\n"
                                          "R 250 2.0.0 a|250-2.0.0 b|250 2.0.0 b|550-5.7.1 no|550-5.7.1 no|550 no|\n"
                                          "" QUIT},
     {JOB(.number = 1, TO_THREE)},
     {{DELIVERED, DELIVERED, {JOB_FAILED, "5.7.1", 550, "no"}}}},
    {"many lines for each",
     {BARE THREE
      "S 250-2.0.0 first\nS 250 2.0.0 saved\nS 451-4.3.0 this\nS 451-4.3.0 and\nS 451 4.3.0 that\n" DONE QUIT},
     {JOB(.number = 1, TO_THREE)},
     {{DELIVERED, {JOB_DEFERRED, "4.3.0", 451, "that"}, DELIVERED}}},
    {"the connection is kept",
     {PIPELINED PIPELINED_THREE DONE DONE DONE "C RSET\n" MAIL RCPT_A RCPT_B RCPT_C "C DATA\n" OK OK OK OK OK
                                               "S 354 go\nD x|\n" DONE DONE DONE QUIT},
     {JOB(.number = 1, TO_THREE), JOB(.number = 2, TO_THREE)},
     {{DELIVERED, DELIVERED, DELIVERED}, {DELIVERED, DELIVERED, DELIVERED}}},
    {"refused at RCPT: as many replies as were taken",
     {PIPELINED MAIL RCPT_A RCPT_B RCPT_C "C DATA\n" OK OK "S 550 5.1.1 unknown\n" OK "S 354 go\nD x|\n" DONE
                                          "S 452 4.3.1 no room\n" QUIT},
     {JOB(.number = 1, TO_THREE)},
     {{DELIVERED, {JOB_FAILED, "5.1.1", 550, "unknown"}, {JOB_DEFERRED, "4.3.1", 452, NULL}}}},
    {"nobody was taken: no body, one after the other",
     {BARE MAIL OK RCPT_A "S 550 5.1.1 no\n" RCPT_B "S 450 4.2.1 no\n" RCPT_C "S 553 5.1.3 no\n" QUIT},
     {JOB(.number = 1, TO_THREE)},
     {{{JOB_FAILED, "5.1.1", 550, NULL}, {JOB_DEFERRED, "4.2.1", 450, NULL}, {JOB_FAILED, "5.1.3", 553, NULL}}}},
    {"nobody was taken: no body, pipelined",
     {PIPELINED MAIL RCPT_A RCPT_B RCPT_C
      "C DATA\n" OK "S 550 5.1.1 no\nS 550 5.1.1 no\nS 550 5.1.1 no\nS 503 5.5.1 nobody\n" QUIT},
     {JOB(.number = 1, TO_THREE)},
     {{{JOB_FAILED, "5.1.1", 550, NULL}, {JOB_FAILED, "5.1.1", 550, NULL}, {JOB_FAILED, "5.1.1", 550, NULL}}}},
    {"nobody was taken, and the body is wanted nevertheless: a new connection",
     {PIPELINED MAIL RCPT_A "C DATA\n" OK "S 550 5.1.1 no\nS 354 go\nW\n",
      PIPELINED MAIL RCPT_A "C DATA\n" OK OK "S 354 go\nD x|\n" DONE QUIT},
     {JOB(.number = 1, .n = 1, .recipients = {TO("a@b.example")}),
      JOB(.number = 2, .n = 1, .recipients = {TO("a@b.example")})},
     {{{JOB_FAILED, "5.1.1", 550, NULL}}, {DELIVERED}}},
    {"cut before the first reply", {BARE THREE "X\n"}, {JOB(.number = 1, TO_THREE)}, {{LOST, LOST, LOST}}},
    {"cut between replies",
     {PIPELINED PIPELINED_THREE DONE "S 550 5.2.2 full\nX\n"},
     {JOB(.number = 1, TO_THREE)},
     {{DELIVERED, {JOB_FAILED, "5.2.2", 550, NULL}, LOST}}},
    {"cut within a reply",
     {BARE THREE DONE "R 250-2.0.0 half|250 2.0\nX\n"},
     {JOB(.number = 1, TO_THREE)},
     {{DELIVERED, LOST, LOST}}},
    {"fewer replies than recipients: those that do not come are waited for, not invented",
     {BARE THREE DONE DONE "W\n"},
     {JOB(.number = 1, TO_THREE)},
     {{DELIVERED, DELIVERED, {JOB_DEFERRED, "4.4.2", 0, "timed out"}}}},
    {"a malformed reply in the middle",
     {BARE THREE DONE "S what\nS 250 fine\nW\n"},
     {JOB(.number = 1, TO_THREE)},
     {{DELIVERED, {JOB_DEFERRED, "4.4.2", 0, "malformed"}, {JOB_DEFERRED, "4.4.2", 0, "malformed"}}}},
    {"one reply too many: the connection is not used again",
     {BARE THREE DONE DONE DONE DONE "W\n", BARE THREE DONE DONE DONE QUIT},
     {JOB(.number = 1, TO_THREE), JOB(.number = 2, TO_THREE)},
     {{DELIVERED, DELIVERED, DELIVERED}, {DELIVERED, DELIVERED, DELIVERED}}},
    {"421 in the middle of the replies",
     {BARE THREE DONE "S 421 4.3.2 shutting down\nX\n"},
     {JOB(.number = 1, TO_THREE)},
     {{DELIVERED, {JOB_DEFERRED, "4.3.2", 421, NULL}, LOST}}},
    {"421 to a recipient",
     {BARE MAIL OK RCPT_A OK RCPT_B "S 421 4.3.2 shutting down\nX\n"},
     {JOB(.number = 1, TO_THREE)},
     {{{JOB_DEFERRED, "4.4.2", 0, NULL}, {JOB_DEFERRED, "4.3.2", 421, NULL}, {JOB_DEFERRED, "4.4.2", 0, NULL}}}},
    {"421 to MAIL on a kept connection: a new one",
     {BARE THREE DONE DONE DONE "C RSET\n" OK MAIL "S 421 4.3.2 idle\nX\n", BARE THREE DONE DONE DONE QUIT},
     {JOB(.number = 1, TO_THREE), JOB(.number = 2, TO_THREE)},
     {{DELIVERED, DELIVERED, DELIVERED}, {DELIVERED, DELIVERED, DELIVERED}}},
    {"too many recipients: the rest in a second go",
     {BARE MAIL OK RCPT_A OK RCPT_B OK RCPT_C "S 452 4.5.3 too many\nC DATA\nS 354 go\nD x|\n" DONE "S 550 no\n"
                                              "C RSET\n" OK MAIL OK RCPT_C OK "C DATA\nS 354 go\nD x|\n" DONE QUIT},
     {JOB(.number = 1, TO_THREE)},
     {{DELIVERED, {JOB_FAILED, "5.0.0", 550, NULL}, DELIVERED}}},
    {"a full mailbox is that mailbox's trouble: no second go",
     {BARE MAIL OK RCPT_A OK RCPT_B OK RCPT_C "S 452 4.2.2 full\nC DATA\nS 354 go\nD x|\n" DONE DONE QUIT},
     {JOB(.number = 1, TO_THREE)},
     {{DELIVERED, DELIVERED, {JOB_DEFERRED, "4.2.2", 452, "full"}}}},
    {"DATA is refused",
     {BARE MAIL OK RCPT_A OK RCPT_B OK RCPT_C OK "C DATA\nS 451 4.3.0 not now\n" QUIT},
     {JOB(.number = 1, TO_THREE)},
     {{{JOB_DEFERRED, "4.3.0", 451, NULL}, {JOB_DEFERRED, "4.3.0", 451, NULL}, {JOB_DEFERRED, "4.3.0", 451, NULL}}}},
    {"no HELO after a refused LHLO, and nothing is final about it",
     {GREETING "S 500 5.5.1 this speaks SMTP\nW\n"},
     {JOB(.number = 1, TO_THREE)},
     {{{JOB_DEFERRED, "4.4.0", 0, "LHLO was answered: 5.5.1 this speaks SMTP"},
       {JOB_DEFERRED, "4.4.0", 0, NULL},
       {JOB_DEFERRED, "4.4.0", 0, NULL}}}},
    {"what is offered is used: SIZE, BODY, SMTPUTF8, DSN",
     {FULL "C MAIL FROM:<s@a.example> SIZE=7 BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=QQ314159\n"
           "C RCPT TO:<a@b.example> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;info@b.example\n"
           "C RCPT TO:<b@b.example> NOTIFY=NEVER\nC DATA\n" OK OK OK "S 354 go\nD \xc3\xbc: x|\n" DONE DONE QUIT},
     {JOB(.number = 1, .flags = JOB_UTF8, .dsn_return = DSN_RETURN_HEADERS, .envid = "QQ314159",
          .body = {(const uint8_t *)"\xc3\xbc: x", 5}, .n = 2,
          .recipients = {{.address = "a@b.example",
                          .orcpt = "rfc822;info@b.example",
                          .notify = DSN_NOTIFY_SUCCESS | DSN_NOTIFY_FAILURE},
                         {.address = "b@b.example", .orcpt = "", .notify = DSN_NOTIFY_NEVER}})},
     {{{JOB_REPORTED, "2.0.0", 250, NULL}, DELIVERED}}},
    {"what is not offered is not: no DSN, and who asked hears of it from us",
     {GREETING "S 250-lmtp\nS 250 8BITMIME\nC MAIL FROM:<s@a.example> BODY=8BITMIME\n" OK RCPT_A OK
               "C DATA\nS 354 go\nD \xc3\xbc: x|\n" DONE QUIT},
     {JOB(.number = 1, .flags = JOB_UTF8, .dsn_return = DSN_RETURN_HEADERS, .envid = "QQ314159",
          .body = {(const uint8_t *)"\xc3\xbc: x", 5}, .n = 1,
          .recipients = {{.address = "a@b.example",
                          .orcpt = "rfc822;info@b.example",
                          .notify = DSN_NOTIFY_SUCCESS | DSN_NOTIFY_FAILURE}})},
     {{DELIVERED}}},
    {"an address that needs SMTPUTF8 where there is none, beside one that does not",
     {BARE MAIL OK RCPT_A OK "C DATA\nS 354 go\nD x|\n" DONE QUIT},
     {JOB(.number = 1, .n = 2, .recipients = {TO("\xc3\xbc@b.example"), TO("a@b.example")})},
     {{{JOB_FAILED, "5.6.7", 0, NULL}, DELIVERED}}},
    {"larger than the server takes",
     {GREETING "S 250-lmtp\nS 250 SIZE 2\n" QUIT},
     {JOB(.number = 1, .n = 1, .recipients = {TO("a@b.example")})},
     {{{JOB_FAILED, "5.3.4", 0, NULL}}}},
};

static const struct smtp_limits long_limits = {.connect_ms = 20000,
                                               .greeting_ms = 20000,
                                               .command_ms = 20000,
                                               .data_ms = 20000,
                                               .block_ms = 20000,
                                               .final_ms = 1000000,
                                               .quit_ms = 20000,
                                               .pause_ms = 20000};

static void check(const struct dialogue *row, size_t i, const struct fake_answer *answer) {
    const struct expectation *expected = &row->expected[i][answer->index - 10];
    cr_expect(answer->outcome == expected->outcome && answer->code == expected->code &&
                  strcmp(answer->status, expected->status) == 0,
              "%s: job %zu recipient %d: outcome %d, %d %s (%s)", row->name, i, answer->index - 10, answer->outcome,
              answer->code, answer->status, answer->diagnostic);
    cr_expect(!expected->says || strstr(answer->diagnostic, expected->says), "%s: recipient %d: %s", row->name,
              answer->index - 10, answer->diagnostic);
    cr_expect(!strstr(answer->diagnostic, "smarthost"), "%s: %s", row->name, answer->diagnostic);
}

static void play(const struct dialogue *row) {
    static struct smtp_client client;
    static struct job_inbox inbox;
    const struct outbound_setup setup = {.hostname = SPAN("me.example.test"), .tls = SMARTHOST_TLS_NONE};
    struct smtp_limits limits = long_limits;
    struct fake_smarthost server = {0};
    struct fake_answer answer;
    struct job *job;
    int pair[2];
    const char *last = row->expected[0][2].says;
    if (last && strcmp(last, "timed out") == 0) limits.final_ms = 400;
    memcpy(server.scripts, row->scripts, sizeof row->scripts);
    cr_assert_eq(frame_pair(pair, true), 0);
    client = (struct smtp_client){.setup = &setup,
                                  .limits = &limits,
                                  .dial = fake_smarthost_dial,
                                  .context = &server,
                                  .lmtp = true,
                                  .host = "localhost"};
    inbox = (struct job_inbox){.channel = pair[1], .lifeline = -1};
    smtp_client_open(&client);
    for (size_t i = 0; i < 2 && row->jobs[i].number; i++) {
        struct fake_job sent = row->jobs[i];
        sent.name = "M", sent.sender = "s@a.example";
        if (!sent.envid) sent.envid = "";
        if (!sent.body.n) sent.body = SPAN("x\r\n");
        fake_queue_send(pair[0], &sent);
        cr_assert_eq(job_receive(&inbox, -1, &job), JOB_COMPLETE);
        smtp_transaction_run(&client, &inbox, job);
        job_free(job);
        size_t answers = 0;
        for (; fake_queue_answer(pair[0], &answer) && answer.index >= 0; answers++) check(row, i, &answer);
        cr_expect_eq(answers, sent.n, "%s: %zu answers for %zu recipients", row->name, answers, sent.n);
        if (i == 0 && row->jobs[1].number) usleep(20000); /* what the server does next has to have happened */
    }
    smtp_client_quit(&client);
    fake_smarthost_end(&server, row->name);
    close(pair[0]), close(pair[1]);
}

Test(lmtp, dialogues, .timeout = 120) {
    (void)signal(SIGPIPE, SIG_IGN);
    for (size_t i = 0; i < sizeof dialogues / sizeof *dialogues; i++) play(&dialogues[i]);
}
