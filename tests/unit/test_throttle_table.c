/* test_throttle_table.c - whoever has very many addresses, or names, and what that gains him. */
#include "auth/throttle_table.h"
#include "tests/unit/throttle_fixture.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

TestSuite(throttle_table, .init = t_begin, .fini = t_end, .timeout = 120);

/* The n-th /64: of one /48, or each of another. */
static struct netaddr ipv6(unsigned site, unsigned n) {
    struct netaddr address = {.octets = {0x20, 0x01, 0x0d, 0xb8}};
    address.octets[3] = (uint8_t)(site >> 16);
    address.octets[4] = (uint8_t)(site >> 8);
    address.octets[5] = (uint8_t)site;
    address.octets[6] = (uint8_t)(n >> 8);
    address.octets[7] = (uint8_t)n;
    address.octets[15] = 1;
    return address;
}

static struct netaddr ipv4(unsigned n) {
    struct netaddr address = {.octets = {[10] = 0xff, [11] = 0xff, 10}};
    address.octets[13] = (uint8_t)(n >> 16);
    address.octets[14] = (uint8_t)(n >> 8);
    address.octets[15] = (uint8_t)n;
    return address;
}

/* So many rounds; under valgrind a part of them. */
static unsigned rounds(unsigned n) {
    const char *thin = getenv("GATEPOST_THIN");
    return thin ? n / (10 * (unsigned)strtoul(thin, NULL, 10)) : n;
}

static void hold(struct netaddr client, const char *name) {
    static uint64_t password = 1000000; /* none twice */
    for (uint64_t i = 1; t_fail(client, name, ++password) != THROTTLE_REFUSE; i++) cr_assert_leq(i, 20);
}

static unsigned networks(void) {
    struct throttle_totals totals;
    throttle_count(t_throttle, t_now, &totals);
    return totals.networks;
}

Test(throttle_table, memory_is_as_said) {
    cr_expect_leq(sizeof(struct throttle), 30 << 20, "%zu", sizeof(struct throttle));
}

Test(throttle_table, a_48_holds_all_its_networks) {
    unsigned let_through = 0;
    struct netaddr friend = ipv6(7, 0xffff);
    cr_assert_eq(t_login(friend, "alice@example.test"), THROTTLE_ALLOW);
    for (unsigned i = 0; i < 65000; i++)
        let_through += t_fail(ipv6(7, i), "bob@example.test", i + 1) == THROTTLE_ALLOW;
    cr_expect_leq(let_through, 80);
    cr_expect_leq(networks(), 50, "and fill no table");
    cr_expect_eq(t_network(ipv6(7, 65001)), THROTTLE_REFUSE);
    cr_expect_eq(t_network(ipv6(8, 1)), THROTTLE_ALLOW, "another site");
    cr_expect_eq(t_network(friend), THROTTLE_ALLOW, "where somebody logged in");
    t_limits.network_ipv6_bits = 48;
    t_limit();
    cr_expect_eq(t_network(ipv6(8, 1)), THROTTLE_ALLOW);
    hold(ipv6(8, 1), "bob@example.test");
    cr_expect_eq(t_network(ipv6(8, 2)), THROTTLE_REFUSE, "a /48 is one network, with one limit");
}

Test(throttle_table, two_networks_of_a_48_do_not_hold_the_third) {
    hold(ipv6(7, 1), "alice@example.test");
    hold(ipv6(7, 2), "bob@example.test");
    cr_expect_eq(t_network(ipv6(7, 3)), THROTTLE_ALLOW);
}

Test(throttle_table, half_a_million_networks_free_nobody) {
    struct netaddr four = ipv4(1), six = ipv6(0xb80001, 1);
    hold(four, "alice@example.test");
    hold(six, "alice@example.test");
    uint64_t began = t_now, left = t_left_network("10.0.0.1");
    for (unsigned i = 0; i < rounds(500000); i++, t_now += 5) /* 200 a second, each another's */
        (void)t_fail(i & 1 ? ipv4(1000 + i) : ipv6(i >> 4, i & 15), "bob@example.test", i + 1);
    cr_expect_eq(t_left_network("10.0.0.1"), left - (t_now - began));
    cr_expect_leq(networks(), THROTTLE_NETWORKS);
}

