/* test_auth.c - the auth process through its real frames: sessions that behave, and sessions that do not. */
#include "store/message.h"
#include "tests/unit/auth_fixture.h"

#include "store/envelope.h"

#include <criterion/criterion.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

static struct auth_fixture fixture;
static uint8_t storage[FRAME_MAX], text[1 << 16];

static void begin(void) {
    struct buf b = BUF_OVER(text);
    auth_fixture_setup(&fixture);
    cr_assert_eq(auth_fixture_command(&fixture, &b, "user add", "login", "alice@example.test", "hash",
                                      auth_fixture_hash(), NULL),
                 CONTROL_OK, "%s", text);
    buf_clear(&b);
    cr_assert_eq(auth_fixture_command(&fixture, &b, "user add", "login", "bob@example.test", "hash",
                                      auth_fixture_hash(), NULL),
                 CONTROL_OK);
    cr_assert_eq(auth_fixture_command(&fixture, &b, "alias add", "address", "team@example.test", "target",
                                      "alice@example.test", "target", "bob@example.test", NULL),
                 CONTROL_OK);
    auth_fixture_start(&fixture);
}

static void end(void) {
    auth_fixture_stop(&fixture);
}

TestSuite(auth, .init = begin, .fini = end, .timeout = 60);

static int stranger(void) {
    return auth_fixture_session(&fixture, getpid(), RELAY_ROLE_MX, "198.51.100.7");
}

Test(auth, queue_hears_first) {
    struct frame frame, bundle;
    struct envelope envelope;
    struct recipient recipient;
    uint8_t name[TRANSACTION_BYTES];
    int session = stranger(), queue = -1;
    struct auth_mail mail = auth_fixture_mail(session, "<Carol@foreign.example> SIZE=1000 BODY=8BITMIME");
    cr_assert_eq(mail.reason, REASON_SENDER_ACCEPTED);
    cr_expect_eq(mail.foreign, REASON_RELAY_DENIED);
    cr_expect_eq(auth_fixture_rcpt(session, "<x@foreign.example>", NULL), REASON_RELAY_DENIED);
    cr_expect_eq(frame_receive(fixture.queue, storage, true, &frame), FRAME_NONE, "nothing was accepted yet");

    cr_assert_eq(auth_fixture_rcpt(session, "<Team@EXAMPLE.test> NOTIFY=NEVER", &queue), REASON_LOCAL_RECIPIENT);
    cr_expect(queue >= 0);
    /* All of it is there by the time that the session has its answer. */
    cr_assert_eq(frame_receive(fixture.queue, storage, true, &bundle), FRAME_RECEIVED);
    cr_assert_eq(bundle.type, FRAME_BUNDLE);
    struct wire frames = wire_over(bundle.body);
    cr_assert(frame_bundle_next(&frames, &frame));
    cr_assert_eq(frame.type, TRANSACTION_OPEN);
    struct wire w = wire_over(frame.body);
    wire_get_bytes(&w, name, sizeof name);
    envelope_get(&w, &envelope);
    cr_assert(wire_end(&w));
    cr_expect_arr_eq(name, mail.transaction, sizeof name);
    cr_expect(span_equal(envelope.sender, SPAN("Carol@foreign.example")));
    cr_expect(span_equal(envelope.helo, SPAN("client.example")));
    cr_expect_eq(envelope.principal.n, 0);
    cr_expect_eq(envelope.flags, ENVELOPE_ESMTP | ENVELOPE_8BIT);
    cr_expect_eq(envelope.limit_bytes, fixture.setup.message_bytes);
    cr_expect_eq(envelope.declared_bytes, 1000);

    cr_assert(frame_bundle_next(&frames, &frame));
    cr_assert_eq(frame.type, TRANSACTION_RCPT);
    w = wire_over(frame.body);
    wire_get_bytes(&w, name, sizeof name);
    cr_expect_arr_eq(name, mail.transaction, sizeof name);
    cr_expect_eq(wire_get_u32(&w), 0);
    static const char *const logins[] = {"alice@example.test", "bob@example.test"};
    for (size_t i = 0; i < 2; i++) {
        recipient_get(&w, &recipient);
        cr_expect_eq(recipient.kind, DESTINATION_MAILDIR);
        cr_expect(span_equal(recipient.destination, span_text(logins[i])));
        cr_expect(span_equal(recipient.original, SPAN("Team@EXAMPLE.test")));
        cr_expect_eq(recipient.notify, 1);
    }
    cr_assert(wire_end(&w));
    cr_assert(frame_bundle_next(&frames, &frame));
    cr_assert_eq(frame.type, TRANSACTION_CHANNEL);
    cr_expect_not(frame_bundle_next(&frames, &frame));
    cr_assert(bundle.fd >= 0);
    /* Both ends are of one channel. */
    cr_assert_eq(frame_send(queue, BODY_ABORT, span_of(mail.transaction, TRANSACTION_BYTES)), 0);
    int ours = bundle.fd;
    auth_fixture_expect(ours, BODY_ABORT, storage, &frame);
    /* A second recipient needs no second channel. */
    cr_expect_eq(auth_fixture_rcpt(session, "<bob@example.test>", &queue), REASON_LOCAL_RECIPIENT);
    cr_expect_eq(queue, -1);
}

