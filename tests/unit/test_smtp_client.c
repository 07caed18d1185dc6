/* test_smtp_client.c - dialogues with scripted servers, well-behaved and hostile. */
#include "auth/address.h"
#include "server/outbound/smtp_transaction.h"
#include "tests/unit/fake_queue.h"
#include "tests/unit/fake_smarthost.h"
#include "tests/unit/fake_tls.h"

#include <criterion/criterion.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <unistd.h>

#define HELLO "S 220 mx ESMTP\nC EHLO me.example.test\n"
#define BARE HELLO "S 250 mx\n"
#define FULL                                                                                                         \
    HELLO "S 250-mx hello\nS 250-PIPELINING\nS 250-SIZE 1000\nS 250-8bitmime\nS 250-SMTPUTF8\nS 250-DSN\nS 250 "     \
          "HELP\n"
#define MAIL "C MAIL FROM:<s@a.example>\nS 250 2.1.0 ok\n"
#define RCPT "C RCPT TO:<r@b.example>\nS 250 2.1.5 ok\n"
#define DATA "C DATA\nS 354 go\nD x|\nS 250 2.0.0 taken\n"
#define QUIT "C QUIT\nS 221 bye\n"
#define BOTH(literal)                                                                                                \
    { (const uint8_t *)(literal), sizeof(literal) - 1 }

struct expectation {
    uint8_t outcome;
    const char *status;
    uint16_t code;
};
struct dialogue {
    const char *name;
    const char *scripts[FAKE_CONNECTIONS];
    struct fake_job jobs[2];
    struct expectation expected[2][4];
    uint8_t tls;
    const char *user;
    const char *host;           /* NULL: mx.example */
    bool untrusted, unverified; /* without TLS: the owner allows the password in the clear */
    int highest;                /* version that the server speaks */
};
static struct tls_client *trusting, *distrusting;

#define JOB(...)                                                                                                     \
    { __VA_ARGS__ }
#define TO(text)                                                                                                     \
    { .address = (text), .orcpt = "" }

