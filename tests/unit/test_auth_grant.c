/* test_auth_grant.c - grants through auth's real frames: who may send, what is told to the queue, and what ends it.
 */
#include "store/envelope.h"
#include "tests/unit/auth_fixture.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <unistd.h>

static struct auth_fixture fixture;
static uint8_t storage[FRAME_MAX], text[1 << 16];
static struct auth_domain domains[] = {{SPAN("example.test"), 1, 1, {NULL, 0}}};

#define HERE "198.51.100.7"
#define ELSEWHERE "198.51.100.8"
#define ALICE "<alice@example.test>"
#define FOREIGN "<x@foreign.example>"

static int ask(const char *verb, const char *login, const char *address) {
    struct buf b = BUF_OVER(text);
    int code = address ? auth_fixture_ask(&b, verb, "login", login, "address", address, NULL)
                       : auth_fixture_ask(&b, verb, "login", login, NULL);
    return code;
}

static void add(const char *login) {
    struct buf b = BUF_OVER(text);
    cr_assert_eq(auth_fixture_command(&fixture, &b, "user add", "login", login, "hash", auth_fixture_hash(), NULL),
                 CONTROL_OK, "%s", text);
}

static void begin(void) {
    auth_fixture_setup(&fixture);
    fixture.setup.local_domains = domains;
    fixture.setup.n_local_domains = 1;
    fixture.setup.recipients_per_message = 100;
    fixture.setup.grant = (struct grant_limits){.enabled = true,
                                                .boot = {7},
                                                .lifetime_ms = 900000,
                                                .ipv6_bits = 128,
                                                .messages = 3,
                                                .recipients = 4,
                                                .users_per_address = 1,
                                                .shared_ms = 86400000};
    add("alice@example.test");
    add("bob@example.test");
    auth_fixture_start(&fixture);
}

static void end(void) {
    auth_fixture_stop(&fixture);
}

TestSuite(auth_grant, .init = begin, .fini = end, .timeout = 60);

static int from(enum relay_role role, const char *client) {
    return auth_fixture_session(&fixture, getpid(), role, client);
}

/* What becomes of a message of this sender's to elsewhere, in a session of its own. */
static unsigned sends(enum relay_role role, const char *client, const char *sender) {
    int session = from(role, client);
    struct auth_mail mail = auth_fixture_mail(session, sender);
    unsigned reason = mail.reason == REASON_SENDER_ACCEPTED ? auth_fixture_rcpt(session, FOREIGN, NULL) : mail.reason;
    close(session);
    return reason;
}

Test(auth_grant, from_its_address_as_its_user) {
    cr_expect_eq(sends(RELAY_ROLE_MX, HERE, ALICE), REASON_LOCAL_SENDER_NEEDS_AUTH);
    cr_expect_eq(sends(RELAY_ROLE_SUBMISSION, HERE, ALICE), REASON_AUTH_REQUIRED);
    cr_assert_eq(ask("grant add", "alice@example.test", HERE), CONTROL_OK);
    cr_expect_eq(sends(RELAY_ROLE_MX, HERE, ALICE), REASON_RELAY_GRANTED);
    cr_expect_eq(sends(RELAY_ROLE_SUBMISSION, HERE, ALICE), REASON_RELAY_GRANTED);
    cr_expect_eq(sends(RELAY_ROLE_SUBMISSIONS, HERE, "<alice+tag@example.test>"), REASON_RELAY_GRANTED);
    cr_expect_eq(sends(RELAY_ROLE_MX, HERE, "<bob@example.test>"), REASON_LOCAL_SENDER_NEEDS_AUTH);
    cr_expect_eq(sends(RELAY_ROLE_MX, HERE, "<carol@foreign.example>"), REASON_RELAY_DENIED);
    cr_expect_eq(sends(RELAY_ROLE_MX, HERE, "<>"), REASON_RELAY_DENIED, "<> is nobody's own");
    cr_expect_eq(sends(RELAY_ROLE_SUBMISSION, HERE, "<bob@example.test>"), REASON_AUTH_REQUIRED);
    cr_expect_eq(sends(RELAY_ROLE_SUBMISSION, HERE, "<>"), REASON_AUTH_REQUIRED);
    cr_expect_eq(sends(RELAY_ROLE_MX, ELSEWHERE, ALICE), REASON_LOCAL_SENDER_NEEDS_AUTH);
    cr_expect_eq(sends(RELAY_ROLE_SUBMISSION, ELSEWHERE, ALICE), REASON_AUTH_REQUIRED);
}