Test(auth, recipients) {
    static const struct {
        const char *argument;
        enum reason reason;
    } rows[] = {
        {"<bob@example.test>", REASON_LOCAL_RECIPIENT},
        {"<Bob+tag@Example.TEST>", REASON_LOCAL_RECIPIENT},
        {"<@relay.example:bob@example.test>", REASON_LOCAL_RECIPIENT},
        {"<postmaster>", REASON_POSTMASTER},
        {"<nobody@example.test>", REASON_UNKNOWN_RECIPIENT},
        {"<bob@other.test>", REASON_UNKNOWN_RECIPIENT},
        {"<victim%elsewhere.example@example.test>", REASON_SECOND_ROUTING},
        {"<\"victim@elsewhere.example\"@example.test>", REASON_SECOND_ROUTING},
        {"<victim@elsewhere.example>", REASON_RELAY_DENIED},
        {"<victim@[192.0.2.9]>", REASON_FOREIGN_LITERAL},
        {"<victim@example.test.elsewhere.example>", REASON_RELAY_DENIED},
        {"<known@backup.test>", REASON_RELAY_DOMAIN},
        {"<unlisted@backup.test>", REASON_RELAY_DENIED},
        {"bob@example.test", REASON_MALFORMED_RECIPIENT},
        {"<bob@example.test>\r\nRCPT TO:<victim@elsewhere.example>", REASON_MALFORMED_RECIPIENT},
        {"<bob@example.test> UNKNOWN=1", REASON_UNKNOWN_PARAMETER},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int session = stranger();
        cr_assert_eq(auth_fixture_mail(session, "<>").reason, REASON_SENDER_ACCEPTED);
        cr_expect_eq(auth_fixture_rcpt(session, rows[i].argument, NULL), rows[i].reason, "%s", rows[i].argument);
        close(session);
    }
}

Test(auth, senders) {
    static const struct {
        const char *client, *argument;
        enum relay_role role;
        enum reason mail, foreign, local;
    } rows[] = {
        {"198.51.100.7", "<carol@foreign.example>", RELAY_ROLE_MX, REASON_SENDER_ACCEPTED, REASON_RELAY_DENIED,
         REASON_LOCAL_RECIPIENT},
        {"192.0.2.1", "<carol@foreign.example>", RELAY_ROLE_MX, REASON_SENDER_ACCEPTED, REASON_RELAY_TRUSTED,
         REASON_LOCAL_RECIPIENT},
        {"198.51.100.7", "<bob@example.test>", RELAY_ROLE_MX, REASON_SENDER_ACCEPTED, REASON_LOCAL_SENDER_NEEDS_AUTH,
         REASON_LOCAL_SENDER_NEEDS_AUTH},
        {"192.0.2.33", "<bob@example.test>", RELAY_ROLE_MX, REASON_SENDER_ACCEPTED, REASON_RELAY_DENIED,
         REASON_LOCAL_RECIPIENT},
        {"198.51.100.7", "<bob@other.test>", RELAY_ROLE_MX, REASON_SENDER_ACCEPTED, REASON_RELAY_DENIED,
         REASON_LOCAL_RECIPIENT},
        {"198.51.100.7", "<bob@example.test>", RELAY_ROLE_SUBMISSION, REASON_AUTH_REQUIRED, 0, 0},
        {"198.51.100.7", "<bob@@example.test>", RELAY_ROLE_MX, REASON_MALFORMED_SENDER, 0, 0},
        {"198.51.100.7", "<> SIZE=100001", RELAY_ROLE_MX, REASON_MESSAGE_TOO_LARGE, 0, 0},
        {"198.51.100.7", "<> SIZE=x", RELAY_ROLE_MX, REASON_BAD_PARAMETER, 0, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int session = auth_fixture_session(&fixture, getpid(), rows[i].role, rows[i].client);
        struct auth_mail mail = auth_fixture_mail(session, rows[i].argument);
        cr_expect_eq(mail.reason, rows[i].mail, "%zu", i);
        cr_expect_eq(mail.foreign, rows[i].foreign, "%zu", i);
        if (rows[i].local)
            cr_expect_eq(auth_fixture_rcpt(session, "<alice@example.test>", NULL), rows[i].local, "%zu", i);
        close(session);
    }
}

/* The address that is announced with it gives nothing: 192.0.2.1 is in trusted_networks. */
/* By the listener's word, or a listed proxy's: the welcome says what a session then need not ask about. */
Test(auth, the_word_for_strangers) {
    static const struct {
        enum relay_role role;
        const char *client;
        enum reason stranger;
    } rows[] = {{RELAY_ROLE_MX, "198.51.100.7", REASON_RELAY_DENIED},
                {RELAY_ROLE_MX, "192.0.2.1", REASON_RELAY_TRUSTED},
                {RELAY_ROLE_SUBMISSION, "198.51.100.7", REASON_NOT_DECIDED}};
    unsigned stranger;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int session = auth_fixture_client(&fixture, getpid(), rows[i].role, rows[i].client);
        cr_expect_eq(auth_fixture_welcome(session, &stranger), REASON_COUNT);
        cr_expect_eq(stranger, rows[i].stranger, "%zu", i);
        int proxied = auth_fixture_child(&fixture, getpid());
        auth_fixture_announce(proxied, rows[i].role, rows[i].client);
        cr_expect_eq(auth_fixture_welcome(proxied, &stranger), REASON_COUNT);
        cr_expect_eq(stranger, rows[i].stranger, "%zu", i);
    }
    int session = auth_fixture_local(&fixture, getpid(), 33);
    cr_expect_eq(auth_fixture_welcome(session, &stranger), REASON_COUNT);
    cr_expect_eq(stranger, REASON_NOT_DECIDED);
}