static const struct dialogue dialogues[] = {
    {"plain",
     {BARE MAIL RCPT DATA QUIT},
     {JOB(.number = 1)},
     {{{JOB_DELIVERED, "2.0.0", 250}}},
     SMARTHOST_TLS_NONE,
     0,
     0,
     0,
     0,
     0},
    {"helo",
     {HELLO "S 502 what\nC HELO me.example.test\nS 250 mx\n" MAIL RCPT DATA QUIT},
     {JOB(.number = 1)},
     {{{JOB_DELIVERED, "2.0.0", 250}}},
     SMARTHOST_TLS_NONE,
     0,
     0,
     0,
     0,
     0},
    {"reuse",
     {BARE MAIL RCPT DATA "C RSET\nS 250 ok\n" MAIL RCPT DATA QUIT},
     {JOB(.number = 1), JOB(.number = 2)},
     {{{JOB_DELIVERED, "2.0.0", 250}}, {{JOB_DELIVERED, "2.0.0", 250}}},
     SMARTHOST_TLS_NONE,
     0,
     0,
     0,
     0,
     0},
    {"died while idle",
     {BARE MAIL RCPT DATA "X\n", BARE MAIL RCPT DATA QUIT},
     {JOB(.number = 1), JOB(.number = 2)},
     {{{JOB_DELIVERED, "2.0.0", 250}}, {{JOB_DELIVERED, "2.0.0", 250}}},
     SMARTHOST_TLS_NONE,
     0,
     0,
     0,
     0,
     0},
    {"421 at reuse",
     {BARE MAIL RCPT DATA "C RSET\nS 421 4.4.2 tired\nX\n", BARE MAIL RCPT DATA QUIT},
     {JOB(.number = 1), JOB(.number = 2)},
     {{{JOB_DELIVERED, "2.0.0", 250}}, {{JOB_DELIVERED, "2.0.0", 250}}},
     SMARTHOST_TLS_NONE,
     0,
     0,
     0,
     0,
     0},
    {"pipelining and partial acceptance",
     {FULL "C MAIL FROM:<s@a.example> SIZE=3 RET=HDRS ENVID=e1\nC RCPT TO:<a@b.example> NOTIFY=SUCCESS,DELAY\n"
           "C RCPT TO:<b@b.example> ORCPT=rfc822;b+20b\nC RCPT TO:<c@b.example>\nC DATA\n"
           "S 250 ok\nS 250 ok\nS 550 5.1.1 nobody\nS 450 4.2.1 later\nS 354 go\nD x|\nS 250 2.6.0 ok\n" QUIT},
     {JOB(.number = 1, .dsn_return = DSN_RETURN_HEADERS, .envid = "e1", .n = 3,
          .recipients = {{"a@b.example", "", DSN_NOTIFY_SUCCESS | DSN_NOTIFY_DELAY},
                         {"b@b.example", "rfc822;b+20b", 0},
                         TO("c@b.example")})},
     {{{JOB_DELIVERED, "2.6.0", 250}, {JOB_FAILED, "5.1.1", 550}, {JOB_DEFERRED, "4.2.1", 450}}},
     SMARTHOST_TLS_NONE,
     0,
     0,
     0,
     0,
     0},
    {"354 with nobody taken",
     {FULL "C MAIL FROM:<s@a.example> SIZE=3\nC RCPT TO:<r@b.example>\nC DATA\n"
           "S 250 ok\nS 550 5.7.1 no\nS 354 go\nC .\nS 554 no valid recipients\n" QUIT},
     {JOB(.number = 1)},
     {{{JOB_FAILED, "5.7.1", 550}}},
     SMARTHOST_TLS_NONE,
     0,
     0,
     0,
     0,
     0},
    {"too many recipients: the rest goes after",
     {FULL "C MAIL FROM:<s@a.example> SIZE=3\nC RCPT TO:<a@b.example>\nC RCPT TO:<b@b.example>\nC DATA\n"
           "S 250 ok\nS 250 ok\nS 452 4.5.3 too many\nS 354 go\nD x|\nS 250 ok\n"
           "C RSET\nC MAIL FROM:<s@a.example> SIZE=3\nC RCPT TO:<b@b.example>\nC DATA\n"
           "S 250 ok\nS 250 ok\nS 250 ok\nS 354 go\nD x|\nS 250 ok\n" QUIT},
     {JOB(.number = 1, .n = 2, .recipients = {TO("a@b.example"), TO("b@b.example")})},
     {{{JOB_DELIVERED, "2.0.0", 250}, {JOB_DELIVERED, "2.0.0", 250}}},
     SMARTHOST_TLS_NONE,
     0,
     0,
     0,
     0,
     0},
    {"MAIL refused",
     {BARE "C MAIL FROM:<s@a.example>\nS 550-5.7.1 not\nS 550 5.7.1 you\n" QUIT},
     {JOB(.number = 1)},
     {{{JOB_FAILED, "5.7.1", 550}}},
     SMARTHOST_TLS_NONE,
     0,
     0,
     0,
     0,
     0},
    {"login wanted",
     {BARE "C MAIL FROM:<s@a.example>\nS 530 5.7.0 log in\n" QUIT},
     {JOB(.number = 1)},
     {{{JOB_DEFERRED, "4.7.0", 530}}},
     SMARTHOST_TLS_NONE,
     0,
     0,
     0,
     0,
     0},
    {"DATA refused",
     {BARE MAIL RCPT "C DATA\nS 451 4.3.0 not now\n" QUIT},
     {JOB(.number = 1)},
     {{{JOB_DEFERRED, "4.3.0", 451}}},
     SMARTHOST_TLS_NONE,
     0,
     0,
     0,
     0,
     0},
    {"message refused",
     {BARE MAIL RCPT "C DATA\nS 354 go\nD x|\nS 552 too big\n" QUIT},
     {JOB(.number = 1)},
     {{{JOB_FAILED, "5.0.0", 552}}},
     SMARTHOST_TLS_NONE,
     0,
     0,
     0,
     0,
     0},
    {"no reply to the final dot",
     {BARE MAIL RCPT "C DATA\nS 354 go\nD x|\nX\n"},
     {JOB(.number = 1)},
     {{{JOB_DEFERRED, "4.4.2", 0}}},
     SMARTHOST_TLS_NONE,
     0,
     0,
     0,
     0,
     0},
    {"421 in the middle of a group",
     {FULL "C MAIL FROM:<s@a.example> SIZE=3\nC RCPT TO:<a@b.example>\nC RCPT TO:<b@b.example>\nC DATA\n"
           "S 250 ok\nS 250 ok\nS 421 4.3.2 closing\nX\n"},
     {JOB(.number = 1, .n = 2, .recipients = {TO("a@b.example"), TO("b@b.example")})},
     {{{JOB_DEFERRED, "4.4.2", 0}, {JOB_DEFERRED, "4.3.2", 421}}},
     SMARTHOST_TLS_NONE,
     0,
     0,
     0,
     0,
     0},
    {"gone in the middle of a group",
     {FULL "C MAIL FROM:<s@a.example> SIZE=3\nC RCPT TO:<a@b.example>\nC RCPT TO:<b@b.example>\nC DATA\n"
           "S 250 ok\nS 550 5.1.1 nobody\nX\n"},
     {JOB(.number = 1, .n = 2, .recipients = {TO("a@b.example"), TO("b@b.example")})},
     {{{JOB_FAILED, "5.1.1", 550}, {JOB_DEFERRED, "4.4.2", 0}}},
     SMARTHOST_TLS_NONE,
     0,
     0,
     0,
     0,
     0},
    {"451 after the final dot",
     {BARE MAIL RCPT "C DATA\nS 354 go\nD x|\nS 451 4.3.0 disk\n" QUIT},
     {JOB(.number = 1)},
     {{{JOB_DEFERRED, "4.3.0", 451}}},
     SMARTHOST_TLS_NONE,
     0,
     0,
     0,
     0,
     0},
    {"421 after the final dot, and the next message",
     {BARE MAIL RCPT "C DATA\nS 354 go\nD x|\nS 421 4.3.2 closing\nX\n", BARE MAIL RCPT DATA QUIT},
     {JOB(.number = 1), JOB(.number = 2)},
     {{{JOB_DEFERRED, "4.3.2", 421}}, {{JOB_DELIVERED, "2.0.0", 250}}},
     SMARTHOST_TLS_NONE,
     0,
     0,
     0,
     0,
     0},
    {"a reply too many",
     {BARE "C MAIL FROM:<s@a.example>\nR 250 ok|250 ok|\n" RCPT "C DATA\nS 354 go\nW\n"},
     {JOB(.number = 1)},
     {{{JOB_DEFERRED, "4.5.0", 250}}},
     SMARTHOST_TLS_NONE,
     0,
     0,
     0,
     0,
     0},
    {"250 to DATA is no 354",
     {BARE MAIL RCPT "C DATA\nS 250 ok\nW\n"},
     {JOB(.number = 1)},
     {{{JOB_DEFERRED, "4.5.0", 250}}},
     SMARTHOST_TLS_NONE,
     0,
     0,
     0,
     0,
     0},
    {"dots and line ends",
     {BARE MAIL RCPT "C DATA\nS 354 go\nD ..|a|...|b|c||..|d|\nS 250 ok\n" QUIT},
     {JOB(.number = 1, .body = BOTH(".\r\na\n..\rb\r\nc\r\r\n.\nd"))},
     {{{JOB_DELIVERED, "2.0.0", 250}}},
     SMARTHOST_TLS_NONE,
     0,
     0,
     0,
     0,
     0},
    {"8-bit not taken",
     {BARE QUIT},
     {JOB(.number = 1, .body = BOTH("\xe4\r\n"))},
     {{{JOB_FAILED, "5.6.3", 0}}},
     SMARTHOST_TLS_NONE,
     0,
     0,
     0,
     0,
     0},
    {"8-bit and UTF-8 taken",
     {FULL "C MAIL FROM:<\xc3\xa4@a.example> SIZE=4 BODY=8BITMIME SMTPUTF8\nC RCPT TO:<r@b.example>\nC DATA\n"
           "S 250 ok\nS 250 ok\nS 354 go\nD\nS 250 ok\n" QUIT},
     {JOB(.number = 1, .body = BOTH("\xc3\xa4\r\n"), .sender = "\xc3\xa4@a.example")},
     {{{JOB_DELIVERED, "2.0.0", 250}}},
     SMARTHOST_TLS_NONE,
     0,
     0,
     0,
     0,
     0},
    {"UTF-8 not taken",
     {BARE QUIT},
     {JOB(.number = 1, .sender = "\xc3\xa4@a.example")},
     {{{JOB_FAILED, "5.6.7", 0}}},
     SMARTHOST_TLS_NONE,
     0,
     0,
     0,
     0,
     0},
    {"UTF-8 recipient not taken",
     {BARE MAIL RCPT DATA QUIT},
     {JOB(.number = 1, .n = 2, .recipients = {TO("\xc3\xa4@b.example"), TO("r@b.example")})},
     {{{JOB_FAILED, "5.6.7", 0}, {JOB_DELIVERED, "2.0.0", 250}}},
     SMARTHOST_TLS_NONE,
     0,
     0,
     0,
     0,
     0},
    {"too large",
     {HELLO "S 250-mx\nS 250 SIZE 2\n" QUIT},
     {JOB(.number = 1)},
     {{{JOB_FAILED, "5.3.4", 0}}},
     SMARTHOST_TLS_NONE,
     0,
     0,
     0,
     0,
     0},
    {"relayed without DSN",
     {BARE MAIL RCPT DATA QUIT},
     {JOB(.number = 1, .recipients = {{"r@b.example", "", DSN_NOTIFY_SUCCESS}})},
     {{{JOB_RELAYED, "2.0.0", 250}}},
     SMARTHOST_TLS_NONE,
     0,
     0,
     0,
     0,
     0},
    {"control octets in arguments",
     {BARE MAIL RCPT DATA QUIT},
     {JOB(.number = 1, .n = 4, .recipients = {TO("a@b\r\nDATA"), TO("a b@c"), TO("a>@c"), TO("r@b.example")})},
     {{{JOB_FAILED, "5.1.3", 0}, {JOB_FAILED, "5.1.3", 0}, {JOB_FAILED, "5.1.3", 0}, {JOB_DELIVERED, "2.0.0", 250}}},
     SMARTHOST_TLS_NONE,
     0,
     0,
     0,
     0,
     0},
    {"control octets in the sender",
     {BARE QUIT},
     {JOB(.number = 1, .sender = "a@b>\r\nRSET")},
     {{{JOB_FAILED, "5.1.7", 0}}},
     SMARTHOST_TLS_NONE,
     0,
     0,
     0,
     0,
     0},
    {"bad greeting",
     {"S 554 go away\nW\n"},
     {JOB(.number = 1), JOB(.number = 2)},
     {{{JOB_DEFERRED, "4.4.0", 0}}, {{JOB_DEFERRED, "4.4.0", 0}}},
     SMARTHOST_TLS_NONE,
     0,
     0,
     0,
     0,
     0},
    {"no server",
     {0},
     {JOB(.number = 1), JOB(.number = 2)},
     {{{JOB_DEFERRED, "4.4.1", 0}}, {{JOB_DEFERRED, "4.4.1", 0}}},
     SMARTHOST_TLS_NONE,
     0,
     0,
     0,
     0,
     0},
    {"silent server", {"W\n"}, {JOB(.number = 1)}, {{{JOB_DEFERRED, "4.4.2", 0}}}, SMARTHOST_TLS_NONE, 0, 0, 0, 0, 0},
    {"no reply at all",
     {"S hello\nW\n"},
     {JOB(.number = 1)},
     {{{JOB_DEFERRED, "4.4.2", 0}}},
     SMARTHOST_TLS_NONE,
     0,
     0,
     0,
     0,
     0},
    {"two codes in one reply",
     {HELLO "S 250-mx\nS 550 no\nW\n"},
     {JOB(.number = 1)},
     {{{JOB_DEFERRED, "4.4.2", 0}}},
     SMARTHOST_TLS_NONE,
     0,
     0,
     0,
     0,
     0},
    {"controls in a reply",
     {BARE "C MAIL FROM:<s@a.example>\nS 550 5.7.1 a\x01\x1b[2J\xff"
           "b\n" QUIT},
     {JOB(.number = 1)},
     {{{JOB_FAILED, "5.7.1", 550}}},
     SMARTHOST_TLS_NONE,
     0,
     0,
     0,
     0,
     0},
    {"STARTTLS not offered",
     {BARE "W\n"},
     {JOB(.number = 1)},
     {{{JOB_DEFERRED, "4.7.10", 0}}},
     SMARTHOST_TLS_STARTTLS,
     0,
     0,
     0,
     0,
     0},
    {"a password in the clear, because the owner said so",
     {HELLO "S 250-mx\nS 250 AUTH PLAIN\nC AUTH PLAIN AHVzZXIAc2VjcmV0\nS 235 in\n" MAIL RCPT DATA QUIT},
     {JOB(.number = 1)},
     {{{JOB_DELIVERED, "2.0.0", 250}}},
     SMARTHOST_TLS_NONE,
     "user",
     0,
     0,
     true,
     0},
    {"no password in the clear",
     {HELLO "S 250-mx\nS 250 AUTH PLAIN\nW\n"},
     {JOB(.number = 1)},
     {{{JOB_DEFERRED, "4.7.11", 0}}},
     SMARTHOST_TLS_NONE,
     "user",
     0,
     0,
     0,
     0},
};

