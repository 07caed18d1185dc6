/* test_host_addresses.c - what the kernel shows of addresses, routes and its boot. */
#include "server/process/host_addresses.h"
#include "store/log.h"
#include "tests/unit/scratch.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static const char header[] = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n";

static void put(const char *path, const char *text) {
    FILE *file = fopen(path, "w");
    cr_assert(file && fputs(text, file) >= 0 && fclose(file) == 0);
}

static void begin(void) {
    char text[512];
    uint32_t gateway;
    (void)log_use(-1);
    scratch_enter();
    cr_assert(mkdir("net", 0700) == 0 && mkdir("sys", 0700) == 0 && mkdir("sys/kernel", 0700) == 0 &&
              mkdir("sys/kernel/random", 0700) == 0);
    memcpy(&gateway, (const uint8_t[]){192, 0, 2, 1}, 4);
    snprintf(text, sizeof text,
             "%seth0\t00000000\t%08X\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
             "eth1\t00000000\t%08X\t0003\t0\t0\t100\t00000000\t0\t0\t0\n"
             "eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n",
             header, gateway, gateway);
    put("net/route", text);
    put("net/ipv6_route",
        "fd000000000000000000000000000000 40 00000000000000000000000000000000 00 00000000000000000000000000000000 "
        "00000100 00000001 00000000 00000001     eth0\n"
        "00000000000000000000000000000000 00 00000000000000000000000000000000 00 20010db8000000000000000000000001 "
        "00000400 00000002 00000000 00000003     eth0\n");
    put("sys/kernel/random/boot_id", "d982fd7b-3d92-4731-9f32-5699ce610266\n");
}

TestSuite(host_addresses, .init = begin, .timeout = 60);

static bool has(const struct network *list, uint32_t n, const char *text) {
    struct network wanted;
    cr_assert(network_parse(&wanted, span_text(text)));
    for (uint32_t i = 0; i < n; i++)
        if (memcmp(&list[i], &wanted, sizeof wanted) == 0) return true;
    return false;
}

Test(host_addresses, are_read) {
    static const uint8_t boot[] = {0xd9, 0x82, 0xfd, 0x7b, 0x3d, 0x92, 0x47, 0x31,
                                   0x9f, 0x32, 0x56, 0x99, 0xce, 0x61, 0x02, 0x66};
    struct host_addresses host;
    cr_assert(host_addresses_read(&host, "."));
    cr_expect(has(host.own, host.n_own, "127.0.0.1"));
    cr_expect_eq(host.n_gateways, 2, "each once, and none where there is none");
    cr_expect(has(host.gateways, host.n_gateways, "192.0.2.1") && has(host.gateways, host.n_gateways, "2001:db8::1"));
    cr_expect_arr_eq(host.boot, boot, sizeof boot);
    host_addresses_free(&host);
}

Test(host_addresses, without_ipv6) {
    struct host_addresses host;
    cr_assert_eq(unlink("net/ipv6_route"), 0);
    cr_assert(host_addresses_read(&host, "."));
    cr_expect_eq(host.n_gateways, 1);
    host_addresses_free(&host);
}

Test(host_addresses, what_is_not_known) {
    static const struct {
        const char *path, *text; /* NULL: it is not there */
    } rows[] = {
        {"net/route", NULL},
        {"sys/kernel/random/boot_id", NULL},
        {"sys/kernel/random/boot_id", "d982fd7b-3d92-4731-9f32-5699ce61026\n"},
        {"sys/kernel/random/boot_id", "d982fd7b-3d92-4731-9f32-5699ce6102xx\n"},
        {"sys/kernel/random/boot_id", ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct host_addresses host;
        cr_assert_eq(unlink(rows[i].path), 0);
        if (rows[i].text) put(rows[i].path, rows[i].text);
        cr_expect(!host_addresses_read(&host, "."), "%s: %s", rows[i].path, rows[i].text);
        cr_expect(host.n_own == 0 && host.own == NULL && host.boot[0] == 0);
        begin();
    }
}

/* This kernel's own. */
Test(host_addresses, of_this_host) {
    struct host_addresses host;
    static const uint8_t none[GRANT_BOOT_BYTES];
    cr_assert(host_addresses_read(&host, HOST_PROC));
    cr_expect(memcmp(host.boot, none, sizeof none) != 0 && host.n_own > 0);
    host_addresses_free(&host);
}
