/* test_throttle.c - what failures cost, who is refused for them, and what is forgiven. */
#include "tests/unit/throttle_fixture.h"

#include <criterion/criterion.h>
#include <stdio.h>

TestSuite(throttle, .init = t_begin, .fini = t_end);

/* How many attempts with new passwords are let through, `every_ms` apart, until one is refused. */
static unsigned until_refused(struct netaddr client, const char *name, uint64_t every_ms) {
    for (unsigned i = 0; i < 100000; i++, t_now += every_ms)
        if (t_fail(client, name, 1000 + i) == THROTTLE_REFUSE) return i;
    return 100000;
}

Test(throttle, different_passwords_hold_a_network) {
    struct netaddr guesser = t_address("192.0.2.1"), other = t_address("192.0.2.2");
    cr_expect_eq(until_refused(guesser, "alice@example.test", 500), 20);
    cr_expect_eq(t_network(guesser), THROTTLE_REFUSE);
    cr_expect_eq(t_login(guesser, "bob@example.test"), THROTTLE_REFUSE, "whatever the account");
    cr_expect_eq(t_network(other), THROTTLE_ALLOW);
    cr_expect_eq(t_login(other, "alice@example.test"), THROTTLE_ALLOW);
}

Test(throttle, a_network_is_let_off_with_time) {
    struct netaddr guesser = t_address("192.0.2.1");
    (void)until_refused(guesser, "alice@example.test", 0);
    t_now += 3 * T_MINUTE - 1;
    cr_expect_eq(t_network(guesser), THROTTLE_REFUSE);
    t_now += 1; /* a twentieth of an hour: room for one */
    cr_expect_neq(t_network(guesser), THROTTLE_REFUSE);
    t_now += T_HOUR;
    cr_expect_eq(t_network(guesser), THROTTLE_ALLOW);
    cr_expect_eq(t_left_network("192.0.2.1"), 0);
}

Test(throttle, who_goes_on_pays_more) {
    struct netaddr guesser = t_address("192.0.2.1");
    unsigned day[3] = {0};
    uint64_t began = t_now;
    for (uint64_t password = 1; t_now < began + 3 * T_DAY; password++, t_now += T_SECOND)
        day[(t_now - began) / T_DAY] += t_fail(guesser, "alice@example.test", password) == THROTTLE_ALLOW;
    cr_expect(day[0] >= 20 && day[0] < 80, "%u", day[0]);
    cr_expect(day[2] <= 31 && day[2] >= 24, "%u", day[2]); /* one each 48 minutes */
    t_now += 2 * T_DAY;
    cr_expect_eq(until_refused(guesser, "alice@example.test", 0), 20, "and no more after days of rest");
}

Test(throttle, delays_grow_from_half_of_the_limit) {
    struct netaddr guesser = t_address("192.0.2.1");
    uint32_t before = 0, delay;
    for (uint64_t i = 1; i <= 19; i++) {
        cr_assert_eq(t_fail(guesser, "alice@example.test", i), THROTTLE_ALLOW);
        enum throttle_verdict verdict = throttle_judge_network(t_throttle, &guesser, t_now, &delay);
        cr_expect_eq(verdict, i > 10 ? THROTTLE_DELAY : THROTTLE_ALLOW, "after %u", (unsigned)i);
        cr_expect(i > 10 ? delay > before && delay <= 5000 : delay == 0, "%u after %u", delay, (unsigned)i);
        before = delay;
    }
}

Test(throttle, an_old_phone_is_not_locked_out) {
    struct netaddr phone = t_address("192.0.2.1");
    uint64_t began = t_now;
    while (t_now < began + T_DAY) {
        cr_assert_neq(t_fail(phone, "alice@example.test", 77), THROTTLE_REFUSE, "after %u s",
                      (unsigned)((t_now - began) / 1000));
        t_now += 20 * T_SECOND;
    }
    cr_expect_eq(t_login(phone, "alice@example.test"), THROTTLE_ALLOW);
    cr_expect_eq(t_login(t_address("198.51.100.9"), "alice@example.test"), THROTTLE_ALLOW, "nor its account");
}

