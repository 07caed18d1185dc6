/* word.c - how near two words are.
 * Runs in: the command line. Trusts: nothing in the words. Never: allocates. */
#include "store/word.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum { WORD_MAX = 64 };

size_t word_distance(const char *a, const char *b) {
    size_t n_a = strlen(a), n_b = strlen(b);
    size_t rows[3][WORD_MAX + 1];
    if (n_a > WORD_MAX || n_b > WORD_MAX) return SIZE_MAX;
    for (size_t j = 0; j <= n_b; j++) rows[0][j] = j;
    for (size_t i = 1; i <= n_a; i++) {
        size_t *row = rows[i % 3], *above = rows[(i + 2) % 3], *above_that = rows[(i + 1) % 3];
        row[0] = i;
        for (size_t j = 1; j <= n_b; j++) {
            size_t best = above[j - 1] + (a[i - 1] != b[j - 1]);
            if (above[j] + 1 < best) best = above[j] + 1;
            if (row[j - 1] + 1 < best) best = row[j - 1] + 1;
            bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
            if (swapped && above_that[j - 2] + 1 < best) best = above_that[j - 2] + 1;
            row[j] = best;
        }
    }
    return rows[n_a % 3][n_b];
}
