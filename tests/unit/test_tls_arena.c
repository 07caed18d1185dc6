/* test_tls_arena.c - OpenSSL's allocator.
 * Runs in: the test runner. Trusts: nothing. Never: talks to a socket. */
#include "server/inbound/tls_arena.h"

#include <criterion/criterion.h>
#include <stdint.h>
#include <string.h>

Test(test_tls_arena, blocks_are_aligned_and_do_not_overlap) {
    enum { N = 600 };
    static uint8_t *blocks[N];
    static size_t sizes[N];
    for (size_t i = 0; i < N; i++) {
        sizes[i] = 1 + i * 7 % 3000;
        blocks[i] = tls_arena_take(sizes[i]);
        cr_assert_not_null(blocks[i]);
        cr_assert_eq((uintptr_t)blocks[i] % TLS_ARENA_ALIGNMENT, 0);
        memset(blocks[i], (int)(i % 251), sizes[i]);
    }
    for (size_t i = 0; i < N; i++)
        for (size_t k = 0; k < sizes[i]; k++) cr_assert_eq(blocks[i][k], i % 251);
    for (size_t i = 0; i < N; i++) tls_arena_give(blocks[i]);
}

Test(test_tls_arena, what_comes_back_is_used_again) {
    void *first = tls_arena_take(1000);
    tls_arena_give(first);
    size_t used = tls_arena_used();
    for (int i = 0; i < 10000; i++) {
        void *p = tls_arena_take(900 + (size_t)i % 100);
        cr_assert_not_null(p);
        tls_arena_give(p);
    }
    cr_assert_leq(tls_arena_used(), used + 2048);
}

Test(test_tls_arena, resize_keeps_the_contents) {
    char *p = tls_arena_take(10);
    memcpy(p, "123456789", 10);
    for (size_t n = 11; n < 100000; n *= 2) {
        p = tls_arena_resize(p, n);
        cr_assert_not_null(p);
        cr_assert_str_eq(p, "123456789");
    }
    cr_assert_null(tls_arena_resize(p, 0));
    p = tls_arena_resize(NULL, 5);
    cr_assert_not_null(p);
    tls_arena_give(p);
    tls_arena_give(NULL);
}

Test(test_tls_arena, exhaustion_is_null_and_not_the_end) {
    void *small = tls_arena_take(100);
    cr_assert_null(tls_arena_take(0));
    cr_assert_null(tls_arena_take(SIZE_MAX));
    cr_assert_null(tls_arena_take(TLS_ARENA_BYTES + 1));
    size_t n = 0;
    while (tls_arena_take(1 << 20)) n++;
    cr_assert_geq(n, 6);
    cr_assert_null(tls_arena_resize(small, 2 << 20));
    cr_assert_leq(tls_arena_used(), TLS_ARENA_BYTES);
    tls_arena_give(small);
    cr_assert_eq(tls_arena_take(100), small);
}

Test(test_tls_arena, after_the_seal_old_blocks_stay_untouched) {
    uint8_t *old = tls_arena_take(500);
    uint8_t *freed = tls_arena_take(500);
    memset(old, 7, 500);
    tls_arena_give(freed);
    tls_arena_seal();
    cr_assert_eq(tls_arena_used() % 4096, 0);
    uint8_t *fresh = tls_arena_take(500);
    cr_assert_neq(fresh, freed, "the free lists start anew");
    tls_arena_give(old);
    for (size_t i = 0; i < 500; i++) cr_assert_eq(old[i], 7, "a page shared with the parent was written");
    cr_assert_neq(tls_arena_take(500), old);
}

Test(test_tls_arena, giving_back_twice_is_a_bug, .signal = 6) {
    void *p = tls_arena_take(64);
    tls_arena_give(p);
    tls_arena_give(p);
}

Test(test_tls_arena, a_foreign_block_is_a_bug, .signal = 6) {
    static uint64_t other[64];
    tls_arena_give(other + 8);
}