/* What a session need not ask about: not where it depends on the sender. */
Test(auth_grant, welcome) {
    unsigned stranger;
    int session = auth_fixture_client(&fixture, getpid(), RELAY_ROLE_MX, HERE);
    cr_assert_eq(auth_fixture_welcome(session, &stranger), REASON_COUNT);
    cr_expect_eq(stranger, REASON_RELAY_DENIED);
    close(session);
    cr_assert_eq(ask("grant add", "alice@example.test", HERE), CONTROL_OK);
    session = auth_fixture_client(&fixture, getpid(), RELAY_ROLE_MX, HERE);
    cr_assert_eq(auth_fixture_welcome(session, &stranger), REASON_COUNT);
    cr_expect_eq(stranger, REASON_NOT_DECIDED);
    cr_expect_eq(auth_fixture_mail(session, "<carol@foreign.example>").foreign, REASON_RELAY_DENIED);
    cr_expect_eq(auth_fixture_mail(session, ALICE).foreign, REASON_RELAY_GRANTED);
    close(session);
}

/* Reads the frames that the queue got, up to one of this type. */
static bool hears(unsigned type, uint8_t name_out[TRANSACTION_BYTES], struct envelope *out) {
    struct frame frame;
    while (driver_receive(fixture.queue, storage, &frame)) {
        struct span all = frame.body;
        while (true) {
            struct frame part = frame;
            if (frame.type == FRAME_BUNDLE) {
                struct wire w = wire_over(all);
                part.type = wire_get_u16(&w);
                part.body = wire_get_span(&w, FRAME_BODY_MAX);
                all = w.rest;
                if (w.bad) return false;
            }
            struct wire w = wire_over(part.body);
            wire_get_bytes(&w, name_out, TRANSACTION_BYTES);
            if (part.type == type && out) envelope_get(&w, out);
            if (part.type == type) return true;
            if (frame.type != FRAME_BUNDLE || !all.n) break;
        }
    }
    return false;
}

Test(auth_grant, the_queue_is_told_whose_mail_it_is) {
    uint8_t name[TRANSACTION_BYTES];
    struct envelope envelope;
    cr_assert_eq(ask("grant add", "alice@example.test", HERE), CONTROL_OK);
    cr_expect_eq(sends(RELAY_ROLE_MX, HERE, "<alice+x@example.test>"), REASON_RELAY_GRANTED);
    cr_assert(hears(TRANSACTION_OPEN, name, &envelope));
    cr_expect_eq(envelope.flags & (ENVELOPE_PRINCIPAL | ENVELOPE_GRANT), ENVELOPE_PRINCIPAL | ENVELOPE_GRANT);
    cr_expect(span_equal(envelope.principal, SPAN("alice@example.test")));
    cr_expect(span_equal(envelope.sender, SPAN("alice+x@example.test")));
}

static unsigned from_reason(int session) {
    uint8_t octets[128];
    struct buf b = BUF_OVER(octets);
    struct frame frame;
    wire_put_u16(&b, 1);
    wire_put_text(&b, "alice@example.test");
    cr_assert_eq(frame_send(session, SESSION_FROM, buf_span(&b)), 0);
    auth_fixture_expect(session, SESSION_FROM_RESULT, storage, &frame);
    struct wire w = wire_over(frame.body);
    return wire_get_u16(&w);
}

/* Whose address stands in the From line is judged by the user of the grant. */
Test(auth_grant, from_line) {
    cr_assert_eq(ask("grant add", "alice@example.test", HERE), CONTROL_OK);
    int session = from(RELAY_ROLE_MX, HERE);
    cr_expect(auth_fixture_mail(session, ALICE).header_from == 1);
    cr_expect_eq(from_reason(session), REASON_SENDER_ACCEPTED);
    close(session);
    cr_assert_eq(ask("grant flush", "x", NULL), CONTROL_OK);
    cr_assert_eq(ask("grant add", "bob@example.test", ELSEWHERE), CONTROL_OK);
    session = from(RELAY_ROLE_MX, ELSEWHERE);
    cr_expect(auth_fixture_mail(session, "<bob@example.test>").header_from == 1);
    cr_expect_eq(from_reason(session), REASON_FROM_NOT_YOURS);
    close(session);
}

