/* main_outbound.c - the program gatepost-outbound.
 * Runs in: outbound. Trusts: the master, for its setup. Never: serves before it is confined. */
#include "server/outbound/outbound.h"
#include "server/process/confine.h"

int main(void) {
    static struct role_start start;
    uint32_t missing;
    if (role_receive(&start) != 0 || outbound_prepare(&start) != 0 || role_confine(&start, &missing) != 0) return 1;
    return outbound_run(&start, missing);
}
