/* test_random.c - portions of the stock are whole, differ, and are not kept. */
#include "store/random.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

enum { DRAWS = 2000, EACH = 16 };

static int by_octets(const void *a, const void *b) {
    return memcmp(a, b, EACH);
}

Test(random, no_portion_comes_twice) {
    static uint8_t drawn[DRAWS][EACH];
    unsigned ones = 0;
    for (size_t i = 0; i < DRAWS; i++) {
        cr_assert_eq(random_draw(drawn[i], EACH), 0);
        for (size_t j = 0; j < EACH; j++) ones += (unsigned)__builtin_popcount(drawn[i][j]);
    }
    /* 256,000 fair coins: further than 8 standard deviations off is no chance. */
    cr_expect(ones > 128000 - 8 * 253 && ones < 128000 + 8 * 253, "%u ones", ones);
    qsort(drawn, DRAWS, EACH, by_octets);
    for (size_t i = 1; i < DRAWS; i++) cr_expect(memcmp(drawn[i - 1], drawn[i], EACH) != 0);
}

Test(random, portions_of_other_sizes_fit) {
    uint8_t octets[RANDOM_MAX + 1] = {0}, zero[RANDOM_MAX] = {0};
    for (size_t n = 8; n <= RANDOM_MAX; n += 7) {
        memset(octets, 0, sizeof octets);
        cr_assert_eq(random_draw(octets, n), 0);
        cr_expect(memcmp(octets, zero, n) != 0);
        cr_expect_eq(octets[n], 0);
    }
    cr_expect_eq(random_draw(octets, RANDOM_MAX + 1), -1);
    cr_expect_eq(errno, EINVAL);
}
