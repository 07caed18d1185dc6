/* test_pop3.c - the POP3 machine by transcript, with auth and a mailbox agent played in place of ask*.c.
 * Runs in: the test runner. Trusts: nothing. Never: talks to a socket. */
#include "server/inbound/pop3.h"

#include "server/inbound/tls.h"

#include <criterion/criterion.h>
#include <stdio.h>

/* ---- auth and the agent */

enum { MESSAGES_MAX = 3000 };

static struct {
    bool gone, keys;
    enum auth_outcome outcome;
    char sasl[512];
    unsigned failures;
    enum mailbox_answer answer;
    uint32_t messages;
    uint64_t sizes[MESSAGES_MAX];
    struct span text;     /* of every message */
    size_t at, part_most; /* how far it has been told, and how much at once */
    bool cut;             /* it cannot be read to its end */
    bool unreadable;
    uint32_t asked_index, asked_lines, quits, marked, failed;
    uint8_t marks[MESSAGES_MAX / 8 + 1];
} world;

bool ask_keys(int *fd_out) {
    *fd_out = world.keys ? 99 : -1;
    return !world.gone;
}

static void note(const char *what, struct span mechanism, struct span response) {
    size_t n = strlen(world.sasl);
    n += (size_t)snprintf(world.sasl + n, sizeof world.sasl - n, "%s %.*s [", what, (int)mechanism.n,
                          (const char *)mechanism.p);
    for (size_t i = 0; i < response.n; i++) world.sasl[n++] = response.p[i] ? (char)response.p[i] : '|';
    snprintf(world.sasl + n, sizeof world.sasl - n, "];");
}

bool ask_auth(const struct ask_auth_start *start, struct ask_auth *out) {
    note(!start->tls ? "clear" : start->initial ? "initial" : "none", start->mechanism, start->response);
    *out = (struct ask_auth){world.outcome, SPAN("Username:")};
    return !world.gone;
}

bool ask_auth_next(bool cancelled, struct span response, struct ask_auth *out) {
    note(cancelled ? "cancel" : "next", SPAN(""), response);
    *out = (struct ask_auth){world.outcome, SPAN("")};
    return !world.gone;
}

bool ask_failure(enum session_failure failure) {
    return world.failures += failure != 0, !world.gone;
}

bool ask_mailbox(struct ask_mailbox *out) {
    *out = (struct ask_mailbox){world.answer, world.messages, 0};
    for (uint32_t i = 0; i < world.messages; i++) out->bytes += world.sizes[i];
    return !world.gone;
}

bool ask_mailbox_entry(uint32_t index, struct mailbox_entry *out) {
    static char id[32];
    cr_assert_lt(index, world.messages);
    snprintf(id, sizeof id, "id%u", index);
    *out = (struct mailbox_entry){world.sizes[index], span_text(id)};
    return !world.gone;
}

bool ask_mailbox_read(uint32_t index, uint32_t body_lines) {
    cr_assert_lt(index, world.messages);
    world.asked_index = index, world.asked_lines = body_lines, world.at = 0;
    return !world.gone;
}

bool ask_mailbox_part(struct span *part_out, bool *whole_out) {
    *part_out = world.unreadable ? span_of(NULL, 0) : span_part(world.text, world.at, world.part_most);
    world.at += part_out->n;
    *whole_out = part_out->n == 0 && !world.cut && !world.unreadable;
    return !world.gone;
}

bool ask_mailbox_quit(const uint8_t *bitmap, uint32_t messages, uint32_t marked, uint32_t *failed_out) {
    world.quits++;
    world.marked = marked;
    memcpy(world.marks, bitmap, (messages + 7) / 8);
    *failed_out = world.failed;
    return !world.gone;
}

bool tls_binds(void) {
    return false;
}
struct span tls_exporter(void) {
    return SPAN("");
}
struct span tls_end_point(void) {
    return SPAN("");
}

/* ---- the conversation */

static struct session_setup setup = {.scram = 1, .failures_per_session = 20};
static struct pop3 pop3;
static uint8_t storage[64 << 10];
static struct buf out;