Test(throttle, four_old_phones_at_home_neither) {
    struct netaddr home = t_address("192.0.2.1");
    uint64_t began = t_now;
    while (t_now < began + T_DAY) {
        char name[32];
        for (uint64_t phone = 0; phone < 4; phone++) {
            snprintf(name, sizeof name, "user%u@example.test", (unsigned)phone);
            cr_assert_neq(t_fail(home, name, 77 + phone), THROTTLE_REFUSE);
        }
        t_now += 2 * T_MINUTE;
    }
}

Test(throttle, a_password_that_is_not_shown_is_another_each_time) {
    struct netaddr client = t_address("192.0.2.1");
    for (unsigned i = 0; i < 20; i++) cr_assert_eq(t_fail(client, "alice@example.test", 0), THROTTLE_ALLOW, "%u", i);
    cr_expect_eq(t_fail(client, "alice@example.test", 0), THROTTLE_REFUSE);
}

Test(throttle, one_password_at_many_accounts_holds_soonest) {
    struct netaddr sprayer = t_address("192.0.2.1");
    char name[32];
    unsigned n = 0;
    for (; n < 100; n++) {
        snprintf(name, sizeof name, "user%u@example.test", n);
        if (t_fail(sprayer, name, 42) == THROTTLE_REFUSE) break;
    }
    cr_expect_eq(n, 8); /* 1, then 3 each */
    cr_expect_lt(t_left_account("user1@example.test"), T_HOUR / 40 + 1, "the account pays for one");
}

/* Nor does it help to have a list of them, and to go through it at one account after the other. */
Test(throttle, several_passwords_in_turn_are_seen_again) {
    struct netaddr sprayer = t_address("192.0.2.1");
    char name[32];
    unsigned n = 0;
    for (; n < 100; n++) {
        snprintf(name, sizeof name, "user%u@example.test", n / 15);
        if (t_fail(sprayer, name, 42 + n % 15) == THROTTLE_REFUSE) break;
    }
    cr_expect_eq(n, 17, "%u", n); /* 15, then 3 each */
}

Test(throttle, the_same_wrong_password_is_not_looked_at_again) {
    struct netaddr phone = t_address("192.0.2.1");
    cr_assert_eq(t_fail(phone, "alice@example.test", 77), THROTTLE_ALLOW);
    cr_expect_eq(t_fail(phone, "alice@example.test", 77), THROTTLE_SAME);
    cr_expect_eq(t_fail(phone, "bob@example.test", 77), THROTTLE_ALLOW, "of another account");
    cr_expect_eq(t_fail(t_address("192.0.2.2"), "alice@example.test", 77), THROTTLE_ALLOW, "from elsewhere");
    t_now += 10 * T_MINUTE;
    cr_expect_eq(t_fail(phone, "alice@example.test", 77), THROTTLE_ALLOW, "now and then it is");
    cr_expect_eq(t_fail(phone, "alice@example.test", 77), THROTTLE_SAME);
    throttle_credentials_changed(t_throttle, t_now);
    cr_expect_eq(t_fail(phone, "alice@example.test", 77), THROTTLE_ALLOW, "it may be right by now");
    t_now += 1;
    throttle_credentials_changed(t_throttle, t_now);
    struct throttle_attempt attempt = {.client = phone, .account = 9, .fingerprint = 5};
    throttle_failed(t_throttle, &attempt, THROTTLE_FAILED_UNCHECKED, ++t_now);
    cr_expect_eq(throttle_judge_account(t_throttle, &attempt, t_now), THROTTLE_ALLOW, "it was not found wrong");
}

