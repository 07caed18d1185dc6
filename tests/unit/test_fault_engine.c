/* test_fault_engine.c - which rules are due, and when: conditions, counting, places in a body, what addresses ask
 * for. Runs in: the test runner, in builds with FAULTS=1. Trusts: the parser, which test_fault_script.c tries. Never:
 * needs a server. */
#include "server/lab/fault.h"
#include "server/lab/fault_login.h"
#include "store/base64.h"
#include "store/log.h"

#include <criterion/criterion.h>
#include <sys/socket.h>
#include <unistd.h>

static struct fault_shared shared;
static struct fault_script script;
static struct fault_verdict verdict;

static void play(uint8_t role, const char *lines) {
    struct netaddr client;
    int ends[2];
    cr_assert(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends) == 0);
    (void)log_use(ends[0]); /* what is played is logged to nobody */
    close(ends[1]);
    memset(&shared, 0, sizeof shared);
    cr_assert(fault_script_read(&script, span_text(lines), "script", stderr), "%s", lines);
    cr_assert(netaddr_parse(&client, SPAN("192.0.2.7")));
    fault_use(&shared, &script);
    fault_open(role, &client);
}

static bool at(enum fault_where where, const char *argument, const char *user) {
    struct fault_event event = {.where = where, .argument = span_text(argument), .user = span_text(user)};
    return fault_judge(&event, &verdict);
}

/* 1 for each time that it was due, in order. */
static void expect_turns(const char *line, const char *turns) {
    play(RELAY_ROLE_MX, line);
    for (size_t i = 0; turns[i]; i++) cr_expect_eq(at(FAULT_NOOP, "", ""), turns[i] == '1', "%s: %zu", line, i + 1);
}

Test(fault_engine, turns) {
    expect_turns("on noop drop", "1111");
    expect_turns("on noop nth 3 drop", "00100");
    expect_turns("on noop first 2 drop", "1100");
    expect_turns("on noop every 3 drop", "0010010");
    expect_turns("on noop from 3 drop", "00111");
    expect_turns("on noop nth 2 chance 100% drop", "0100");
    expect_turns("on command nth 2 drop", "0100");
    expect_turns("on rset drop", "0000");
}

Test(fault_engine, only_what_holds_counts) {
    play(RELAY_ROLE_MX, "on rcpt match \"b*\" nth 2 drop");
    cr_expect_not(at(FAULT_RCPT, "bob@x", ""));
    cr_expect_not(at(FAULT_RCPT, "alice@x", ""));
    cr_expect_not(at(FAULT_MAIL, "bob@x", ""));
    cr_expect(at(FAULT_RCPT, "Bert@x", ""));
    cr_expect_eq(shared.counts[0], 2);
}

Test(fault_engine, conditions) {
    play(RELAY_ROLE_SUBMISSION, "on noop role mx drop\non noop client 192.0.2.8 drop\non noop user a drop");
    cr_expect_not(at(FAULT_NOOP, "", ""));
    cr_expect_not(at(FAULT_NOOP, "", "ab@x"));
    cr_expect(at(FAULT_NOOP, "", "a@x"));
    play(RELAY_ROLE_SUBMISSION, "on noop role submission client 192.0.2.0/24 user \"*@x\" drop");
    cr_expect(at(FAULT_NOOP, "", "a@x"));
    cr_expect_not(at(FAULT_NOOP, "", "a"));
}

Test(fault_engine, what_is_done) {
    play(RELAY_ROLE_MX,
         "on noop delay 2s\non noop delay 1s\non noop slow 5/s\non noop slow 7/s\non noop reply 451\non noop drop");
    cr_expect(at(FAULT_NOOP, "", ""));
    cr_expect(verdict.delay_ms == 3000 && verdict.octets_per_second == 7);
    cr_expect(verdict.final == &script.rules[4] && shared.counts[5] == 1);
}

Test(fault_engine, a_name_that_comes_late) {
    struct fault_event event = {.where = FAULT_AUTH, .user = SPAN("bob@x"), .named = true};
    play(RELAY_ROLE_SUBMISSION, "on auth drop\non auth user bob reply 454");
    cr_expect(fault_judge(&event, &verdict));
    cr_expect(verdict.final == &script.rules[1] && shared.counts[0] == 0);
}

static bool octets(uint64_t before, uint64_t now, bool end) {
    struct fault_event event = {.where = FAULT_BODY, .before = before, .now = now, .end = end};
    return fault_judge(&event, &verdict);
}

