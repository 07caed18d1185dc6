/* test_outbound.c - outbound and its SMTP agents as processes, between a queue, a resolver and a smarthost of the
 * test. */
#include "server/outbound/outbound.h"
#include "server/outbound/outbound_setup.h"
#include "store/netaddr.h"
#include "tests/unit/driver.h"
#include "tests/unit/fake_queue.h"
#include "tests/unit/fake_smarthost.h"
#include "tests/unit/fake_tls.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static int queue, resolver;

static int run(struct role_start *start, uint32_t missing) {
    return outbound_prepare(start) == 0 ? outbound_run(start, missing) : 1;
}

static struct driver start(const char *host, uint16_t port, int ca) {
    static uint8_t storage[2048];
    struct buf b = BUF_OVER(storage);
    struct outbound_setup setup = {.hostname = SPAN("me.example.test"),
                                   .host = span_text(host),
                                   .port = port,
                                   .tls = SMARTHOST_TLS_STARTTLS,
                                   .verify = 1,
                                   .user = SPAN("user"),
                                   .agents_max = 2};
    int to_queue[2], to_resolver[2];
    cr_assert(secret_set(&setup.password, SPAN("secret")) && frame_pair(to_queue, true) == 0 &&
              frame_pair(to_resolver, true) == 0);
    outbound_setup_put(&b, &setup);
    struct driver_link links[] = {
        {true, {ROLE_QUEUE, 0, to_queue[1]}},
        {true, {ROLE_RESOLVER, 0, to_resolver[1]}},
        {false, {DESCRIPTOR_CA, 0, ca}},
    };
    struct driver driver = driver_start(run, ROLE_OUTBOUND, buf_span(&b), links, 3);
    close(to_queue[1]), close(to_resolver[1]);
    queue = to_queue[0], resolver = to_resolver[0];
    return driver;
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

/* Answers the one request that comes: with 127.0.0.1, behind an address where nobody listens. */
static void resolve(const char *name, uint8_t outcome) {
    static uint8_t storage[FRAME_MAX];
    static const char *const addresses[] = {"::1", "127.0.0.1"};
    struct buf b = BUF_OVER(storage);
    struct frame frame;
    cr_assert(driver_receive(resolver, storage, &frame) && frame.type == RESOLVE_REQUEST);
    struct wire w = wire_over(frame.body);
    uint64_t request = wire_get_u64(&w);
    cr_expect(span_equal(wire_get_span(&w, 255), span_text(name)));
    wire_put_u64(&b, request);
    wire_put_u8(&b, outcome);
    wire_put_u16(&b, outcome == RESOLVE_FOUND ? 2 : 0);
    for (size_t i = 0; i < 2 && outcome == RESOLVE_FOUND; i++) {
        struct netaddr address;
        cr_assert(netaddr_parse(&address, span_text(addresses[i])));
        wire_put_netaddr(&b, &address);
    }
    cr_assert_eq(frame_send(resolver, RESOLVE_RESULT, buf_span(&b)), 0);
}

/* fake_queue_agent in two halves, as the resolver is asked in between. */
static void want(uint32_t agent) {
    uint8_t storage[64];
    struct buf b = BUF_OVER(storage);
    wire_put_u32(&b, agent);
    wire_put_u8(&b, DESTINATION_SMARTHOST);
    wire_put_text(&b, "");
    cr_assert_eq(frame_send(queue, AGENT_WANTED, buf_span(&b)), 0);
}
static int take_agent(uint32_t agent) {
    static uint8_t storage[FRAME_MAX];
    struct frame frame;
    cr_assert(driver_receive(queue, storage, &frame));
    struct wire w = wire_over(frame.body);
    cr_assert_eq(wire_get_u32(&w), agent);
    return frame.type == AGENT_READY ? frame.fd : -1;
}

static void expect(int agent, uint8_t outcome, const char *status) {
    struct fake_answer answer;
    cr_assert(fake_queue_answer(agent, &answer));
    cr_expect(answer.index == 10 && answer.outcome == outcome, "%d %s", answer.outcome, answer.diagnostic);
    cr_expect_str_eq(answer.status, status, "%s", answer.diagnostic);
    cr_expect(fake_queue_answer(agent, &answer) && answer.index == -1);
}

static void end(struct driver *driver) {
    int status = driver_stop(driver);
    cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%d", status);
}

#define SENT "C MAIL FROM:<s@a.example>\nS 250 ok\nC RCPT TO:<r@b.example>\nS 250 ok\nC DATA\nS 354 go\nD\nS 250 ok\n"

Test(outbound, a_conversation_over_tcp) {
    uint16_t port;
    int status, ca = fake_tls_prepare(), listener = listen_on_loopback(&port);
    pid_t server = fork();
    if (server == 0)
        fake_smarthost_play(
            accept(listener, NULL, NULL),
            "S 220 mx\nC EHLO me.example.test\nS 250-mx\nS 250 STARTTLS\nC STARTTLS\nS 220 go\nT\n"
            "C EHLO me.example.test\nS 250-mx\nS 250 AUTH PLAIN\nC AUTH PLAIN AHVzZXIAc2VjcmV0\nS 235 in\n" SENT
            "C RSET\nS 250 ok\n" SENT "C QUIT\nS 221 bye\n",
            fake_tls_take);
    struct driver driver = start("mx.example", port, ca);
    want(7);
    resolve("mx.example", RESOLVE_FOUND);
    int agent = take_agent(7);
    cr_assert(agent >= 0);
    struct fake_job job = {.number = 1,
                           .name = "M",
                           .envid = "",
                           .sender = "s@a.example",
                           .body = SPAN("x\r\n"),
                           .n = 1,
                           .recipients = {{.address = "r@b.example", .orcpt = ""}}};
    fake_queue_send(agent, &job);
    expect(agent, JOB_DELIVERED, "2.0.0");
    job.as_file = true, job.number = 2;
    fake_queue_send(agent, &job);
    expect(agent, JOB_DELIVERED, "2.0.0");
    close(agent);
    cr_assert(waitpid(server, &status, 0) == server);
    cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 0, "the smarthost's script");
    end(&driver);
}

Test(outbound, nobody_listens) {
    uint16_t port;
    int ca = fake_tls_prepare(), listener = listen_on_loopback(&port);
    close(listener);
    struct driver driver = start("127.0.0.1", port, ca);
    want(1);
    int agent = take_agent(1);
    cr_assert(agent >= 0);
    for (uint64_t i = 1; i <= 3; i++) {
        struct fake_job job = {.number = i,
                               .name = "M",
                               .envid = "",
                               .sender = "",
                               .body = SPAN("x\r\n"),
                               .n = 1,
                               .recipients = {{.address = "r@b.example", .orcpt = ""}}};
        fake_queue_send(agent, &job);
        expect(agent, JOB_DEFERRED, "4.4.1");
    }
    close(agent);
    end(&driver);
}

Test(outbound, no_address) {
    struct driver driver = start("mx.example", 25, fake_tls_prepare());
    want(1), want(2);
    resolve("mx.example", RESOLVE_NOT_FOUND);
    cr_expect_eq(take_agent(1), -1);
    resolve("mx.example", RESOLVE_TEMPORARY);
    cr_expect_eq(take_agent(2), -1);
    want(3);
    close(resolver); /* the resolver dies */
    cr_expect_eq(take_agent(3), -1);
    want(4);
    cr_expect_eq(take_agent(4), -1);
    end(&driver);
}
