/* test_proxy.c - the PROXY protocol's header.
 * Runs in: the test runner. Trusts: nothing. Never: talks to a socket. */
#include "server/inbound/proxy.h"

#include <criterion/criterion.h>

static const char *const bad_lines[] = {
    "PROXY",
    "PROXY ",
    "PROXY UNKNOWN",
    "PROXY UNKNOWN 192.0.2.1 192.0.2.2 1 2",
    "PROXY TCP4 192.0.2.1 192.0.2.2 1",
    "PROXY TCP4 192.0.2.1 192.0.2.2 1 2 ",
    "PROXY TCP4 192.0.2.1 192.0.2.2 1 65536",
    "PROXY TCP4 192.0.2.1 192.0.2.2 1 x",
    "PROXY TCP4 2001:db8::1 2001:db8::2 1 2",
    "PROXY TCP6 192.0.2.1 192.0.2.2 1 2",
    "PROXY TCP4 192.0.2 192.0.2.2 1 2",
    "PROXY  TCP4 192.0.2.1 192.0.2.2 1 2",
    "proxy TCP4 192.0.2.1 192.0.2.2 1 2",
    "PROXY UDP4 192.0.2.1 192.0.2.2 1 2",
    "PROXY TCP4 192.0.2.1  192.0.2.2 1 2",
    "PROXY TCP4 192.0.2.1 192.0.2.2 1 2 3",
};

static void assert_address(const struct netaddr *address, const char *expected) {
    char text[NETADDR_TEXT_MAX];
    cr_assert_str_eq(netaddr_text_port(address, text), expected);
}

Test(test_proxy, version_1) {
    struct netaddr client, local;
    cr_assert(proxy_v1(SPAN("PROXY TCP4 192.0.2.1 198.51.100.2 12345 25"), &client, &local));
    assert_address(&client, "192.0.2.1:12345");
    assert_address(&local, "198.51.100.2:25");
    cr_assert(proxy_v1(SPAN("PROXY TCP6 2001:db8::1 2001:db8::2 1 587"), &client, &local));
    assert_address(&client, "[2001:db8::1]:1");
    assert_address(&local, "[2001:db8::2]:587");
}

Test(test_proxy, version_1_that_names_nobody) {
    struct netaddr client, local;
    for (size_t i = 0; i < sizeof bad_lines / sizeof *bad_lines; i++)
        cr_assert_not(proxy_v1(span_text(bad_lines[i]), &client, &local), "%s", bad_lines[i]);
}

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
#define V4 "\xc0\0\x02\x01\xc6\x33\x64\x02\x30\x39\0\x19"

Test(test_proxy, versions_are_told_apart) {
    cr_assert_eq(proxy_version((const uint8_t *)SIGNATURE), PROXY_V2);
    cr_assert_eq(proxy_version((const uint8_t *)"PROXY TCP4 1"), PROXY_V1);
    cr_assert_eq(proxy_version((const uint8_t *)"EHLO example"), PROXY_NONE);
    cr_assert_eq(proxy_version((const uint8_t *)"\r\n\r\n\0\r\nQUIT\r"), PROXY_NONE);
}

Test(test_proxy, version_2) {
    struct netaddr client, local;
    const uint8_t *head = (const uint8_t *)SIGNATURE "\x21\x11\0\x0c";
    cr_assert_eq(proxy_v2_rest(head), 12);
    cr_assert(proxy_v2(head, SPAN(V4), &client, &local));
    assert_address(&client, "192.0.2.1:12345");
    assert_address(&local, "198.51.100.2:25");
    cr_assert(proxy_v2(head,
                       SPAN(V4 "\x03\0\x04"
                               "abcd"),
                       &client, &local),
              "TLVs follow");
    static const uint8_t six[36] = {0x20, 1, 0xd, 0xb8, [15] = 1, [16] = 0x20, 1, 0xd, 0xb8, [31] = 2, 0, 1, 2, 0x4b};
    cr_assert(proxy_v2((const uint8_t *)SIGNATURE "\x21\x21\0\x24", span_of(six, sizeof six), &client, &local));
    assert_address(&client, "[2001:db8::1]:1");
    assert_address(&local, "[2001:db8::2]:587");
}

Test(test_proxy, version_2_that_names_nobody) {
    static const char *const heads[] = {
        SIGNATURE "\x20\x11\0\x0c", SIGNATURE "\x20\0\0\0",     SIGNATURE "\x21\0\0\x0c",  SIGNATURE "\x21\x12\0\x0c",
        SIGNATURE "\x21\x31\0\x0c", SIGNATURE "\x11\x11\0\x0c", SIGNATURE "\x22\x11\0\x0c"};
    struct netaddr client, local;
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++)
        cr_assert_not(proxy_v2((const uint8_t *)heads[i], SPAN(V4), &client, &local), "head %zu", i);
    cr_assert_not(proxy_v2((const uint8_t *)SIGNATURE "\x21\x11\0\x0b", span_part(SPAN(V4), 0, 11), &client, &local));
    cr_assert_not(proxy_v2((const uint8_t *)SIGNATURE "\x21\x21\0\x0c", SPAN(V4), &client, &local));
    cr_assert_eq(proxy_v2_rest((const uint8_t *)SIGNATURE "\x21\x11\xff\xff"), PROXY_V2_REST_MAX + 1);
}
