/* queue_list.c - what the command line is shown of messages: a row each, or all about one.
 * Runs in: queue. Trusts: nothing in an envelope. Never: reads a body. */
#include "store/queue_list.h"

#include "store/clock.h"
#include "store/queue_walk.h"

#include <stdlib.h>

static struct control_row row; /* too large for a stack */

static uint64_t next_of(const struct queue_message *message) {
    uint64_t next = UINT64_MAX;
    for (uint16_t i = 0; i < message->n_parts; i++) {
        uint64_t at = queue_part_next_ms(&message->parts[i]);
        if (at && at < next) next = at;
    }
    return next == UINT64_MAX ? 0 : next;
}

static struct span sender_of(const struct message *head) {
    return head->envelope.sender.n ? head->envelope.sender : SPAN("<>");
}

/* The first that is not done. */
static struct span first_recipient(const struct queue_message *message, const struct message *head) {
    struct wire w = wire_over(head->recipients);
    struct recipient recipient = {0};
    for (uint32_t i = 0; i < message->n_recipients; i++) {
        recipient_get(&w, &recipient);
        if (message->recipients[i].state != RECIPIENT_DONE) break;
    }
    return recipient.address;
}

const struct queue_note *queue_note_of(const struct queue_message *message, uint32_t index) {
    const struct queue_recipient *known = &message->recipients[index];
    const struct queue_destination *destination = message->parts[known->part].destination;
    if (known->note || known->state != RECIPIENT_WAITING || !destination->failures) return known->note;
    return destination->note;
}

static const struct queue_note *first_note(const struct queue_message *message) {
    const struct queue_note *note = NULL;
    for (uint32_t i = 0; i < message->n_recipients && !note; i++)
        if (message->recipients[i].state != RECIPIENT_DONE) note = queue_note_of(message, i);
    return note;
}

/* `head` is NULL where the message cannot be read. */
void queue_list_put(struct control_row *to, const struct queue_message *message, const struct message *head) {
    char name[MESSAGE_NAME_SIZE];
    unsigned attempts = 0;
    message_name(message->number, name);
    for (uint16_t i = 0; i < message->n_parts; i++)
        if (message->parts[i].attempts > attempts) attempts = message->parts[i].attempts;
    control_row_open(to);
    control_row_text(to, "id", span_text(name));
    control_row_time(to, "arrived", message->arrival_ms);
    control_row_number(to, "bytes", message->body_bytes);
    control_row_text(to, "state", span_text(head ? queue_doing_name(queue_doing(message)) : "unreadable"));
    control_row_text(to, "sender", head ? sender_of(head) : (struct span){0});
    control_row_text(to, "recipient", head ? first_recipient(message, head) : (struct span){0});
    control_row_number(to, "recipients", message->n_open);
    control_row_number(to, "attempts", attempts);
    control_row_time(to, "next", next_of(message));
}

struct listing {
    struct queue_walk walk;
    uint64_t left, found;
};

static enum queue_step list_one(struct queue_walk *walk, struct queue_message *message, const struct message *head) {
    struct listing *listing = (struct listing *)walk;
    if (!listing->left) {
        control_end(walk->peer, CONTROL_OK, "there may be more");
        return STEP_OVER;
    }
    listing->left--;
    listing->found++;
    queue_list_put(&row, message, head);
    control_row_text(&row, "why", queue_note_diagnostic(first_note(message)));
    return queue_walk_send(walk, &row);
}

static enum queue_step list_close(struct queue_walk *walk) {
    bool missed = walk->filter.one && !((struct listing *)walk)->found;
    control_end(walk->peer, missed ? CONTROL_NOT_FOUND : CONTROL_OK, missed ? "no such message" : "");
    return STEP_OVER;
}

