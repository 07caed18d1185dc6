/* check_planted.c - faults planted on purpose, as units: `make check` must turn red by each of them (tests/check.sh).
 * Runs in: tests. Trusts: nothing. Never: is built by `make test`. */
#include <criterion/criterion.h>
#include <stdlib.h>

void *volatile check_planted_kept; /* so that the compiler cannot drop what it does not see used */

Test(check_planted, fault) {
    char *octets = malloc(40);
    cr_assert(octets != NULL);
    check_planted_kept = octets;
#if PLANT == 1 /* a leak */
    check_planted_kept = NULL;
#elif PLANT == 2 /* a write out of bounds */
    ((volatile char *)check_planted_kept)[40] = 1;
    free(octets);
#else
    free(octets);
#endif
}
