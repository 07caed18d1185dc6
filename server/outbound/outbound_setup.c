/* outbound_setup.c - the setups of delivery and outbound in bytes.
 * Runs in: master, delivery, outbound. Trusts: the master. Never: keeps a copy of the password beyond the setup. */
#include "server/outbound/outbound_setup.h"

#include "store/wire.h"

enum { HOST_MAX = 255, USER_MAX = 512, FILTER_BYTES_MAX = 8192 };

void delivery_setup_put(struct buf *b, const struct delivery_setup *setup) {
    wire_put_span(b, setup->hostname);
    wire_put_u32(b, setup->agents_max);
    wire_put_u32(b, setup->mailboxes_max);
    wire_put_span(b, setup->mailbox_filter);
}

int delivery_setup_get(struct delivery_setup *setup, struct span payload) {
    struct wire w = wire_over(payload);
    setup->hostname = wire_get_span(&w, HOST_MAX);
    setup->agents_max = wire_get_u32(&w);
    setup->mailboxes_max = wire_get_u32(&w);
    setup->mailbox_filter = wire_get_span(&w, FILTER_BYTES_MAX);
    return wire_end(&w) ? 0 : -1;
}

void outbound_setup_put(struct buf *b, const struct outbound_setup *setup) {
    wire_put_span(b, setup->hostname);
    wire_put_span(b, setup->host);
    wire_put_u16(b, setup->port);
    wire_put_u8(b, setup->tls);
    wire_put_u8(b, setup->verify);
    wire_put_span(b, setup->user);
    wire_put_span(b, secret_span(&setup->password));
    wire_put_u32(b, setup->agents_max);
    wire_put_u8(b, setup->clear_password_ok);
}

int outbound_setup_get(struct outbound_setup *setup, struct span payload) {
    struct wire w = wire_over(payload);
    setup->hostname = wire_get_span(&w, HOST_MAX);
    setup->host = wire_get_span(&w, HOST_MAX);
    setup->port = wire_get_u16(&w);
    setup->tls = wire_get_u8(&w);
    setup->verify = wire_get_u8(&w);
    setup->user = wire_get_span(&w, USER_MAX);
    bool fits = secret_set(&setup->password, wire_get_span(&w, SECRET_MAX));
    setup->agents_max = wire_get_u32(&w);
    setup->clear_password_ok = wire_get_u8(&w);
    return fits && wire_end(&w) && setup->tls <= SMARTHOST_TLS_NONE && setup->verify <= 1 ? 0 : -1;
}
