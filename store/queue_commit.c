/* queue_commit.c - the commits of a round: judged, written and synced together, then answered.
 * Runs in: queue. Trusts: auth's envelopes. Never: answers "durable" before the sync has confirmed it. */
#include "store/queue_state.h"

#include "store/clock.h"
#include "store/disk.h"
#include "store/trace.h"

#include <errno.h>
#include <stdlib.h>

enum { BATCH_BUNDLE = JOURNAL_BATCH_RECORDS };

static enum body_outcome judge(struct queue *queue, const struct queue_transaction *transaction) {
    if (transaction->failed) return (enum body_outcome)(transaction->failed - 1);
    if (!transaction->n_recipients || transaction->commit_recipients != transaction->n_indexes) return BODY_REFUSED;
    if (transaction->n_indexes > transaction->envelope.recipients_max) return BODY_REFUSED;
    if (transaction->n_recipients > MESSAGE_RECIPIENTS_MAX || queue->stopped || queue->draining) return BODY_REFUSED;
    return queue->full ? BODY_NO_SPACE : BODY_DURABLE;
}

static void describe(const struct queue_transaction *transaction, struct message *out) {
    *out = (struct message){.number = transaction->number,
                            .arrival_ms = clock_wall_ms(),
                            .flags = transaction->fd >= 0 ? MESSAGE_OWN_FILE : 0,
                            .n_recipients = transaction->n_recipients,
                            .envelope = transaction->envelope,
                            .recipients = span_of(transaction->recipients, transaction->recipients_bytes)};
}

static struct span only_recipient(const struct queue_transaction *transaction) {
    struct recipient only = {0};
    struct wire w = wire_over(span_of(transaction->recipients, transaction->recipients_bytes));
    if (transaction->n_recipients == 1) recipient_get(&w, &only);
    return only.original;
}

/* The record's payload, in memory that the message keeps: head, trace, body. */
static bool compose(struct queue *queue, struct queue_transaction *transaction, struct message *head, struct buf *out,
                    size_t *body_at_out) {
    uint8_t storage[TRACE_MAX];
    struct buf trace = BUF_OVER(storage);
    struct span body = span_of(transaction->body, transaction->fd >= 0 ? 0 : (size_t)transaction->bytes);
    if (!transaction->number) transaction->number = queue_draw_number(queue);
    describe(transaction, head);
    if (transaction->fd < 0)
        trace_put(&trace, head, queue->setup.hostname, only_recipient(transaction), trace_fields(body));
    head->body_bytes = transaction->fd < 0 ? trace.n + body.n : transaction->trace_bytes + transaction->bytes;
    size_t cap = message_bytes(head) + trace.n + body.n;
    *out = buf_over(malloc(cap), cap);
    if (!out->p) return false;
    message_put(out, head);
    *body_at_out = out->n;
    buf_put_span(out, buf_span(&trace));
    buf_put_span(out, body);
    return buf_ok(&trace) && buf_ok(out);
}

/* A body of its own file is durable, and its name, before the record that refers to it is written. */
static bool sync_body(struct queue *queue, const struct queue_transaction *transaction) {
    if (transaction->fd < 0) return true;
    if (disk_calls()->fsync(transaction->fd) == 0 && disk_calls()->fsync(queue->bodies) == 0) return true;
    log_fault("a body cannot be synced", errno);
    return false;
}

/* Adds one transaction to the batch. JOURNAL_FULL: in the next. */
static enum journal_add add(struct queue *queue, struct queue_transaction *transaction) {
    struct record_place place = {0};
    struct message head;
    struct buf b = {0};
    size_t body_at;
    enum journal_add added = JOURNAL_FAILED;
    struct queue_message *message = NULL;
    if (!sync_body(queue, transaction)) goto out;
    /* In memory first: what is in the batch counts. Its recipients parsed when auth sent them. */
    errno = ENOMEM;
    if (!compose(queue, transaction, &head, &b, &body_at) ||
        !(message = queue_message_new(queue, &head, place, b.n, body_at))) {
        log_fault("a message cannot be kept in memory", errno);
        goto out;
    }
    added = journal_add(&queue->journal, RECORD_MESSAGE, buf_span(&b), &place);
    if (added != JOURNAL_ADDED) goto out;
    message->place = place;
    message->resident = b.p;
    queue->resident_bytes += b.n;
    transaction->message = message;
    return added;
out:
    if (message) queue_forget(queue, message);
    free(b.p);
    return added;
}

