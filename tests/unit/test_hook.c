/* test_hook.c - what the policy process can make auth do: count a failure, and nothing else.
 * Runs in: the test runner. Trusts: nothing. Never: waits for a clock. */
#include "tests/unit/auth_fixture.h"

#include <criterion/criterion.h>
#include <unistd.h>

static struct auth_fixture fixture;

/* Our end of the channel that auth believes to be the policy process's. */
static int begin(void) {
    int ends[2];
    auth_fixture_setup(&fixture);
    fixture.setup.throttle = (struct throttle_limits){.enabled = true,
                                                      .network_ipv4_bits = 32,
                                                      .network_ipv6_bits = 64,
                                                      .network_failures = 3,
                                                      .account_failures = 100,
                                                      .window_ms = 3600000,
                                                      .known_ms = 3600000};
    auth_fixture_start(&fixture);
    cr_assert_eq(frame_pair(ends, true), 0);
    driver_link(&fixture.driver, (struct driver_link){true, {ROLE_POLICY, 0, ends[1]}});
    close(ends[1]);
    return ends[0];
}

static void put_failure(struct buf *b, unsigned what, const char *client, const char *login, const char *hash) {
    struct netaddr address;
    cr_assert(netaddr_parse(&address, span_text(client)));
    wire_put_u8(b, (uint8_t)what);
    wire_put_netaddr(b, &address);
    wire_put_text(b, login);
    wire_put_text(b, hash);
    wire_put_text(b, "imap");
}

static void report(int policy, unsigned what, const char *client, const char *login, const char *hash) {
    uint8_t storage[1024];
    struct buf b = BUF_OVER(storage);
    put_failure(&b, what, client, login, hash);
    cr_assert_eq(frame_send(policy, POLICY_FAILURE, buf_span(&b)), 0);
}

static bool has(const char *words) {
    static uint8_t text[65536];
    struct buf b = buf_over(text, sizeof text - 1);
    cr_assert_eq(auth_fixture_ask(&b, "throttle list", NULL), CONTROL_OK);
    text[b.n] = 0;
    return strstr((const char *)text, words) != NULL;
}

/* The same, once auth has read what was sent before. */
static bool lists(const char *words) {
    for (int i = 0; i < 1000; i++) {
        if (has(words)) return true;
        usleep(1000);
    }
    return false;
}

/* An account that is nobody's is listed as nobody. */
Test(hook, a_failure_counts_for_network_and_account) {
    int policy = begin();
    report(policy, POLICY_FAILURE_OTHER, "192.0.2.8", "alice@example.test", "0001");
    cr_expect(lists("192.0.2.8"));
    cr_expect_not(has("nobody"), "no password was wrong, so the account is not held");
    report(policy, POLICY_FAILURE_PASSWORD, "192.0.2.7", "alice@example.test", "0001");
    cr_expect(lists("192.0.2.7"));
    cr_expect(has("nobody"));
    close(policy);
    auth_fixture_stop(&fixture);
}

/* Three different guesses are the limit; the same one again and again is an old telephone. */
Test(hook, a_guesser_is_turned_away_and_an_old_telephone_is_not) {
    static const char *const hashes[] = {"0001", "0002", "0003"};
    int policy = begin();
    for (int i = 0; i < 12; i++) {
        report(policy, POLICY_FAILURE_PASSWORD, "192.0.2.7", "alice@example.test", hashes[i % 3]);
        report(policy, POLICY_FAILURE_PASSWORD, "192.0.2.8", "alice@example.test", "0001");
    }
    cr_expect(lists("192.0.2.7") && lists("192.0.2.8"));
    int guesser = auth_fixture_client(&fixture, 4001, RELAY_ROLE_SUBMISSION, "192.0.2.7");
    cr_expect_neq(auth_fixture_welcomed(guesser), REASON_COUNT);
    int telephone = auth_fixture_client(&fixture, 4002, RELAY_ROLE_SUBMISSION, "192.0.2.8");
    cr_expect_eq(auth_fixture_welcomed(telephone), REASON_COUNT);
    close(guesser), close(telephone), close(policy);
    auth_fixture_stop(&fixture);
}

/* A frame that it may not say: its channel ends, and auth goes on. */
static void expect_dropped(unsigned type, struct span body) {
    static uint8_t storage[FRAME_MAX];
    struct frame frame;
    int policy = begin();
    cr_assert_eq(frame_send(policy, (uint16_t)type, body), 0);
    cr_expect_not(driver_receive(policy, storage, &frame), "type %x is taken", type);
    cr_expect_not(has("192.0.2.7"), "it was counted");
    close(policy);
    auth_fixture_stop(&fixture);
}

Test(hook, whatever_else_it_says_ends_it) {
    static char long_login[SESSION_USER_MAX + 2];
    uint8_t storage[1024];
    struct buf b = BUF_OVER(storage);
    memset(long_login, 'x', sizeof long_login - 1);
    put_failure(&b, POLICY_FAILURES, "192.0.2.7", "alice@example.test", "0001");
    expect_dropped(POLICY_FAILURE, buf_span(&b));
    buf_clear(&b);
    put_failure(&b, POLICY_FAILURE_PASSWORD, "192.0.2.7", long_login, "0001");
    expect_dropped(POLICY_FAILURE, buf_span(&b));
    buf_clear(&b);
    put_failure(&b, POLICY_FAILURE_PASSWORD, "192.0.2.7", "alice@example.test", "0001");
    expect_dropped(POLICY_FAILURE, span_part(buf_span(&b), 0, b.n - 1));
    expect_dropped(POLICY_FAILURE, (struct span){0});
    wire_put_u8(&b, 0);
    expect_dropped(POLICY_FAILURE, buf_span(&b));
    expect_dropped(VERIFY_RESULT, buf_span(&b));
    expect_dropped(POOL_CLIENT, buf_span(&b));
    expect_dropped(SESSION_MAIL, buf_span(&b));
}
