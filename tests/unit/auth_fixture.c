/* auth_fixture.c - everybody around auth.
 * Runs in: tests. Trusts: the test. Never: waits without a limit. */
#include "tests/unit/auth_fixture.h"

#include "auth/auth.h"
#include "auth/password.h"
#include "server/process/sockets.h"
#include "tests/unit/scratch.h"

#include <criterion/criterion.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static uint8_t storage[FRAME_MAX];

static struct auth_domain local_domains[2];
static struct auth_relay_domain relay_domains[1];
static struct span relay_recipients[1];
static struct network trusted[1], senders[1];
static struct auth_system_user system_users[1];

void auth_fixture_setup(struct auth_fixture *fixture) {
    scratch_enter();
    local_domains[0] = (struct auth_domain){.name = SPAN("example.test"), .sender_needs_auth = 1};
    local_domains[1] = (struct auth_domain){.name = SPAN("other.test")};
    relay_domains[0] = (struct auth_relay_domain){SPAN("backup.test"), 0, 1};
    system_users[0] = (struct auth_system_user){33, SPAN("www-data"), {0}, 0};
    relay_recipients[0] = SPAN("known@backup.test");
    cr_assert(network_parse(&trusted[0], SPAN("192.0.2.0/28")) && network_parse(&senders[0], SPAN("192.0.2.32/28")));
    *fixture = (struct auth_fixture){.setup = {.hostname = SPAN("mail.example.test"),
                                               .recipient_delimiter = SPAN("+"),
                                               .postmaster = SPAN("alice@example.test"),
                                               .local_domains = local_domains,
                                               .relay_domains = relay_domains,
                                               .relay_recipients = relay_recipients,
                                               .trusted_networks = trusted,
                                               .local_sender_hosts = senders,
                                               .n_local_domains = 2,
                                               .n_relay_domains = 1,
                                               .n_relay_recipients = 1,
                                               .n_trusted_networks = 1,
                                               .n_local_sender_hosts = 1,
                                               .foreign = DESTINATION_CAPTURE,
                                               .verifiers = 1,
                                               .waiting_max = 10,
                                               .argon2_memory_bytes = 1 << 20,
                                               .argon2_passes = 1,
                                               .connections = 40,
                                               .connections_per_address = 8,
                                               .connections_per_network = 12,
                                               .network_ipv4_bits = 24,
                                               .network_ipv6_bits = 64,
                                               .waiting_for_auth = 6,
                                               .messages_per_session = 10000,
                                               .recipients_per_message = 5,
                                               .failures_per_session = 10,
                                               .message_bytes = 100000,
                                               .login_ms = 60000,
                                               .quota = {{{1000000, 1000000}, {1000000, 1000000}}, 0},
                                               .mail_uid = 1234,
                                               .mail_gid = 1234,
                                               .mail_directory = SPAN("/var/mail"),
                                               .local_domain = SPAN("example.test"),
                                               .local_relay = 1,
                                               .system_users = system_users,
                                               .n_system_users = 1},
                                     .listener = -1,
                                     .queue = -1,
                                     .keys = -1,
                                     .verifier = -1};
}

static struct driver start(const struct auth_setup *setup, const struct driver_link *links, size_t n) {
    static uint8_t payload[1 << 16];
    struct buf b = BUF_OVER(payload);
    auth_setup_put(&b, setup);
    cr_assert(buf_ok(&b));
    return driver_start(auth_run, ROLE_AUTH, buf_span(&b), links, n);
}

void auth_fixture_start(struct auth_fixture *fixture) {
    int *mine[] = {&fixture->listener, &fixture->queue, &fixture->keys, &fixture->verifier};
    static const uint8_t roles[] = {ROLE_LISTENER, ROLE_QUEUE, ROLE_KEYS, ROLE_VERIFIER};
    struct driver_link links[5];
    for (size_t i = 0; i < 4; i++) {
        int ends[2];
        cr_assert_eq(frame_pair(ends, true), 0);
        *mine[i] = ends[0];
        links[i] = (struct driver_link){true, {roles[i], 0, ends[1]}};
    }
    links[4] = (struct driver_link){false, {DESCRIPTOR_CONTROL, 0, sockets_control(".", "auth.sock")}};
    cr_assert_geq(links[4].link.fd, 0);
    fixture->driver = start(&fixture->setup, links, 5);
    for (size_t i = 0; i < 5; i++) close(links[i].link.fd);
}

void auth_fixture_stop(struct auth_fixture *fixture) {
    cr_expect_eq(driver_stop(&fixture->driver), 0);
}