static void log_queued(const struct queue_transaction *transaction) {
    struct log_line line;
    char name[MESSAGE_NAME_SIZE];
    message_name(transaction->message->number, name);
    log_open(&line, LOG_QUEUED);
    log_span(&line, KEY_SESSION, transaction->envelope.session_name);
    log_text(&line, KEY_MESSAGE, name);
    log_span(&line, KEY_FROM, transaction->envelope.sender);
    log_number(&line, KEY_RECIPIENTS, transaction->n_recipients);
    log_number(&line, KEY_BYTES, transaction->message->body_bytes);
    log_send(&line);
}

static void refuse(struct queue *queue, struct queue_transaction *transaction, enum body_outcome outcome) {
    static const char *const why[] = {"not in order, or a fault of ours", "", "over the size limit", "no space"};
    struct log_line line;
    log_open(&line, LOG_QUEUE_REFUSED);
    log_span(&line, KEY_SESSION, transaction->envelope.session_name);
    log_span(&line, KEY_FROM, transaction->envelope.sender);
    log_number(&line, KEY_BYTES, transaction->bytes);
    log_text(&line, KEY_WHY, why[outcome]);
    log_send(&line);
    queue_session_answer(queue, transaction, outcome, 0);
}

/* Makes it a message of the queue's, and says so to everybody but the session. */
static void settle(struct queue *queue, struct queue_transaction **batched, bool durable) {
    struct queue_transaction *transaction = *batched;
    struct queue_message *message = transaction->message;
    if (!durable || queue_file(queue, message) != 0) {
        enum body_outcome outcome = errno == ENOSPC ? BODY_NO_SPACE : BODY_REFUSED;
        /* Its record may be on the disk all the same: a mark says that it does not count. A file of its own stays
         * until that is durable. */
        queue_mark_gone(queue, message->number, message->flags & MESSAGE_OWN_FILE);
        refuse(queue, transaction, outcome);
        queue_forget(queue, message);
        *batched = NULL;
        return;
    }
    log_queued(transaction);
    queue->accepted++;
    queue_session_closed(queue, transaction, true);
}

static void finish(struct queue *queue, struct queue_transaction *transaction) {
    struct queue_message *message = transaction->message;
    uint64_t number = message->number;
    queue_session_answer(queue, transaction, BODY_DURABLE, number);
    queue_schedule_message(queue, message);
    message = queue_find(queue, number);
    if (message && queue->resident_bytes > QUEUE_RESIDENT_BYTES) queue_unload(queue, message);
}

/* One batch: as many as fit, and the marks that wait. */
static void write_batch(struct queue *queue) {
    struct queue_transaction *batch[BATCH_BUNDLE];
    size_t n = 0;
    bool marks = queue_marks_add(queue) && queue->marks.n;
    while (queue->first_commit && n < BATCH_BUNDLE) {
        struct queue_transaction *transaction = queue->first_commit;
        enum body_outcome outcome = judge(queue, transaction);
        enum journal_add added = outcome == BODY_DURABLE ? add(queue, transaction) : JOURNAL_FAILED;
        if (added == JOURNAL_FULL) break;
        if (!(queue->first_commit = transaction->next_commit)) queue->last_commit = &queue->first_commit;
        transaction->next_commit = NULL;
        if (added == JOURNAL_ADDED)
            batch[n++] = transaction;
        else
            refuse(queue, transaction,
                   outcome == BODY_DURABLE ? errno == ENOSPC ? BODY_NO_SPACE : BODY_REFUSED : outcome);
    }
    if (marks) log_flush(); /* "delivered" is in the log before it is on the disk */
    errno = 0;
    bool durable = journal_flush(&queue->journal) == 0;
    int error = errno;
    if (marks) queue_marks_flushed(queue, durable);
    for (size_t i = 0; i < n; i++) {
        errno = error;
        settle(queue, &batch[i], durable);
    }
    log_flush();
    queue_closed_flush(queue);
    for (size_t i = 0; i < n; i++)
        if (batch[i]) finish(queue, batch[i]);
    if (!durable) queue_space_check(queue, true);
}

void queue_commit_round(struct queue *queue) {
    if (!queue->first_commit) return;
    /* Whatever auth said before the session was answered lies in its channel by now. */
    queue_auth_drain(queue);
    while (queue->first_commit) write_batch(queue);
}
