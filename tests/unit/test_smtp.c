/* test_smtp.c - the machine by transcript: lines in, replies out, with auth and queue played here.
 * Runs in: the test runner. Trusts: nothing. Never: talks to a socket. */
#include "server/inbound/smtp.h"

#include "auth/relay.h"
#include "store/log.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

/* ---- auth and queue, in place of ask.c */

static struct world {
    bool gone, queue, keys;
    enum reason mail, foreign;
    enum body_outcome outcome;
    enum auth_outcome auths[4];
    size_t n_auths, resets, failures, rcpt_questions, rcpts, aborts;
    uint32_t committed;
    char sasl[256]; /* what came, as text */
    struct buf body;
    uint8_t body_storage[4096];
} world;

bool ask_keys(int *fd_out) {
    *fd_out = world.keys ? 99 : -1;
    return !world.gone;
}

static bool next_auth(struct ask_auth *out) {
    out->outcome = world.auths[world.n_auths++ % 4];
    out->challenge = SPAN("Username:");
    return !world.gone;
}

static void note_sasl(const char *what, struct span mechanism, struct span response) {
    size_t n = strlen(world.sasl);
    snprintf(world.sasl + n, sizeof world.sasl - n, "%s %.*s [%.*s];", what, (int)mechanism.n,
             (const char *)mechanism.p, (int)response.n, (const char *)response.p);
}

bool ask_auth(bool tls, struct span mechanism, bool initial, struct span response, struct ask_auth *out) {
    note_sasl(!tls ? "plaintext" : initial ? "initial" : "none", mechanism, response);
    return next_auth(out);
}

bool ask_auth_next(bool cancelled, struct span response, struct ask_auth *out) {
    note_sasl(cancelled ? "cancel" : "next", SPAN(""), response);
    return next_auth(out);
}

bool ask_mail(bool esmtp, struct span helo, struct span argument, struct ask_mail *out) {
    (void)esmtp, (void)helo, (void)argument;
    out->reason = world.mail;
    out->foreign = world.foreign;
    memset(out->transaction, 7, sizeof out->transaction);
    return !world.gone;
}

bool ask_rcpt(const struct span *arguments, size_t n, enum reason *reasons_out) {
    world.rcpt_questions++;
    world.rcpts += n;
    for (size_t i = 0; i < n; i++) {
        bool nobody = span_starts_nocase(arguments[i], SPAN("<nobody"));
        reasons_out[i] = nobody ? REASON_UNKNOWN_RECIPIENT : REASON_LOCAL_RECIPIENT;
        if (!nobody) world.queue = true;
    }
    return !world.gone;
}

bool ask_reset(void) { return world.resets++, !world.gone; }
bool ask_failure(enum session_failure failure) { return world.failures += failure != 0, !world.gone; }
int ask_queue_fd(void) { return world.queue ? 98 : -1; }

struct buf *ask_body_start(const uint8_t transaction[TRANSACTION_BYTES]) {
    (void)transaction;
    world.body = BUF_OVER(world.body_storage);
    return &world.body;
}

bool ask_body_send(struct buf *body) { return body != NULL && !world.gone; }

bool ask_body_commit(uint32_t recipients, struct ask_body *out) {
    world.committed = recipients;
    *out = (struct ask_body){world.outcome, SPAN("M1")};
    return !world.gone;
}

bool ask_body_abort(void) { return world.aborts++, !world.gone; }

/* ---- transcripts */

static struct span local_domains[] = {{(const uint8_t *)"example.test", 12}};
static struct session_setup setup;
static struct smtp smtp;
static uint8_t storage[64 << 10];
static struct buf out;

static void start(uint8_t role, bool tls) {
    int null = open("/dev/null", O_WRONLY);
    log_use(null);
    world = (struct world){.mail = REASON_SENDER_ACCEPTED, .foreign = REASON_RELAY_DENIED, .outcome = BODY_DURABLE,
                            .keys = true, .auths = {AUTH_ACCEPTED, AUTH_ACCEPTED, AUTH_ACCEPTED, AUTH_ACCEPTED}};
    setup = (struct session_setup){.hostname = SPAN("mx.example.test"), .local_domains = local_domains,
                                   .n_local_domains = 1, .recipients_per_message = 100, .messages_per_session = 10,
                                   .failures_per_session = 20, .message_bytes = 1000, .legacy_auth_line = 1};
    smtp_start(&smtp, &setup, role, role != RELAY_ROLE_MX, true, tls);
}