const char *auth_fixture_hash(void) {
    static char hash[VERIFY_HASH_BYTES];
    if (!hash[0]) cr_assert_eq(password_hash(SPAN("secret-word"), 1 << 20, 1, hash), 0);
    return hash;
}

static void collect(struct wire *w, struct buf *out) {
    char name[64];
    while (w->rest.n && !w->bad) {
        wire_get_text(w, name, sizeof name);
        unsigned kind = wire_get_u8(w);
        if (kind == CONTROL_TEXT || kind == CONTROL_LINE) {
            buf_put_span(out, wire_get_span(w, FRAME_MAX));
        } else {
            buf_put_text(out, name);
            buf_put_octet(out, '=');
            buf_put_number(out, wire_get_u64(w));
        }
        buf_put_octet(out, '\n');
    }
    cr_assert(wire_end(w));
}

/* Asks, takes the answer, and closes the channel. */
static int converse(int fd, struct buf *text_out, const char *verb, va_list arguments) {
    struct buf b = buf_over(storage, FRAME_BODY_MAX);
    struct frame frame;
    wire_put_text(&b, verb);
    for (const char *name; (name = va_arg(arguments, const char *));) {
        wire_put_text(&b, name);
        wire_put_text(&b, va_arg(arguments, const char *));
    }
    cr_assert_eq(frame_send(fd, CONTROL_REQUEST, buf_span(&b)), 0);
    for (;;) {
        cr_assert(driver_receive(fd, storage, &frame), "no answer to %s", verb);
        struct wire w = wire_over(frame.body);
        if (frame.type == CONTROL_ROW) {
            collect(&w, text_out);
            continue;
        }
        cr_assert_eq(frame.type, CONTROL_END);
        int code = wire_get_u8(&w);
        buf_put_span(text_out, wire_get_span(&w, FRAME_MAX));
        buf_put_octet(text_out, 0);
        close(fd);
        return code;
    }
}

int auth_fixture_command(struct auth_fixture *fixture, struct buf *text_out, const char *verb, ...) {
    struct auth_setup setup = fixture->setup;
    va_list arguments;
    int ends[2];
    setup.stand_alone = 1;
    cr_assert_eq(frame_pair(ends, true), 0);
    struct driver driver = start(&setup, &(struct driver_link){true, {ROLE_COMMAND, 0, ends[1]}}, 1);
    close(ends[1]);
    va_start(arguments, verb);
    int code = converse(ends[0], text_out, verb, arguments);
    va_end(arguments);
    /* It leaves by itself when the command line has gone. */
    struct pollfd wait = {driver.control, POLLIN, 0};
    cr_expect_eq(poll(&wait, 1, 30000), 1);
    int status = driver_stop(&driver);
    cr_expect_eq(status, 0, "%s: status %d", verb, status);
    return code;
}

int auth_fixture_ask(struct buf *text_out, const char *verb, ...) {
    struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "auth.sock"};
    va_list arguments;
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    cr_assert(fd >= 0 && connect(fd, (const struct sockaddr *)&address, sizeof address) == 0);
    va_start(arguments, verb);
    int code = converse(fd, text_out, verb, arguments);
    va_end(arguments);
    return code;
}

void auth_fixture_announce(int session, enum relay_role role, const char *client) {
    struct buf b = buf_over(storage, FRAME_BODY_MAX);
    struct netaddr address, local;
    cr_assert(netaddr_parse(&address, span_text(client)) && netaddr_parse(&local, SPAN("127.0.0.1")));
    wire_put_u8(&b, (uint8_t)role);
    wire_put_netaddr(&b, &address);
    wire_put_netaddr(&b, &local);
    wire_put_u8(&b, 0);
    cr_assert_eq(frame_send(session, SESSION_ANNOUNCE, buf_span(&b)), 0);
}

void auth_fixture_expect(int fd, unsigned type, uint8_t *into, struct frame *out) {
    cr_assert(driver_receive(fd, into, out), "the channel ended instead of frame %x", type);
    cr_assert_eq(out->type, type, "frame %x instead of %x", out->type, type);
}

unsigned auth_fixture_welcome(int session, unsigned *stranger_out) {
    struct frame frame;
    auth_fixture_expect(session, SESSION_WELCOME, storage, &frame);
    struct wire w = wire_over(frame.body);
    unsigned reason = wire_get_u8(&w);
    struct span name = wire_get_span(&w, SESSION_NAME_MAX);
    (void)wire_get_span(&w, SESSION_USER_MAX);
    *stranger_out = wire_get_u16(&w);
    (void)wire_get_u8(&w);
    cr_expect(wire_end(&w) && name.n == 10);
    return reason;
}

unsigned auth_fixture_welcomed(int session) {
    unsigned stranger;
    return auth_fixture_welcome(session, &stranger);
}