Test(fault_engine, bodies) {
    play(RELAY_ROLE_MX, "on body after 100 close");
    cr_expect_not(octets(0, 99, false));
    cr_expect(octets(99, 100, false));
    cr_expect_not(octets(100, 200, false));
    cr_expect(octets(0, 1000, false));
    cr_expect_not(octets(99, 99, true));
    play(RELAY_ROLE_MX, "on body close");
    cr_expect_not(octets(0, 1000, false));
    cr_expect(octets(1000, 1000, true));
    play(RELAY_ROLE_MX, "on body after 100 reply 451");
    cr_expect_not(octets(0, 1000, false));
    cr_expect(octets(1000, 1000, true));
    cr_expect_not(octets(99, 99, true));
    play(RELAY_ROLE_POP3, "on body reply 451\non body say \"x\"\non body cut 1");
    cr_expect_not(octets(0, 1000, true));
}

Test(fault_engine, chance) {
    unsigned due = 0;
    play(RELAY_ROLE_MX, "seed 3\non noop chance 20% drop");
    for (int i = 0; i < 10000; i++) due += at(FAULT_NOOP, "", "");
    cr_expect(due > 1800 && due < 2200, "%u", due);
}

Test(fault_engine, addresses) {
    play(RELAY_ROLE_MX, "magic");
    fault_hear(SPAN("reply-451@x"), FAULT_RCPT, false);
    cr_expect(at(FAULT_RCPT, "", "") && verdict.final->number == 451);
    cr_expect_not(at(FAULT_RCPT, "", "")); /* for its own command alone */
    fault_hear(SPAN("drop-data@x"), FAULT_RCPT, false);
    fault_hear(SPAN("close-quit@x"), FAULT_AUTH, true);
    cr_expect_not(at(FAULT_RCPT, "", ""));
    cr_expect(at(FAULT_DATA, "", "") && at(FAULT_DATA, "", ""));
    fault_forget();
    cr_expect_not(at(FAULT_DATA, "", ""));
    cr_expect(at(FAULT_QUIT, "", ""));
    for (int i = 0; i < 100; i++) fault_hear(SPAN("drop-data@x"), FAULT_RCPT, false);
    cr_expect(at(FAULT_DATA, "", ""));
    play(RELAY_ROLE_MX, "");
    fault_hear(SPAN("reply-451@x"), FAULT_RCPT, false);
    cr_expect_not(at(FAULT_RCPT, "", ""));
}

Test(fault_engine, nothing_without_a_script) {
    fault_use(NULL, NULL);
    fault_hear(SPAN("reply-451@x"), FAULT_RCPT, false);
    cr_expect_not(at(FAULT_RCPT, "", ""));
}

/* ---- names in logins */

static struct span encoded(struct span message) {
    static uint8_t storage[4096];
    struct buf b = BUF_OVER(storage);
    base64_encode(message, &b);
    return buf_span(&b);
}

static bool begin(const char *mechanism, struct span message) {
    static uint8_t storage[4096];
    struct buf b = BUF_OVER(storage);
    buf_put_text(&b, mechanism);
    if (message.p) {
        buf_put_octet(&b, ' ');
        buf_put_span(&b, encoded(message));
    }
    return fault_login_begin(buf_span(&b));
}

static bool is(const char *name) {
    return span_equal(fault_login_name(), span_text(name));
}

Test(fault_engine, names) {
    struct span none = {0};
    cr_expect(begin("plain", SPAN("\0bob\0secret")) && is("bob"));
    cr_expect(begin("PLAIN", SPAN("other\0bob\0secret")) && is("bob"));
    cr_expect_not(begin("PLAIN", none));
    cr_expect(fault_login_next(encoded(SPAN("\0eve\0x"))) && is("eve"));
    cr_expect_not(begin("LOGIN", none));
    cr_expect(fault_login_next(encoded(SPAN("carol"))) && is("carol"));
    cr_expect_not(fault_login_next(encoded(SPAN("secret")))); /* not taken for a name */
    cr_expect(is("carol"));
    cr_expect(begin("SCRAM-SHA-256", SPAN("n,,n=dave,r=abc")) && is("dave"));
    cr_expect(begin("SCRAM-SHA-256", SPAN("y,a=x,n=dave")) && is("dave"));
    cr_expect_not(begin("SCRAM-SHA-256", SPAN("n,,")));
    cr_expect_not(begin("XOAUTH2", SPAN("user=x")));
    cr_expect(is(""));
}

Test(fault_engine, names_in_ntlm) {
    uint8_t message[80] = "NTLMSSP\0\3";
    struct span none = {0};
    message[36] = 6, message[40] = 64;
    memcpy(message + 64, "b\0o\0b\0", 6);
    cr_expect_not(begin("NTLM", none));
    cr_expect_not(fault_login_next(encoded(SPAN("NTLMSSP\0\1\0\0\0"))));
    cr_expect(fault_login_next(encoded(span_of(message, sizeof message))) && is("bob"));
    for (size_t n = 0; n < sizeof message; n++) {
        message[40] = 255, message[42] = 255;
        cr_expect_not(begin("NTLM", span_of(message, n)));
    }
}
