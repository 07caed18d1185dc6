/* test_grant.c - grants: which addresses carry them, how long they last, what ends them, what they let be sent. */
#include "auth/grant.h"

#include "auth/credential.h"
#include "store/log.h"
#include "tests/unit/scratch.h"

#include <criterion/criterion.h>
#include <stdio.h>

enum { MINUTE = 60000, LIFETIME = 15 * MINUTE, DAY = 24 * 60 * MINUTE };

static uint64_t now_ms, uptime_ms; /* the clocks, which stand still */
static struct network networks[3], own[1], gateways[2], proxies[1];
static struct grant_limits limits;
static struct database *db;
static struct grants grants;
static int64_t alice, bob;
static int64_t ended[8];
static size_t n_ended;

static uint64_t wall(void) {
    return now_ms;
}
static uint64_t boot(void) {
    return uptime_ms;
}
static void pass_ms(uint64_t ms) {
    now_ms += ms, uptime_ms += ms;
}

static void note_ended(void *context, int64_t id) {
    cr_expect_eq(context, &n_ended);
    cr_assert_lt(n_ended, sizeof ended / sizeof *ended);
    ended[n_ended++] = id;
}

static struct netaddr at(const char *text) {
    struct netaddr address;
    cr_assert(netaddr_parse(&address, span_text(text)), "%s", text);
    return address;
}

static struct network net(const char *text) {
    struct network network;
    cr_assert(network_parse(&network, span_text(text)), "%s", text);
    return network;
}

static int64_t add_user(const char *login) {
    struct account account;
    uint8_t salt[ACCOUNT_SALT_BYTES] = {0};
    struct credential_secret secret = {.hash = SPAN("hash")};
    cr_assert_eq(account_add(db, span_text(login), salt, &secret), ACCOUNT_CHANGED);
    cr_assert_eq(account_find(db, span_text(login), &account), ACCOUNT_FOUND);
    return account.id;
}

static void begin(void) {
    (void)log_use(-1);
    scratch_enter();
    now_ms = 1800000000000, uptime_ms = 5000;
    own[0] = net("198.51.100.1");
    gateways[0] = net("203.0.113.254"), gateways[1] = net("2001:db8:1::ffff");
    proxies[0] = net("203.0.113.0/29");
    limits = (struct grant_limits){.enabled = true,
                                   .boot = {1, 2, 3},
                                   .lifetime_ms = LIFETIME,
                                   .ipv6_bits = 128,
                                   .messages = 2,
                                   .recipients = 3,
                                   .users_per_address = 1,
                                   .shared_ms = DAY,
                                   .networks = networks,
                                   .own = own,
                                   .gateways = gateways,
                                   .proxies = proxies,
                                   .n_own = 1,
                                   .n_gateways = 2,
                                   .n_proxies = 1};
    cr_assert_not_null(db = database_open("gatepost.db", DATABASE_ACCOUNTS));
    cr_assert_geq(statement_run(database_statement(db, "PRAGMA synchronous=OFF")), 0);
    alice = add_user("alice@example.test");
    bob = add_user("bob@example.test");
    grants = (struct grants){.boot_ms = boot, .wall_ms = wall, .ended = note_ended, .context = &n_ended};
    cr_assert_eq(grant_open(&grants, db, &limits), 0);
}

static void finish(void) {
    database_close(db);
}

TestSuite(grant, .init = begin, .fini = finish, .timeout = 60);

static enum grant_result login(int64_t user, const char *address) {
    struct netaddr from = at(address);
    return grant_login(&grants, user, &from, GRANT_SOURCE_POP3);
}

/* The only live grant there; {0}: none. */
static struct grant find(const char *address) {
    struct grant found[GRANT_CANDIDATES] = {0};
    struct netaddr from = at(address);
    size_t n;
    cr_assert_eq(grant_find(&grants, &from, found, &n), ACCOUNT_FOUND);
    cr_assert_leq(n, 1);
    return n ? found[0] : (struct grant){0};
}

