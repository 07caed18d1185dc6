/* system_user.c - looking a system user up in what the master read.
 * Runs in: auth. Trusts: the setup; the listener for a peer's uid, which the kernel told it. Never: makes a user up.
 */
#include "auth/system_user.h"

static bool take(const struct house *house, const struct auth_system_user *user, struct system_user *out) {
    uint8_t storage[2 * ADDRESS_MAX];
    struct buf b = BUF_OVER(storage);
    *out = (struct system_user){.name_n = user->name.n, .given = user->login.n > 0, .trusted = user->trusted};
    if (user->name.n > sizeof out->name) return false;
    if (user->name.n) memcpy(out->name, user->name.p, user->name.n);
    if (out->given) return key_parse(&out->login, user->login);
    buf_put_span(&b, user->name);
    buf_put_octet(&b, '@');
    buf_put_span(&b, house->setup->local_domain);
    return buf_ok(&b) && key_parse(&out->login, buf_span(&b));
}

bool system_user_of(const struct house *house, uint32_t uid, struct system_user *out) {
    for (uint32_t i = 0; i < house->setup->n_system_users; i++)
        if (house->setup->system_users[i].uid == uid) return take(house, &house->setup->system_users[i], out);
    return false;
}

bool system_user_named(const struct house *house, struct span name, struct system_user *out) {
    for (uint32_t i = 0; i < house->setup->n_system_users; i++)
        if (span_equal(house->setup->system_users[i].name, name))
            return take(house, &house->setup->system_users[i], out);
    return false;
}

static bool at_home(const struct house *house, const struct key *key) {
    return span_equal(key_domain(key), house->setup->local_domain);
}

bool system_user_has(const struct house *house, const struct key *key) {
    if (!key->n || !at_home(house, key)) return false;
    for (uint32_t i = 0; i < house->setup->n_system_users; i++)
        if (span_equal_nocase(house->setup->system_users[i].name, key_local(key))) return true;
    return false;
}

bool system_user_is_root(const struct house *house, const struct key *key) {
    return key->n && at_home(house, key) && span_equal(key_local(key), SPAN("root"));
}