/* An accepted recipient does not outlive its grant: the queue hears that T is dead, and no more is taken for it. */
Test(auth_grant, an_open_transaction_dies_with_it) {
    uint8_t name[TRANSACTION_BYTES];
    static const char *const verbs[] = {"grant revoke", "user disable", "user remove"};
    for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++) {
        int session = from(RELAY_ROLE_MX, HERE);
        cr_assert_eq(ask("grant add", "alice@example.test", HERE), CONTROL_OK, "%s", text);
        struct auth_mail mail = auth_fixture_mail(session, ALICE);
        cr_assert_eq(mail.reason, REASON_SENDER_ACCEPTED);
        cr_assert_eq(auth_fixture_rcpt(session, FOREIGN, NULL), REASON_RELAY_GRANTED);
        cr_assert_eq(ask(verbs[i], "alice@example.test", NULL), CONTROL_OK);
        cr_assert(hears(TRANSACTION_CLOSE, name, NULL), "%s", verbs[i]);
        cr_expect_arr_eq(name, mail.transaction, TRANSACTION_BYTES);
        cr_expect_eq(auth_fixture_rcpt(session, FOREIGN, NULL), REASON_AUTH_REQUIRED, "%s", verbs[i]);
        cr_expect_eq(from_reason(session), REASON_AUTH_REQUIRED, "%s", verbs[i]);
        cr_expect_eq(auth_fixture_mail(session, ALICE).reason, REASON_SENDER_ACCEPTED, "as a stranger");
        cr_expect_eq(auth_fixture_rcpt(session, FOREIGN, NULL), REASON_LOCAL_SENDER_NEEDS_AUTH, "%s", verbs[i]);
        close(session);
        if (i == 1) cr_assert_eq(ask("user enable", "alice@example.test", NULL), CONTROL_OK);
    }
    cr_expect_eq(sends(RELAY_ROLE_SUBMISSION, HERE, ALICE), REASON_AUTH_REQUIRED);
}

Test(auth_grant, over_between_mail_and_recipient) {
    struct auth_mail mail = {0};
    auth_fixture_stop(&fixture);
    fixture.setup.grant.lifetime_ms = 300;
    auth_fixture_start(&fixture);
    int session = from(RELAY_ROLE_SUBMISSION, HERE);
    for (int i = 0; i < 100 && mail.reason != REASON_SENDER_ACCEPTED;
         i++) { /* on a busy machine it may be too late */
        cr_assert_eq(ask("grant add", "alice@example.test", HERE), CONTROL_OK, "%s", text);
        mail = auth_fixture_mail(session, ALICE);
    }
    cr_assert_eq(mail.reason, REASON_SENDER_ACCEPTED);
    usleep(400000);
    cr_expect_eq(auth_fixture_rcpt(session, FOREIGN, NULL), REASON_AUTH_REQUIRED);
    cr_expect_eq(auth_fixture_rcpt(session, "<bob@example.test>", NULL), REASON_AUTH_REQUIRED);
    close(session);
}

Test(auth_grant, budget) {
    int session = from(RELAY_ROLE_SUBMISSION, HERE);
    cr_assert_eq(ask("grant add", "alice@example.test", HERE), CONTROL_OK);
    for (int i = 0; i < 5; i++) /* without a recipient nothing is used */
        cr_assert_eq(auth_fixture_mail(session, ALICE).reason, REASON_SENDER_ACCEPTED);
    for (int i = 0; i < 4; i++) cr_expect_eq(auth_fixture_rcpt(session, FOREIGN, NULL), REASON_RELAY_GRANTED);
    cr_expect_eq(auth_fixture_rcpt(session, FOREIGN, NULL), REASON_OVER_QUOTA, "the fifth recipient");
    cr_expect_eq(auth_fixture_rcpt(session, "<bob@example.test>", NULL), REASON_LOCAL_RECIPIENT);
    struct auth_mail mail = auth_fixture_mail(session, ALICE);
    cr_expect_eq(mail.foreign, REASON_NOT_DECIDED, "there may be a login in a minute");
    cr_expect_eq(auth_fixture_rcpt(session, FOREIGN, NULL), REASON_OVER_QUOTA);
    cr_expect_eq(auth_fixture_rcpt(session, "<bob@example.test>", NULL), REASON_LOCAL_RECIPIENT);
    cr_expect_eq(auth_fixture_mail(session, ALICE).reason, REASON_SENDER_ACCEPTED);
    cr_expect_eq(auth_fixture_rcpt(session, "<bob@example.test>", NULL), REASON_LOCAL_RECIPIENT);
    cr_expect_eq(auth_fixture_mail(session, ALICE).reason, REASON_OVER_QUOTA, "the fourth message");
    cr_assert_eq(ask("grant add", "alice@example.test", HERE), CONTROL_OK);
    cr_expect_eq(auth_fixture_mail(session, ALICE).reason, REASON_SENDER_ACCEPTED);
    cr_expect_eq(auth_fixture_rcpt(session, FOREIGN, NULL), REASON_RELAY_GRANTED);
    close(session);
}