static bool is_granted(int64_t user, const char *address) {
    return find(address).user_id == user;
}

/* ---- addresses */

Test(grant, addresses) {
    static const struct {
        const char *address, *kind; /* the kind begins so; NULL: it carries a grant */
    } rows[] = {
        {"192.0.2.7", NULL},
        {"127.0.0.1", "loopback"},
        {"127.255.0.9", "loopback"},
        {"::1", "loopback"},
        {"10.0.0.1", "private"},
        {"172.16.0.1", "private"},
        {"172.31.255.255", "private"},
        {"172.32.0.0", NULL},
        {"172.15.255.255", NULL},
        {"192.168.255.1", "private"},
        {"192.169.0.1", NULL},
        {"100.64.0.1", "carrier-grade NAT"},
        {"100.127.255.255", "carrier-grade NAT"},
        {"100.128.0.0", NULL},
        {"100.63.255.255", NULL},
        {"169.254.1.1", "link-local"},
        {"224.0.0.1", "multicast"},
        {"239.255.255.255", "multicast"},
        {"255.255.255.255", "reserved"},
        {"0.1.2.3", "no host's"},
        {"192.0.0.2", "a translator's"},
        {"198.18.0.1", "for tests"},
        {"fd00::1", "unique local"},
        {"fc00::1", "unique local"},
        {"fe00::1", NULL},
        {"fe80::1", "link-local"},
        {"febf::1", "link-local"},
        {"fec0::1", "private"},
        {"ff02::1", "multicast"},
        {"::", "no address"},
        {"::7f00:1", "no host's"},
        {"2001:db8::1", NULL},
        {"2001:0:1::1", "a translator's"},
        {"2001:1::1", NULL},
        {"64:ff9b::10.1.2.3", "private"},
        {"64:ff9b::192.0.2.7", NULL},
        {"64:ff9b:1::1", "a translator's"},
        {"2002:7f00:1::1", "loopback"},
        {"2002:c000:207::1", NULL},
        {"198.51.100.1", "this host's own"},
        {"198.51.100.2", NULL},
        {"203.0.113.254", "this host's gateway's"},
        {"2001:db8:1::ffff", "this host's gateway's"},
        {"2001:db8:1::fffe", NULL},
        {"203.0.113.7", "a load balancer's"},
        {"203.0.113.8", NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct netaddr address = at(rows[i].address);
        const char *kind = grant_address_fault(&limits, &address);
        cr_expect(rows[i].kind ? kind && strncmp(kind, rows[i].kind, strlen(rows[i].kind)) == 0 : !kind, "%s: %s",
                  rows[i].address, kind ? kind : "carries one");
        cr_expect_eq(login(alice, rows[i].address), rows[i].kind ? GRANT_ADDRESS_MEANINGLESS : GRANT_MADE, "%s",
                     rows[i].address);
        cr_expect_eq(is_granted(alice, rows[i].address), !rows[i].kind, "%s", rows[i].address);
        cr_expect_eq(grant_helps(&grants, &address), !rows[i].kind, "%s", rows[i].address);
    }
}

Test(grant, addresses_that_are_listed) {
    networks[0] = net("10.1.0.0/16"), networks[1] = net("203.0.113.0/24"), networks[2] = net("203.0.113.254");
    limits.n_networks = 2;
    cr_expect_eq(login(alice, "10.1.2.3"), GRANT_MADE);
    cr_expect_eq(login(alice, "10.2.2.3"), GRANT_ADDRESS_MEANINGLESS);
    cr_expect_eq(login(alice, "203.0.113.254"), GRANT_ADDRESS_MEANINGLESS, "the gateway, by its network");
    cr_expect_eq(login(alice, "203.0.113.3"), GRANT_ADDRESS_MEANINGLESS, "a load balancer, likewise");
    limits.n_networks = 3;
    cr_expect_eq(login(alice, "203.0.113.254"), GRANT_MADE, "the gateway by itself");
    networks[0] = net("fd00::/8");
    cr_expect(!is_granted(alice, "10.1.2.3"), "not listed any more");
    cr_expect_eq(login(alice, "::"), GRANT_ADDRESS_MEANINGLESS);
}

/* The network of a privacy address may be this host's own. */
Test(grant, addresses_of_an_ipv6_network) {
    limits.ipv6_bits = 64;
    cr_expect_eq(login(alice, "2001:db8:1::2"), GRANT_ADDRESS_MEANINGLESS, "the gateway has that network");
    cr_expect_eq(login(alice, "2001:db8:2::2"), GRANT_MADE);
    cr_expect(is_granted(alice, "2001:db8:2::99:1"));
    cr_expect(!is_granted(alice, "2001:db8:3::2"));
    cr_expect_eq(login(alice, "192.0.2.7"), GRANT_MADE);
    cr_expect(!is_granted(alice, "192.0.2.8"), "IPv4 is exact");
    limits.ipv6_bits = 128;
    cr_expect(!is_granted(alice, "2001:db8:2::2"), "another width, another grant");
    cr_expect(!is_granted(alice, "2001:db8:2::"), "nor for the network's first address");
}

/* ---- time */

Test(grant, lasts_its_time) {
    cr_expect_eq(login(alice, "192.0.2.7"), GRANT_MADE);
    struct grant first = find("192.0.2.7");
    cr_expect(first.user_id == alice && first.left_ms == LIFETIME && first.since_ms == now_ms);
    cr_expect(!is_granted(alice, "192.0.2.8"), "from elsewhere");
    cr_expect(!is_granted(alice, "::ffff:192.0.2.8") && is_granted(alice, "::ffff:192.0.2.7"));
    pass_ms(LIFETIME - 1);
    cr_expect(is_granted(alice, "192.0.2.7"));
    cr_expect_eq(login(alice, "192.0.2.7"), GRANT_RENEWED);
    cr_expect_eq(find("192.0.2.7").id, first.id);
    pass_ms(LIFETIME - 1);
    cr_expect_eq(grant_live(&grants, first.id), FACT_YES);
    pass_ms(1);
    cr_expect(!is_granted(alice, "192.0.2.7"));
    cr_expect_eq(grant_live(&grants, first.id), FACT_NO);
    cr_expect_eq(grant_take(&grants, first.id, true, false), FACT_NO);
    cr_expect_eq(login(alice, "192.0.2.7"), GRANT_MADE);
    cr_expect_neq(find("192.0.2.7").id, first.id, "what rested on the old one does not come back");
}

Test(grant, is_judged_on_both_clocks) {
    cr_expect_eq(login(alice, "192.0.2.7"), GRANT_MADE);
    now_ms -= 3600000; /* set back */
    cr_expect(is_granted(alice, "192.0.2.7"));
    uptime_ms += LIFETIME;
    cr_expect(!is_granted(alice, "192.0.2.7"), "the boot clock");
    uptime_ms -= LIFETIME, now_ms += 3600000;
    cr_expect(is_granted(alice, "192.0.2.7"));
    now_ms += LIFETIME; /* set ahead */
    cr_expect(!is_granted(alice, "192.0.2.7"), "the wall clock");
}

Test(grant, is_void_after_a_reboot) {
    cr_expect_eq(login(alice, "192.0.2.7"), GRANT_MADE);
    struct grant grant = find("192.0.2.7");
    struct grants again = {.boot_ms = boot, .wall_ms = wall};
    cr_assert_eq(grant_open(&again, db, &limits), 0);
    cr_expect_eq(grant_live(&again, grant.id), FACT_YES, "a restart alone changes nothing");
    limits.boot[0]++;
    cr_expect_eq(grant_live(&again, grant.id), FACT_NO);
    cr_expect(!is_granted(alice, "192.0.2.7"));
    cr_assert_eq(grant_open(&again, db, &limits), 0);
    limits.boot[0]--;
    cr_expect_eq(grant_live(&again, grant.id), FACT_NO, "it is gone");
    memset(limits.boot, 0, sizeof limits.boot);
    cr_expect_eq(login(alice, "192.0.2.7"), GRANT_OFF, "a boot without a name");
}

Test(grant, limits_change) {
    struct netaddr address = at("192.0.2.7");
    cr_expect_eq(login(alice, "192.0.2.7"), GRANT_MADE);
    limits.lifetime_ms = MINUTE;
    cr_assert_eq(grant_limit(&grants), 0);
    cr_expect_eq(find("192.0.2.7").left_ms, MINUTE);
    limits.lifetime_ms = LIFETIME;
    cr_assert_eq(grant_limit(&grants), 0);
    cr_expect_eq(find("192.0.2.7").left_ms, MINUTE, "nothing is lengthened");
    limits.enabled = false;
    cr_expect(!is_granted(alice, "192.0.2.7"));
    cr_expect_eq(login(alice, "192.0.2.7"), GRANT_OFF);
    cr_expect(!grant_helps(&grants, &address));
    cr_assert_eq(grant_limit(&grants), 0);
    cr_expect_eq(n_ended, 1);
    limits.enabled = true;
    cr_expect(!is_granted(alice, "192.0.2.7"), "switched off, it has ended");
}

Test(grant, addresses_that_count_change) {
    networks[0] = net("10.0.0.0/8");
    limits.n_networks = 1;
    cr_expect_eq(login(alice, "10.1.2.3"), GRANT_MADE);
    cr_expect_eq(login(alice, "192.0.2.7"), GRANT_MADE);
    cr_expect_eq(login(bob, "2001:db8::7"), GRANT_MADE);
    int64_t inside = find("10.1.2.3").id, by_ipv6 = find("2001:db8::7").id;
    cr_assert_eq(grant_limit(&grants), 0);
    cr_expect_eq(n_ended, 0);
    limits.n_networks = 0;
    cr_assert_eq(grant_limit(&grants), 0);
    cr_expect(n_ended == 1 && ended[0] == inside, "what rests on it ends too");
    limits.n_networks = 1;
    cr_expect_eq(find("10.1.2.3").id, 0, "listed again, it does not come back");
    limits.ipv6_bits = 64;
    cr_assert_eq(grant_limit(&grants), 0);
    cr_expect(n_ended == 2 && ended[1] == by_ipv6, "one address is another thing now");
    cr_expect(is_granted(alice, "192.0.2.7"));
}

/* ---- ends */

Test(grant, ends_with_a_password) {
    struct credential_secret other = {.hash = SPAN("other")};
    int64_t renewed;
    cr_assert_eq(credential_add_app(db, alice, SPAN("phone"), CREDENTIAL_ANY, 0, &other), ACCOUNT_CHANGED);
    int64_t phone = database_last_id(db);
    cr_expect_eq(login(alice, "192.0.2.7"), GRANT_MADE);
    cr_expect_eq(login(bob, "192.0.2.9"), GRANT_MADE);
    int64_t id = find("192.0.2.7").id;
    cr_assert_eq(credential_renew(db, phone, &other, &renewed), ACCOUNT_CHANGED);
    cr_expect(is_granted(alice, "192.0.2.7"), "the same secret, written anew");
    cr_assert_eq(credential_set_mailbox(db, alice, &other), ACCOUNT_CHANGED);
    cr_expect(!is_granted(alice, "192.0.2.7"));
    cr_expect(n_ended == 1 && ended[0] == id);
    cr_expect(is_granted(bob, "192.0.2.9"), "somebody else's");
    cr_expect_eq(login(alice, "192.0.2.7"), GRANT_MADE, "with the new password");
    cr_assert_eq(credential_remove(db, alice, CREDENTIAL_APP, SPAN("phone")), ACCOUNT_CHANGED);
    cr_expect(!is_granted(alice, "192.0.2.7"));
}

/* Killed between the change and what follows it. */
Test(grant, ends_with_the_change_itself) {
    cr_expect_eq(login(alice, "192.0.2.7"), GRANT_MADE);
    int64_t id = find("192.0.2.7").id;
    struct statement *statement = database_statement(db, "DELETE FROM credentials WHERE user_id = ?1");
    statement_put_number(statement, 1, alice);
    cr_assert_eq(statement_run(statement), 1); /* nobody is told */
    cr_expect(!is_granted(alice, "192.0.2.7"));
    cr_expect_eq(grant_live(&grants, id), FACT_NO);
    cr_expect_eq(n_ended, 0);
    cr_assert_eq(grant_limit(&grants), 0);
    cr_expect(n_ended == 1 && ended[0] == id, "it is found at the next start");
}

Test(grant, ends_with_the_user) {
    cr_expect_eq(login(alice, "192.0.2.7"), GRANT_MADE);
    cr_assert_eq(account_suspend(db, alice, now_ms), ACCOUNT_CHANGED);
    cr_expect(!is_granted(alice, "192.0.2.7"));
    cr_expect_eq(login(alice, "192.0.2.7"), GRANT_USER_REFUSED);
    cr_assert_eq(account_enable(db, SPAN("alice@example.test"), true), ACCOUNT_CHANGED);
    cr_expect(!is_granted(alice, "192.0.2.7"), "it does not come back");
    cr_expect_eq(login(alice, "192.0.2.7"), GRANT_MADE);
    cr_assert_eq(account_enable(db, SPAN("alice@example.test"), false), ACCOUNT_CHANGED);
    cr_expect(!is_granted(alice, "192.0.2.7"));
    cr_expect_eq(login(alice, "192.0.2.7"), GRANT_USER_REFUSED);
    cr_expect_eq(n_ended, 2);
    cr_expect_eq(login(bob, "192.0.2.9"), GRANT_MADE);
    cr_assert_eq(account_remove(db, SPAN("bob@example.test")), ACCOUNT_CHANGED);
    cr_expect(!is_granted(bob, "192.0.2.9"));
    cr_expect_eq(n_ended, 3);
    cr_expect_eq(login(bob, "192.0.2.9"), GRANT_USER_REFUSED);
    /* Whom another server lets in needs no password here. */
    int64_t carol = add_user("carol@example.test");
    cr_assert_eq(credential_remove(db, carol, CREDENTIAL_MAILBOX, SPAN("")), ACCOUNT_CHANGED);
    cr_expect_eq(login(carol, "192.0.2.9"), GRANT_MADE, "bob, who is gone, shares nothing");
    cr_assert_eq(account_remove(db, SPAN("carol@example.test")), ACCOUNT_CHANGED);
    cr_expect(!is_granted(carol, "192.0.2.9"));
    cr_expect_eq(n_ended, 4);
}

Test(grant, is_revoked) {
    struct network one = net("192.0.2.7");
    cr_expect_eq(login(alice, "192.0.2.7"), GRANT_MADE);
    cr_expect_eq(login(alice, "192.0.2.8"), GRANT_MADE);
    cr_expect_eq(login(bob, "192.0.2.9"), GRANT_MADE);
    cr_expect_eq(grant_end(&grants, bob, &one, "of a test"), 0, "not bob's");
    cr_expect_eq(grant_end(&grants, alice, &one, "of a test"), 1);
    cr_expect(!is_granted(alice, "192.0.2.7") && is_granted(alice, "192.0.2.8"));
    cr_expect_eq(grant_end(&grants, 0, NULL, "of a test"), 2);
    cr_expect(!is_granted(alice, "192.0.2.8") && !is_granted(bob, "192.0.2.9"));
    cr_expect_eq(n_ended, 3);
}

/* ---- several users */

Test(grant, several_users_share_an_address) {
    struct netaddr address = at("192.0.2.7");
    cr_expect_eq(login(alice, "192.0.2.7"), GRANT_MADE);
    cr_expect(grant_helps(&grants, &address));
    cr_expect_eq(login(bob, "192.0.2.7"), GRANT_ADDRESS_SHARED);
    cr_expect(find("192.0.2.7").id == 0, "and alice's is over");
    cr_expect_eq(n_ended, 1);
    cr_expect_eq(login(alice, "192.0.2.7"), GRANT_ADDRESS_SHARED);
    cr_expect(!grant_helps(&grants, &address));
    cr_expect_eq(login(alice, "192.0.2.8"), GRANT_MADE, "elsewhere");
    pass_ms(DAY - 1);
    cr_expect_eq(login(alice, "192.0.2.7"), GRANT_ADDRESS_SHARED);
    pass_ms(1);
    cr_expect_eq(login(alice, "192.0.2.7"), GRANT_MADE, "bob has not been there for a day");
}

Test(grant, logins_by_auth_count) {
    struct netaddr address = at("192.0.2.7");
    cr_expect_eq(login(alice, "192.0.2.7"), GRANT_MADE);
    grant_note(&grants, alice, &address);
    cr_expect(is_granted(alice, "192.0.2.7"));
    grant_note(&grants, bob, &address);
    cr_expect(!is_granted(alice, "192.0.2.7"));
    cr_expect_eq(n_ended, 1, "what rests on it ends too");
    cr_expect_eq(login(alice, "192.0.2.7"), GRANT_ADDRESS_SHARED);
    /* It is noted seldom, but in time. */
    for (uint64_t passed = 0; passed < 2 * (uint64_t)DAY; passed += 10 * MINUTE) {
        grant_note(&grants, bob, &address);
        cr_expect_eq(login(alice, "192.0.2.7"), GRANT_ADDRESS_SHARED);
        pass_ms(10 * MINUTE);
    }
}

Test(grant, a_login_by_auth_counts_from_about_when_it_was) {
    struct netaddr address = at("192.0.2.7");
    grant_note(&grants, bob, &address);
    pass_ms(DAY - 60 * MINUTE);
    grant_note(&grants, bob, &address);
    pass_ms(120 * MINUTE);
    cr_expect_eq(login(alice, "192.0.2.7"), GRANT_ADDRESS_SHARED, "two hours after bob's");
}

Test(grant, so_many_users_may_share_an_address) {
    struct grant found[GRANT_CANDIDATES];
    struct netaddr address = at("192.0.2.7");
    size_t n;
    limits.users_per_address = 2;
    cr_expect_eq(login(alice, "192.0.2.7"), GRANT_MADE);
    cr_expect_eq(login(bob, "192.0.2.7"), GRANT_MADE);
    cr_assert_eq(grant_find(&grants, &address, found, &n), ACCOUNT_FOUND);
    cr_assert_eq(n, 2);
    cr_expect(found[0].user_id == alice && found[1].user_id == bob);
    limits.users_per_address = 1;
    cr_assert_eq(grant_find(&grants, &address, found, &n), ACCOUNT_FOUND);
    cr_expect_eq(n, 0, "by other limits too many");
    limits.users_per_address = 2;
    cr_expect_eq(login(add_user("carol@example.test"), "192.0.2.7"), GRANT_ADDRESS_SHARED);
    cr_expect_eq(n_ended, 2);
}

/* More than are looked at: none of them is. */
Test(grant, more_users_than_there_are_candidates) {
    struct grant found[GRANT_CANDIDATES];
    struct netaddr address = at("192.0.2.7");
    size_t n;
    limits.users_per_address = GRANT_CANDIDATES + 1;
    for (int i = 0; i <= GRANT_CANDIDATES; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "user%d@example.test", i);
        cr_expect_eq(login(add_user(name), "192.0.2.7"), GRANT_MADE);
        cr_assert_eq(grant_find(&grants, &address, found, &n), ACCOUNT_FOUND);
        cr_expect_eq(n, i < GRANT_CANDIDATES ? (size_t)i + 1 : 0);
    }
}

