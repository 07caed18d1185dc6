/* main_policy.c - the program gatepost-policy.
 * Runs in: policy. Trusts: the master, for its setup. Never: serves before it is confined. */
#include "server/inbound/policy.h"
#include "server/process/confine.h"

int main(void) {
    static struct role_start start;
    uint32_t missing;
    if (role_receive(&start) != 0 || role_confine(&start, &missing) != 0) return 1;
    return policy_run(&start, missing);
}