static int channel(struct auth_fixture *fixture, enum frame_type type, struct span body) {
    int ends[2], on = 1;
    cr_assert_eq(frame_pair(ends, true), 0);
    cr_assert_eq(setsockopt(ends[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof on), 0);
    cr_assert_eq(frame_send_fd(fixture->listener, (uint16_t)type, body, ends[1]), 0);
    close(ends[1]);
    return ends[0];
}

int auth_fixture_local(struct auth_fixture *fixture, pid_t pid, uint32_t uid) {
    uint8_t octets[8];
    struct buf b = BUF_OVER(octets);
    wire_put_u32(&b, (uint32_t)pid);
    wire_put_u32(&b, uid);
    return channel(fixture, POOL_LOCAL, buf_span(&b));
}

int auth_fixture_client(struct auth_fixture *fixture, pid_t pid, enum relay_role role, const char *client) {
    uint8_t octets[64];
    struct buf b = BUF_OVER(octets);
    struct netaddr address, local;
    cr_assert(netaddr_parse(&address, span_text(client)) && netaddr_parse(&local, SPAN("127.0.0.1")));
    wire_put_u32(&b, (uint32_t)pid);
    wire_put_u8(&b, (uint8_t)role);
    wire_put_netaddr(&b, &address);
    wire_put_netaddr(&b, &local);
    return channel(fixture, POOL_CLIENT, buf_span(&b));
}

int auth_fixture_child(struct auth_fixture *fixture, pid_t pid) {
    uint8_t octets[4];
    struct buf b = BUF_OVER(octets);
    wire_put_u32(&b, (uint32_t)pid);
    return channel(fixture, POOL_CHILD, buf_span(&b));
}

int auth_fixture_session(struct auth_fixture *fixture, pid_t pid, enum relay_role role, const char *client) {
    int session = auth_fixture_client(fixture, pid, role, client);
    cr_assert_eq(auth_fixture_welcomed(session), REASON_COUNT);
    return session;
}

struct auth_mail auth_fixture_mail(int session, const char *argument) {
    struct buf b = buf_over(storage, FRAME_BODY_MAX);
    struct auth_mail mail;
    struct frame frame;
    wire_put_u8(&b, 1);
    wire_put_text(&b, "client.example");
    wire_put_text(&b, argument);
    cr_assert_eq(frame_send(session, SESSION_MAIL, buf_span(&b)), 0);
    auth_fixture_expect(session, SESSION_MAIL_RESULT, storage, &frame);
    struct wire w = wire_over(frame.body);
    mail.reason = wire_get_u16(&w);
    mail.foreign = wire_get_u16(&w);
    wire_get_bytes(&w, mail.transaction, sizeof mail.transaction);
    mail.header_from = wire_get_u8(&w);
    cr_assert(wire_end(&w));
    return mail;
}

unsigned auth_fixture_rcpt(int session, const char *argument, int *queue_out) {
    struct buf b = buf_over(storage, FRAME_BODY_MAX);
    struct frame frame;
    wire_put_u16(&b, 1);
    wire_put_text(&b, argument);
    cr_assert_eq(frame_send(session, SESSION_RCPT, buf_span(&b)), 0);
    auth_fixture_expect(session, SESSION_RCPT_RESULT, storage, &frame);
    struct wire w = wire_over(frame.body);
    cr_assert_eq(wire_get_u16(&w), 1);
    unsigned reason = wire_get_u16(&w);
    cr_assert(wire_end(&w));
    if (queue_out)
        *queue_out = frame.fd;
    else if (frame.fd >= 0)
        close(frame.fd);
    return reason;
}

void auth_fixture_tls(int session) {
    uint8_t octets[64];
    struct buf b = BUF_OVER(octets);
    wire_put_text(&b, "TLS1.3 TLS_AES_256_GCM_SHA384");
    cr_assert_eq(frame_send(session, SESSION_TLS, buf_span(&b)), 0);
}

bool auth_fixture_ended(int fd) {
    struct frame frame;
    for (;;) {
        struct pollfd wait = {fd, POLLIN, 0};
        if (poll(&wait, 1, 10000) != 1) return false;
        enum frame_status status = frame_receive(fd, storage, true, &frame);
        if (status == FRAME_CLOSED || status == FRAME_ERROR) return true;
        if (frame.fd >= 0) close(frame.fd);
    }
}

size_t auth_fixture_drain(int fd) {
    struct frame frame;
    size_t n = 0;
    for (; frame_receive(fd, storage, true, &frame) == FRAME_RECEIVED; n++)
        if (frame.fd >= 0) close(frame.fd);
    return n;
}
