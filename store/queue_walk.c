/* queue_walk.c - all messages, a little in each round.
 * Runs in: queue. Trusts: nothing of the peer's pace. Never: keeps a message from ending, has more of an answer in
 * memory than one visit makes. */
#include "store/queue_walk.h"

#include "store/clock.h"

#include <stdlib.h>

enum { WALK_AT_ONCE = 4096, WALK_US = 500, WALK_LOOK = 16, SIGN_MS = 5000 };

static enum queue_step look(struct queue_walk *walk) {
    struct queue_message *message = walk->at;
    struct message head;
    walk->at = walk->filter.one ? NULL : message->next;
    walk->looked_at++;
    if (message->number > walk->until || !queue_filter_fits(&walk->filter, message)) return STEP_ON;
    bool wanted = queue_filter_wants_head(&walk->filter);
    bool readable = (wanted || walk->heads) && queue_head_read(walk->queue, message, &head);
    if (wanted && !(readable && queue_filter_fits_head(&walk->filter, message, &head))) return STEP_ON;
    return walk->visit(walk, message, readable && walk->heads ? &head : NULL);
}

/* Who asked hears from us now and then, so that he does not take us for dead. */
static void give_sign(struct queue_walk *walk) {
    static struct control_row empty;
    if (clock_ms() - walk->sent_ms < SIGN_MS) return;
    control_row_open(&empty);
    (void)queue_walk_send(walk, &empty);
}

static void more(void *context, struct control_peer *peer, void *state) {
    struct queue_walk *walk = state;
    uint64_t begin = clock_us();
    enum queue_step step = STEP_ON;
    (void)context;
    (void)peer;
    for (unsigned i = 0; step == STEP_ON && i < WALK_AT_ONCE; i++) {
        if (walk->inside)
            step = walk->inside(walk);
        else if (walk->at)
            step = look(walk);
        else
            break;
        if (i % WALK_LOOK == WALK_LOOK - 1 && clock_us() - begin >= WALK_US) break;
    }
    queue_head_rest();
    if (step == STEP_ON && !walk->at && !walk->inside)
        (void)walk->close(walk);
    else if (step != STEP_OVER)
        give_sign(walk);
}

static void release(void *context, void *state) {
    struct queue *queue = context;
    struct queue_walk *walk = state, **at = &queue->answers;
    while (*at != walk) at = &(*at)->next;
    *at = walk->next;
    if (walk->release) walk->release(walk);
    free(walk);
}

void queue_walk_begin(struct queue *queue, struct control_peer *peer, struct queue_walk *walk) {
    walk->queue = queue, walk->peer = peer;
    walk->next = queue->answers;
    queue->answers = walk;
    walk->at = walk->filter.one ? queue_find(queue, walk->filter.number) : queue->oldest;
    walk->until = queue->last_number;
    walk->sent_ms = clock_ms();
    control_later(peer, more, release, walk);
}

void queue_walk_left(struct queue *queue, const struct queue_message *message) {
    for (struct queue_walk *walk = queue->answers; walk; walk = walk->next)
        if (walk->at == message) walk->at = walk->filter.one ? NULL : message->next;
}

enum queue_step queue_walk_send(struct queue_walk *walk, struct control_row *row) {
    walk->sent_ms = clock_ms();
    return control_row_send(row, walk->peer) && !control_waits(walk->peer) ? STEP_ON : STEP_PAUSE;
}
