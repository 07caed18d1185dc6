/* test_netaddr.c - network addresses and networks.
 * Runs in: the test runner. Trusts: nothing. Never: talks to a socket. */
#include "store/netaddr.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <stdlib.h>

static struct netaddr address_of(const char *text) {
    struct netaddr address;
    cr_assert(netaddr_parse(&address, span_text(text)), "%s", text);
    return address;
}

Test(test_netaddr, addresses) {
    static const struct {
        const char *written, *text; /* NULL: refused */
        bool ipv4;
    } cases[] = {
        {"192.0.2.1", "192.0.2.1", true},
        {"255.255.255.255", "255.255.255.255", true},
        {"0.0.0.0", "0.0.0.0", true},
        {"::ffff:192.0.2.1", "192.0.2.1", true},
        {"::FFFF:c000:201", "192.0.2.1", true},
        {"2001:db8::1", "2001:db8::1", false},
        {"2001:DB8:0:0:0:0:0:1", "2001:db8::1", false},
        {"2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1", false},
        {"2001:0:0:1:0:0:0:1", "2001:0:0:1::1", false},
        {"::1", "::1", false},
        {"::", "::", false},
        {"1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8", false},
        {"", NULL, false},
        {"192.0.2", NULL, false},
        {"192.0.2.256", NULL, false},
        {"192.0.2.01", NULL, false},
        {"192.0.2.1.", NULL, false},
        {" 192.0.2.1", NULL, false},
        {"192.0.2.1 ", NULL, false},
        {"0xc0.0.2.1", NULL, false},
        {"3221225985", NULL, false},
        {"[::1]", NULL, false},
        {"fe80::1%lo", NULL, false},
        {"1:2:3:4:5:6:7:8:9", NULL, false},
        {":::", NULL, false},
        {"localhost", NULL, false},
        {"1111:2222:3333:4444:5555:6666:7777:8888:9999:0000", NULL, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct netaddr address;
        char text[NETADDR_TEXT_MAX];
        bool valid = netaddr_parse(&address, span_text(cases[i].written));
        cr_expect_eq(valid, cases[i].text != NULL, "%s", cases[i].written);
        if (!valid || !cases[i].text) continue;
        cr_expect_str_eq(netaddr_text(&address, text), cases[i].text);
        cr_expect_eq(netaddr_is_ipv4(&address), cases[i].ipv4, "%s", cases[i].written);
        cr_expect_eq(address.port, 0);
    }
    struct netaddr address;
    cr_expect_not(netaddr_parse(&address, SPAN("192.0.2.1\0")));
    cr_expect_not(netaddr_parse(&address, SPAN("::1\0.example")));
}

Test(test_netaddr, addresses_with_ports) {
    static const struct {
        const char *written, *text;
    } cases[] = {
        {"192.0.2.1:25", "192.0.2.1:25"},
        {"[2001:db8::1]:65535", "[2001:db8::1]:65535"},
        {"[::ffff:192.0.2.1]:25", "192.0.2.1:25"},
        {"192.0.2.1", NULL},
        {"192.0.2.1:", NULL},
        {"192.0.2.1:65536", NULL},
        {"192.0.2.1:-1", NULL},
        {"192.0.2.1:25 ", NULL},
        {":25", NULL},
        {"25", NULL},
        {"", NULL},
        {"::1:25", NULL},
        {"[::1]", NULL},
        {"[::1]25", NULL},
        {"[]:25", NULL},
        {"[192.0.2.1]:25", NULL},
        {"[::1:25", NULL},
        {"::1]:25", NULL},
        {"localhost:25", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct netaddr address;
        char text[NETADDR_TEXT_MAX];
        bool valid = netaddr_parse_port(&address, span_text(cases[i].written));
        cr_expect_eq(valid, cases[i].text != NULL, "%s", cases[i].written);
        if (valid && cases[i].text) cr_expect_str_eq(netaddr_text_port(&address, text), cases[i].text);
    }
}

Test(test_netaddr, longest_text_fits) {
    char text[NETADDR_TEXT_MAX];
    struct netaddr address;
    memset(&address, 0xff, sizeof address);
    cr_expect_str_eq(netaddr_text_port(&address, text), "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535");
}

Test(test_netaddr, sockets_and_back) {
    static const char *const texts[] = {"192.0.2.1:25", "[2001:db8::1]:587", "127.0.0.1:65535", "[::1]:1"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct netaddr address, back;
        struct sockaddr_storage socket;
        cr_assert(netaddr_parse_port(&address, span_text(texts[i])));
        socklen_t n = netaddr_to_socket(&address, &socket);
        bool ipv4 = socket.ss_family == AF_INET;
        cr_expect_eq(ipv4, texts[i][0] != '[');
        cr_expect_eq(n, (socklen_t)(ipv4 ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6)));
        cr_expect(netaddr_from_socket(&back, &socket));
        cr_expect_eq(memcmp(back.octets, address.octets, 16), 0);
        cr_expect_eq(back.port, address.port);
    }
}

/* An IPv4 client on an IPv6 socket is the IPv4 client. */
Test(test_netaddr, mapped_sockets_are_ipv4) {
    struct sockaddr_storage socket = {0};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(99)};
    struct netaddr address;
    char text[NETADDR_TEXT_MAX];
    cr_assert_eq(inet_pton(AF_INET6, "::ffff:192.0.2.7", &in6.sin6_addr), 1);
    memcpy(&socket, &in6, sizeof in6);
    cr_expect(netaddr_from_socket(&address, &socket));
    cr_expect_str_eq(netaddr_text_port(&address, text), "192.0.2.7:99");
    socket.ss_family = AF_UNIX;
    cr_expect_not(netaddr_from_socket(&address, &socket));
}

