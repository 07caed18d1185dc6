/* test_record.c - records are valid where they were written, whole, and nowhere else.
 * Runs in: the test runner. Trusts: nothing. Never: touches a file. */
#include "store/record.h"

#include <criterion/criterion.h>

static const uint8_t key[RECORD_KEY_BYTES] = {1, 2, 3}, other_key[RECORD_KEY_BYTES] = {1, 2, 4};
static const struct record_place place = {5, 64};
static uint8_t octets[RECORD_HEAD_BYTES + 16];

static struct span sealed(void) {
    struct record record = {place, 9, RECORD_MESSAGE, SPAN("a payload")};
    record_seal(key, &record, octets);
    memcpy(octets + RECORD_HEAD_BYTES, record.payload.p, record.payload.n);
    return span_of(octets, record_bytes(record.payload.n));
}

Test(record, opens_where_it_was_written) {
    struct record out;
    cr_assert(record_open(key, sealed(), place, &out));
    cr_assert_eq(out.sequence, 9);
    cr_assert_eq(out.type, RECORD_MESSAGE);
    cr_assert(span_equal(out.payload, SPAN("a payload")));
}

Test(record, is_void_elsewhere) {
    struct record out;
    struct span s = sealed();
    cr_assert_not(record_open(other_key, s, place, &out));
    cr_assert_not(record_open(key, s, (struct record_place){5, 72}, &out));
    cr_assert_not(record_open(key, s, (struct record_place){6, 64}, &out));
    cr_assert_not(record_open(key, s, (struct record_place){RECORD_FILE, 64}, &out));
}

Test(record, every_flipped_bit_and_every_cut_is_seen) {
    struct record out;
    struct span s = sealed();
    size_t n = RECORD_HEAD_BYTES + 9;
    for (size_t bit = 0; bit < 8 * n; bit++) {
        octets[bit / 8] ^= (uint8_t)(1U << bit % 8);
        cr_assert_not(record_open(key, s, place, &out), "bit %zu", bit);
        octets[bit / 8] ^= (uint8_t)(1U << bit % 8);
    }
    for (size_t cut = 0; cut < n; cut++)
        cr_assert_not(record_open(key, span_part(s, 0, cut), place, &out), "cut at %zu", cut);
    cr_assert(record_open(key, s, place, &out));
}

Test(record, sizes_are_padded) {
    cr_assert_eq(record_bytes(0), RECORD_HEAD_BYTES);
    cr_assert_eq(record_bytes(1), RECORD_HEAD_BYTES + 8);
    cr_assert_eq(record_bytes(8), RECORD_HEAD_BYTES + 8);
}
