/* body.c - a message's octets from the client, through the automaton, to the queue.
 * Runs in: session. Trusts: nothing in the octets. Never: loses step, keeps a message whole. */
#include "server/inbound/body.h"

#include "server/lab/fault_smtp.h"
#include "store/clock.h"

enum {
    FALSE_END_MS = 5000,
    SEND_AT = 32 << 10,
    SPARE = 4
}; /* what the automaton may hold back, and a line end at the last */

static enum client_status fill(uint64_t data_ms, uint64_t session_deadline_ms) {
    uint64_t deadline = clock_ms() + data_ms;
    return client_fill(deadline < session_deadline_ms ? deadline : session_deadline_ms, false);
}

/* At most n of the octets that are there. False: the queue is gone. */
static bool pass(struct smtp *smtp, uint64_t n, size_t *taken_out) {
    struct buf *body = smtp->body;
    struct span rest = client_rest();
    size_t room = body->cap - body->n - SPARE, before = body->n;
    *taken_out = data_take(&smtp->data, span_part(rest, 0, n < room ? (size_t)n : room), body);
    if (smtp->from) from_take(smtp->from, span_from(buf_span(body), before));
    client_take(*taken_out);
    return body->n < SEND_AT || ask_body_send();
}

static size_t drop(uint64_t n) {
    size_t there = client_rest().n;
    if (n < there) there = (size_t)n;
    client_take(there);
    return there;
}

enum client_status body_take(struct smtp *smtp, bool chunk, uint64_t data_ms, uint64_t session_deadline_ms) {
    uint64_t left = chunk ? smtp->chunk_bytes : UINT64_MAX;
    while (left > 0) {
        size_t taken = 0;
        if (client_rest().n == 0) {
            bool ended = !chunk && data_ends_falsely(&smtp->data) && data_ms > FALSE_END_MS;
            enum client_status status = fill(ended ? FALSE_END_MS : data_ms, session_deadline_ms);
            if (status != CLIENT_FINE) return status;
        }
        if (chunk && smtp->chunk_dropped)
            taken = drop(left);
        else if (!pass(smtp, left, &taken))
            return CLIENT_ALONE;
        if (!(chunk && smtp->chunk_dropped) && fault_smtp_octets(smtp, taken) != FAULT_GO_ON) return CLIENT_GONE;
        if (chunk)
            left -= taken;
        else if (smtp->data.state == DATA_END)
            break;
    }
    return CLIENT_FINE;
}