static enum smtp_next say(const char *line) {
    out = BUF_OVER(storage);
    enum smtp_next next = smtp_line(&smtp, span_text(line), &out);
    if (next == SMTP_MORE) next = smtp_flush(&smtp, &out);
    storage[out.n] = '\0';
    return next;
}

static bool starts(const char *with) { return span_starts_nocase(buf_span(&out), span_text(with)); }

#define EXPECT(line, reply)                                                                                           \
    do {                                                                                                              \
        enum smtp_next next_ = say(line);                                                                             \
        cr_assert_eq(next_, SMTP_MORE, "%s", line);                                                                   \
        cr_assert(starts(reply), "%s: %s", line, (char *)storage);                                                    \
    } while (0)

static void body(const char *text) {
    data_take(&smtp.data, span_text(text), smtp.body);
    out = BUF_OVER(storage);
}

static enum smtp_next end_body(void) {
    enum smtp_next next = smtp_body_end(&smtp, &out);
    storage[out.n] = '\0';
    return next;
}

static void open_mail(void) {
    EXPECT("EHLO client.example", "250-");
    EXPECT("MAIL FROM:<a@elsewhere.example>", "250 2.1.0");
}

Test(test_smtp, order_of_commands) {
    start(RELAY_ROLE_MX, false);
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
    cr_assert_eq(say("DATA"), SMTP_DATA);
    cr_assert(starts("354 "));
    body("x\r\n.\r\n");
    cr_assert_eq(end_body(), SMTP_MORE);
    cr_assert(starts("250 2.0.0 Queued as M1"));
    cr_assert_eq(world.committed, 1);
    cr_assert_eq(world.resets, 0);
    EXPECT("DATA", "503 5.5.1");
    cr_assert_eq(say("QUIT"), SMTP_LEAVE);
    cr_assert(starts("221 2.0.0"));
    cr_assert_eq(smtp.exit, SESSION_EXIT_FINE);
}

Test(test_smtp, words_and_arguments) {
    start(RELAY_ROLE_MX, false);
    static const struct {
        const char *line, *reply;
    } lines[] = {
        {"", "500 5.5.1"},          {"FOO", "500 5.5.1"},         {"EHLOX x", "500 5.5.1"},   {"ehlo x", "250-"},
        {"EHLO", "501 5.5.4"},      {"HELO  ", "501 5.5.4"},      {"EHLO a b", "501 5.5.4"},  {"EHLO [192.0.2.1]", "250-"},
        {"mail from:<>", "250 2.1.0"}, {"rset", "250 2.0.0"},     {"MAIL <a@b.example>", "501 5.5.4"},
        {"MAIL FROM: <a@b.example>", "250 2.1.0"},                {"RCPT <a@b.example>", "501 5.5.4"},
        {"rcpt to:<Alice@Example.Test>", "250 2.1.5"},            {"RSET x", "501 5.5.4"},    {"DATA x", "501 5.5.4"},
        {"VRFY alice", "252 2."},   {"VRFY", "501 5.5.4"},        {"EXPN list", "502 5.5.1"}, {"ETRN x", "502 5.5.1"},
        {"TURN", "502 5.5.1"},      {"HELP", "214 2.0.0"},        {"HELP MAIL", "214 2.0.0"}, {"NOOP hello", "250 2.0.0"},
        {"QUIT now", "501 5.5.4"},
    };
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) EXPECT(lines[i].line, lines[i].reply);
}

static bool lists(const char *extension) { return strstr((char *)storage, extension) != NULL; }

