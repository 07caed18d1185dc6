/* main_verifier.c - the program gatepost-verifier.
 * Runs in: verifier. Trusts: the master, for its setup. Never: serves before it is confined. */
#include "auth/verifier.h"
#include "server/process/confine.h"

int main(void) {
    static struct role_start start;
    uint32_t missing;
    if (role_receive(&start) != 0 || role_confine(&start, &missing) != 0) return 1;
    return verifier_run(&start, missing);
}