/* ---- budget */

Test(grant, budget) {
    cr_expect_eq(login(alice, "192.0.2.7"), GRANT_MADE);
    int64_t id = find("192.0.2.7").id;
    cr_expect_eq(grant_take(&grants, id, true, true), FACT_YES);
    cr_expect_eq(grant_take(&grants, id, true, false), FACT_YES);
    cr_expect_eq(grant_take(&grants, id, true, false), FACT_NO, "the third message");
    cr_expect_eq(grant_take(&grants, id, false, true), FACT_YES);
    cr_expect_eq(grant_take(&grants, id, false, true), FACT_YES);
    cr_expect_eq(grant_take(&grants, id, false, true), FACT_NO, "the fourth recipient");
    struct grant used = find("192.0.2.7");
    cr_expect(used.messages_left == 0 && used.recipients_left == 0);
    cr_expect_eq(login(alice, "192.0.2.7"), GRANT_RENEWED);
    used = find("192.0.2.7");
    cr_expect(used.messages_left == 2 && used.recipients_left == 3);
}

/* ---- sessions that stay open */

static void pass_by_rounds(uint64_t ms) {
    for (uint64_t passed = 0; passed < ms;) {
        int wait = grant_round(&grants);
        uint64_t step = wait < 0 || (uint64_t)wait > ms - passed ? ms - passed : (uint64_t)wait;
        if (step == 0) step = 1;
        pass_ms(step);
        passed += step;
    }
    (void)grant_round(&grants);
}