Test(throttle, what_is_no_guess_counts_a_little) {
    struct throttle_attempt attempt = {.client = t_address("192.0.2.1")};
    unsigned n = 0;
    for (; n < 1000 && t_network(attempt.client) != THROTTLE_REFUSE; n++)
        throttle_failed(t_throttle, &attempt, THROTTLE_FAILED_FORM, t_now);
    cr_expect_eq(n, 77);
    struct throttle_totals totals;
    throttle_count(t_throttle, t_now, &totals);
    cr_expect_eq(totals.networks_held, 1);
    cr_expect_eq(totals.accounts, 0);
}

/* ---- accounts */

static void attack(const char *name, unsigned networks, unsigned each) {
    char text[32];
    for (unsigned i = 0; i < networks; i++) {
        snprintf(text, sizeof text, "198.18.%u.%u", i / 250, i % 250 + 1);
        for (unsigned j = 0; j < each; j++) (void)t_fail(t_address(text), name, t_now + i * 1000 + j + 1);
    }
}

Test(throttle, an_account_under_attack_opens_for_networks_it_was_used_from) {
    struct netaddr home = t_address("192.0.2.1"), hotel = t_address("192.0.2.200");
    cr_assert_eq(t_login(home, "alice@example.test"), THROTTLE_ALLOW);
    attack("alice@example.test", 100, 3);
    cr_expect_eq(t_login(hotel, "alice@example.test"), THROTTLE_HELD);
    cr_expect_eq(t_login(home, "alice@example.test"), THROTTLE_ALLOW);
    cr_expect_eq(t_login(hotel, "bob@example.test"), THROTTLE_ALLOW, "another account");
    cr_expect_eq(t_login(home, "bob@example.test"), THROTTLE_ALLOW);
    attack("nobody@example.test", 100, 3);
    cr_expect_eq(t_login(home, "nobody@example.test"), THROTTLE_HELD, "known for its own accounts only");
    cr_expect_eq(t_left_account("nobody@example.test"), t_left_account("alice@example.test"),
                 "whether it exists does not show");
}

Test(throttle, being_known_is_no_help_against_the_own_counter) {
    struct netaddr home = t_address("192.0.2.1");
    cr_assert_eq(t_login(home, "alice@example.test"), THROTTLE_ALLOW);
    cr_expect_eq(until_refused(home, "alice@example.test", 0), 20);
    cr_expect_eq(t_login(home, "alice@example.test"), THROTTLE_REFUSE);
}

Test(throttle, networks_are_known_for_a_while_and_eight_for_an_account) {
    char text[32];
    for (unsigned i = 0; i < 9; i++, t_now += T_HOUR) {
        snprintf(text, sizeof text, "192.0.2.%u", i);
        cr_assert_eq(t_login(t_address(text), "alice@example.test"), THROTTLE_ALLOW);
    }
    attack("alice@example.test", 100, 3);
    cr_expect_eq(t_login(t_address("192.0.2.0"), "alice@example.test"), THROTTLE_HELD, "the oldest");
    for (unsigned i = 1; i < 9; i++) {
        snprintf(text, sizeof text, "192.0.2.%u", i);
        cr_expect_eq(t_login(t_address(text), "alice@example.test"), THROTTLE_ALLOW, "%u", i);
    }
    t_now += 31 * T_DAY;
    attack("alice@example.test", 100, 3);
    cr_expect_eq(t_login(t_address("192.0.2.5"), "alice@example.test"), THROTTLE_HELD, "long ago");
}

Test(throttle, a_known_network_that_guesses_has_no_line_of_its_own) {
    struct netaddr home = t_address("192.0.2.1");
    cr_expect_not(throttle_network_known(t_throttle, &home, t_now));
    cr_assert_eq(t_login(home, "alice@example.test"), THROTTLE_ALLOW);
    cr_expect(throttle_network_known(t_throttle, &home, t_now));
    for (uint64_t i = 1; i <= 12; i++) (void)t_fail(home, "bob@example.test", i);
    cr_expect_not(throttle_network_known(t_throttle, &home, t_now));
    t_now += T_HOUR;
    cr_expect(throttle_network_known(t_throttle, &home, t_now));
    t_now += 30 * T_DAY;
    cr_expect_not(throttle_network_known(t_throttle, &home, t_now));
}