static const struct smtp_limits limits = {.connect_ms = 20000,
                                          .greeting_ms = 1500,
                                          .command_ms = 20000,
                                          .data_ms = 20000,
                                          .block_ms = 20000,
                                          .final_ms = 20000,
                                          .quit_ms = 20000,
                                          .pause_ms = 600000};

/* What a row does not say: one message of one line to one recipient. */
static struct fake_job whole_job(struct fake_job job) {
    job.name = "M";
    if (!job.envid) job.envid = "";
    if (!job.sender) job.sender = "s@a.example";
    if (!job.body.p) job.body = SPAN("x\r\n");
    if (!job.n) job.n = 1;
    if (!job.recipients[0].address) job.recipients[0].address = "r@b.example";
    return job;
}

static bool is_clean(const char *text) {
    for (; *text; text++)
        if (*text < 0x20 || *text >= 0x7f) return false;
    return true;
}

static void play(const struct dialogue *row) {
    static struct smtp_client client;
    static struct job_inbox inbox;
    struct outbound_setup setup = {.hostname = SPAN("me.example.test"),
                                   .tls = row->tls,
                                   .user = span_text(row->user),
                                   .verify = !row->unverified,
                                   .clear_password_ok = row->tls == SMARTHOST_TLS_NONE && row->unverified};
    struct fake_smarthost smarthost = {.take_tls = fake_tls_take};
    const char *host = row->host ? row->host : "mx.example";
    struct fake_answer answer;
    struct job *job;
    int pair[2];
    for (size_t i = 0; i < FAKE_CONNECTIONS; i++) smarthost.scripts[i] = row->scripts[i];
    cr_assert_eq(frame_pair(pair, true), 0);
    client = (struct smtp_client){.setup = &setup,
                                  .limits = &limits,
                                  .dial = fake_smarthost_dial,
                                  .context = &smarthost,
                                  .tls = row->untrusted ? distrusting : trusting};
    memcpy(client.host, host, strlen(host));
    fake_tls_limit(row->highest);
    cr_assert(secret_set(&setup.password, SPAN("secret")));
    inbox = (struct job_inbox){.channel = pair[1], .lifeline = -1};
    smtp_client_open(&client);
    for (size_t i = 0; i < 2 && row->jobs[i].number; i++) {
        struct fake_job sent = whole_job(row->jobs[i]);
        fake_queue_send(pair[0], &sent);
        cr_assert_eq(job_receive(&inbox, -1, &job), JOB_COMPLETE);
        smtp_transaction_run(&client, &inbox, job);
        job_free(job);
        bool seen[4] = {false}, sending = false;
        while (fake_queue_answer(pair[0], &answer) && answer.index >= 0) {
            const struct expectation *expected = &row->expected[i][answer.index - 10];
            seen[answer.index - 10] = true;
            sending |= answer.sending;
            if (answer.outcome == JOB_DELIVERED || answer.outcome == JOB_RELAYED)
                cr_expect(sending, "%s: nobody was told that the text goes out", row->name);
            cr_expect(answer.outcome == expected->outcome && answer.code == expected->code &&
                          strcmp(answer.status, expected->status) == 0,
                      "%s: job %zu recipient %d: outcome %d, %d %s (%s)", row->name, i, answer.index - 10,
                      answer.outcome, answer.code, answer.status, answer.diagnostic);
            cr_expect(is_clean(answer.diagnostic), "%s", row->name);
            cr_expect_str_eq(answer.remote, host);
        }
        for (size_t j = 0; j < sent.n; j++) cr_expect(seen[j], "%s: recipient %zu was not answered", row->name, j);
        /* What the server does next has to have happened. */
        if (i == 0 && row->jobs[1].number) usleep(20000);
    }
    smtp_client_quit(&client);
    fake_smarthost_end(&smarthost, row->name);
    close(pair[0]), close(pair[1]);
}