Test(test_netaddr, networks) {
    static const struct {
        const char *network, *in, *out; /* in NULL: refused */
    } cases[] = {
        {"192.0.2.0/24", "192.0.2.255", "192.0.3.0"},
        {"192.0.2.0/24", "192.0.2.0", "2001:db8::c000:201"},
        {"192.0.2.1", "192.0.2.1", "192.0.2.2"},
        {"192.0.2.1/32", "192.0.2.1", "192.0.2.0"},
        {"192.0.2.128/25", "192.0.2.128", "192.0.2.127"},
        {"192.0.2.4/31", "::ffff:192.0.2.5", "192.0.2.6"},
        {"0.0.0.0/0", "203.0.113.9", "::1"},
        {"2001:db8::/32", "2001:db8:ffff::1", "2001:db9::"},
        {"2001:db8::1", "2001:db8::1", "2001:db8::2"},
        {"2001:db8::/127", "2001:db8::1", "2001:db8::2"},
        {"192.0.2.1/24", NULL, NULL},
        {"2001:db8::1/32", NULL, NULL},
        {"192.0.2.0/33", NULL, NULL},
        {"2001:db8::/129", NULL, NULL},
        {"192.0.2.0/", NULL, NULL},
        {"/24", NULL, NULL},
        {"192.0.2.0/24/24", NULL, NULL},
        {"192.0.2.0/-1", NULL, NULL},
        {"192.0.2/24", NULL, NULL},
        {"", NULL, NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct network network;
        bool valid = network_parse(&network, span_text(cases[i].network));
        cr_expect_eq(valid, cases[i].in != NULL, "%s", cases[i].network);
        if (!valid || !cases[i].in) continue;
        struct netaddr in = address_of(cases[i].in), out = address_of(cases[i].out);
        cr_expect(network_holds(&network, &in), "%s in %s", cases[i].in, cases[i].network);
        cr_expect_not(network_holds(&network, &out), "%s in %s", cases[i].out, cases[i].network);
    }
}

/* In our form IPv4 lies inside IPv6: that does not make it part of a network of IPv6. */
Test(test_netaddr, only_networks_around_ipv4_hold_it) {
    static const struct {
        const char *network;
        bool holds;
    } cases[] = {{"::/64", false},        {"::/80", false},         {"0.0.0.0/0", true},
                 {"::1:0:0:0/80", false}, {"2001:db8::/32", false}, {"::1", false}};
    struct netaddr ipv4 = address_of("192.0.2.1");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct network network;
        cr_assert(network_parse(&network, span_text(cases[i].network)), "%s", cases[i].network);
        cr_expect_eq(network_holds(&network, &ipv4), cases[i].holds, "%s", cases[i].network);
    }
}

