/* random.h - random octets in small portions: a call into the kernel now and then instead of each time. */
#ifndef STORE_RANDOM_H
#define STORE_RANDOM_H

#include "store/span.h"

enum { RANDOM_MAX = 64 };

/* n octets (at most RANDOM_MAX) of a stock that getrandom(2) fills; each is given once and wiped. Not across a fork:
 * parent and child would draw the same. 0, or -1 with errno. */
int random_draw(void *out, size_t n) MUST_USE;

#endif