/* ---- forgiving */

Test(throttle, a_success_forgives_its_own_account_alone) {
    struct netaddr office = t_address("192.0.2.1");
    for (uint64_t i = 1; i <= 9; i++) cr_assert_eq(t_fail(office, "alice@example.test", i), THROTTLE_ALLOW);
    for (uint64_t i = 1; i <= 5; i++) cr_assert_eq(t_fail(office, "bob@example.test", 100 + i), THROTTLE_ALLOW);
    cr_expect_eq(t_left_network("192.0.2.1"), 14 * 3 * T_MINUTE);
    cr_assert_eq(t_login(office, "alice@example.test"), THROTTLE_ALLOW);
    cr_expect_eq(t_left_network("192.0.2.1"), 5 * 3 * T_MINUTE);
    cr_expect_eq(t_left_account("alice@example.test"), 0);
    cr_expect_eq(t_left_account("bob@example.test"), 5 * T_HOUR / 40);
    cr_assert_eq(t_login(office, "alice@example.test"), THROTTLE_ALLOW);
    cr_expect_eq(t_left_network("192.0.2.1"), 5 * 3 * T_MINUTE, "nothing twice");
}

Test(throttle, what_others_guessed_at_the_account_is_not_forgiven) {
    struct netaddr home = t_address("192.0.2.1");
    cr_assert_eq(t_login(home, "alice@example.test"), THROTTLE_ALLOW);
    attack("alice@example.test", 10, 3);
    uint64_t left = t_left_account("alice@example.test");
    cr_assert_eq(t_fail(home, "alice@example.test", 7), THROTTLE_ALLOW);
    cr_assert_gt(t_left_account("alice@example.test"), left);
    cr_assert_eq(t_login(home, "alice@example.test"), THROTTLE_ALLOW);
    cr_expect_eq(t_left_account("alice@example.test"), left);
}

static void told(struct netaddr client, const char *name, uint64_t password) {
    struct throttle_attempt attempt = {
        .client = client, .account = throttle_account_key(t_throttle, span_text(name)), .fingerprint = password};
    throttle_failed(t_throttle, &attempt, THROTTLE_FAILED_PASSWORD, t_now);
}

/* Whoever has an account and logs in between his guesses at others gains nothing by it: his network never holds less
 * than one that only guesses. */
Test(throttle, forgiving_never_reaches_the_guesses_of_others) {
    struct netaddr insider = t_address("192.0.2.1"), plain = t_address("192.0.2.2");
    unsigned seed = 1, guesses = 0, empty = 0;
    t_limits.network_failures = t_limits.account_failures = 100000; /* and so nobody is held */
    t_limits.window_ms = 100000 * (uint64_t)T_MINUTE;
    t_limit();
    for (unsigned i = 0; i < 20000; i++) {
        seed = seed * 1103515245 + 12345;
        t_now += seed >> 13 & 0x1ffff;
        if (seed >> 8 & 1) {
            told(insider, "victim@example.test", 10000 + i);
            told(plain, "other@example.test", 10000 + i);
            guesses++;
        } else if (seed >> 9 & 1) {
            told(insider, "mallory@example.test", seed >> 10 & 1 ? 5 : 20000 + i);
        } else {
            cr_assert_neq(t_login(insider, "mallory@example.test"), THROTTLE_REFUSE);
        }
        cr_assert_geq(t_left_network("192.0.2.1"), t_left_network("192.0.2.2"), "%u", i);
        empty += t_left_network("192.0.2.2") == 0;
    }
    cr_expect(guesses > 5000 && empty > 1000, "%u guesses, %u times nothing was left", guesses, empty);
}

/* ---- switches */

