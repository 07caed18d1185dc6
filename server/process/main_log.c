/* main_log.c - the program gatepost-log.
 * Runs in: log. Trusts: the master, for its setup. Never: serves before it is confined. */
#include "store/log_writer.h"
#include "server/process/confine.h"

int main(void) {
    static struct role_start start;
    uint32_t missing;
    if (role_receive(&start) != 0 || role_confine(&start, &missing) != 0) return 1;
    return log_run(&start, missing);
}
