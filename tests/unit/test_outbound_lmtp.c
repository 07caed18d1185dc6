/* test_outbound_lmtp.c - outbound and its LMTP agents as processes, between a queue, a resolver, a master and LMTP
 * servers of the test. */
#include "server/outbound/outbound.h"
#include "server/outbound/outbound_setup.h"
#include "store/netaddr.h"
#include "tests/unit/driver.h"
#include "tests/unit/fake_queue.h"
#include "tests/unit/fake_smarthost.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define SENT                                                                                                         \
    "C MAIL FROM:<s@a.example>\nS 250 ok\nC RCPT TO:<r@b.example>\nS 250 ok\nC DATA\nS 354 go\nD\nS 250 saved\n"
#define GREETING "S 220 lmtp\nC LHLO me.example.test\nS 250 lmtp\n"
#define QUIT "C QUIT\nS 221 bye\n"

static int queue, resolver;

static int run(struct role_start *start, uint32_t missing) {
    return outbound_prepare(start) == 0 ? outbound_run(start, missing) : 1;
}

static struct driver start(void) {
    static uint8_t storage[2048];
    struct buf b = BUF_OVER(storage);
    struct outbound_setup setup = {
        .hostname = SPAN("me.example.test"), .host = SPAN(""), .user = SPAN(""), .verify = 1, .agents_max = 4};
    int to_queue[2], to_resolver[2];
    cr_assert(frame_pair(to_queue, true) == 0 && frame_pair(to_resolver, true) == 0);
    outbound_setup_put(&b, &setup);
    struct driver_link links[] = {{true, {ROLE_QUEUE, 0, to_queue[1]}}, {true, {ROLE_RESOLVER, 0, to_resolver[1]}}};
    struct driver driver = driver_start(run, ROLE_OUTBOUND, buf_span(&b), links, 2);
    close(to_queue[1]), close(to_resolver[1]);
    queue = to_queue[0], resolver = to_resolver[0];
    return driver;
}

static void end(struct driver *driver) {
    int status = driver_stop(driver);
    cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%d", status);
}

static void send_job(int agent, uint64_t number) {
    struct fake_job job = {.number = number,
                           .name = "M",
                           .envid = "",
                           .sender = "s@a.example",
                           .body = SPAN("x\r\n"),
                           .n = 1,
                           .recipients = {{.address = "r@b.example", .orcpt = ""}}};
    fake_queue_send(agent, &job);
}

static void expect(int agent, uint8_t outcome, const char *status, const char *remote, const char *says) {
    struct fake_answer answer;
    cr_assert(fake_queue_answer(agent, &answer));
    cr_expect(answer.index == 10 && answer.outcome == outcome, "%d %s", answer.outcome, answer.diagnostic);
    cr_expect_str_eq(answer.status, status, "%s", answer.diagnostic);
    cr_expect_str_eq(answer.remote, remote);
    cr_expect(strstr(answer.diagnostic, says), "%s", answer.diagnostic);
    cr_expect(fake_queue_answer(agent, &answer) && answer.index == -1);
}

/* What the master is asked for; its request, answered by `fd` or an error. */
static uint32_t asked(const struct driver *driver, const char *path) {
    static uint8_t storage[FRAME_MAX];
    struct frame frame;
    cr_assert(driver_receive(driver->control, storage, &frame) && frame.type == CHILD_DIAL, "%x", frame.type);
    struct wire w = wire_over(frame.body);
    uint32_t request = wire_get_u32(&w);
    struct span got = wire_get_span(&w, 4096);
    cr_assert(wire_end(&w) && span_equal(got, span_text(path)), "%.*s", (int)got.n, (const char *)got.p);
    return request;
}
static void dialed(const struct driver *driver, uint32_t request, int fd, int error) {
    uint8_t storage[8];
    struct buf b = BUF_OVER(storage);
    wire_put_u32(&b, request);
    wire_put_u32(&b, (uint32_t)error);
    cr_assert_eq(frame_send_fd(driver->control, MASTER_DIALED, buf_span(&b), fd), 0);
}

/* A server that plays the script at one end; the other. */
static int connected(const char *script, pid_t *server) {
    int pair[2];
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    if ((*server = fork()) == 0) {
        close(pair[0]);
        fake_smarthost_play(pair[1], script, NULL);
    }
    close(pair[1]);
    cr_assert_eq(fcntl(pair[0], F_SETFL, O_NONBLOCK), 0);
    return pair[0];
}

static void played(pid_t server) {
    int status;
    cr_assert_eq(waitpid(server, &status, 0), server);
    cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 0, "the server's script");
}

Test(outbound_lmtp, by_a_unix_socket_over_two_connections) {
    struct driver driver = start();
    pid_t server;
    int agent = fake_queue_agent(queue, 1, DESTINATION_LMTP, "unix:/run/a/lmtp");
    cr_assert(agent >= 0);
    send_job(agent, 1);
    uint32_t request = asked(&driver, "/run/a/lmtp");
    int fd = connected(GREETING SENT "C RSET\nS 250 ok\n" SENT "X\n", &server);
    dialed(&driver, request, fd, 0);
    close(fd);
    expect(agent, JOB_DELIVERED, "2.0.0", "localhost", "saved");
    send_job(agent, 2);
    expect(agent, JOB_DELIVERED, "2.0.0", "localhost", "saved");
    played(server);
    send_job(agent, 3);
    uint32_t second = asked(&driver, "/run/a/lmtp");
    cr_expect_neq(second, request);
    fd = connected(GREETING SENT QUIT, &server);
    dialed(&driver, second, fd, 0);
    close(fd);
    expect(agent, JOB_DELIVERED, "2.0.0", "localhost", "saved");
    close(agent);
    played(server);
    end(&driver);
}

