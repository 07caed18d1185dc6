/* random.c - a stock of the kernel's random octets.
 * Runs in: auth, verifier, queue, which fork nobody. Trusts: the kernel. Never: gives an octet twice, keeps one that
 * was given. */
#include "store/random.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

int random_draw(void *out, size_t n) {
    static uint8_t stock[512];
    static size_t left;
    if (n > RANDOM_MAX) {
        errno = EINVAL;
        return -1;
    }
    if (left < n) {
        /* At most 256 octets come whole, whatever signals there are: getrandom(2). */
        left = 0;
        if (getrandom(stock, 256, 0) != 256 || getrandom(stock + 256, 256, 0) != 256) return -1;
        left = sizeof stock;
    }
    left -= n;
    memcpy(out, stock + left, n);
    explicit_bzero(stock + left, n);
    return 0;
}