Test(auth_grant, of_several_users) {
    cr_assert_eq(ask("grant add", "alice@example.test", HERE), CONTROL_OK);
    cr_expect_eq(ask("grant add", "bob@example.test", HERE), CONTROL_REFUSED);
    cr_expect(strstr((const char *)text, "several users"));
    cr_expect_eq(sends(RELAY_ROLE_MX, HERE, ALICE), REASON_LOCAL_SENDER_NEEDS_AUTH);
}

Test(auth_grant, verbs) {
    struct buf b = BUF_OVER(text);
    cr_expect_eq(ask("grant add", "alice@example.test", "somewhere"), CONTROL_USAGE);
    cr_expect_eq(ask("grant add", "carol@example.test", HERE), CONTROL_NOT_FOUND);
    cr_expect_eq(ask("grant add", "alice@example.test", "192.168.1.1"), CONTROL_REFUSED);
    cr_expect(strstr((const char *)text, "private"));
    cr_expect_eq(ask("grant revoke", "alice@example.test", NULL), CONTROL_NOT_FOUND);
    cr_assert_eq(ask("grant add", "alice@example.test", "2001:db8::7"), CONTROL_OK);
    cr_assert_eq(ask("grant add", "bob@example.test", ELSEWHERE), CONTROL_OK);
    buf_clear(&b);
    cr_assert_eq(auth_fixture_ask(&b, "grant list", NULL), CONTROL_OK);
    const char *first = strstr((const char *)text, "alice@example.test\n2001:db8::7\nowner\n");
    cr_expect(first && strstr(first, "messages_left=3\nrecipients_left=4\n"), "%s", text);
    cr_expect(first && strstr(first, "bob@example.test\n" ELSEWHERE "\nowner\n"));
    cr_assert_eq(ask("grant list", "bob@example.test", NULL), CONTROL_OK);
    cr_expect(!strstr((const char *)text, "alice") && strstr((const char *)text, ELSEWHERE));
    cr_expect_eq(ask("grant revoke", "alice@example.test", HERE), CONTROL_NOT_FOUND);
    cr_expect_eq(ask("grant revoke", "alice@example.test", "2001:db8::7"), CONTROL_OK);
    buf_clear(&b);
    cr_assert_eq(auth_fixture_ask(&b, "grant flush", NULL), CONTROL_OK);
    buf_clear(&b);
    cr_assert_eq(auth_fixture_ask(&b, "grant list", NULL), CONTROL_OK);
    cr_expect_eq(text[0], 0, "%s", text);
    cr_expect_eq(ask("user disable", "bob@example.test", NULL), CONTROL_OK);
    cr_expect_eq(ask("grant add", "bob@example.test", HERE), CONTROL_REFUSED);
}

/* A restart keeps it, another boot does not, and switched off there are none. */
Test(auth_grant, restarts) {
    cr_assert_eq(ask("grant add", "alice@example.test", HERE), CONTROL_OK);
    auth_fixture_stop(&fixture);
    auth_fixture_start(&fixture);
    cr_expect_eq(sends(RELAY_ROLE_MX, HERE, ALICE), REASON_RELAY_GRANTED);
    auth_fixture_stop(&fixture);
    fixture.setup.grant.boot[0]++;
    auth_fixture_start(&fixture);
    cr_expect_eq(sends(RELAY_ROLE_MX, HERE, ALICE), REASON_LOCAL_SENDER_NEEDS_AUTH);
    auth_fixture_stop(&fixture);
    fixture.setup.grant.boot[0]--;
    auth_fixture_start(&fixture);
    cr_expect_eq(sends(RELAY_ROLE_MX, HERE, ALICE), REASON_LOCAL_SENDER_NEEDS_AUTH, "it was gone for good");
    cr_assert_eq(ask("grant add", "alice@example.test", HERE), CONTROL_OK);
    auth_fixture_stop(&fixture);
    fixture.setup.grant.enabled = false;
    auth_fixture_start(&fixture);
    cr_expect_eq(sends(RELAY_ROLE_MX, HERE, ALICE), REASON_LOCAL_SENDER_NEEDS_AUTH);
    cr_expect_eq(ask("grant add", "alice@example.test", HERE), CONTROL_REFUSED);
}