Test(auth, system_users) {
    static const struct {
        uint32_t uid;
        const char *argument;
        enum reason mail, foreign;
    } rows[] = {
        {33, "<www-data@example.test>", REASON_SENDER_ACCEPTED, REASON_RELAY_LOCAL},
        {33, "<>", REASON_SENDER_ACCEPTED, REASON_RELAY_LOCAL},
        {33, "<alice@example.test>", REASON_SENDER_NOT_YOURS, REASON_NOT_DECIDED},
        {34, "<www-data@example.test>", REASON_AUTH_REQUIRED, REASON_NOT_DECIDED},
        {34, "<>", REASON_AUTH_REQUIRED, REASON_NOT_DECIDED},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int session = auth_fixture_local(&fixture, getpid(), rows[i].uid);
        cr_expect_eq(auth_fixture_welcomed(session), REASON_COUNT);
        struct auth_mail mail = auth_fixture_mail(session, rows[i].argument);
        cr_expect_eq(mail.reason, rows[i].mail, "%zu", i);
        cr_expect_eq(mail.foreign, rows[i].foreign, "%zu", i);
        close(session);
    }
}

/* One uid counts as one address does, and the places of the net are not this host's. */
Test(auth, connections_of_system_users) {
    int session = -1;
    for (size_t i = 0; i < 8; i++) {
        session = auth_fixture_local(&fixture, getpid(), 33);
        cr_expect_eq(auth_fixture_welcomed(session), REASON_COUNT);
    }
    session = auth_fixture_local(&fixture, getpid(), 33);
    cr_expect_eq(auth_fixture_welcomed(session), REASON_TOO_MANY_CONNECTIONS);
    session = auth_fixture_local(&fixture, getpid(), 34);
    cr_expect_eq(auth_fixture_welcomed(session), REASON_COUNT);
    (void)auth_fixture_session(&fixture, getpid(), RELAY_ROLE_MX, "198.51.100.7");
}

/* Once auth has seen that a place is free. */
static int comes_in(enum relay_role role, const char *client) {
    for (int tries = 0; tries < 1000; tries++) {
        int session = auth_fixture_client(&fixture, getpid(), role, client);
        if (auth_fixture_welcomed(session) == REASON_COUNT) return session;
        close(session);
        (void)usleep(10000);
    }
    cr_assert_fail("no place comes back");
    return -1;
}

/* The reason for a further one, which has no place. Those of the row before may still be leaving, in all too many. */
static unsigned refused(enum relay_role role, const char *client) {
    unsigned reason = REASON_SERVER_BUSY;
    for (int tries = 0; tries < 1000 && reason == REASON_SERVER_BUSY; tries++) {
        if (tries) (void)usleep(10000);
        int more = auth_fixture_client(&fixture, getpid(), role, client);
        reason = auth_fixture_welcomed(more);
        close(more);
    }
    return reason;
}

