/* main_resolver.c - the program gatepost-resolver.
 * Runs in: resolver. Trusts: the master, for its setup. Never: serves before it is confined. */
#include "server/outbound/resolver.h"
#include "server/process/confine.h"

int main(void) {
    static struct role_start start;
    uint32_t missing;
    if (role_receive(&start) != 0 || role_confine(&start, &missing) != 0) return 1;
    return resolver_run(&start, missing);
}
