/* test_hosts.c - lines of a hosts file. */
#include "server/outbound/hosts.h"

#include <criterion/criterion.h>

Test(hosts, lines) {
    static const struct span text =
        SPAN("# comment relay.example\n127.0.0.1 localhost\n192.0.2.1\trelay.example alias # x\r\n"
             "bad relay.example\n2001:db8::1 Relay.Example\n\n192.0.2.9 other relay.example.org\n"
             "192.0.2.7 # relay.example\n192.0.2.8 last");
    static const struct {
        struct span name;
        size_t n;
        const char *first;
    } rows[] = {
        {SPAN("relay.example"), 2, "192.0.2.1"},
        {SPAN("ALIAS"), 1, "192.0.2.1"},
        {SPAN("last"), 1, "192.0.2.8"},
        {SPAN("localhost"), 1, "127.0.0.1"},
        {SPAN("192.0.2.1"), 0, ""},
        {SPAN("relay"), 0, ""},
        {SPAN("comment"), 0, ""},
    };
    struct netaddr list[4];
    char name[NETADDR_TEXT_MAX];
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        cr_expect_eq(hosts_find(text, rows[i].name, list, 4), rows[i].n, "row %zu", i);
        if (rows[i].n) cr_expect_str_eq(netaddr_text(&list[0], name), rows[i].first);
    }
    cr_expect_eq(hosts_find(text, SPAN("relay.example"), list, 1), 1);
    cr_expect_eq(hosts_find((struct span){0}, SPAN("x"), list, 4), 0);
}
