/* queue_setup.c - the queue's setup in the payload of MASTER_SETUP.
 * Runs in: master, queue. Trusts: the master. Never: keeps a default; conf has them. */
#include "store/queue_setup.h"

#include "store/wire.h"

void queue_setup_put(struct buf *b, const struct queue_setup *setup) {
    uint32_t n = setup->n_retry < QUEUE_RETRIES_MAX ? setup->n_retry : QUEUE_RETRIES_MAX;
    wire_put_span(b, setup->hostname);
    wire_put_u32(b, n);
    for (uint32_t i = 0; i < n; i++) wire_put_u64(b, setup->retry_ms[i]);
    wire_put_u64(b, setup->expire_ms);
    wire_put_u64(b, setup->reserve_bytes);
    wire_put_u64(b, setup->in_flight_bytes);
    wire_put_u64(b, setup->segment_bytes);
    wire_put_u32(b, setup->agents_max);
    wire_put_u32(b, setup->sessions_max);
    wire_put_u64(b, setup->delay_ms);
    wire_put_u8(b, setup->stand_alone);
}

int queue_setup_get(struct queue_setup *setup, struct span payload) {
    struct wire w = wire_over(payload);
    *setup = (struct queue_setup){.hostname = wire_get_span(&w, 255)};
    setup->n_retry = wire_get_u32(&w);
    if (setup->n_retry > QUEUE_RETRIES_MAX) return -1;
    for (uint32_t i = 0; i < setup->n_retry; i++) setup->retry_ms[i] = wire_get_u64(&w);
    setup->expire_ms = wire_get_u64(&w);
    setup->reserve_bytes = wire_get_u64(&w);
    setup->in_flight_bytes = wire_get_u64(&w);
    setup->segment_bytes = wire_get_u64(&w);
    setup->agents_max = wire_get_u32(&w);
    setup->sessions_max = wire_get_u32(&w);
    setup->delay_ms = wire_get_u64(&w);
    setup->stand_alone = wire_get_u8(&w);
    return wire_end(&w) ? 0 : -1;
}
