/* test_auth_quota.c - quotas, suspension, notices and the From field through auth's real frames. The session is a
 * system user's: no login is needed for it. */
#include "store/message.h"
#include "tests/unit/auth_fixture.h"

#include <criterion/criterion.h>
#include <poll.h>
#include <unistd.h>

static struct auth_fixture fixture;
static uint8_t storage[FRAME_MAX], text[1 << 16];
static struct auth_domain domains[] = {{SPAN("example.test"), 1, 1, {NULL, 0}}};

static void begin(void) {
    struct buf b = BUF_OVER(text);
    auth_fixture_setup(&fixture);
    fixture.setup.local_domains = domains;
    fixture.setup.n_local_domains = 1;
    fixture.setup.recipients_per_message = 100;
    fixture.setup.quota.most[QUOTA_MESSAGES][QUOTA_HOUR] = 3;
    fixture.setup.quota.most[QUOTA_RECIPIENTS][QUOTA_HOUR] = 4;
    cr_assert_eq(auth_fixture_command(&fixture, &b, "user add", "login", "alice@example.test", "hash",
                                      auth_fixture_hash(), NULL),
                 CONTROL_OK, "%s", text);
    auth_fixture_start(&fixture);
}

static void end(void) {
    auth_fixture_stop(&fixture);
}

TestSuite(auth_quota, .init = begin, .fini = end, .timeout = 60);

static int web(void) {
    int session = auth_fixture_local(&fixture, getpid(), 33);
    cr_assert_eq(auth_fixture_welcomed(session), REASON_COUNT);
    return session;
}

static unsigned mail(int session) {
    return auth_fixture_mail(session, "<www-data@example.test>").reason;
}

static void closed(const struct auth_mail *of, bool committed) {
    uint8_t octets[TRANSACTION_BYTES + 5] = {0};
    memcpy(octets, of->transaction, TRANSACTION_BYTES);
    octets[TRANSACTION_BYTES] = committed;
    cr_assert_eq(frame_send(fixture.queue, TRANSACTION_CLOSED, span_of(octets, sizeof octets)), 0);
}

/* Auth reads the queue's frames when it comes to them. */
static void expect_soon(int session, unsigned reason) {
    int tries = 200;
    while (tries-- && mail(session) != reason) usleep(10000);
    cr_expect(tries > 0);
}

static struct auth_mail open_one(int session) {
    struct auth_mail opened = auth_fixture_mail(session, "<www-data@example.test>");
    cr_assert_eq(opened.reason, REASON_SENDER_ACCEPTED);
    cr_assert_eq(auth_fixture_rcpt(session, "<alice@example.test>", NULL), REASON_LOCAL_RECIPIENT);
    return opened;
}

Test(auth_quota, sessions_share_what_the_queue_gives_back) {
    int sessions[4];
    struct auth_mail opened[3];
    for (int i = 0; i < 4; i++) sessions[i] = web();
    for (int i = 0; i < 3; i++) opened[i] = open_one(sessions[i]);
    cr_expect_eq(mail(sessions[3]), REASON_OVER_QUOTA);
    closed(&opened[0], true);
    usleep(50000);
    cr_expect_eq(mail(sessions[3]), REASON_OVER_QUOTA, "what was committed stays used");
    /* The session goes on; how its transaction ended is heard of later. */
    cr_assert_eq(frame_send(sessions[1], SESSION_RESET, span_of(NULL, 0)), 0);
    cr_expect_eq(mail(sessions[1]), REASON_OVER_QUOTA, "nobody knows yet whether it was committed");
    closed(&opened[1], false);
    expect_soon(sessions[3], REASON_SENDER_ACCEPTED);
    closed(&opened[1], false);
    usleep(50000);
    cr_expect_eq(mail(sessions[0]), REASON_OVER_QUOTA, "what is told twice is given back once");
    /* A transaction that the queue never heard of ends with its RSET. */
    cr_assert_eq(frame_send(sessions[3], SESSION_RESET, span_of(NULL, 0)), 0);
    expect_soon(sessions[0], REASON_SENDER_ACCEPTED);
}

/* Repeated MAIL takes nothing more, nor does a message that is refused for its parameters. */
Test(auth_quota, an_open_message_is_taken_once) {
    int session = web();
    for (int i = 0; i < 50; i++) cr_assert_eq(mail(session), REASON_SENDER_ACCEPTED);
    cr_expect_eq(auth_fixture_mail(session, "<www-data@example.test> SIZE=100001").reason, REASON_MESSAGE_TOO_LARGE);
    for (int i = 0; i < 50; i++) cr_assert_eq(mail(session), REASON_SENDER_ACCEPTED);
}