Test(grant, is_held) {
    struct netaddr address = at("192.0.2.7");
    struct grant_hold hold = {0}, second = {0};
    cr_expect_eq(login(alice, "192.0.2.7"), GRANT_MADE);
    int64_t id = find("192.0.2.7").id;
    cr_expect_eq(grant_take(&grants, id, true, true), FACT_YES);
    grant_hold(&grants, &hold, alice, &address);
    grant_hold(&grants, &second, alice, &address);
    pass_by_rounds(3 * LIFETIME);
    cr_expect_eq(find("192.0.2.7").id, id);
    cr_expect_eq(find("192.0.2.7").messages_left, 1, "the budget is the login's");
    grant_release(&grants, &hold);
    grant_release(&grants, &hold);
    pass_by_rounds(3 * LIFETIME);
    cr_expect_eq(find("192.0.2.7").id, id, "the other session");
    grant_release(&grants, &second);
    pass_by_rounds(LIFETIME / 2);
    cr_expect_eq(find("192.0.2.7").id, id);
    pass_by_rounds(LIFETIME);
    cr_expect_eq(find("192.0.2.7").id, 0);
}

Test(grant, is_held_when_the_lifetime_becomes_shorter) {
    struct netaddr address = at("192.0.2.7");
    struct grant_hold hold = {0};
    cr_expect_eq(login(alice, "192.0.2.7"), GRANT_MADE);
    int64_t id = find("192.0.2.7").id;
    grant_hold(&grants, &hold, alice, &address);
    limits.lifetime_ms = MINUTE;
    cr_assert_eq(grant_limit(&grants), 0);
    pass_by_rounds(5 * MINUTE);
    cr_expect_eq(find("192.0.2.7").id, id);
    cr_expect_leq(find("192.0.2.7").left_ms, MINUTE);
    grant_release(&grants, &hold);
}