Test(outbound_lmtp, a_socket_that_is_not_there) {
    static const struct {
        int error;
        const char *says;
    } rows[] = {{ENOENT, "cannot connect to the LMTP server: No such file"},
                {ECONNREFUSED, "cannot connect to the LMTP server: Connection refused"},
                {EPERM, "cannot connect to the LMTP server: this socket is not in the configuration"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct driver driver = start();
        int agent = fake_queue_agent(queue, 1, DESTINATION_LMTP, "unix:/run/a/lmtp");
        cr_assert(agent >= 0);
        send_job(agent, 1);
        dialed(&driver, asked(&driver, "/run/a/lmtp"), -1, rows[i].error);
        expect(agent, JOB_DEFERRED, "4.4.1", "localhost", rows[i].says);
        dialed(&driver, 4711, -1, ENOENT); /* nobody's */
        close(agent);
        end(&driver);
    }
}

/* An agent that leaves while the master is asked leaves nothing behind; others are served. */
Test(outbound_lmtp, agents_ask_beside_each_other) {
    struct driver driver = start();
    pid_t server;
    int first = fake_queue_agent(queue, 1, DESTINATION_LMTP, "unix:/run/a/lmtp");
    int second = fake_queue_agent(queue, 2, DESTINATION_LMTP, "unix:/run/b/lmtp");
    cr_assert(first >= 0 && second >= 0);
    send_job(first, 1);
    uint32_t a = asked(&driver, "/run/a/lmtp");
    send_job(second, 1);
    uint32_t b = asked(&driver, "/run/b/lmtp");
    int fd = connected(GREETING SENT QUIT, &server);
    dialed(&driver, b, fd, 0);
    close(fd);
    expect(second, JOB_DELIVERED, "2.0.0", "localhost", "saved");
    dialed(&driver, a, -1, EAGAIN);
    expect(first, JOB_DEFERRED, "4.4.1", "localhost", "Resource temporarily unavailable");
    close(first), close(second);
    played(server);
    end(&driver);
}

static int listen_on_loopback(uint16_t *port_out) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert(bind(fd, (struct sockaddr *)&address, size) == 0 && listen(fd, 5) == 0 &&
              getsockname(fd, (struct sockaddr *)&address, &size) == 0);
    *port_out = ntohs(address.sin_port);
    return fd;
}

Test(outbound_lmtp, by_an_address) {
    char destination[40];
    uint16_t port;
    int listener = listen_on_loopback(&port);
    pid_t server = fork();
    if (server == 0) fake_smarthost_play(accept(listener, NULL, NULL), GREETING SENT QUIT, NULL);
    struct driver driver = start();
    snprintf(destination, sizeof destination, "127.0.0.1:%d", port);
    int agent = fake_queue_agent(queue, 1, DESTINATION_LMTP, destination);
    cr_assert(agent >= 0);
    send_job(agent, 1);
    expect(agent, JOB_DELIVERED, "2.0.0", "127.0.0.1", "saved");
    close(agent);
    played(server);
    end(&driver);
}

static void want(const char *destination) {
    uint8_t storage[512];
    struct buf b = BUF_OVER(storage);
    wire_put_u32(&b, 1);
    wire_put_u8(&b, DESTINATION_LMTP);
    wire_put_text(&b, destination);
    cr_assert_eq(frame_send(queue, AGENT_WANTED, buf_span(&b)), 0);
}

/* The resolver knows addresses; the port is the destination's. */
Test(outbound_lmtp, by_a_name) {
    static uint8_t storage[FRAME_MAX];
    char destination[40];
    uint16_t port;
    struct frame frame;
    struct netaddr address;
    int listener = listen_on_loopback(&port);
    pid_t server = fork();
    if (server == 0) fake_smarthost_play(accept(listener, NULL, NULL), GREETING SENT QUIT, NULL);
    struct driver driver = start();
    snprintf(destination, sizeof destination, "imap.example:%d", port);
    want(destination);
    cr_assert(driver_receive(resolver, storage, &frame) && frame.type == RESOLVE_REQUEST);
    struct wire w = wire_over(frame.body);
    uint64_t request = wire_get_u64(&w);
    cr_expect(span_equal(wire_get_span(&w, 255), SPAN("imap.example")));
    uint8_t answer[64];
    struct buf b = BUF_OVER(answer);
    wire_put_u64(&b, request);
    wire_put_u8(&b, RESOLVE_FOUND);
    wire_put_u16(&b, 1);
    cr_assert(netaddr_parse(&address, SPAN("127.0.0.1")));
    wire_put_netaddr(&b, &address);
    cr_assert_eq(frame_send(resolver, RESOLVE_RESULT, buf_span(&b)), 0);
    cr_assert(driver_receive(queue, storage, &frame) && frame.type == AGENT_READY && frame.fd >= 0);
    int agent = frame.fd;
    send_job(agent, 1);
    expect(agent, JOB_DELIVERED, "2.0.0", "imap.example", "saved");
    close(agent);
    played(server);
    end(&driver);
}

Test(outbound_lmtp, what_is_no_server) {
    struct driver driver = start();
    static const char *const destinations[] = {"", "imap.example", "unix:", "unix:lmtp", "lmtp:imap.example:24"};
    for (uint32_t i = 0; i < sizeof destinations / sizeof *destinations; i++)
        cr_expect_eq(fake_queue_agent(queue, i, DESTINATION_LMTP, destinations[i]), -1, "%s", destinations[i]);
    end(&driver);
}