static void begin(bool tls) {
    memset(&world, 0, sizeof world);
    world.keys = true;
    world.outcome = AUTH_ACCEPTED;
    world.answer = MAILBOX_READY;
    world.part_most = SIZE_MAX;
    pop3_start(&pop3, &setup, !tls, tls, false);
}

/* A line alone, and a long reply to its end. */
static enum pop3_next say(const char *line) {
    out = buf_over(storage, sizeof storage - 1);
    enum pop3_next next = pop3_line(&pop3, span_text(line), &out);
    while (next == POP3_GOES_ON) next = pop3_go_on(&pop3, &out);
    cr_assert(buf_ok(&out));
    storage[out.n] = 0;
    return next;
}

#define SAYS(line, reply)                                                                                            \
    do {                                                                                                             \
        cr_assert_eq(say(line), POP3_MORE, "%s: %s", line, (char *)storage);                                         \
        cr_assert(strncmp((char *)storage, reply, strlen(reply)) == 0, "%s: %s", line, (char *)storage);             \
    } while (0)

static void log_in(uint32_t messages) {
    begin(true);
    world.messages = messages;
    for (uint32_t i = 0; i < messages; i++) world.sizes[i] = i + 1;
    SAYS("USER alice", "+OK");
    SAYS("PASS x", "+OK");
}

Test(test_pop3, what_comes_before_a_login) {
    begin(false);
    for (const char *const *line =
             (const char *const[]){"STAT", "LIST", "UIDL", "RETR 1", "TOP 1 1", "DELE 1", "RSET", "NOOP", NULL};
         *line; line++)
        SAYS(*line, "-ERR Log in first");
    SAYS("USER alice", "-ERR Switch on encryption");
    SAYS("PASS x", "-ERR Switch on encryption");
    cr_expect(pop3.secret, "its line is wiped all the same");
    SAYS("AUTH PLAIN AGEAYg==", "-ERR Switch on encryption");
    cr_expect_str_eq(world.sasl, "");
    cr_expect_eq(world.failures, 11u, "auth hears of each");
    cr_assert_eq(say("STLS"), POP3_STLS);
    cr_assert_eq(pop3.keys_fd, 99);
    pop3_tls_started(&pop3);
    SAYS("STLS", "-ERR TLS is in use already");
    SAYS("USER alice", "+OK");
    SAYS("PASS x", "+OK 0 messages (0 octets)");
    cr_expect_str_eq(world.sasl, "initial PLAIN [|alice|x];");
    SAYS("USER alice", "-ERR You are logged in already");
    SAYS("STLS", "-ERR You are logged in already");
}

Test(test_pop3, without_keys_there_is_no_tls_just_now) {
    begin(false);
    world.keys = false;
    SAYS("STLS", "-ERR [SYS/TEMP] TLS is not available");
    pop3_start(&pop3, &setup, false, false, false);
    SAYS("STLS", "-ERR STLS is not offered here");
}

Test(test_pop3, a_name_is_for_the_next_command_alone) {
    begin(true);
    SAYS("PASS x", "-ERR Say USER first");
    SAYS("USER alice", "+OK");
    SAYS("CAPA", "+OK");
    SAYS("PASS x", "-ERR Say USER first");
    SAYS("USER alice", "+OK");
    cr_assert_eq(pop3_bad_line(&pop3, POP3_REPLY_BAD_LINE, &out), POP3_MORE);
    SAYS("PASS x", "-ERR Say USER first");
    SAYS("USER", "-ERR");
    SAYS("USER  ", "-ERR");
    world.outcome = AUTH_REJECTED;
    SAYS("USER  alice ", "+OK");
    SAYS("PASS  with  spaces ", "-ERR [AUTH]");
    cr_expect_str_eq(world.sasl, "initial PLAIN [|alice| with  spaces ];");
    SAYS("PASS x", "-ERR Say USER first");
}

