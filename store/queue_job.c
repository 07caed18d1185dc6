/* queue_job.c - what an agent is told of a message: one sender, and recipients of one destination.
 * Runs in: queue. Trusts: the stored envelope. Never: sends a copy under another sender than auth wrote. */
#include "store/queue_state.h"

static bool may_go(const struct queue_recipient *known, uint16_t part) {
    return known->part == part && known->state == RECIPIENT_WAITING && !known->in_job;
}

/* A job has one sender: that of the first recipient that waits. */
static struct span sender_of(const struct queue_part *part, const struct message *head) {
    const struct queue_message *message = part->message;
    uint16_t index = (uint16_t)(part - message->parts);
    struct wire w = wire_over(head->recipients);
    for (uint32_t i = 0; i < message->n_recipients; i++) {
        struct recipient recipient;
        recipient_get(&w, &recipient);
        if (may_go(&message->recipients[i], index)) return recipient_sender(&recipient, &head->envelope);
    }
    return head->envelope.sender;
}

/* Puts the recipients of the part that wait, have this sender and fit; they are in the job from now on. */
static uint16_t put_recipients(struct buf *b, struct queue_part *part, const struct message *head,
                               struct span sender) {
    struct queue_message *message = part->message;
    uint16_t index = (uint16_t)(part - message->parts), n = 0;
    struct wire w = wire_over(head->recipients);
    for (uint32_t i = 0; i < message->n_recipients; i++) {
        struct queue_recipient *known = &message->recipients[i];
        struct recipient recipient;
        recipient_get(&w, &recipient);
        if (!may_go(known, index) || !span_equal(recipient_sender(&recipient, &head->envelope), sender)) continue;
        if (n == QUEUE_JOB_RECIPIENTS || b->n > FRAME_BODY_MAX - 8192) break;
        wire_put_u16(b, (uint16_t)i);
        wire_put_span(b, recipient.address);
        wire_put_span(b, recipient.original);
        wire_put_u8(b, recipient.notify);
        wire_put_span(b, recipient.orcpt);
        known->in_job = 1;
        n++;
    }
    return n;
}

bool queue_job_put(struct buf *b, const struct queue_job *job) {
    struct queue_message *message = job->part->message;
    struct message head;
    char name[MESSAGE_NAME_SIZE];
    queue_head(message, &head);
    message_name(message->number, name);
    struct span sender = sender_of(job->part, &head);
    wire_put_u64(b, job->number);
    wire_put_u8(b, job->part->again != 0);
    wire_put_u64(b, message->arrival_ms / 1000);
    wire_put_text(b, name);
    wire_put_u8(b, (uint8_t)((head.envelope.flags & ENVELOPE_8BIT ? JOB_8BIT : 0) |
                             (head.envelope.flags & ENVELOPE_UTF8 ? JOB_UTF8 : 0)));
    wire_put_u8(b, head.envelope.dsn_return);
    wire_put_span(b, head.envelope.envid);
    wire_put_span(b, sender);
    wire_put_u64(b, message->body_bytes);
    size_t count_at = b->n;
    wire_put_u16(b, 0);
    uint16_t n = put_recipients(b, job->part, &head, sender);
    if (!n || !buf_ok(b)) return false;
    b->p[count_at] = (uint8_t)n, b->p[count_at + 1] = (uint8_t)(n >> 8);
    return true;
}