Test(grant, is_held_for_twelve_hours_at_most) {
    struct netaddr address = at("192.0.2.7");
    struct grant_hold hold = {0};
    cr_expect_eq(login(alice, "192.0.2.7"), GRANT_MADE);
    grant_hold(&grants, &hold, alice, &address);
    pass_by_rounds(GRANT_HELD_MAX_MS - 1);
    cr_expect(is_granted(alice, "192.0.2.7"));
    pass_by_rounds(LIFETIME + 1);
    cr_expect(!is_granted(alice, "192.0.2.7"));
    grant_release(&grants, &hold);
}

Test(grant, what_ended_is_held_no_more) {
    struct netaddr address = at("192.0.2.7");
    struct grant_hold hold = {0}, none = {0};
    cr_expect_eq(login(alice, "192.0.2.7"), GRANT_MADE);
    grant_hold(&grants, &hold, alice, &address);
    cr_expect_eq(grant_end(&grants, alice, NULL, "of a test"), 1);
    pass_by_rounds(LIFETIME / 2);
    cr_expect(!is_granted(alice, "192.0.2.7"));
    cr_expect_eq(login(alice, "192.0.2.7"), GRANT_MADE, "by another login");
    pass_by_rounds(LIFETIME);
    cr_expect(!is_granted(alice, "192.0.2.7"), "which nobody holds");
    grant_hold(&grants, &none, bob, &address);
    cr_expect_eq(none.grant_id, 0, "there is nothing to hold");
    grant_release(&grants, &hold);
    grant_release(&grants, &none);
}

