/* main_delivery.c - the program gatepost-delivery.
 * Runs in: delivery. Trusts: the master, for its setup. Never: serves before it is confined. */
#include "server/outbound/delivery.h"
#include "server/process/confine.h"

int main(void) {
    static struct role_start start;
    uint32_t missing;
    if (role_receive(&start) != 0 || role_confine(&start, &missing) != 0) return 1;
    return delivery_run(&start, missing);
}
