/* log_setup.c - the log writer's setup in bytes.
 * Runs in: master, log writer. Trusts: the master. Never: allocates. */
#include "store/log_setup.h"

#include "store/wire.h"

void log_setup_put(struct buf *b, const struct log_setup *setup) {
    wire_put_u8(b, setup->syslog);
    wire_put_u8(b, setup->json);
    wire_put_u8(b, setup->warnings_only);
    wire_put_span(b, setup->socket);
}

int log_setup_get(struct log_setup *setup, struct span payload) {
    struct wire w = wire_over(payload);
    setup->syslog = wire_get_u8(&w);
    setup->json = wire_get_u8(&w);
    setup->warnings_only = wire_get_u8(&w);
    setup->socket = wire_get_span(&w, LOG_SOCKET_MAX);
    return wire_end(&w) && setup->syslog <= 1 && setup->json <= 1 && setup->warnings_only <= 1 ? 0 : -1;
}