/* ---- faults */

Test(grant, a_database_that_cannot_be_written) {
    struct grant found[GRANT_CANDIDATES];
    struct netaddr address = at("192.0.2.7");
    size_t n;
    cr_expect_eq(login(alice, "192.0.2.7"), GRANT_MADE);
    int64_t id = find("192.0.2.7").id;
    cr_assert_geq(statement_run(database_statement(db, "PRAGMA query_only=ON")), 0);
    cr_expect_eq(login(alice, "192.0.2.8"), GRANT_UNDECIDED);
    cr_expect(!is_granted(alice, "192.0.2.8"));
    cr_expect_eq(grant_take(&grants, id, true, true), FACT_UNKNOWN);
    cr_expect_eq(grant_end(&grants, alice, NULL, "of a test"), -1);
    cr_assert_geq(statement_run(database_statement(db, "PRAGMA query_only=OFF")), 0);
    cr_assert_geq(statement_run(database_statement(db, "ALTER TABLE grants RENAME TO lost")), 0);
    cr_expect_eq(grant_find(&grants, &address, found, &n), ACCOUNT_FAILED);
    cr_expect_eq(grant_live(&grants, id), FACT_UNKNOWN);
    cr_expect_eq(login(alice, "192.0.2.7"), GRANT_UNDECIDED);
}