Test(test_smtp, ehlo_lists_what_holds_now) {
    start(RELAY_ROLE_SUBMISSION, false);
    EXPECT("EHLO x", "250-mx.example.test\r\n");
    static const char *const always[] = {"-PIPELINING", "-SIZE 1000", "-8BITMIME", "ENHANCEDSTATUSCODES", "-SMTPUTF8",
                                         "-CHUNKING", "-DSN", "-LIMITS RCPTMAX=100 MAILMAX=10", "-HELP"};
    for (size_t i = 0; i < sizeof always / sizeof *always; i++) cr_assert(lists(always[i]), "%s", always[i]);
    cr_assert(lists("-STARTTLS") && !lists("AUTH"));
    cr_assert_eq(say("STARTTLS"), SMTP_STARTTLS);
    smtp_tls_started(&smtp);
    EXPECT("MAIL FROM:<a@b.example>", "503 5.5.1");
    EXPECT("EHLO x", "250-");
    cr_assert(!lists("STARTTLS") && lists("-AUTH PLAIN LOGIN\r\n") && lists("-AUTH=PLAIN LOGIN\r\n"));
    setup.legacy_auth_line = 0;
    EXPECT("EHLO x", "250-");
    cr_assert(lists("-AUTH PLAIN LOGIN\r\n") && !lists("AUTH="));
    start(RELAY_ROLE_MX, true);
    EXPECT("EHLO x", "250-");
    cr_assert(!lists("AUTH"), "no AUTH on mx");
    smtp_start(&smtp, &setup, RELAY_ROLE_MX, false, false, false);
    EXPECT("EHLO x", "250-");
    cr_assert(!lists("STARTTLS"), "no certificate");
    EXPECT("STARTTLS", "502 5.5.1");
}

Test(test_smtp, starttls) {
    start(RELAY_ROLE_MX, false);
    EXPECT("STARTTLS", "503 5.5.1");
    EXPECT("EHLO x", "250-");
    EXPECT("STARTTLS now", "501 5.5.4");
    world.keys = false;
    EXPECT("STARTTLS", "454 4.7.0");
    EXPECT("STARTTLS", "454 4.7.0");
    start(RELAY_ROLE_MX, false);
    EXPECT("EHLO x", "250-");
    EXPECT("MAIL FROM:<a@b.example>", "250");
    EXPECT("STARTTLS", "503 5.5.1");
    EXPECT("RSET", "250");
    cr_assert_eq(say("STARTTLS"), SMTP_STARTTLS);
    cr_assert(starts("220 2.0.0"));
    smtp_tls_started(&smtp);
    EXPECT("EHLO x", "250-");
    EXPECT("STARTTLS", "503 5.5.1");
}

Test(test_smtp, auth_has_its_place) {
    start(RELAY_ROLE_MX, true);
    EXPECT("EHLO x", "250-");
    EXPECT("AUTH PLAIN AGEAYg==", "503 5.5.1");
    start(RELAY_ROLE_SUBMISSION, false);
    EXPECT("EHLO x", "250-");
    EXPECT("AUTH PLAIN AGEAYg==", "538 5.7.11");
    cr_assert(smtp.secret, "the line is wiped all the same");
    cr_assert_str_eq(world.sasl, "", "nothing in plaintext goes to auth");
    start(RELAY_ROLE_SUBMISSION, true);
    EXPECT("AUTH PLAIN AGEAYg==", "503 5.5.1");
    EXPECT("HELO x", "250 ");
    EXPECT("AUTH PLAIN AGEAYg==", "503 5.5.1");
    EXPECT("EHLO x", "250-");
    EXPECT("MAIL FROM:<a@b.example>", "250");
    EXPECT("AUTH PLAIN AGEAYg==", "503 5.5.1");
    EXPECT("RSET", "250");
    cr_assert_eq(world.resets, 1);
    EXPECT("MAIL FROM:<a@b.example>", "250");
    EXPECT("RCPT TO:<alice@example.test>", "250");
    cr_assert_eq(say("DATA"), SMTP_DATA);
    body(".\r\n");
    cr_assert_eq(end_body(), SMTP_MORE);
    EXPECT("auth plain AGEAYg==", "235 2.7.0");
    cr_assert_eq(world.resets, 2, "auth need not know yet that the message went through");
    EXPECT("AUTH PLAIN AGEAYg==", "503 5.5.1");
    EXPECT("EHLO x", "250-");
    cr_assert(!lists("AUTH"));
    EXPECT("AUTH LOGIN", "503 5.5.1");
}

