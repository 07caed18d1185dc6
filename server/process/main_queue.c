/* main_queue.c - the program gatepost-queue.
 * Runs in: queue. Trusts: the master, for its setup. Never: serves before it is confined. */
#include "server/process/confine.h"
#include "store/queue.h"

int main(void) {
    static struct role_start start;
    uint32_t missing;
    if (role_receive(&start) != 0 || role_confine(&start, &missing) != 0) return 1;
    return queue_run(&start, missing);
}