/* Whoever leaves, or logs in, gives back his place: of the address, the network, those without a login. */
Test(auth, places_come_back) {
    static const struct {
        enum relay_role role;
        const char *client[2];
        size_t most;
    } rows[] = {{RELAY_ROLE_MX, {"203.0.113.1", "203.0.113.1"}, 8},
                {RELAY_ROLE_MX, {"198.51.100.1", "198.51.100.2"}, 12},
                {RELAY_ROLE_MX, {"2001:db8::1", "2001:db8::1"}, 8}};
    for (size_t r = 0; r < sizeof rows / sizeof rows[0]; r++) {
        int sessions[12];
        for (size_t i = 0; i < rows[r].most; i++)
            sessions[i] = auth_fixture_session(&fixture, getpid(), rows[r].role, rows[r].client[i % 2]);
        for (int turn = 0; turn < 2; turn++) {
            cr_expect_eq(refused(rows[r].role, rows[r].client[0]), REASON_TOO_MANY_CONNECTIONS, "row %zu", r);
            close(sessions[0]);
            sessions[0] = comes_in(rows[r].role, rows[r].client[0]);
        }
        for (size_t i = 0; i < rows[r].most; i++) close(sessions[i]);
    }
}

static int from_network(enum relay_role role, int n) {
    char client[64];
    snprintf(client, sizeof client, n % 2 ? "198.18.%d.1" : "2001:db8:%d::1", n);
    return auth_fixture_session(&fixture, getpid(), role, client);
}

/* Of all places the last quarter is for who has fewer than two; likewise of those who wait for a login. */
Test(auth, a_network_has_its_share) {
    for (int i = 0; i < 28; i++) (void)from_network(RELAY_ROLE_MX, i);
    for (int i = 0; i < 2; i++) (void)auth_fixture_session(&fixture, getpid(), RELAY_ROLE_MX, "192.0.2.1");
    cr_expect_eq(refused(RELAY_ROLE_MX, "192.0.2.3"), REASON_TOO_MANY_CONNECTIONS, "ten of 40 are left");
    for (int i = 0; i < 3; i++) (void)from_network(RELAY_ROLE_SUBMISSION, 31 + 2 * i);
}

Test(auth, those_who_wait_have_their_share) {
    for (int i = 0; i < 5; i++)
        (void)auth_fixture_session(&fixture, getpid(), RELAY_ROLE_SUBMISSION, i % 2 ? "203.0.113.1" : "203.0.113.2");
    cr_expect_eq(refused(RELAY_ROLE_SUBMISSION, "203.0.113.1"), REASON_TOO_MANY_CONNECTIONS, "five of six wait");
    (void)auth_fixture_session(&fixture, getpid(), RELAY_ROLE_MX, "203.0.113.1");
    (void)auth_fixture_session(&fixture, getpid(), RELAY_ROLE_SUBMISSION, "203.0.114.1");
}

/* However many networks of 64 bits somebody has. */
Test(auth, a_share_counts_a_48) {
    for (int i = 0; i < 30; i++) {
        char client[64];
        snprintf(client, sizeof client, "2001:db8:1:%d::1", i);
        (void)auth_fixture_session(&fixture, getpid(), RELAY_ROLE_MX, client);
    }
    cr_expect_eq(refused(RELAY_ROLE_MX, "2001:db8:1:99::1"), REASON_TOO_MANY_CONNECTIONS);
    (void)auth_fixture_session(&fixture, getpid(), RELAY_ROLE_MX, "2001:db8:2:99::1");
}

Test(auth, connections_in_all) {
    int session = -1;
    for (int i = 0; i < 40; i++) session = from_network(RELAY_ROLE_MX, i);
    int more = auth_fixture_client(&fixture, getpid(), RELAY_ROLE_MX, "198.51.100.7");
    cr_expect_eq(auth_fixture_welcomed(more), REASON_SERVER_BUSY);
    cr_expect_eq(auth_fixture_mail(session, "<>").reason, REASON_SENDER_ACCEPTED);
    close(session);
    (void)comes_in(RELAY_ROLE_MX, "198.51.100.7");
}

