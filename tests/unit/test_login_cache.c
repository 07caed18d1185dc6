/* test_login_cache.c - what is remembered of a login, for how long, and what goes first. */
#include "auth/login_cache.h"

#include <criterion/criterion.h>

static struct login_cache cache;
static uint8_t tag[VERIFY_TAG_BYTES];

static const uint8_t *tag_of(unsigned number) {
    memset(tag, 7, sizeof tag);
    memcpy(tag + 1, &number, sizeof number); /* many of one bucket */
    return tag;
}

static int64_t find(unsigned number, int64_t user_id, uint64_t now_ms) {
    return login_cache_find(&cache, tag_of(number), user_id, now_ms);
}

static void keep(unsigned number, int64_t user_id, int64_t credential_id, uint64_t until_ms) {
    login_cache_keep(&cache, tag_of(number), user_id, credential_id, until_ms);
}

static void begin(void) {
    cache = (struct login_cache){0};
}

TestSuite(login_cache, .init = begin);

Test(login_cache, a_login_is_found_until_its_time) {
    cr_expect_eq(find(1, 5, 0), 0, "nothing is there");
    keep(1, 5, 50, 1000);
    cr_expect_eq(find(1, 5, 0), 50);
    cr_expect_eq(find(1, 5, 999), 50, "using it does not make it last");
    cr_expect_eq(find(1, 6, 0), 0, "another user's");
    cr_expect_eq(find(2, 5, 0), 0, "another password");
    cr_expect_eq(cache.n, 1);
    cr_expect_eq(find(1, 5, 1000), 0);
    cr_expect_eq(cache.n, 0, "too late, and gone");
}

Test(login_cache, a_later_login_replaces) {
    keep(1, 5, 50, 1000);
    keep(1, 5, 51, 2000);
    cr_expect_eq(find(1, 5, 1500), 51);
    keep(1, 6, 60, 2000);
    cr_expect_eq(find(1, 5, 1500), 0);
    cr_expect_eq(find(1, 6, 1500), 60);
    cr_expect_eq(cache.n, 1);
}

Test(login_cache, no_password_is_no_tag) {
    static const uint8_t none[VERIFY_TAG_BYTES];
    login_cache_keep(&cache, none, 5, 50, 1000);
    cr_expect_eq(cache.n, 0);
    cr_expect_eq(login_cache_find(&cache, none, 5, 0), 0);
    cr_expect_eq(login_cache_find(&cache, none, 0, 0), 0);
}

Test(login_cache, changes_void_it) {
    for (unsigned i = 0; i < 30; i++) keep(i, i % 3 + 1, i + 100, 1000);
    login_cache_forget(&cache, 2);
    cr_expect_eq(cache.n, 20);
    for (unsigned i = 0; i < 30; i++) cr_expect_eq(find(i, i % 3 + 1, 0), i % 3 == 1 ? 0 : i + 100, "%u", i);
    login_cache_forget(&cache, 9);
    cr_expect_eq(cache.n, 20);
    login_cache_forget(&cache, 0);
    cr_expect_eq(cache.n, 0);
    for (unsigned i = 0; i < 30; i++) cr_expect_eq(find(i, i % 3 + 1, 0), 0);
    keep(1, 5, 50, 1000);
    cr_expect_eq(find(1, 5, 0), 50, "its places are used again");
}

Test(login_cache, the_least_used_gives_way) {
    for (unsigned i = 0; i < LOGIN_CACHE_MAX; i++) keep(i, 1, i + 1, 1000);
    cr_expect_eq(cache.n, LOGIN_CACHE_MAX);
    cr_expect_eq(find(0, 1, 0), 1);
    for (unsigned i = 0; i < 10; i++) keep(LOGIN_CACHE_MAX + i, 1, 7000 + i, 1000);
    cr_expect_eq(cache.n, LOGIN_CACHE_MAX);
    cr_expect_eq(find(0, 1, 0), 1, "used just now");
    for (unsigned i = 1; i <= 10; i++) cr_expect_eq(find(i, 1, 0), 0, "%u", i);
    for (unsigned i = 11; i < LOGIN_CACHE_MAX; i += 13) cr_expect_eq(find(i, 1, 0), i + 1, "%u", i);
    for (unsigned i = 0; i < 10; i++) cr_expect_eq(find(LOGIN_CACHE_MAX + i, 1, 0), 7000 + i);
}
