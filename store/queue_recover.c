/* queue_recover.c - what was accepted and is not done, read back after a start.
 * Runs in: queue. Trusts: records whose MAC fits. Never: queues a message that has no such record. */
#include "store/queue_state.h"

#include "store/clock.h"
#include "store/disk.h"
#include "store/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

struct recovery {
    struct queue *queue;
    uint64_t damaged, removed;
    int directory;
    char prefix[4];
};

static void damaged(struct recovery *recovery, const char *file, const char *why) {
    struct log_line line;
    log_open(&line, LOG_DAMAGED);
    log_text(&line, KEY_FILE, file);
    log_text(&line, KEY_WHY, why);
    log_send(&line);
    recovery->damaged++;
}

static void apply(struct queue_message *message, const struct mark *mark) {
    bool reopened = (mark->again & MARK_REOPENED) != 0;
    if (mark->again & (MARK_HELD | MARK_RELEASED) && mark->index != MARK_ALL)
        message->hold = mark->again & MARK_HELD ? HOLD_HELD : HOLD_RELEASED;
    if (reopened) message->delay_told = false;
    for (uint32_t i = 0; i < message->n_recipients; i++) {
        struct queue_recipient *recipient = &message->recipients[i];
        struct queue_part *part = &message->parts[recipient->part];
        if (mark->index != MARK_ALL && mark->index != i) continue;
        if (recipient->state == RECIPIENT_DONE) {
            if (!reopened || mark->state == RECIPIENT_WAITING) continue;
            recipient->state = RECIPIENT_WAITING;
            message->n_open++;
        }
        if (mark->state < recipient->state) continue; /* an older mark than the states in its file */
        recipient->state = mark->state;
        if (mark->state == RECIPIENT_DONE) message->n_open--;
        if (mark->attempts >= part->attempts) part->attempts = mark->attempts, part->next_ms = mark->next_ms;
        part->again |= mark->again & MARK_AGAIN;
        message->delay_told |= (mark->again & MARK_DELAY_TOLD) != 0;
        if (mark->diagnostic.n || mark->status.n)
            queue_note_set(&recipient->note, queue_note_new(mark->status, mark->diagnostic, mark->remote));
    }
}

static void apply_all(struct queue *queue, struct span marks, uint64_t segment) {
    struct wire w = wire_over(marks);
    struct mark mark;
    while (w.rest.n && !w.bad) {
        mark_get(&w, &mark);
        struct queue_message *message = w.bad ? NULL : queue_find(queue, mark.number);
        if (!message) continue;
        if (!message->marks_from) queue_marks_from(queue, message, segment);
        apply(message, &mark);
    }
}

static int take_message(struct recovery *recovery, struct span payload, struct record_place place) {
    struct queue *queue = recovery->queue;
    struct message head;
    size_t body_at;
    if (!message_get(payload, &head, &body_at)) {
        damaged(recovery, "log", "a message's record does not parse");
        return 0;
    }
    if (queue_find(queue, head.number)) return 0; /* it was moved, and its file is there */
    struct queue_message *message = queue_message_new(queue, &head, place, payload.n, body_at);
    if (!message) {
        damaged(recovery, "log", "a message's recipients do not parse, or no memory");
        return head.n_recipients ? -1 : 0;
    }
    return queue_file(queue, message);
}

static int take_record(void *context, const struct record *record) {
    struct recovery *recovery = context;
    if (record->type == RECORD_MESSAGE) {
        if (take_message(recovery, record->payload, record->place) != 0) return -1;
        struct message head;
        size_t body_at;
        if (message_get(record->payload, &head, &body_at))
            apply_all(recovery->queue, head.marks, record->place.segment);
    }
    if (record->type == RECORD_MARKS) apply_all(recovery->queue, record->payload, record->place.segment);
    return 0;
}

