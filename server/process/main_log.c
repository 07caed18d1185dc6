/* main_log.c - the program gatepost-log.
 * Runs in: log. Trusts: the master, for its setup. Never: serves before it is confined. */
#include "server/process/confine.h"
#include "store/log_writer.h"

int main(void) {
    static struct role_start start;
    uint32_t missing;
    if (role_receive(&start) != 0 || role_confine(&start, &missing) != 0) return 1;
    return log_run(&start, missing);
}