Test(smtp_client, dialogues) {
    (void)signal(SIGPIPE, SIG_IGN);
    for (size_t i = 0; i < sizeof dialogues / sizeof *dialogues; i++) play(&dialogues[i]);
}

#define SECURE "C EHLO me.example.test\nS 250-mx\nS 250 AUTH=LOGIN PLAIN\n"
#define PLAIN "C AUTH PLAIN AHVzZXIAc2VjcmV0\n"
#define OFFERED HELLO "S 250-mx\nS 250-AUTH PLAIN\nS 250 STARTTLS\nC STARTTLS\nS 220 go\nT\n"
#define TAKEN                                                                                                        \
    {                                                                                                                \
        {                                                                                                            \
            { JOB_DELIVERED, "2.0.0", 250 }                                                                          \
        }                                                                                                            \
    }
#define UNSAFE                                                                                                       \
    {                                                                                                                \
        {                                                                                                            \
            { JOB_DEFERRED, "4.7.5", 0 }                                                                             \
        }                                                                                                            \
    }

static const struct dialogue tls_dialogues[] = {
    {"implicit TLS, AUTH PLAIN",
     {"T\nS 220 mx\n" SECURE PLAIN "S 235 2.7.0 in\n" MAIL RCPT DATA QUIT},
     {JOB(.number = 1)},
     TAKEN,
     SMARTHOST_TLS_IMPLICIT,
     "user",
     0,
     0,
     0,
     0},
    {"octets behind the answer to STARTTLS",
     {HELLO "S 250-mx\nS 250 STARTTLS\nC STARTTLS\nR 220 go|250 injected|\nT\nW\n"},
     {JOB(.number = 1)},
     UNSAFE,
     SMARTHOST_TLS_STARTTLS,
     0,
     0,
     0,
     0,
     0},
    {"STARTTLS forgets what was offered before",
     {OFFERED "C EHLO me.example.test\nS 250 mx\nW\n"},
     {JOB(.number = 1)},
     {{{JOB_DEFERRED, "4.7.0", 0}}},
     SMARTHOST_TLS_STARTTLS,
     "user",
     0,
     0,
     0,
     0},
    {"STARTTLS, AUTH LOGIN",
     {OFFERED "C EHLO me.example.test\nS 250-mx\nS 250 AUTH login\nC AUTH LOGIN\nS 334 VXNlcm5hbWU6\nC dXNlcg==\n"
              "S 334 UGFzc3dvcmQ6\nC c2VjcmV0\nS 235 in\n" MAIL RCPT DATA QUIT},
     {JOB(.number = 1)},
     TAKEN,
     SMARTHOST_TLS_STARTTLS,
     "user",
     0,
     0,
     0,
     0},
    {"login refused",
     {"T\nS 220 mx\n" SECURE PLAIN "S 535 5.7.8 no\nW\n"},
     {JOB(.number = 1), JOB(.number = 2)},
     {{{JOB_DEFERRED, "4.7.8", 0}}, {{JOB_DEFERRED, "4.7.8", 0}}},
     SMARTHOST_TLS_IMPLICIT,
     "user",
     0,
     0,
     0,
     0},
    {"certificate by address",
     {"T\nS 220 mx\nC EHLO me.example.test\nS 250 mx\n" MAIL RCPT DATA QUIT},
     {JOB(.number = 1)},
     TAKEN,
     SMARTHOST_TLS_IMPLICIT,
     0,
     "192.0.2.25",
     0,
     0,
     0},
    {"certificate of another name",
     {"T\nW\n"},
     {JOB(.number = 1)},
     UNSAFE,
     SMARTHOST_TLS_IMPLICIT,
     0,
     "other.example",
     0,
     0,
     0},
    {"certificate of another address",
     {"T\nW\n"},
     {JOB(.number = 1)},
     UNSAFE,
     SMARTHOST_TLS_IMPLICIT,
     0,
     "192.0.2.26",
     0,
     0,
     0},
    {"certificate of nobody's", {"T\nW\n"}, {JOB(.number = 1)}, UNSAFE, SMARTHOST_TLS_IMPLICIT, 0, 0, true, 0, 0},
    {"the same after STARTTLS",
     {OFFERED "W\n"},
     {JOB(.number = 1)},
     UNSAFE,
     SMARTHOST_TLS_STARTTLS,
     "user",
     0,
     true,
     0,
     0},
    {"not verified because the owner said so",
     {"T\nS 220 mx\nC EHLO me.example.test\nS 250 mx\n" MAIL RCPT DATA QUIT},
     {JOB(.number = 1)},
     TAKEN,
     SMARTHOST_TLS_IMPLICIT,
     0,
     "other.example",
     true,
     true,
     0},
    {"TLS 1.1", {"T\nW\n"}, {JOB(.number = 1)}, UNSAFE, SMARTHOST_TLS_IMPLICIT, 0, 0, 0, 0, TLS1_1_VERSION},
    {"TLS 1.2",
     {"T\nS 220 mx\nC EHLO me.example.test\nS 250 mx\n" MAIL RCPT DATA QUIT},
     {JOB(.number = 1)},
     TAKEN,
     SMARTHOST_TLS_IMPLICIT,
     0,
     0,
     0,
     0,
     TLS1_2_VERSION},
    {"no TLS behind the port", {"S 220 mx\nW\n"}, {JOB(.number = 1)}, UNSAFE, SMARTHOST_TLS_IMPLICIT, 0, 0, 0, 0, 0},
};

