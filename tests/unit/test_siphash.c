/* test_siphash.c - the vector of the paper's appendix A, and the first and last of its reference code's. */
#include "auth/siphash.h"

#include <criterion/criterion.h>

Test(siphash, is_what_the_paper_says) {
    static const struct {
        size_t n;
        uint64_t hash;
    } rows[] = {{0, 0x726fdb47dd0e0e31}, {15, 0xa129ca6149be45e5}, {63, 0x958a324ceb064572}};
    uint8_t key[SIPHASH_KEY_BYTES], text[64];
    for (size_t i = 0; i < sizeof key; i++) key[i] = (uint8_t)i;
    for (size_t i = 0; i < sizeof text; i++) text[i] = (uint8_t)i;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        cr_expect_eq(siphash(key, span_of(text, rows[i].n)), rows[i].hash, "%zu octets: %llx", rows[i].n,
                     (unsigned long long)siphash(key, span_of(text, rows[i].n)));
    key[15]++;
    cr_expect_neq(siphash(key, span_of(text, 15)), 0xa129ca6149be45e5);
}