Test(test_smtp, auth_habits) {
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
        {"AUTH PLAIN Zm9v", AUTH_MALFORMED, "501 5.5.2", "initial PLAIN [foo];"},
        {"NOOP", AUTH_ACCEPTED, "250", ""},
    };
    start(RELAY_ROLE_SUBMISSIONS, true);
    EXPECT("EHLO x", "250-");
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        world.sasl[0] = '\0';
        world.n_auths = 0;
        world.auths[0] = lines[i].answer;
        EXPECT(lines[i].line, lines[i].reply);
        cr_assert_str_eq(world.sasl, lines[i].sasl, "%s", lines[i].line);
    }
    world.n_auths = 0;
    world.auths[0] = AUTH_TOO_MANY;
    cr_assert_eq(say("AUTH PLAIN Zm9v"), SMTP_LEAVE);
    cr_assert(starts("421 4.7.0"));
    cr_assert_eq(smtp.exit, SESSION_EXIT_ABUSE);
}

Test(test_smtp, a_bad_line_ends_an_exchange) {
    start(RELAY_ROLE_SUBMISSION, true);
    EXPECT("EHLO x", "250-");
    world.auths[0] = AUTH_CONTINUE;
    EXPECT("AUTH LOGIN", "334 ");
    out = BUF_OVER(storage);
    cr_assert_eq(smtp_bad_line(&smtp, REPLY_LINE_TOO_LONG, &out), SMTP_MORE);
    cr_assert(starts("500 5.5.6"));
    EXPECT("NOOP", "250");
}

/* One question for a group; what needs none keeps its place. */
Test(test_smtp, groups_of_recipients) {
    start(RELAY_ROLE_MX, false);
    open_mail();
    out = BUF_OVER(storage);
    static const char *const lines[] = {"RCPT TO:<x@foreign.example>", "RCPT TO:<alice@example.test>",
                                        "RCPT TO:<y@foreign.example>", "RCPT TO:<nobody@example.test>",
                                        "RCPT TO:<bob@example.test> NOTIFY=NEVER"};
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        cr_assert_eq(smtp_line(&smtp, span_text(lines[i]), &out), SMTP_MORE);
    cr_assert_eq(world.rcpt_questions, 0);
    cr_assert_eq(smtp_line(&smtp, SPAN("DATA"), &out), SMTP_DATA);
    cr_assert_eq(world.rcpt_questions, 1);
    cr_assert_eq(world.rcpts, 3);
    static const char *const codes[] = {"550 5.7.1", "250 2.1.5", "550 5.7.1", "550 5.1.1", "250 2.1.5", "354"};
    struct span rest = buf_span(&out);
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
        cr_assert(span_starts_nocase(rest, span_text(codes[i])), "reply %zu", i);
        rest = span_from(rest, span_find(rest, '\n') + 1);
    }
    cr_assert_eq(rest.n, 0);
    cr_assert_eq(smtp.accepted, 2);
}

Test(test_smtp, foreign_recipients_are_asked_about_unless_refused) {
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
        {REASON_RELAY_DENIED, "RCPT TO:<x@b\xc3\xbc" "cher.example>", 1},
        {REASON_RELAY_DENIED, "RCPT TO:<x@[192.0.2.1]>", 1},
        {REASON_RELAY_DENIED, "RCPT TO:<postmaster>", 1},
        {REASON_RELAY_DENIED, "RCPT TO:<x@foreign.example> FOO=1", 1},
        {REASON_RELAY_DENIED, "RCPT TO:not a path", 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        start(RELAY_ROLE_MX, false);
        world.foreign = cases[i].foreign;
        open_mail();
        say(cases[i].line);
        cr_assert_eq(world.rcpt_questions, cases[i].questions, "%s", cases[i].line);
    }
}

Test(test_smtp, at_most_so_many_recipients) {
    start(RELAY_ROLE_MX, false);
    open_mail();
    for (int i = 0; i < 100; i++) EXPECT("RCPT TO:<alice@example.test>", "250");
    EXPECT("RCPT TO:<alice@example.test>", "452 4.5.3");
    EXPECT("RCPT TO:<x@foreign.example>", "550 5.7.1");
    cr_assert_eq(world.rcpts, 100);
    out = BUF_OVER(storage);
    EXPECT("RSET", "250");
    EXPECT("MAIL FROM:<a@b.example>", "250");
    setup.recipients_per_message = 3;
    out = BUF_OVER(storage);
    for (int i = 0; i < 5; i++)
        cr_assert_eq(smtp_line(&smtp, SPAN("RCPT TO:<alice@example.test>"), &out), SMTP_MORE);
    cr_assert_eq(smtp_flush(&smtp, &out), SMTP_MORE);
    cr_assert_eq(smtp.accepted, 3, "in one group too");
}

