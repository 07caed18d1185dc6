/* route.c - where reports and notices of the queue's own go.
 * Runs in: auth. Trusts: the queue. Never: sends a notice to anybody but the postmaster. */
#include "auth/route.h"

#include "auth/facts.h"
#include "store/log.h"
#include "store/message.h"

#include <errno.h>

enum { ROUTE_HEAD_BYTES = 9 };

/* `b` has room for the head at its beginning, and keeps it. False: the queue asks again. */
static bool send_route(struct auth *auth, uint64_t request, struct buf *b, enum route_outcome outcome) {
    uint8_t storage[ROUTE_HEAD_BYTES];
    struct buf head = BUF_OVER(storage);
    struct auth_link *queue = auth_find_link(auth, ROLE_QUEUE, 0);
    wire_put_u64(&head, request);
    wire_put_u8(&head, (uint8_t)outcome);
    memcpy(b->p, storage, sizeof storage);
    bool ok = queue && buf_ok(b) && auth_tell(queue, ROUTE_RESULT, buf_span(b), -1);
    if (queue && !ok) log_fault("answering the queue", errno);
    b->n = sizeof storage;
    return ok;
}

int route_request(struct auth *auth, struct frame *frame) {
    static uint8_t storage[FRAME_BODY_MAX];
    struct buf b = BUF_OVER(storage);
    struct wire w = wire_over(frame->body);
    uint64_t request = wire_get_u64(&w);
    uint8_t purpose = wire_get_u8(&w);
    struct span address = wire_get_span(&w, ENVELOPE_TEXT_MAX);
    if (!wire_end(&w) || (purpose != ROUTE_BOUNCE && purpose != ROUTE_NOTICE)) return -1;
    if ((purpose == ROUTE_NOTICE) != (address.n == 0)) return -1; /* neither door takes what is the other's */
    struct expansion *ends = &auth->ends;
    enum expand_outcome outcome = facts_route(&auth->house, address, ends);
    b.n = ROUTE_HEAD_BYTES;
    for (size_t i = 0; outcome == EXPAND_FOUND && i < ends->n; i++) {
        const struct expansion_entry *entry = &ends->entries[i];
        bool abroad = entry->kind != DESTINATION_MAILDIR;
        if (entry->kind == DESTINATION_NONE || (abroad && auth->setup.foreign == DESTINATION_NONE)) continue;
        if (b.cap - b.n < ROUTE_RECIPIENT_MAX && !send_route(auth, request, &b, ROUTE_MORE)) return 0;
        struct key mailbox;
        struct recipient end = {.original = span_of(entry->address, entry->address_n)};
        expand_way(&auth->house, entry, &mailbox, &end);
        recipient_put(&b, &end);
    }
    (void)send_route(auth, request, &b, outcome == EXPAND_FAILED ? ROUTE_LATER : ROUTE_WHOLE);
    return 0;
}