Test(test_netaddr, networks_that_count_together) {
    struct netaddr a = address_of("192.0.2.77"), b = address_of("192.0.3.77"), c = address_of("2001:db8:1:2::3");
    struct network of_a = network_of(&a, 24, 64), of_c = network_of(&c, 24, 64);
    cr_expect_eq(of_a.bits, 120);
    cr_expect_eq(of_c.bits, 64);
    struct netaddr near_a = address_of("192.0.2.1"), near_c = address_of("2001:db8:1:2:ffff::"),
                   far_c = address_of("2001:db8:1:3::3");
    cr_expect(network_holds(&of_a, &near_a) && !network_holds(&of_a, &b));
    cr_expect(network_holds(&of_c, &near_c) && !network_holds(&of_c, &far_c));
    struct network same = network_of(&near_a, 24, 64);
    cr_expect_eq(memcmp(&same, &of_a, sizeof same), 0);
}

Test(test_netaddr, on_the_wire) {
    uint8_t storage[18];
    struct buf b = BUF_OVER(storage);
    struct netaddr address = address_of("192.0.2.1"), back;
    address.port = 587;
    wire_put_netaddr(&b, &address);
    cr_assert(buf_ok(&b));
    struct wire w = wire_over(buf_span(&b));
    wire_get_netaddr(&w, &back);
    cr_expect(wire_end(&w));
    cr_expect_eq(memcmp(back.octets, address.octets, 16), 0);
    cr_expect_eq(back.port, 587);
    struct wire cut = wire_over(span_part(buf_span(&b), 0, 17));
    wire_get_netaddr(&cut, &back);
    cr_expect_not(wire_end(&cut));
}

Test(test_netaddr, networks_on_the_wire) {
    uint8_t storage[64];
    struct buf b = BUF_OVER(storage);
    struct network networks[2];
    uint32_t n;
    cr_assert(network_parse(&networks[0], SPAN("192.0.2.0/24")) &&
              network_parse(&networks[1], SPAN("2001:db8::/32")));
    wire_put_networks(&b, networks, 2);
    cr_assert(buf_ok(&b));
    struct wire w = wire_over(buf_span(&b));
    struct network *back = wire_get_networks(&w, 2, &n);
    cr_assert(wire_end(&w) && back && n == 2);
    cr_expect_eq(memcmp(back, networks, sizeof networks), 0);
    free(back);
    w = wire_over(buf_span(&b));
    cr_expect_null(wire_get_networks(&w, 1, &n), "more than permitted");
    cr_expect(w.bad && n == 0);
    storage[b.n - 1] = 129;
    w = wire_over(buf_span(&b));
    cr_expect_null(wire_get_networks(&w, 2, &n), "too many bits");
    cr_expect(w.bad && n == 0);
    w = wire_over(span_part(buf_span(&b), 0, b.n - 1));
    cr_expect_null(wire_get_networks(&w, 2, &n), "cut");
    buf_clear(&b);
    wire_put_networks(&b, NULL, 0);
    w = wire_over(buf_span(&b));
    back = wire_get_networks(&w, 2, &n);
    cr_expect(wire_end(&w) && back && n == 0);
    free(back);
}
