/* test_door.c - shares of the places, and networks that are turned away. */
#include "auth/relay.h"
#include "server/inbound/door.h"

#include <criterion/criterion.h>
#include <stdio.h>

enum { PLACES = 500 };

static struct session_setup setup;
static struct door *door;
static struct network networks[PLACES];
static uint32_t taken;

static void begin(void) {
    setup = (struct session_setup){.connections = PLACES,
                                   .connections_per_network = 100,
                                   .network_ipv4_bits = 24,
                                   .network_ipv6_bits = 64,
                                   .throttle_ipv4_bits = 32,
                                   .throttle_ipv6_bits = 64};
    taken = 0;
    cr_assert_not_null(door = door_open(&setup, PLACES));
}

TestSuite(door, .init = begin, .timeout = 60);

static struct netaddr address(const char *text) {
    struct netaddr at;
    cr_assert(netaddr_parse(&at, span_text(text)));
    return at;
}

/* 10.B.N.1 */
static struct netaddr numbered(unsigned b, unsigned n) {
    char text[64];
    snprintf(text, sizeof text, "10.%u.%u.1", b, n);
    return address(text);
}

static enum reason judge(struct netaddr at) {
    return door_judge(door, RELAY_ROLE_SUBMISSION, &at, taken, 0);
}

static bool come(struct netaddr at) {
    if (taken == PLACES || judge(at) != REASON_COUNT) return false;
    networks[taken++] = door_enter(door, &at);
    return true;
}

static unsigned come_often(struct netaddr at) {
    unsigned n = 0;
    while (n < PLACES && come(at)) n++;
    return n;
}

static void leave(uint32_t i) {
    door_leave(door, &networks[i]);
    networks[i] = networks[--taken];
}

enum { FEW = PLACES - PLACES / 4, LAST = PLACES / 8 };

Test(door, whoever_comes_there_is_room_for_the_next) {
    cr_expect_eq(come_often(address("192.0.2.1")), FEW, "one alone");
    cr_expect_eq(judge(address("192.0.2.200")), REASON_TOO_MANY_CONNECTIONS, "the same network");
    unsigned others = 0;
    while (come(numbered(9, others))) others++, (void)come(numbered(9, others - 1));
    cr_expect_eq(taken, PLACES);
    cr_expect_geq(others, LAST, "%u networks had to come together", others);
    leave(0);
    cr_expect_eq(judge(numbered(9, 0)), REASON_TOO_MANY_CONNECTIONS, "it has one");
    cr_expect_eq(judge(address("198.51.100.1")), REASON_COUNT);
    while (taken > FEW - 1) leave(0);
    cr_expect_eq(judge(numbered(9, others - 1)), REASON_COUNT, "once places are free again");
}

Test(door, what_is_one_network) {
    cr_expect_eq(come_often(address("2001:db8:1:1::1")), FEW);
    cr_expect_eq(judge(address("2001:db8:1:2::1")), REASON_TOO_MANY_CONNECTIONS, "a /48 is one");
    cr_expect_eq(judge(address("2001:db8:2:1::1")), REASON_COUNT);
    setup.connections_per_network = PLACES;
    cr_expect_eq(come_often(address("2001:db8:1:1::1")), PLACES - FEW, "one may have all, where the owner says so");
}

/* Nothing is lost of what counts: all places can be had again. */
Test(door, places_come_back) {
    for (unsigned round = 0; round < 3; round++) {
        setup.connections_per_network = PLACES;
        for (unsigned i = 0; i < PLACES; i++) cr_assert(come(numbered(0, i % 256)));
        while (taken) leave(taken / 2);
    }
    door_leave(door, &(struct network){0});
    setup.connections_per_network = 100;
    cr_expect_eq(come_often(address("10.0.7.1")), FEW);
}

Test(door, who_was_refused_twice_is_turned_away) {
    struct netaddr guesser = address("192.0.2.7"), beside = address("192.0.2.8"), six = address("2001:db8:0:1::5");
    struct network network = network_of(&guesser, 32, 64), other = network_of(&six, 32, 64);
    for (uint64_t now = 10000; now < 13000; now += 1000) {
        door_mark(door, &network, REASON_TOO_MANY_FAILED_LOGINS, now, 1000);
        cr_expect_eq(door_judge(door, RELAY_ROLE_SUBMISSION, &guesser, 0, now), REASON_COUNT, "once in a second");
    }
    door_mark(door, &network, REASON_TOO_MANY_FAILED_LOGINS, 12999, 1000);
    door_mark(door, &other, REASON_SERVER_BUSY, 12999, 1000);
    door_mark(door, &other, REASON_SERVER_BUSY, 13000, 1000);
    cr_expect_eq(door_judge(door, RELAY_ROLE_SUBMISSION, &guesser, 0, 13998), REASON_TOO_MANY_FAILED_LOGINS);
    cr_expect_eq(door_judge(door, RELAY_ROLE_SUBMISSIONS, &guesser, 0, 13998), REASON_TOO_MANY_FAILED_LOGINS);
    cr_expect_eq(door_judge(door, RELAY_ROLE_POP3, &guesser, 0, 13998), REASON_TOO_MANY_FAILED_LOGINS);
    cr_expect_eq(door_judge(door, RELAY_ROLE_POP3S, &guesser, 0, 13998), REASON_TOO_MANY_FAILED_LOGINS);
    cr_expect_eq(door_judge(door, RELAY_ROLE_MX, &guesser, 0, 13998), REASON_COUNT, "mail still comes");
    cr_expect_eq(door_judge(door, RELAY_ROLE_SUBMISSION, &guesser, 0, 13999), REASON_COUNT, "not for ever");
    cr_expect_eq(door_judge(door, RELAY_ROLE_SUBMISSION, &beside, 0, 13998), REASON_COUNT);
    uint64_t now = 13999;
    static const unsigned seconds[] = {2, 4, 8, 8};
    for (size_t i = 0; i < sizeof seconds / sizeof *seconds; i++) {
        door_mark(door, &network, REASON_TOO_MANY_FAILED_LOGINS, now, 1000);
        now += 1000 * seconds[i];
        cr_expect_neq(door_judge(door, RELAY_ROLE_SUBMISSION, &guesser, 0, now - 1), REASON_COUNT, "%zu", i);
        cr_expect_eq(door_judge(door, RELAY_ROLE_SUBMISSION, &guesser, 0, now), REASON_COUNT, "%zu", i);
    }
    door_mark(door, &network, REASON_TOO_MANY_FAILED_LOGINS, now + 1000, 1000);
    cr_expect_eq(door_judge(door, RELAY_ROLE_SUBMISSION, &guesser, 0, now + 1000), REASON_COUNT, "it had stopped");
    six.octets[15] = 9;
    cr_expect_eq(door_judge(door, RELAY_ROLE_SUBMISSION, &six, 0, 13998), REASON_SERVER_BUSY);
}