Test(auth, limits) {
    int sessions[8];
    for (size_t i = 0; i < 8; i++) sessions[i] = stranger();
    int more = auth_fixture_client(&fixture, getpid(), RELAY_ROLE_MX, "198.51.100.7");
    cr_expect_eq(auth_fixture_welcomed(more), REASON_TOO_MANY_CONNECTIONS);
    close(sessions[0]);
    for (int i = 0; i < 6; i++)
        (void)auth_fixture_session(&fixture, getpid(), RELAY_ROLE_SUBMISSION, i < 5 ? "203.0.113.1" : "203.0.114.1");
    more = auth_fixture_client(&fixture, getpid(), RELAY_ROLE_SUBMISSION, "2001:db8::1");
    cr_expect_eq(auth_fixture_welcomed(more), REASON_SERVER_BUSY);
    cr_assert_eq(auth_fixture_mail(sessions[1], "<>").reason, REASON_SENDER_ACCEPTED);
    for (int i = 0; i < 5; i++)
        cr_expect_eq(auth_fixture_rcpt(sessions[1], "<bob@example.test>", NULL), REASON_LOCAL_RECIPIENT);
    cr_expect_eq(auth_fixture_rcpt(sessions[1], "<bob@example.test>", NULL), REASON_TOO_MANY_RECIPIENTS);
    for (int i = 0; i < 10; i++) {
        (void)auth_fixture_mail(sessions[2], "<>");
        cr_expect_eq(auth_fixture_rcpt(sessions[2], "<nobody@example.test>", NULL), REASON_UNKNOWN_RECIPIENT);
    }
    cr_expect_eq(auth_fixture_mail(sessions[2], "<>").reason, REASON_TOO_MANY_FAILURES);
}

/* Aliases make more of a message's recipients than the queue takes: said at RCPT, not at the end of the message. */
Test(many, aliases_fill_a_message, .timeout = 60) {
    struct buf b = BUF_OVER(text);
    auth_fixture_setup(&fixture);
    cr_assert_eq(auth_fixture_command(&fixture, &b, "alias add", "address", "team@example.test", "target",
                                      "a@foreign.example", "target", "b@foreign.example", "forward", "yes", NULL),
                 CONTROL_OK, "%s", text);
    fixture.setup.recipients_per_message = MESSAGE_RECIPIENTS_MAX;
    auth_fixture_start(&fixture);
    int session = stranger();
    cr_assert_eq(auth_fixture_mail(session, "<>").reason, REASON_SENDER_ACCEPTED);
    for (int i = 0; i < MESSAGE_RECIPIENTS_MAX / 2; i++) {
        cr_assert_eq(auth_fixture_rcpt(session, "<team@example.test>", NULL), REASON_RELAY_ALIAS);
        (void)auth_fixture_drain(fixture.queue);
    }
    cr_expect_eq(auth_fixture_rcpt(session, "<team@example.test>", NULL), REASON_TOO_MANY_RECIPIENTS);
    auth_fixture_stop(&fixture);
}

Test(auth, queue_closes_and_space) {
    struct frame frame;
    uint8_t octet = 0, closed[TRANSACTION_BYTES + 5] = {0};
    int session = stranger();
    struct auth_mail mail = auth_fixture_mail(session, "<>");
    cr_assert_eq(auth_fixture_rcpt(session, "<bob@example.test>", NULL), REASON_LOCAL_RECIPIENT);
    cr_assert_eq(auth_fixture_drain(fixture.queue), 1);
    /* RESET: the queue hears that T is dead; a RCPT then is out of turn. */
    cr_assert_eq(frame_send(session, SESSION_RESET, span_of(NULL, 0)), 0);
    auth_fixture_expect(fixture.queue, TRANSACTION_CLOSE, storage, &frame);
    cr_expect(frame.body.n == TRANSACTION_BYTES && memcmp(frame.body.p, mail.transaction, TRANSACTION_BYTES) == 0);
    struct auth_mail second = auth_fixture_mail(session, "<>");
    cr_expect(memcmp(second.transaction, mail.transaction, TRANSACTION_BYTES) != 0);
    memcpy(closed, second.transaction, TRANSACTION_BYTES);
    closed[TRANSACTION_BYTES] = 1;
    cr_assert_eq(frame_send(fixture.queue, TRANSACTION_CLOSED, span_of(closed, sizeof closed)), 0);
    cr_assert_eq(frame_send(fixture.queue, QUEUE_SPACE, span_of(&octet, 1)), 0);
    /* Until auth has read it MAIL is accepted; the answer to a frame after it is not. */
    int tries = 100;
    while (tries-- && auth_fixture_mail(session, "<>").reason != REASON_STORAGE_FULL) usleep(10000);
    cr_expect(tries > 0);
}