/* One file of deferred/. A file without its whole record was never renamed to this name by us, or is damaged. */
static int take_file(void *context, const char *name) {
    struct recovery *recovery = context;
    struct queue *queue = recovery->queue;
    struct record record;
    uint64_t number;
    if (!message_number(span_text(name), &number)) { /* what a crash left before the rename */
        recovery->removed++;
        return disk_calls()->unlink(recovery->directory, name) == 0 || errno == ENOENT ? 0 : -1;
    }
    int fd = disk_calls()->open(recovery->directory, name, O_RDONLY, 0), result = 0;
    size_t cap = 65536;
    uint8_t *octets = NULL;
    ssize_t n = -1;
    while (fd >= 0) { /* the size is not known before it is read */
        void *grown = realloc(octets, cap);
        if (!grown) break;
        octets = grown;
        n = disk_read(fd, octets, cap, 0);
        if (n < 0 || (size_t)n < cap || cap > 2 * RECORD_PAYLOAD_MAX) break;
        cap *= 4;
    }
    if (n > 0 &&
        record_open(queue->journal.key, span_of(octets, (size_t)n), (struct record_place){RECORD_FILE, number},
                    &record) &&
        record.type == RECORD_DEFERRED) {
        struct span marks, payload = queue_deferred_part(record.payload, &marks);
        result = take_message(recovery, payload, record.place);
        if (result == 0) apply_all(queue, marks, 0);
    } else {
        damaged(recovery, name, "a deferred message cannot be read");
        queue->journal.held |= n < 0; /* the next start may read it, and then needs its marks */
    }
    if (fd >= 0) (void)disk_calls()->close(fd);
    free(octets);
    return result;
}

static int take_directory(void *context, const char *name) {
    struct recovery *recovery = context;
    recovery->directory = disk_calls()->open(recovery->queue->deferred, name, O_RDONLY | O_DIRECTORY, 0);
    if (recovery->directory < 0) return errno == ENOTDIR ? 0 : -1;
    /* Whoever renamed or removed something there may have been killed before the sync. */
    if (strlen(name) == 2 && strspn(name, "0123456789abcdef") == 2) queue_deferred_dirty(recovery->queue, name);
    int result = disk_list(recovery->directory, take_file, recovery);
    (void)disk_calls()->close(recovery->directory);
    return result;
}

static int take_body(void *context, const char *name) {
    struct recovery *recovery = context;
    uint64_t number;
    struct queue_message *message =
        message_number(span_text(name), &number) ? queue_find(recovery->queue, number) : NULL;
    if (message && message->flags & MESSAGE_OWN_FILE) return 0;
    if (recovery->damaged || recovery->queue->journal.damaged) return 0; /* or its message could not be read */
    recovery->removed++; /* its commit was never durable, or its end is */
    return disk_calls()->unlink(recovery->queue->bodies, name) == 0 || errno == ENOENT ? 0 : -1;
}

/* Finishes what is done, and lets the rest go on where it was. */
static void resume(struct queue *queue) {
    for (struct queue_message *message = queue->oldest, *next; message; message = next) {
        next = message->next;
        if (!message->n_open) {
            queue_finish(queue, message);
            continue;
        }
        for (uint16_t i = 0; i < message->n_parts; i++) {
            /* The process may have died between a delivery and its mark, and the clock may have been set back. */
            message->parts[i].again = 1;
        }
        queue_schedule_message(queue, message);
        queue_report_consider(queue, message);
    }
}

int queue_recover(struct queue *queue) {
    struct recovery recovery = {.queue = queue};
    uint64_t began = clock_ms();
    if (disk_list(queue->deferred, take_directory, &recovery) != 0) {
        log_fault("deferred messages cannot be read", errno);
        return -1;
    }
    if (journal_recover(&queue->journal, take_record, &recovery) != 0) return -1;
    if (queue->journal.floor > queue->last_number) queue->last_number = queue->journal.floor;
    queue->journal.floor = queue->last_number;
    if (disk_list(queue->bodies, take_body, &recovery) != 0) {
        log_fault("bodies cannot be read", errno);
        return -1;
    }
    if (journal_begin(&queue->journal) != 0) log_fault("a segment of the log cannot be made", errno);
    resume(queue);
    struct log_line line;
    log_open(&line, LOG_RECOVERED);
    log_number(&line, KEY_COUNT, queue->n_messages);
    log_number(&line, KEY_BYTES, queue->queued_bytes);
    log_number(&line, KEY_MS, clock_ms() - began);
    log_send(&line);
    return 0;
}
