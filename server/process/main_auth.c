/* main_auth.c - the program gatepost-auth.
 * Runs in: auth. Trusts: the master, for its setup. Never: serves before it is confined. */
#include "auth/auth.h"
#include "server/process/confine.h"

int main(void) {
    static struct role_start start;
    uint32_t missing;
    if (role_receive(&start) != 0 || role_confine(&start, &missing) != 0) return 1;
    return auth_run(&start, missing);
}