Test(smtp_client, tls) {
    (void)signal(SIGPIPE, SIG_IGN);
    int ca = fake_tls_prepare();
    trusting = tls_client_new(ca), distrusting = tls_client_new(-1);
    cr_assert(trusting && distrusting && tls_client_trusted(trusting) == 1 && tls_client_trusted(distrusting) == 0);
    for (size_t i = 0; i < sizeof tls_dialogues / sizeof *tls_dialogues; i++) play(&tls_dialogues[i]);
    tls_client_free(trusting), tls_client_free(distrusting);
    close(ca);
}

/* A reply without end, in lines or in length. */
Test(smtp_client, endless_replies) {
    static char lines[1 << 16], line[1 << 14];
    (void)signal(SIGPIPE, SIG_IGN);
    for (int i = 0; i < 200; i++) memcpy(lines + 11 * i, "S 220-more\n", 11);
    memset(line, 'a', sizeof line - 3);
    memcpy(line, "S 220 ", 6);
    const struct dialogue rows[] = {
        {"many lines",
         {lines},
         {JOB(.number = 1)},
         {{{JOB_DEFERRED, "4.4.2", 0}}},
         SMARTHOST_TLS_NONE,
         0,
         0,
         0,
         0,
         0},
        {"a long line",
         {line},
         {JOB(.number = 1)},
         {{{JOB_DEFERRED, "4.4.2", 0}}},
         SMARTHOST_TLS_NONE,
         0,
         0,
         0,
         0,
         0},
    };
    for (size_t i = 0; i < 2; i++) play(&rows[i]);
}

Test(smtp_client, addresses) {
    static const struct {
        struct span address;
        bool fits;
    } rows[] = {
        {SPAN(""), true},
        {SPAN("a@b"), true},
        {SPAN("\"a b\"@c"), true},
        {SPAN("\"a\\\"> b\"@c"), true},
        {SPAN("a b@c"), false},
        {SPAN("a@b>"), false},
        {SPAN("a@b\r"), false},
        {SPAN("a@b\n"), false},
        {SPAN("a\0@b"), false},
        {SPAN("\"a@b"), false},
        {SPAN("\"a\n\"@b"), false},
        {SPAN("\"a\\\n\"@b"), false},
        {SPAN("a@b\x7f"), false},
        {SPAN("\xc3\xa4@b"), true},
        {SPAN("\"a\"@b> X"), false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        cr_expect_eq(smtp_transaction_address(rows[i].address), rows[i].fits, "row %zu", i);
}