Test(throttle, off_is_off) {
    struct netaddr client = t_address("192.0.2.1");
    (void)until_refused(client, "alice@example.test", 0);
    t_limits.enabled = false;
    t_limit();
    for (unsigned i = 0; i < 100; i++) cr_assert_eq(t_fail(client, "alice@example.test", 5), THROTTLE_ALLOW);
    cr_expect_not(throttle_network_known(t_throttle, &client, t_now));
}

Test(throttle, exempt_networks_are_never_held_nor_an_accounts_own) {
    struct network webmail = {0};
    struct netaddr client = t_address("192.0.2.1");
    cr_assert(network_parse(&webmail, SPAN("192.0.2.0/28")));
    t_limits.exempt = &webmail;
    t_limits.n_exempt = 1;
    t_limit();
    cr_expect_eq(t_login(client, "alice@example.test"), THROTTLE_ALLOW);
    for (uint64_t i = 1; i <= 100; i++) cr_assert_neq(t_fail(client, "alice@example.test", i), THROTTLE_REFUSE);
    cr_expect_eq(t_fail(client, "alice@example.test", 1000), THROTTLE_HELD, "the account holds");
    cr_expect_eq(t_login(client, "bob@example.test"), THROTTLE_ALLOW);
    cr_expect(throttle_network_known(t_throttle, &client, t_now), "served before strangers all the same");
}

Test(throttle, who_has_no_address_has_no_network) {
    struct netaddr local = {0};
    for (uint64_t i = 1; i <= 30; i++) cr_assert_eq(t_fail(local, "alice@example.test", i), THROTTLE_ALLOW);
    struct throttle_totals totals;
    throttle_count(t_throttle, t_now, &totals);
    cr_expect_eq(totals.networks, 0);
    cr_expect_eq(totals.accounts, 1);
}

Test(throttle, a_clock_that_steps_back_holds_nobody_for_ever) {
    struct netaddr client = t_address("192.0.2.1");
    t_now = 100 * T_DAY;
    (void)until_refused(client, "alice@example.test", 0);
    t_now = 1;
    cr_expect_leq(t_left_network("192.0.2.1"), 2 * (uint64_t)T_HOUR);
    t_now += 200 * T_DAY;
    cr_expect_eq(t_network(client), THROTTLE_ALLOW);
}

/* ---- for the owner */

Test(throttle, forgets_on_request) {
    struct netaddr one = t_address("192.0.2.1"), two = t_address("192.0.2.2"), six = t_address("2001:db8::7");
    struct network network;
    (void)until_refused(one, "alice@example.test", 0);
    (void)until_refused(two, "bob@example.test", 0);
    (void)until_refused(six, "bob@example.test", 0);
    cr_assert(network_parse(&network, SPAN("192.0.2.1")));
    cr_expect_eq(throttle_forget_network(t_throttle, &network), 1);
    cr_expect_eq(t_network(one), THROTTLE_ALLOW);
    cr_expect_eq(t_network(two), THROTTLE_REFUSE);
    cr_assert(network_parse(&network, SPAN("192.0.2.0/24")));
    cr_expect_eq(throttle_forget_network(t_throttle, &network), 1);
    cr_expect_eq(t_network(two), THROTTLE_ALLOW);
    cr_assert(network_parse(&network, SPAN("2001:db8::9")));
    cr_expect_eq(throttle_forget_network(t_throttle, &network), 2, "its /64 and its /48");
    cr_expect_eq(t_network(six), THROTTLE_ALLOW);
    uint64_t alice = throttle_account_key(t_throttle, SPAN("alice@example.test"));
    cr_expect_eq(throttle_forget_account(t_throttle, alice), 1);
    cr_expect_eq(throttle_forget_account(t_throttle, alice), 0);
    cr_expect_eq(t_left_account("alice@example.test"), 0);
    cr_expect_eq(throttle_forget_all(t_throttle), 1);
}