Test(test_pop3, each_outcome_has_its_words) {
    static const struct {
        enum auth_outcome outcome;
        const char *reply;
    } rows[] = {{AUTH_FAILED_TEMPORARILY, "-ERR [SYS/TEMP] Logging in is not possible"},
                {AUTH_REJECTED, "-ERR [AUTH] User name or password is wrong"},
                {AUTH_MALFORMED, "-ERR The login data is malformed"},
                {AUTH_CANCELLED, "-ERR Login cancelled"},
                {AUTH_UNKNOWN_MECHANISM, "-ERR This way to log in is not offered"},
                {AUTH_HELD, "-ERR [SYS/TEMP] Too many failed logins from your network"}};
    begin(true);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        world.outcome = rows[i].outcome;
        SAYS("AUTH PLAIN Zm9v", rows[i].reply);
    }
    world.outcome = AUTH_CONTINUE;
    SAYS("AUTH LOGIN", "+ VXNlcm5hbWU6\r\n");
    world.outcome = AUTH_CANCELLED;
    SAYS("no base64", "-ERR The login data is malformed");
    world.outcome = AUTH_CONTINUE;
    SAYS("AUTH LOGIN", "+ ");
    world.outcome = AUTH_CANCELLED;
    cr_assert_eq(pop3_bad_line(&pop3, POP3_REPLY_LINE_TOO_LONG, &out), POP3_MORE);
    SAYS("STAT", "-ERR Log in first");
    world.outcome = AUTH_TOO_MANY;
    cr_assert_eq(say("AUTH PLAIN Zm9v"), POP3_LEAVE);
    cr_assert_eq(pop3.exit, SESSION_EXIT_ABUSE);
}

Test(test_pop3, each_failure_counts_and_the_last_one_ends_it) {
    begin(true);
    for (unsigned i = 1; i < setup.failures_per_session; i++) SAYS("WHAT", "-ERR No such command");
    cr_assert_eq(say("WHAT"), POP3_LEAVE);
    cr_assert_str_eq((char *)storage, "-ERR Too many failures, closing\r\n");
    cr_assert_eq(pop3.exit, SESSION_EXIT_ABUSE);
    cr_assert_eq(world.failures, setup.failures_per_session);
}

Test(test_pop3, a_mailbox_that_is_not_to_be_had_ends_the_session) {
    static const struct {
        enum mailbox_answer answer;
        const char *reply;
    } rows[] = {{MAILBOX_IN_USE, "-ERR [IN-USE] "},
                {MAILBOX_NONE, "-ERR [SYS/PERM] "},
                {MAILBOX_FAULT, "-ERR [SYS/TEMP] "},
                {(enum mailbox_answer)77, "-ERR [SYS/TEMP] "}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        begin(true);
        world.answer = rows[i].answer;
        cr_assert_eq(say("AUTH PLAIN Zm9v"), POP3_LEAVE, "%zu", i);
        cr_assert(strncmp((char *)storage, rows[i].reply, strlen(rows[i].reply)) == 0, "%s", (char *)storage);
        cr_assert_neq(pop3.state, POP3_TRANSACTION);
    }
}

Test(test_pop3, octets_that_may_not_be_in_a_command) {
    begin(true);
    for (unsigned c = 1; c < 32; c++) {
        char line[] = "NOOP x";
        line[5] = (char)c;
        pop3.failures = 0;
        SAYS(line, "-ERR A line ends in CRLF");
    }
    SAYS("NOOP \x7f", "-ERR A line ends in CRLF");
    SAYS("USER b\xc3\xbcrger", "+OK");
}

/* ---- messages */

Test(test_pop3, numbers) {
    static const char *const missing[] = {"0", "4", "00", "99999999999999999999999", "4294967297"};
    static const char *const malformed[] = {"x", "-1", "+1", "1x", "1 1", "0x1"};
    static const char *const verbs[] = {"RETR", "DELE", "LIST", "UIDL"};
    char line[64];
    log_in(3);
    for (size_t v = 0; v < 4; v++) {
        for (size_t i = 0; i < sizeof missing / sizeof *missing; i++) {
            snprintf(line, sizeof line, "%s %s", verbs[v], missing[i]);
            SAYS(line, "-ERR There is no such message");
        }
        pop3.failures = 0;
        for (size_t i = 0; i < sizeof malformed / sizeof *malformed; i++) {
            snprintf(line, sizeof line, "%s %s", verbs[v], malformed[i]);
            SAYS(line, "-ERR This command needs another argument");
        }
    }
    SAYS("LIST 02", "+OK 2 2\r\n");
    SAYS("UIDL 3", "+OK 3 id2\r\n");
    SAYS("TOP 1", "-ERR");
    SAYS("TOP 1 -1", "-ERR");
    SAYS("TOP 4 1", "-ERR There is no such message");
}