static bool count_live(void *context, const struct grant *grant) {
    cr_expect(grant->left_ms > 0 && strcmp(grant_source_word(grant->source), "pop3") == 0);
    ++*(size_t *)context;
    return true;
}

/* Nobody is granted anything because a copy is put back. */
Test(grant, a_backup_holds_none) {
    struct grants other = {.boot_ms = boot, .wall_ms = wall};
    size_t n = 0;
    cr_expect_eq(login(alice, "192.0.2.7"), GRANT_MADE);
    cr_assert_eq(grant_walk(&grants, count_live, &n), ACCOUNT_FOUND);
    cr_expect_eq(n, 1);
    cr_assert_eq(database_copy(db, "copy.db"), 0);
    cr_assert_eq(database_copy(db, "copy2.db"), 0);
    struct database *copy = database_open("copy.db", DATABASE_ACCOUNTS);
    cr_assert_not_null(copy);
    cr_expect_eq(account_count(copy), 2);
    cr_assert_eq(grant_open(&other, copy, &limits), 0);
    n = 0;
    cr_assert_eq(grant_walk(&other, count_live, &n), ACCOUNT_FOUND);
    cr_expect_eq(n, 0);
    other.db = NULL; /* the watch stays */
    database_close(copy);
    cr_expect(is_granted(alice, "192.0.2.7"));
}
