/* check_planted_server.c - a fault planted in a confined process: linked into one program of a build with sanitizers,
 * it writes out of bounds when that program is ready. `make check` must turn red by it (tests/check.sh).
 * Runs in: tests. Trusts: nothing. Never: is built by `make test`. */
#include <stdint.h>
#include <stdlib.h>

/* The linker's --wrap=role_ready. */
void __real_role_ready(uint32_t missing);
void __wrap_role_ready(uint32_t missing);

void __wrap_role_ready(uint32_t missing) {
    volatile char *octets = malloc(40);
    if (octets) octets[40] = 1;
    free((void *)octets);
    __real_role_ready(missing);
}
