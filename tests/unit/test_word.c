/* test_word.c - how near two words are.
 * Runs in: the test runner. Trusts: nothing. Never: needs a file. */
#include "store/word.h"

#include <criterion/criterion.h>
#include <stdint.h>
#include <string.h>

Test(word, distance) {
    char long_word[66];
    memset(long_word, 'a', 65), long_word[65] = 0;
    cr_expect_eq(word_distance("hostname", "hostname"), 0);
    cr_expect_eq(word_distance("hostnam", "hostname"), 1);
    cr_expect_eq(word_distance("hsotname", "hostname"), 1);
    cr_expect_eq(word_distance("kitten", "sitting"), 3);
    cr_expect_eq(word_distance("", "abc"), 3);
    cr_expect_eq(word_distance(long_word, "a"), SIZE_MAX);
    cr_expect_eq(word_distance(long_word + 1, "a"), 63);
}