Test(auth_quota, recipients_elsewhere) {
    static uint8_t group_storage[4096];
    struct buf group = BUF_OVER(group_storage);
    struct frame frame;
    int session = web();
    struct auth_mail opened = auth_fixture_mail(session, "<www-data@example.test>");
    cr_expect_eq(opened.foreign, REASON_RELAY_LOCAL);
    wire_put_u16(&group, 7);
    for (int i = 0; i < 6; i++) wire_put_text(&group, "<x@foreign.example>");
    wire_put_text(&group, "<alice@example.test>");
    cr_assert_eq(frame_send(session, SESSION_RCPT, buf_span(&group)), 0);
    auth_fixture_expect(session, SESSION_RCPT_RESULT, storage, &frame);
    struct wire w = wire_over(frame.body);
    cr_expect_eq(wire_get_u16(&w), 7);
    for (int i = 0; i < 7; i++)
        cr_expect_eq(wire_get_u16(&w), i < 4   ? REASON_RELAY_LOCAL
                                       : i < 6 ? REASON_OVER_QUOTA
                                               : REASON_LOCAL_RECIPIENT);
    if (frame.fd >= 0) close(frame.fd);
    int other = web();
    opened = auth_fixture_mail(other, "<www-data@example.test>");
    cr_expect_eq(opened.reason, REASON_SENDER_ACCEPTED);
    cr_expect_eq(opened.foreign, REASON_NOT_DECIDED, "the session is to ask: there may be room in a minute");
    cr_expect_eq(auth_fixture_rcpt(other, "<x@foreign.example>", NULL), REASON_OVER_QUOTA);
}

/* The next frame of this type from auth to the queue, whatever comes before it. */
static void next_to_queue(unsigned type, struct frame *out) {
    for (;;) {
        cr_assert(driver_receive(fixture.queue, storage, out), "no frame %x", type);
        if (out->fd >= 0) close(out->fd);
        if (out->type == type) return;
    }
}

static uint64_t read_notice(char about_out[256], char why_out[256]) {
    struct frame frame;
    next_to_queue(NOTICE_WANTED, &frame);
    struct wire w = wire_over(frame.body);
    uint64_t number = wire_get_u64(&w);
    cr_expect_eq(wire_get_u8(&w), NOTICE_SUSPENDED);
    wire_get_text(&w, about_out, 256);
    wire_get_text(&w, why_out, 256);
    cr_expect(wire_end(&w));
    return number;
}

static void answer_notice(uint64_t number, uint8_t queued) {
    uint8_t octets[16];
    struct buf b = BUF_OVER(octets);
    wire_put_u64(&b, number);
    wire_put_u8(&b, queued);
    cr_assert_eq(frame_send(fixture.queue, NOTICE_RESULT, buf_span(&b)), 0);
}

static void replace_queue(void) {
    int ends[2];
    close(fixture.queue);
    cr_assert_eq(frame_pair(ends, true), 0);
    driver_link(&fixture.driver, (struct driver_link){true, {ROLE_QUEUE, 0, ends[1]}});
    close(ends[1]);
    fixture.queue = ends[0];
}

Test(auth_quota, suspended_and_told_of) {
    char about[256], why[256];
    fixture.setup.quota.suspend_after = 2;
    auth_fixture_stop(&fixture);
    auth_fixture_start(&fixture);
    int session = web(), open = web();
    struct auth_mail left = open_one(open);
    for (int i = 0; i < 2; i++) {
        struct auth_mail opened = open_one(session);
        closed(&opened, true);
        usleep(20000);
    }
    cr_expect_eq(mail(session), REASON_OVER_QUOTA);
    cr_expect_eq(mail(session), REASON_OVER_QUOTA);
    cr_expect_eq(mail(session), REASON_ACCOUNT_SUSPENDED);
    cr_expect_eq(auth_fixture_rcpt(open, "<alice@example.test>", NULL), REASON_ACCOUNT_SUSPENDED,
                 "also where a message is open");
    closed(&left, true);
    uint64_t first = read_notice(about, why);
    cr_expect_str_eq(about, "www-data@example.test");
    cr_expect_str_eq(why, "2 messages were refused over its quota within an hour, the last one from this host");
    replace_queue();
    cr_expect_eq(read_notice(about, why), first, "a queue that is gone may not have it");
    auth_fixture_stop(&fixture);
    auth_fixture_start(&fixture);
    cr_expect_eq(read_notice(about, why), first, "nor may one that an earlier auth spoke to");
    session = web();
    cr_expect_eq(mail(session), REASON_ACCOUNT_SUSPENDED, "a restart lifts nothing");
    answer_notice(first + 1, 1);
    answer_notice(first, 1);
    usleep(100000);
    replace_queue();
    struct pollfd wait = {fixture.queue, POLLIN, 0};
    cr_expect_eq(poll(&wait, 1, 500), 0, "told once");
    auth_fixture_stop(&fixture);
    struct buf b = BUF_OVER(text);
    cr_expect_eq(auth_fixture_command(&fixture, &b, "user enable", "login", "www-data@example.test", NULL),
                 CONTROL_OK, "%s", text);
    auth_fixture_start(&fixture);
    session = web();
    cr_expect_eq(mail(session), REASON_OVER_QUOTA, "lifted; what was sent is sent");
}

