/* main_pop3.c - the program gatepost-pop3: the listener for POP3 and the sessions that it forks.
 * Runs in: listener. Trusts: the master, for its setup. Never: accepts before it is confined. */
#include "server/inbound/listener.h"
#include "server/inbound/stack.h"
#include "server/process/confine.h"

static int serve(void *context) {
    struct role_start *start = context;
    uint32_t missing;
    if (role_receive(start) != 0 || listener_prepare(start, &session_pop3) != 0 || role_confine(start, &missing) != 0)
        return 1;
    return listener_run(start, missing);
}

int main(void) {
    static struct role_start start;
    return stack_leave(serve, &start);
}