Test(test_pop3, marks) {
    log_in(10);
    SAYS("STAT", "+OK 10 55\r\n");
    SAYS("DELE 10", "+OK");
    SAYS("DELE 10", "-ERR This message is marked");
    SAYS("RETR 10", "-ERR This message is marked");
    SAYS("DELE 1", "+OK");
    SAYS("STAT", "+OK 8 44\r\n");
    SAYS("LIST", "+OK 8 messages (44 octets)\r\n2 2\r\n3 3\r\n4 4\r\n5 5\r\n6 6\r\n7 7\r\n8 8\r\n9 9\r\n.\r\n");
    SAYS("RSET", "+OK 10 messages (55 octets)");
    SAYS("UIDL 10", "+OK 10 id9\r\n");
    SAYS("DELE 9", "+OK");
    cr_assert_eq(world.quits, 0u, "nothing before QUIT");
    cr_assert_eq(say("QUIT"), POP3_LEAVE);
    cr_assert_str_eq((char *)storage, "+OK Goodbye\r\n");
    cr_assert(world.quits == 1 && world.marked == 1 && world.marks[0] == 0 && world.marks[1] == 1);
    log_in(1);
    SAYS("DELE 1", "+OK");
    world.failed = 1;
    cr_assert_eq(say("QUIT"), POP3_LEAVE);
    cr_assert_str_eq((char *)storage, "-ERR [SYS/TEMP] Not all messages could be removed\r\n");
}

Test(test_pop3, quit_without_a_login_removes_nothing) {
    begin(true);
    cr_assert_eq(say("QUIT"), POP3_LEAVE);
    cr_assert_eq(world.quits, 0u);
}

Test(test_pop3, a_long_list_comes_in_pieces_and_whole) {
    char wanted[32];
    unsigned pieces = 0;
    size_t n = 0;
    static char all[1 << 20];
    log_in(MESSAGES_MAX);
    out = buf_over(storage, 2 * POP3_OUT_MIN);
    enum pop3_next next = pop3_line(&pop3, SPAN("UIDL"), &out);
    for (; next == POP3_GOES_ON; pieces++) {
        next = pop3_go_on(&pop3, &out);
        cr_assert(buf_ok(&out));
        memcpy(all + n, out.p, out.n), n += out.n;
        buf_clear(&out);
    }
    cr_assert_gt(pieces, 2u);
    all[n] = 0;
    const char *at = strchr(all, '\n') + 1;
    for (unsigned i = 0; i < MESSAGES_MAX; i++) {
        int length = snprintf(wanted, sizeof wanted, "%u id%u\r\n", i + 1, i);
        cr_assert(strncmp(at, wanted, (size_t)length) == 0, "%u", i);
        at += length;
    }
    cr_assert_str_eq(at, ".\r\n");
}

/* ---- texts */

static uint32_t seed = 1;

static uint32_t draw(uint32_t below) {
    seed ^= seed << 13, seed ^= seed >> 17, seed ^= seed << 5;
    return seed % below;
}

/* What a client makes of it: RFC 1939 3. */
static size_t unstuff(const char *reply, size_t n, char *text_out) {
    const char *at = memchr(reply, '\n', n), *end = reply + n;
    size_t length = 0;
    for (at++; at < end;) {
        const char *line_end = memchr(at, '\n', (size_t)(end - at));
        cr_assert(line_end && line_end > at && line_end[-1] == '\r');
        if (*at == '.') {
            if (line_end - at == 2) {
                cr_assert_eq(line_end + 1, end, "nothing is behind the end");
                return length;
            }
            at++;
        }
        memcpy(text_out + length, at, (size_t)(line_end + 1 - at));
        length += (size_t)(line_end + 1 - at);
        at = line_end + 1;
    }
    cr_assert(false, "there is no end");
    return 0;
}