/* ---- the From field */

static unsigned ask_from(int session, const char *const *addresses, uint16_t n) {
    struct buf b = BUF_OVER(text);
    struct frame frame;
    wire_put_u16(&b, n);
    for (size_t i = 0; i < n; i++) wire_put_text(&b, addresses[i]);
    cr_assert_eq(frame_send(session, SESSION_FROM, buf_span(&b)), 0);
    auth_fixture_expect(session, SESSION_FROM_RESULT, storage, &frame);
    struct wire w = wire_over(frame.body);
    unsigned reason = wire_get_u16(&w);
    cr_assert(wire_end(&w));
    return reason;
}

Test(auth_quota, from_addresses) {
    static const struct {
        const char *addresses[2];
        uint16_t n;
        unsigned reason;
    } rows[] = {
        {{"www-data@example.test"}, 1, REASON_SENDER_ACCEPTED},
        {{"WWW-Data@Example.Test", "www-data@example.test"}, 2, REASON_SENDER_ACCEPTED},
        {{"alice@example.test"}, 1, REASON_FROM_NOT_YOURS},
        {{"www-data@example.test", "alice@example.test"}, 2, REASON_FROM_NOT_YOURS},
        {{"www-data@elsewhere.example"}, 1, REASON_FROM_NOT_YOURS},
        {{"www-data"}, 1, REASON_FROM_MALFORMED},
        {{"<www-data@example.test>"}, 1, REASON_FROM_MALFORMED},
        {{""}, 1, REASON_FROM_MALFORMED},
    };
    fixture.setup.failures_per_session = 100;
    int session = web();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct auth_mail opened = auth_fixture_mail(session, "<www-data@example.test>");
        cr_expect(opened.reason == REASON_SENDER_ACCEPTED && opened.header_from == 1);
        cr_expect_eq(ask_from(session, rows[i].addresses, rows[i].n), rows[i].reason, "%zu", i);
    }
}

Test(auth_quota, from_out_of_turn) {
    static const char one[] = "\1\0\1\0\0\0a", none[] = "\0\0", short_one[] = "\1\0\7\0\0\0a",
                      more[] = "\1\0\0\0\0\0!";
    static const struct {
        const char *what, *body;
        size_t n;
        bool open, stranger;
    } rows[] = {
        {"without a transaction", one, sizeof one - 1, false, false},
        {"where nobody asked", one, sizeof one - 1, true, true},
        {"no address", none, sizeof none - 1, true, false},
        {"half an address", short_one, sizeof short_one - 1, true, false},
        {"something after it", more, sizeof more - 1, true, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int session =
            rows[i].stranger ? auth_fixture_session(&fixture, getpid(), RELAY_ROLE_MX, "198.51.100.7") : web();
        if (rows[i].open) {
            struct auth_mail opened =
                auth_fixture_mail(session, rows[i].stranger ? "<x@foreign.example>" : "<www-data@example.test>");
            cr_assert_eq(opened.reason, REASON_SENDER_ACCEPTED);
            cr_expect_eq(opened.header_from, !rows[i].stranger);
        }
        cr_assert_eq(frame_send(session, SESSION_FROM, span_of(rows[i].body, rows[i].n)), 0);
        cr_expect(auth_fixture_ended(session), "%s", rows[i].what);
        close(session);
    }
    cr_expect_eq(mail(web()), REASON_SENDER_ACCEPTED, "auth is still there");
}
