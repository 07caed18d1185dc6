/* test_resolver.c - the resolver as a process, asking a name server made up by the test. */
#include "server/outbound/resolver.h"
#include "server/process/sandbox.h"
#include "store/netaddr.h"
#include "tests/unit/driver.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* Answers A with 192.0.2.53 and AAAA with 2001:db8::53, but "none..." not at all as NXDOMAIN, and "mute..." never. */
static _Noreturn void serve(int fd) {
    uint8_t packet[600];
    struct sockaddr_in from;
    for (;;) {
        socklen_t size = sizeof from;
        ssize_t n = recvfrom(fd, packet, 512, 0, (struct sockaddr *)&from, &size);
        if (n < 17) continue;
        size_t end = 12;
        while (packet[end]) end += packet[end] + 1U;
        uint8_t type = packet[end + 2];
        bool none = strncasecmp((char *)packet + 13, "none", 4) == 0;
        if (strncasecmp((char *)packet + 13, "mute", 4) == 0) continue;
        size_t length = end + 5;
        uint8_t head[12] = {packet[0], packet[1], 0x81, none ? 0x83 : 0x80, 0, 1, 0, none ? 0 : 1, 0, 0, 0, 0};
        memcpy(packet, head, sizeof head);
        if (!none) {
            uint8_t octets = type == 1 ? 4 : 16;
            uint8_t record[12] = {0xc0, 12, 0, type, 0, 1, 0, 0, 0, 60, 0, octets};
            uint8_t v4[4] = {192, 0, 2, 53}, v6[16] = {0x20, 1, 0x0d, 0xb8, [15] = 0x53};
            memcpy(packet + length, record, sizeof record);
            memcpy(packet + length + sizeof record, type == 1 ? v4 : v6, octets);
            length += sizeof record + octets;
        }
        if (sendto(fd, packet, length, 0, (struct sockaddr *)&from, size) < 0) _exit(1);
    }
}

static int text_file(const char *text) {
    int fd = memfd_create("text", MFD_CLOEXEC);
    cr_assert(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    return fd;
}

static void ask(int fd, uint64_t request, const char *name) {
    uint8_t storage[300];
    struct buf b = BUF_OVER(storage);
    wire_put_u64(&b, request);
    wire_put_text(&b, name);
    cr_assert_eq(frame_send(fd, RESOLVE_REQUEST, buf_span(&b)), 0);
}

static void expect(int fd, uint64_t request, uint8_t outcome, const char *first, uint16_t n) {
    static uint8_t storage[FRAME_MAX];
    struct frame frame;
    struct netaddr address;
    char text[NETADDR_TEXT_MAX];
    cr_assert(driver_receive(fd, storage, &frame) && frame.type == RESOLVE_RESULT);
    struct wire w = wire_over(frame.body);
    cr_expect_eq(wire_get_u64(&w), request);
    cr_expect_eq(wire_get_u8(&w), outcome);
    cr_expect_eq(wire_get_u16(&w), n);
    for (uint16_t i = 0; i < n; i++) {
        wire_get_netaddr(&w, &address);
        if (i == 0) cr_expect_str_eq(netaddr_text(&address, text), first);
    }
    cr_expect(wire_end(&w));
}

/* With the filter of the real process: libunbound's thread, sockets and random numbers must pass it. Valgrind, which
 * makes calls of its own, goes without. */
static int run_confined(struct role_start *start, uint32_t missing) {
    static uint8_t filter[8192];
    static struct sock_filter program[1024];
    struct buf b = BUF_OVER(filter);
    const char *preloaded = getenv("LD_PRELOAD");
    if (preloaded && strstr(preloaded, "vgpreload")) return resolver_run(start, missing);
    if (sandbox_filter(ROLE_RESOLVER, &b) != 0) return 98;
    memcpy(program, b.p, b.n);
    struct sock_fprog all = {(unsigned short)(b.n / sizeof *program), program};
    if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &all) != 0) return 97;
    return resolver_run(start, missing);
}

Test(resolver, hosts_and_dns) {
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), pair[2];
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    char conf[64];
    cr_assert(bind(fd, (struct sockaddr *)&address, size) == 0 &&
              getsockname(fd, (struct sockaddr *)&address, &size) == 0 && frame_pair(pair, true) == 0);
    (void)snprintf(conf, sizeof conf, "search x\nnameserver 127.0.0.1@%u\n", ntohs(address.sin_port));
    pid_t server = fork();
    if (server == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* also where the test fails */
        serve(fd);
    }
    struct driver_link links[] = {
        {true, {ROLE_OUTBOUND, 0, pair[1]}},
        {false, {DESCRIPTOR_RESOLV, 0, text_file(conf)}},
        {false, {DESCRIPTOR_HOSTS, 0, text_file("192.0.2.1 relay.example\n")}},
    };
    struct driver driver = driver_start(run_confined, ROLE_RESOLVER, SPAN(""), links, 3);
    ask(pair[0], 1, "relay.example");
    expect(pair[0], 1, RESOLVE_FOUND, "192.0.2.1", 1);
    ask(pair[0], 2, "mute.example.org"); /* what gets no answer holds nothing up */
    ask(pair[0], 3, "mx.example.org");
    expect(pair[0], 3, RESOLVE_FOUND, "192.0.2.53", 2);
    ask(pair[0], 4, "none.example.org");
    expect(pair[0], 4, RESOLVE_NOT_FOUND, "", 0);
    ask(pair[0], 5, "");
    expect(pair[0], 5, RESOLVE_NOT_FOUND, "", 0);
    links[2].link.fd = text_file("192.0.2.2 relay.example\n");
    driver_link(&driver, links[2]);
    (void)poll(NULL, 0, 100);
    ask(pair[0], 6, "relay.example");
    expect(pair[0], 6, RESOLVE_FOUND, "192.0.2.2", 1);
    int status = driver_stop(&driver);
    cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    kill(server, SIGKILL);
    waitpid(server, NULL, 0);
}