void queue_list_answer(struct queue *queue, struct control_peer *peer, const struct control_request *request) {
    char why[QUEUE_FILTER_WHY];
    struct span limit = control_argument(request, "limit");
    struct listing *listing = calloc(1, sizeof *listing);
    if (!listing) {
        control_end(peer, CONTROL_FAILED, "no memory");
        return;
    }
    listing->left = UINT64_MAX;
    if (limit.n && !span_number(limit, UINT32_MAX, &listing->left)) {
        control_end(peer, CONTROL_USAGE, "limit is not a number");
    } else if (!queue_filter_read(request, clock_wall_ms(), &listing->walk.filter, why)) {
        control_end(peer, CONTROL_USAGE, why);
    } else {
        listing->walk.visit = list_one, listing->walk.close = list_close, listing->walk.heads = true;
        queue_walk_begin(queue, peer, &listing->walk);
        return;
    }
    free(listing);
}

void queue_list_recipient(struct control_row *to, const struct queue_message *message, uint32_t index,
                          const struct recipient *recipient) {
    static const char *const states[RECIPIENT_STATES] = {"waiting", "delivered", "relayed", "failed", "done"};
    const struct queue_recipient *known = &message->recipients[index];
    const struct queue_part *part = &message->parts[known->part];
    const struct queue_note *note = queue_note_of(message, index);
    bool waits = known->state == RECIPIENT_WAITING, active = part->state == PART_ACTIVE;
    const char *state = !waits ? states[known->state] : active ? "active" : states[RECIPIENT_WAITING];
    if (waits && !active && message->hold == HOLD_HELD) state = "held";
    control_row_open(to);
    control_row_text(to, "recipient", recipient->address);
    control_row_text(to, "original", recipient->original);
    control_row_text(to, "kind", span_text(queue_kind_name(recipient->kind)));
    control_row_text(to, "destination", recipient->destination);
    control_row_text(to, "state", span_text(state));
    control_row_number(to, "attempts", part->attempts);
    control_row_time(to, "next", waits ? queue_part_next_ms(part) : 0);
    control_row_text(to, "status", note ? span_text(note->status) : (struct span){0});
    control_row_text(to, "why", queue_note_diagnostic(note));
    control_row_text(to, "remote", queue_note_remote(note));
}

void queue_list_envelope(struct control_row *to, const struct queue *queue, const struct queue_message *message,
                         const struct message *head) {
    char client[NETADDR_TEXT_MAX];
    bool held = message->hold == HOLD_HELD;
    queue_list_put(to, message, head);
    if (!head) return;
    control_row_time(to, "expires", held ? 0 : message->arrival_ms + queue->setup.expire_ms);
    control_row_text(to, "session", head->envelope.session_name);
    control_row_text(to, "client", span_text(netaddr_text(&head->envelope.client, client)));
    control_row_text(to, "helo", head->envelope.helo);
    control_row_text(to, "login", head->envelope.principal);
}

void queue_show_answer(struct queue *queue, struct control_peer *peer, const struct control_request *request) {
    struct span id = control_argument(request, "id");
    uint64_t number = 0;
    struct message head;
    struct queue_message *message = message_number(id, &number) ? queue_find(queue, number) : NULL;
    if (!message) {
        control_end(peer, id.n ? CONTROL_NOT_FOUND : CONTROL_USAGE, id.n ? "no such message" : "which message?");
        return;
    }
    bool resident = message->resident, readable = queue_load(queue, message);
    if (readable) queue_head(message, &head);
    queue_list_envelope(&row, queue, message, readable ? &head : NULL);
    (void)control_row_send(&row, peer);
    struct wire w = wire_over(readable ? head.recipients : (struct span){0});
    for (uint32_t i = 0; readable && i < head.n_recipients; i++) {
        struct recipient recipient;
        recipient_get(&w, &recipient);
        queue_list_recipient(&row, message, i, &recipient);
        (void)control_row_send(&row, peer);
    }
    if (!resident) queue_unload(queue, message);
    control_end(peer, CONTROL_OK, "");
}
