/* throttle_fixture.c - attempts as login.c makes them, at a time of the test's choice. */
#include "tests/unit/throttle_fixture.h"

#include <criterion/criterion.h>

struct throttle *t_throttle;
struct throttle_limits t_limits;
uint64_t t_now;

void t_begin(void) {
    static const uint8_t key[THROTTLE_KEY_BYTES] = {1, 2, 3, 4, 5};
    t_now = 5 * (uint64_t)T_MINUTE; /* after the machine started */
    t_limits = (struct throttle_limits){.enabled = true,
                                        .network_ipv4_bits = 32,
                                        .network_ipv6_bits = 64,
                                        .network_failures = 20,
                                        .account_failures = 40,
                                        .window_ms = T_HOUR,
                                        .known_ms = 30 * T_DAY};
    t_throttle = throttle_open(&t_limits, key);
    cr_assert(t_throttle);
}

void t_end(void) {
    throttle_close(t_throttle);
}

void t_limit(void) {
    throttle_limit(t_throttle, &t_limits);
}

struct netaddr t_address(const char *text) {
    struct netaddr address;
    cr_assert(netaddr_parse(&address, span_text(text)), "%s", text);
    return address;
}

static struct throttle_attempt attempt_of(struct netaddr client, const char *name, uint64_t password) {
    return (struct throttle_attempt){
        .client = client, .account = throttle_account_key(t_throttle, span_text(name)), .fingerprint = password};
}

enum throttle_verdict t_network(struct netaddr client) {
    uint32_t delay;
    return throttle_judge_network(t_throttle, &client, t_now, &delay);
}

static enum throttle_verdict judge(const struct throttle_attempt *attempt) {
    if (t_network(attempt->client) == THROTTLE_REFUSE) return THROTTLE_REFUSE;
    return throttle_judge_account(t_throttle, attempt, t_now);
}

enum throttle_verdict t_fail(struct netaddr client, const char *name, uint64_t password) {
    struct throttle_attempt attempt = attempt_of(client, name, password);
    enum throttle_verdict verdict = judge(&attempt);
    if (verdict == THROTTLE_ALLOW) throttle_failed(t_throttle, &attempt, THROTTLE_FAILED_PASSWORD, t_now);
    if (verdict == THROTTLE_HELD || verdict == THROTTLE_SAME)
        throttle_failed(t_throttle, &attempt, THROTTLE_FAILED_UNCHECKED, t_now);
    return verdict;
}

enum throttle_verdict t_login(struct netaddr client, const char *name) {
    struct throttle_attempt attempt = attempt_of(client, name, 0x600d600d600d600d);
    enum throttle_verdict verdict = judge(&attempt);
    if (verdict == THROTTLE_ALLOW) throttle_succeeded(t_throttle, &attempt, t_now);
    if (verdict == THROTTLE_HELD || verdict == THROTTLE_SAME)
        throttle_failed(t_throttle, &attempt, THROTTLE_FAILED_UNCHECKED, t_now);
    return verdict;
}

struct wanted {
    bool is_network;
    struct network network;
    uint64_t account, left;
};

static bool look(void *context, const struct throttle_row *row) {
    struct wanted *wanted = context;
    if (row->is_network != wanted->is_network) return true;
    if (row->is_network ? row->network.bits != wanted->network.bits ||
                              memcmp(row->network.octets, wanted->network.octets, 16) != 0
                        : row->account != wanted->account)
        return true;
    wanted->left = row->empty_in_ms;
    return false;
}

uint64_t t_left_network(const char *text) {
    struct netaddr address = t_address(text);
    struct wanted wanted = {.is_network = true,
                            .network = network_of(&address, t_limits.network_ipv4_bits, t_limits.network_ipv6_bits)};
    throttle_walk(t_throttle, t_now, look, &wanted);
    return wanted.left;
}

uint64_t t_left_account(const char *name) {
    struct wanted wanted = {.account = throttle_account_key(t_throttle, span_text(name))};
    throttle_walk(t_throttle, t_now, look, &wanted);
    return wanted.left;
}
