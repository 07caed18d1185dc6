/* queue_setup.h - what the master hands to the queue: payload of MASTER_SETUP. */
#ifndef STORE_QUEUE_SETUP_H
#define STORE_QUEUE_SETUP_H

#include "store/buf.h"

enum { QUEUE_RETRIES_MAX = 64 };

struct queue_setup {
    struct span hostname;
    uint64_t retry_ms[QUEUE_RETRIES_MAX];
    uint32_t n_retry;
    uint64_t expire_ms, reserve_bytes, in_flight_bytes, segment_bytes;
    uint32_t agents_max;
    uint32_t sessions_max;
    uint64_t delay_ms;   /* after which a sender with a login is told that his mail waits; 0: never */
    uint8_t stand_alone; /* no server: answer one control peer on the channel of ROLE_COMMAND, deliver nothing */
};

void queue_setup_put(struct buf *b, const struct queue_setup *setup);
int queue_setup_get(struct queue_setup *setup, struct span payload) MUST_USE;

#endif