Test(test_pop3, any_text_in_any_parts_comes_through) {
    static char text[3000], reply[10000], back[10000];
    for (unsigned round = 0; round < 2000; round++) {
        size_t n = 0, length = 0;
        for (size_t lines = draw(60); lines && n < 2800; lines--) {
            for (size_t i = draw(40); i; i--) text[n++] = "..a "[draw(4)];
            text[n++] = '\r', text[n++] = '\n';
        }
        log_in(1);
        world.text = span_of(text, n);
        world.part_most = 1 + draw(7);
        out = buf_over(storage, POP3_OUT_MIN + 64 + draw(64)); /* which is full again and again */
        enum pop3_next next = pop3_line(&pop3, SPAN("RETR 1"), &out);
        for (;; next = pop3_go_on(&pop3, &out)) {
            cr_assert(buf_ok(&out));
            memcpy(reply + length, out.p, out.n), length += out.n;
            buf_clear(&out);
            if (next != POP3_GOES_ON) break;
        }
        cr_assert_eq(next, POP3_MORE);
        cr_assert_eq(unstuff(reply, length, back), n, "round %u", round);
        cr_assert(memcmp(back, text, n) == 0, "round %u", round);
    }
}

Test(test_pop3, what_cannot_be_read_is_no_message) {
    log_in(2);
    world.unreadable = true;
    SAYS("RETR 2", "-ERR [SYS/TEMP]");
    SAYS("NOOP", "+OK");
    world.unreadable = false;
    world.text = SPAN("half of");
    world.cut = true;
    cr_assert_eq(say("RETR 2"), POP3_LEAVE, "the client is to see that this is not all");
    cr_assert_str_eq((char *)storage, "+OK It follows\r\nhalf of");
    log_in(1);
    world.text = SPAN("no end of line");
    cr_assert_eq(say("RETR 1"), POP3_LEAVE, "an agent that does not keep its word");
    log_in(1);
    SAYS("RETR 1", "+OK It follows\r\n.\r\n");
    SAYS("TOP 1 7", "+OK It follows\r\n.\r\n");
    cr_assert(world.asked_index == 0 && world.asked_lines == 7);
    SAYS("TOP 1 4294967295", "+OK");
    cr_assert_eq(world.asked_lines, MAILBOX_WHOLE);
}

Test(test_pop3, whoever_is_gone_ends_it) {
    static const char *const lines[] = {"RETR 1", "LIST 1", "DELE 1", "WHAT"};
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        log_in(1);
        world.gone = true;
        cr_assert_eq(say(lines[i]), POP3_LEAVE, "%s", lines[i]);
        cr_assert_eq(pop3.exit, SESSION_EXIT_FAULT);
        cr_assert(strncmp((char *)storage, "-ERR [SYS/TEMP]", 15) == 0);
    }
    log_in(1);
    SAYS("DELE 1", "+OK");
    world.gone = true;
    cr_assert_eq(say("QUIT"), POP3_LEAVE);
    cr_assert(strncmp((char *)storage, "-ERR [SYS/TEMP]", 15) == 0, "it may still be there");
}

Test(test_pop3, replies_fit_a_line) {
    for (int i = 0; i <= POP3_REPLY_COUNT; i++) {
        struct buf line = buf_over(storage, POP3_REPLY_LINE_MAX);
        pop3_reply_put(&line, (enum pop3_reply)i);
        cr_assert(buf_ok(&line) && (line.p[0] == '+' || line.p[0] == '-') && line.p[line.n - 1] == '\n');
    }
    for (int i = 0; i < REASON_COUNT; i++) {
        struct buf line = buf_over(storage, POP3_REPLY_LINE_MAX);
        pop3_reply_put_reason(&line, (enum reason)i);
        cr_assert(buf_ok(&line) && line.p[0] == '-');
    }
}
