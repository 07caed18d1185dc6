/* main_keys.c - the program gatepost-keys.
 * Runs in: keys. Trusts: the master, for its setup. Never: serves before it is confined. */
#include "auth/keys.h"
#include "server/process/confine.h"

int main(void) {
    static struct role_start start;
    uint32_t missing;
    if (role_receive(&start) != 0 || keys_prepare(&start) != 0 || role_confine(&start, &missing) != 0) return 1;
    return keys_run(&start, missing);
}