Test(test_smtp, a_large_group_is_asked_about_in_parts) {
    start(RELAY_ROLE_MX, false);
    open_mail();
    out = BUF_OVER(storage);
    for (int i = 0; i < 70; i++)
        cr_assert_eq(smtp_line(&smtp, SPAN("RCPT TO:<alice@example.test>"), &out), SMTP_MORE);
    cr_assert_eq(smtp_flush(&smtp, &out), SMTP_MORE);
    cr_assert_eq(world.rcpt_questions, 2);
    cr_assert_eq(smtp.accepted, 70);
}

Test(test_smtp, faults_of_the_body) {
    static const struct {
        const char *text, *reply;
    } bodies[] = {{"a\nb\r\n.\r\n", "554 5.6.0"}, {"a\rb\r\n.\r\n", "554 5.6.0"}};
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        start(RELAY_ROLE_MX, false);
        open_mail();
        EXPECT("RCPT TO:<alice@example.test>", "250");
        cr_assert_eq(say("DATA"), SMTP_DATA);
        body(bodies[i].text);
        cr_assert_eq(end_body(), SMTP_MORE);
        cr_assert(starts(bodies[i].reply), "%s", (char *)storage);
        cr_assert(world.aborts == 1 && world.resets == 1 && world.committed == 0 && world.failures == 1);
        EXPECT("MAIL FROM:<a@b.example>", "250");
    }
}

Test(test_smtp, what_the_queue_says) {
    static const struct {
        enum body_outcome outcome;
        const char *reply;
    } outcomes[] = {{BODY_REFUSED, "451 4.3.0"}, {BODY_DURABLE, "250 2.0.0"}, {BODY_TOO_LARGE, "552 5.3.4"},
                    {BODY_NO_SPACE, "452 4.3.1"}, {(enum body_outcome)77, "451 4.3.0"}};
    for (size_t i = 0; i < sizeof outcomes / sizeof *outcomes; i++) {
        start(RELAY_ROLE_MX, false);
        world.outcome = outcomes[i].outcome;
        open_mail();
        EXPECT("RCPT TO:<alice@example.test>", "250");
        cr_assert_eq(say("DATA"), SMTP_DATA);
        body("x\r\n.\r\n");
        cr_assert_eq(end_body(), SMTP_MORE);
        cr_assert(starts(outcomes[i].reply), "%s", (char *)storage);
    }
}

static enum smtp_next end_chunk(const char *text) {
    body(text);
    enum smtp_next next = smtp_chunk_end(&smtp, &out);
    storage[out.n] = '\0';
    return next;
}

/* RFC 3030 */
Test(test_smtp, chunks) {
    start(RELAY_ROLE_MX, false);
    open_mail();
    EXPECT("RCPT TO:<alice@example.test>", "250");
    cr_assert_eq(say("BDAT 5"), SMTP_CHUNK);
    cr_assert(smtp.chunk_bytes == 5 && !smtp.chunk_dropped && !smtp.chunk_last);
    cr_assert_eq(end_chunk("abc\r\n"), SMTP_MORE);
    cr_assert(starts("250 2.0.0"));
    EXPECT("DATA", "503 5.5.1");
    EXPECT("MAIL FROM:<x@y.example>", "503 5.5.1");
    EXPECT("RCPT TO:<alice@example.test>", "503 5.5.1");
    cr_assert_eq(say("bdat 0 last"), SMTP_CHUNK);
    cr_assert(smtp.chunk_last);
    cr_assert_eq(end_chunk(""), SMTP_MORE);
    cr_assert(starts("250 2.0.0 Queued"));
    cr_assert_eq(world.committed, 1);
}