Test(auth, route) {
    static const struct {
        unsigned purpose;
        const char *address;
        unsigned kind;
        const char *destination;
    } rows[] = {
        {ROUTE_NOTICE, "", DESTINATION_MAILDIR, "alice@example.test"},
        {ROUTE_BOUNCE, "bob+x@example.test", DESTINATION_MAILDIR, "bob@example.test"},
        {ROUTE_BOUNCE, "carol@foreign.example", DESTINATION_CAPTURE, ""},
        {ROUTE_BOUNCE, "nobody@example.test", DESTINATION_NONE, ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct buf b = buf_over(storage, FRAME_BODY_MAX);
        struct frame frame;
        struct recipient recipient = {0};
        wire_put_u64(&b, 77 + i);
        wire_put_u8(&b, (uint8_t)rows[i].purpose);
        wire_put_text(&b, rows[i].address);
        cr_assert_eq(frame_send(fixture.queue, ROUTE_REQUEST, buf_span(&b)), 0);
        auth_fixture_expect(fixture.queue, ROUTE_RESULT, storage, &frame);
        struct wire w = wire_over(frame.body);
        cr_expect_eq(wire_get_u64(&w), 77 + i);
        cr_expect_eq(wire_get_u8(&w), 1);
        if (rows[i].kind) recipient_get(&w, &recipient);
        cr_expect(wire_end(&w) && recipient.kind == rows[i].kind, "%zu", i);
        cr_expect(span_equal(recipient.destination, span_text(rows[i].destination)), "%zu", i);
    }
}

/* 100 ends with all that may be said of them do not fit one frame. */
Test(many, ends_of_long_names, .timeout = 300) {
    static char name[400], argument[600] = "<team@example.test> ORCPT=rfc822;";
    struct buf b = BUF_OVER(text);
    struct frame frame;
    memset(argument + strlen(argument), 'x', 440);
    auth_fixture_setup(&fixture);
    for (int i = 0; i < 100; i++) {
        size_t n = (size_t)snprintf(name, sizeof name, "%02d", i);
        memset(name + n, 'a', 62);
        n += 62;
        name[n++] = '@';
        for (int j = 0; j < 3; j++) {
            memset(name + n, 'a' + j, 55);
            n += 55;
            name[n++] = '.';
        }
        memcpy(name + n, "example", 8);
        buf_clear(&b);
        cr_assert_eq(auth_fixture_command(&fixture, &b, "alias add", "address", "team@example.test", "target", name,
                                          "forward", "yes", NULL),
                     CONTROL_OK, "%s", text);
    }
    auth_fixture_start(&fixture);
    int session = stranger();
    cr_assert_eq(auth_fixture_mail(session, "<>").reason, REASON_SENDER_ACCEPTED);
    (void)auth_fixture_drain(fixture.queue);
    cr_expect_eq(auth_fixture_rcpt(session, argument, NULL), REASON_RELAY_ALIAS);
    unsigned recipients = 0, frames = 0, packets = 0, last = 0;
    for (struct frame packet; frame_receive(fixture.queue, storage, true, &packet) == FRAME_RECEIVED; packets++) {
        bool bundled = packet.type == FRAME_BUNDLE;
        struct wire rest = wire_over(packet.body);
        for (frame = packet; bundled ? frame_bundle_next(&rest, &frame) : frame.type != 0; frame.type = 0) {
            last = frame.type;
            if (last != TRANSACTION_RCPT) continue;
            struct wire w = wire_over(span_from(frame.body, TRANSACTION_BYTES));
            struct recipient recipient;
            cr_expect_eq(wire_get_u32(&w), 0, "all of the first command");
            while (w.rest.n && !w.bad) recipient_get(&w, &recipient), recipients++;
            cr_expect(wire_end(&w));
            frames++;
        }
    }
    cr_expect_eq(last, TRANSACTION_CHANNEL);
    cr_expect(recipients == 100 && frames > 1 && packets > 1, "%u in %u", recipients, frames);
    b = buf_over(storage, FRAME_BODY_MAX);
    wire_put_u64(&b, 7);
    wire_put_u8(&b, ROUTE_BOUNCE);
    wire_put_text(&b, "team@example.test");
    cr_assert_eq(frame_send(fixture.queue, ROUTE_REQUEST, buf_span(&b)), 0);
    unsigned outcome = ROUTE_MORE;
    for (recipients = frames = 0; outcome == ROUTE_MORE; frames++) {
        auth_fixture_expect(fixture.queue, ROUTE_RESULT, storage, &frame);
        struct wire w = wire_over(frame.body);
        struct recipient recipient;
        cr_expect_eq(wire_get_u64(&w), 7);
        outcome = wire_get_u8(&w);
        while (w.rest.n && !w.bad) recipient_get(&w, &recipient), recipients++;
        cr_expect(wire_end(&w));
    }
    cr_expect(outcome == ROUTE_WHOLE && recipients == 100, "%u in %u", recipients, frames);
    auth_fixture_stop(&fixture);
}

Test(auth, keys_channel) {
    struct frame frame;
    int session = stranger();
    cr_assert_eq(frame_send(session, SESSION_KEYS, span_of(NULL, 0)), 0);
    auth_fixture_expect(session, SESSION_CHANNEL, storage, &frame);
    cr_expect(frame.fd >= 0 && frame.body.n == 1 && frame.body.p[0] == 1);
    int mine = frame.fd;
    auth_fixture_expect(fixture.keys, KEYS_CLIENT, storage, &frame);
    cr_assert(frame.fd >= 0);
    int theirs = frame.fd;
    cr_assert_eq(frame_send(mine, SIGN_REQUEST, span_of("x", 1)), 0);
    auth_fixture_expect(theirs, SIGN_REQUEST, storage, &frame);
    cr_assert_eq(frame_send(session, SESSION_KEYS, span_of(NULL, 0)), 0);
    cr_expect(auth_fixture_ended(session), "a second channel to the keys");
}

/* ---- sessions that were taken over */

/* Whether auth still serves: a stranger's mail is judged. */
static void still_there(void) {
    int session = auth_fixture_session(&fixture, getpid(), RELAY_ROLE_MX, "203.0.113.99");
    cr_expect_eq(auth_fixture_mail(session, "<>").reason, REASON_SENDER_ACCEPTED);
    close(session);
}

Test(auth, out_of_turn) {
    static const struct {
        const char *what;
        unsigned type;
        const char *body;
        size_t n;
    } rows[] = {
        {"RCPT before MAIL", SESSION_RCPT, "\1\0\5\0\0\0<a@b>", 11},
        {"AUTH_NEXT without a challenge", SESSION_AUTH_NEXT, "\0\0\0\0\0", 5},
        {"a frame of auth's own", SESSION_WELCOME, "", 0},
        {"a frame of the queue's", TRANSACTION_CLOSED, "", 0},
        {"a frame of a verifier's", VERIFY_RESULT, "", 0},
        {"a frame of the master's", MASTER_DRAIN, "", 0},
        {"an unknown frame", 0x7777, "", 0},
        {"half a MAIL", SESSION_MAIL, "\1\16\0\0\0client", 11},
        {"MAIL with something after it", SESSION_MAIL, "\1\1\0\0\0x\2\0\0\0<>!", 13},
        {"MAIL with a flag of 2", SESSION_MAIL, "\2\1\0\0\0x\2\0\0\0<>", 12},
        {"RESET with a body", SESSION_RESET, "x", 1},
        {"KEYS with a body", SESSION_KEYS, "x", 1},
        {"a failure that there is not", SESSION_FAILURE, "\11", 1},
        {"half an AUTH", SESSION_AUTH, "\1", 1},
        {"AUTH without channel bindings", SESSION_AUTH, "\1\5\0\0\0PLAIN\0\0\0\0\0", 15},
        {"AUTH with one binding", SESSION_AUTH, "\1\5\0\0\0PLAIN\0\0\0\0\0\0\0\0\0", 19},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int session = stranger();
        cr_assert_eq(frame_send(session, (uint16_t)rows[i].type, span_of(rows[i].body, rows[i].n)), 0);
        cr_expect(auth_fixture_ended(session), "%s", rows[i].what);
        close(session);
    }
    still_there();
}

Test(auth, announcements) {
    /* A second one, of another address. */
    int session = stranger();
    auth_fixture_announce(session, RELAY_ROLE_MX, "192.0.2.1");
    cr_expect(auth_fixture_ended(session), "a second announcement");
    /* By a process that is not the pool's child. */
    session = auth_fixture_child(&fixture, getpid() + 1);
    auth_fixture_announce(session, RELAY_ROLE_MX, "192.0.2.1");
    cr_expect(auth_fixture_ended(session), "an announcement by another process");
    /* Anything before it. */
    session = auth_fixture_child(&fixture, getpid());
    cr_assert_eq(frame_send(session, SESSION_RESET, span_of(NULL, 0)), 0);
    cr_expect(auth_fixture_ended(session), "a frame before the announcement");
    /* A system user's, which only the listener can say; and the other way round. */
    session = auth_fixture_child(&fixture, getpid());
    auth_fixture_announce(session, RELAY_ROLE_LOCAL, "192.0.2.1");
    cr_expect(auth_fixture_ended(session), "a session that says it is the local socket's");
    session = auth_fixture_local(&fixture, getpid(), 33);
    auth_fixture_announce(session, RELAY_ROLE_MX, "192.0.2.1");
    cr_expect(auth_fixture_ended(session), "one of the local socket with an address");
    /* A role that there is not. */
    session = auth_fixture_child(&fixture, getpid());
    auth_fixture_announce(session, (enum relay_role)9, "192.0.2.1");
    cr_expect(auth_fixture_ended(session), "an unknown role");
    still_there();
}

Test(auth, packets) {
    static uint8_t large[FRAME_MAX + 512];
    int session = stranger(), size = 1 << 20;
    cr_assert_eq(setsockopt(session, SOL_SOCKET, SO_SNDBUF, &size, sizeof size), 0);
    cr_assert_eq(send(session, large, sizeof large, MSG_NOSIGNAL), (ssize_t)sizeof large);
    cr_expect(auth_fixture_ended(session), "an oversized frame");
    session = stranger();
    cr_assert_eq(send(session, "x", 1, MSG_NOSIGNAL), 1);
    cr_expect(auth_fixture_ended(session), "one octet");
    session = stranger();
    cr_assert_eq(frame_send_fd(session, SESSION_RESET, span_of(NULL, 0), 0), 0);
    cr_expect(auth_fixture_ended(session), "a descriptor that nobody asked for");
    still_there();
}

Test(auth, reset_ends_t) {
    int session = stranger();
    cr_assert_eq(auth_fixture_mail(session, "<>").reason, REASON_SENDER_ACCEPTED);
    cr_assert_eq(frame_send(session, SESSION_RESET, span_of(NULL, 0)), 0);
    cr_assert_eq(frame_send(session, SESSION_RCPT, span_of("\1\0\22\0\0\0<bob@example.test>", 24)), 0);
    cr_expect(auth_fixture_ended(session), "RCPT after RESET");
    still_there();
}

Test(auth, queue_gone) {
    int with = stranger(), without = stranger(), queue = -1;
    int waiting = auth_fixture_child(&fixture, getpid());
    cr_assert_eq(auth_fixture_mail(with, "<>").reason, REASON_SENDER_ACCEPTED);
    cr_assert_eq(auth_fixture_rcpt(with, "<bob@example.test>", &queue), REASON_LOCAL_RECIPIENT);
    close(fixture.queue);
    cr_expect(auth_fixture_ended(with), "a session whose transaction is lost");
    cr_expect(auth_fixture_ended(without), "a session that never had one");
    cr_expect(auth_fixture_ended(waiting), "a pool child");
    without = stranger();
    cr_expect_eq(auth_fixture_mail(without, "<>").reason, REASON_STORAGE_FAULT);
    int ends[2];
    cr_assert_eq(frame_pair(ends, true), 0);
    driver_link(&fixture.driver, (struct driver_link){true, {ROLE_QUEUE, 0, ends[1]}});
    close(ends[1]);
    fixture.queue = ends[0];
    int tries = 100;
    while (tries-- && auth_fixture_mail(without, "<>").reason != REASON_SENDER_ACCEPTED) usleep(10000);
    cr_expect(tries > 0, "a new queue is taken into use");
}

/* Whether the answer comes; it is read, then. */
static bool is_answered(int session, enum frame_type type) {
    struct pollfd wait = {session, POLLIN, 0};
    struct frame frame;
    if (poll(&wait, 1, 300) == 0) return false;
    auth_fixture_expect(session, type, storage, &frame);
    if (frame.fd >= 0) close(frame.fd);
    return true;
}

Test(auth, a_full_channel_delays_the_answer) {
    static uint8_t rcpt_storage[64];
    struct buf b = BUF_OVER(text), rcpt = BUF_OVER(rcpt_storage);
    struct frame frame;
    int session = stranger(), other = stranger();
    size_t mails = 0, rcpts = 0;
    wire_put_u8(&b, 1);
    wire_put_text(&b, "client.example");
    wire_put_text(&b, "<>");
    wire_put_u16(&rcpt, 1);
    wire_put_text(&rcpt, "<bob@example.test>");
    /* Nobody reads the queue's end: at some point no answer comes. */
    for (;;) {
        cr_assert_eq(frame_send(session, SESSION_MAIL, buf_span(&b)), 0);
        mails++;
        if (!is_answered(session, SESSION_MAIL_RESULT)) break;
        cr_assert_eq(frame_send(session, SESSION_RCPT, buf_span(&rcpt)), 0);
        rcpts++;
        if (!is_answered(session, SESSION_RCPT_RESULT)) break;
        cr_assert_lt(mails, fixture.setup.messages_per_session, "the channel never was full");
    }
    /* Others are served; one who waits may not ask again. */
    cr_assert_eq(frame_send(other, SESSION_KEYS, span_of(NULL, 0)), 0);
    auth_fixture_expect(other, SESSION_CHANNEL, storage, &frame);
    size_t read = auth_fixture_drain(fixture.queue);
    cr_expect(is_answered(session, mails > rcpts ? SESSION_MAIL_RESULT : SESSION_RCPT_RESULT));
    read += auth_fixture_drain(fixture.queue);
    cr_expect_eq(read, rcpts + mails - 1, "one packet for each RCPT, and a CLOSE for each MAIL but the first");
}
