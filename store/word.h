/* word.h - words that people type: which one was meant. */
#ifndef STORE_WORD_H
#define STORE_WORD_H

#include <stddef.h>

/* Insertions, deletions, changes and swaps of neighbours that make one word of the other; SIZE_MAX for words of more
 * than 64 octets. */
size_t word_distance(const char *a, const char *b);

#endif
