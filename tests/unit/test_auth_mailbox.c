/* test_auth_mailbox.c - to whom auth hands out which mailbox. */
#include "tests/unit/logins.h"

#include <criterion/criterion.h>
#include <poll.h>
#include <unistd.h>

static uint8_t storage[FRAME_MAX];
static int verifier, smtp, pop3, delivery;

static int link_to(enum role role) {
    int ends[2];
    cr_assert_eq(frame_pair(ends, true), 0);
    driver_link(&logins_auth.driver, (struct driver_link){true, {(uint8_t)role, 0, ends[1]}});
    close(ends[1]);
    return ends[0];
}

static void start(void) {
    logins_start_played(&verifier, 1);
    pop3 = link_to(ROLE_POP3), delivery = link_to(ROLE_DELIVERY);
    smtp = logins_auth.listener, logins_auth.listener = pop3; /* which names the clients from here on */
}

static void begin(void) {
    logins_setup();
    start();
}

static void begin_lmtp(void) {
    static struct auth_domain domain = {.name = SPAN("example.test"), .lmtp = SPAN("127.0.0.1:24")};
    logins_setup();
    logins_auth.setup.local_domains = &domain;
    start();
}

static void end(void) {
    auth_fixture_stop(&logins_auth);
}

TestSuite(auth_mailbox, .init = begin, .fini = end, .timeout = 60);

static int session(bool logged_in) {
    int made = auth_fixture_session(&logins_auth, getpid(), RELAY_ROLE_POP3S, "198.51.100.7");
    auth_fixture_tls(made);
    if (logged_in) cr_assert_eq(logins_play(made, verifier, "alice@example.test", 1, true), AUTH_ACCEPTED);
    return made;
}

static void ask(int from, struct span body) {
    cr_assert_eq(frame_send(from, SESSION_MAILBOX, body), 0);
}

static unsigned answered(int from, int *fd_out) {
    struct frame frame;
    auth_fixture_expect(from, SESSION_MAILBOX_RESULT, storage, &frame);
    cr_assert_eq(frame.body.n, 1);
    *fd_out = frame.fd;
    return frame.body.p[0];
}

static bool delivery_hears(void) {
    struct pollfd wait = {delivery, POLLIN, 0};
    return poll(&wait, 1, 200) > 0;
}

Test(auth_mailbox, its_own_and_once) {
    struct frame frame;
    int mine, theirs, client = session(true);
    ask(client, SPAN(""));
    cr_assert_eq(answered(client, &mine), MAILBOX_READY);
    auth_fixture_expect(delivery, MAILBOX_WANTED, storage, &frame);
    struct wire w = wire_over(frame.body);
    cr_expect(wire_get_span(&w, SESSION_NAME_MAX).n);
    cr_expect(span_equal(wire_get_span(&w, 256), SPAN("alice@example.test")) && wire_end(&w));
    theirs = frame.fd;
    cr_assert(mine >= 0 && theirs >= 0);
    cr_assert_eq(frame_send(theirs, MAILBOX_OPENED, SPAN("x")), 0);
    cr_assert(driver_receive(mine, storage, &frame));
    cr_expect_eq(frame.type, MAILBOX_OPENED);
    close(theirs);
    cr_expect_not(driver_receive(mine, storage, &frame), "somebody else still holds the agent's end");
    close(mine);
    ask(client, SPAN(""));
    cr_expect(auth_fixture_ended(client) && !delivery_hears());
    close(client);
}

Test(auth_mailbox, not_before_the_login) {
    int client = session(false);
    ask(client, SPAN(""));
    cr_expect(auth_fixture_ended(client));
    close(client);
    client = session(false);
    cr_assert_eq(logins_play(client, verifier, "alice@example.test", 2, false), AUTH_REJECTED);
    ask(client, SPAN(""));
    cr_expect(auth_fixture_ended(client) && !delivery_hears());
    close(client);
}

Test(auth_mailbox, no_name_is_taken) {
    int client = session(true);
    ask(client, SPAN("\20\0\0\0gone@example.test"));
    cr_expect(auth_fixture_ended(client) && !delivery_hears());
    close(client);
}

Test(auth_mailbox, not_by_smtp) {
    logins_auth.listener = smtp;
    int client = logins_session("198.51.100.7");
    cr_assert_eq(logins_play(client, verifier, "alice@example.test", 1, true), AUTH_ACCEPTED);
    ask(client, SPAN(""));
    cr_expect(auth_fixture_ended(client) && !delivery_hears());
    close(client);
}

Test(auth_mailbox, without_delivery) {
    int fd, client = session(true);
    close(delivery);
    (void)poll(NULL, 0, 50); /* or the frame is lost with the channel, and the session sees its end */
    ask(client, SPAN(""));
    unsigned answer = answered(client, &fd);
    struct frame frame;
    if (answer == MAILBOX_READY) cr_expect_not(driver_receive(fd, storage, &frame));
    cr_expect(answer == MAILBOX_READY || (answer == MAILBOX_FAULT && fd < 0));
    delivery = link_to(ROLE_DELIVERY);
    close(client);
    client = session(true);
    ask(client, SPAN(""));
    cr_expect(answered(client, &fd) == MAILBOX_READY && delivery_hears());
    close(fd), close(client);
}

Test(auth_mailbox, mail_that_goes_elsewhere, .init = begin_lmtp) {
    int fd, client = session(true);
    ask(client, SPAN(""));
    cr_expect(answered(client, &fd) == MAILBOX_NONE && fd < 0 && !delivery_hears());
    close(client);
}