Test(throttle_table, ipv6_crowds_out_no_ipv4) {
    (void)t_fail(ipv4(1), "alice@example.test", 1);
    for (unsigned i = 0; i < rounds(1000000); i++) (void)t_fail(ipv6(i, 0), "bob@example.test", i + 1);
    cr_expect_eq(t_fail(ipv4(1), "alice@example.test", 1), THROTTLE_SAME, "the old phone is still known");
}

/* Networks of one set, which its key keeps secret from whoever would look for them. */
static size_t same_set(struct netaddr *out, size_t n) {
    size_t found = 0;
    for (unsigned i = 0; found < n && i < 10000000; i++) {
        struct netaddr address = ipv4(i);
        struct network network = network_of(&address, 32, 64);
        if (table_network_hash(t_throttle, &network) % (THROTTLE_NETWORKS / THROTTLE_WAYS / 2) == 3)
            out[found++] = address;
    }
    return found;
}

/* What a network that fell out of a full set gains is one guess each time, and it waits for that. */
Test(throttle_table, crowding_each_other_out_is_no_way_around) {
    struct netaddr clients[3 * THROTTLE_WAYS];
    size_t n = sizeof clients / sizeof *clients;
    unsigned at_once = 0;
    uint32_t delay;
    cr_assert_eq(same_set(clients, n), n);
    for (uint64_t i = 0; i < 100 * n; i++) {
        enum throttle_verdict verdict = throttle_judge_network(t_throttle, &clients[i % n], t_now, &delay);
        cr_assert(verdict != THROTTLE_DELAY || delay <= 5000);
        at_once += verdict == THROTTLE_ALLOW;
        if (i > 20 * n) cr_assert(verdict == THROTTLE_REFUSE || delay == 5000, "%u", delay);
        (void)t_fail(clients[i % n], "alice@example.test", 0);
    }
    cr_expect_leq(at_once, 10 * n, "%u", at_once);
}

Test(throttle_table, one_set_of_strangers_does_not_free_a_guesser) {
    struct netaddr clients[3 * THROTTLE_WAYS];
    size_t n = sizeof clients / sizeof *clients;
    cr_assert_eq(same_set(clients, n), n);
    hold(clients[0], "alice@example.test");
    for (size_t i = 0; i < 4 * n; i++) (void)t_fail(clients[1 + i % (n - 1)], "bob@example.test", 0);
    cr_expect_eq(t_network(clients[0]), THROTTLE_REFUSE);
}

Test(throttle_table, very_many_names_free_no_account) {
    char name[32];
    for (unsigned i = 0; i < 50; i++) (void)t_fail(ipv4(i), "alice@example.test", i + 1);
    cr_assert_eq(t_login(ipv4(9999), "alice@example.test"), THROTTLE_HELD);
    for (unsigned i = 0; i < rounds(500000); i++) {
        snprintf(name, sizeof name, "%u@example.test", i);
        (void)t_fail(ipv4(10000 + i), name, i + 1);
    }
    cr_expect_eq(t_login(ipv4(9999), "alice@example.test"), THROTTLE_HELD);
    cr_expect_eq(t_login(ipv4(9998), "bob@example.test"), THROTTLE_ALLOW);
    struct throttle_totals totals;
    throttle_count(t_throttle, t_now, &totals);
    cr_expect_leq(totals.accounts, THROTTLE_ACCOUNTS);
    cr_expect_geq(totals.accounts_held, 1);
}

Test(throttle_table, logins_of_very_many_leave_eight_networks_each) {
    char name[32];
    for (unsigned i = 0; i < 200000; i++) {
        snprintf(name, sizeof name, "%u@example.test", i % 5000);
        cr_assert_eq(t_login(ipv4(i), name), THROTTLE_ALLOW);
        t_now += T_SECOND;
    }
    unsigned known = 0;
    for (unsigned i = 200000 - 8 * 5000; i < 200000; i++) {
        struct netaddr address = ipv4(i);
        struct network network = network_of(&address, 32, 64);
        snprintf(name, sizeof name, "%u@example.test", i % 5000);
        known += known_pair(t_throttle, throttle_account_key(t_throttle, span_text(name)), &network, (int64_t)t_now);
    }
    cr_expect_geq(known, 34000, "%u of 40000", known); /* where three accounts share a set, one may have seven */
}