Test(test_smtp, chunks_out_of_turn_are_dropped_with_their_octets) {
    start(RELAY_ROLE_MX, false);
    static const struct {
        const char *before, *line, *reply;
    } cases[] = {{NULL, "BDAT 3", "503 5.5.1"},
                 {"EHLO x", "BDAT 3 LAST", "503 5.5.1"},
                 {"MAIL FROM:<a@b.example>", "BDAT 3", "503 5.5.1"},
                 {"RCPT TO:<nobody@example.test>", "BDAT 3", "554 5.5.1"},
                 {"RCPT TO:<alice@example.test>", "BDAT 3 FIRST", "501 5.5.4"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (cases[i].before) say(cases[i].before);
        cr_assert_eq(say(cases[i].line), SMTP_CHUNK, "%s", cases[i].line);
        cr_assert(smtp.chunk_bytes == 3 && smtp.chunk_dropped);
        out = BUF_OVER(storage);
        cr_assert_eq(smtp_chunk_end(&smtp, &out), SMTP_MORE);
        cr_assert(starts(cases[i].reply), "%s", cases[i].line);
    }
    static const char *const unknowable[] = {"BDAT", "BDAT x", "BDAT -1", "BDAT 99999999999999999999", "BDAT 1x", "BDAT LAST"};
    for (size_t i = 0; i < sizeof unknowable / sizeof *unknowable; i++)
        cr_assert_eq(say(unknowable[i]), SMTP_LEAVE, "%s", unknowable[i]);
}

Test(test_smtp, junk_and_failures_end_it) {
    start(RELAY_ROLE_MX, false);
    for (int i = 0; i < 100; i++) EXPECT("NOOP", "250");
    cr_assert_eq(say("NOOP"), SMTP_LEAVE);
    cr_assert(starts("421 4.7.0"));
    cr_assert_eq(smtp.exit, SESSION_EXIT_ABUSE);
    start(RELAY_ROLE_MX, false);
    for (int i = 0; i < 20; i++) EXPECT("FOO", "500");
    cr_assert_eq(say("FOO"), SMTP_LEAVE);
    cr_assert(starts("421 4.7.0"));
    start(RELAY_ROLE_MX, false);
    open_mail();
    for (int i = 0; i < 20; i++) EXPECT("RCPT TO:<x@foreign.example>", "550 5.7.1");
    cr_assert_eq(say("RCPT TO:<x@foreign.example>"), SMTP_LEAVE);
    cr_assert(starts("421 4.7.0"));
    cr_assert_eq(smtp.exit, SESSION_EXIT_ABUSE);
}

Test(test_smtp, reset_and_hello_end_a_transaction) {
    static const char *const lines[] = {"RSET", "EHLO x", "HELO x"};
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        start(RELAY_ROLE_MX, false);
        open_mail();
        EXPECT("RCPT TO:<alice@example.test>", "250");
        EXPECT(lines[i], "250");
        cr_assert_eq(world.resets, 1, "%s", lines[i]);
        EXPECT("DATA", "503");
        EXPECT(lines[i], "250");
        cr_assert_eq(world.resets, 1, "nothing to reset");
    }
}

Test(test_smtp, without_auth_it_ends) {
    static const char *const lines[] = {"MAIL FROM:<a@b.example>", "STARTTLS", "FOO"};
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        start(RELAY_ROLE_MX, false);
        EXPECT("EHLO x", "250-");
        world.gone = true;
        cr_assert_eq(say(lines[i]), SMTP_LEAVE, "%s", lines[i]);
        cr_assert(starts("421 4.3.2"));
        cr_assert_eq(smtp.exit, SESSION_EXIT_FAULT);
    }
}

Test(test_smtp, lines_have_limits) {
    start(RELAY_ROLE_SUBMISSION, true);
    cr_assert_eq(smtp_line_limit(&smtp, SPAN("NOOP xxx")), 512);
    cr_assert_eq(smtp_line_limit(&smtp, SPAN("UNKNOWN")), 512);
    cr_assert_eq(smtp_line_limit(&smtp, SPAN("auth plain x")), 12288);
    cr_assert_gt(smtp_line_limit(&smtp, SPAN("MAIL FROM:<")), 512 + 500 + 26);
    cr_assert_gt(smtp_line_limit(&smtp, SPAN("RCPT TO:<")), 512 + 500);
}
