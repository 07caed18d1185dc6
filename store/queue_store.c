/* queue_store.c - marks, removals, free space.
 * Runs in: queue. Trusts: what a sync has confirmed. Never: removes a file before the mark that allows it is
 * durable. */
#include "store/queue_state.h"

#include "store/clock.h"
#include "store/disk.h"
#include "store/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { LOCK_TRIES = 100, INODES_MIN = 1000, MARK_BYTES = 64, MARKS_RECORD = 4 << 20, COPY_FULL_MS = 60000 };

static int take_lock(struct queue *queue) {
    queue->lock = disk_calls()->open(queue->directory, "lock", O_RDWR | O_CREAT, 0600);
    if (queue->lock < 0) return -1;
    for (int i = 0; i < LOCK_TRIES; i++) {
        if (disk_calls()->lock(queue->lock) == 0) return 0;
        if (errno != EWOULDBLOCK && errno != EINTR) return -1;
        nanosleep(&(struct timespec){0, 100000000}, NULL);
    }
    errno = EWOULDBLOCK;
    return -1;
}

int queue_store_open(struct queue *queue) {
    queue->lock = queue->bodies = queue->deferred = -1;
    queue->directory = role_descriptor(queue->start, DESCRIPTOR_DIRECTORY, 0);
    if (queue->directory < 0 &&
        (queue->directory = disk_calls()->open(AT_FDCWD, ".", O_RDONLY | O_DIRECTORY, 0)) < 0) {
        log_fault("the queue's directory cannot be opened", errno);
        return -1;
    }
    if (take_lock(queue) != 0) {
        log_fault("the lock on the queue's directory cannot be had", errno);
        return -1;
    }
    queue->bodies = disk_directory(queue->directory, "body");
    queue->deferred = disk_directory(queue->directory, "deferred");
    /* Whoever made what lies in them may have been killed before the sync. */
    if (queue->bodies >= 0 && queue->deferred >= 0 && disk_calls()->fsync(queue->directory) == 0 &&
        disk_calls()->fsync(queue->deferred) == 0)
        return journal_open(&queue->journal, queue->directory, queue->setup.segment_bytes);
    log_fault("a directory of the queue cannot be opened", errno);
    return -1;
}

static bool room_for_marks(struct queue *queue, size_t n) {
    if (queue->marks.cap - queue->marks.n >= n) return true;
    size_t cap = 2 * (queue->marks.cap + n);
    uint8_t *grown = realloc(queue->marks.p, cap);
    if (!grown) return false;
    queue->marks.p = grown, queue->marks.cap = cap;
    return true;
}

static void put_mark(struct queue *queue, const struct mark *mark) {
    if (!room_for_marks(queue, MARK_BYTES + mark->status.n + mark->diagnostic.n + mark->remote.n)) {
        /* Without it the recipient may get the message twice after a crash; that is permitted. */
        log_fault("a mark is lost", ENOMEM);
        return;
    }
    if (!queue->marks.n) queue->marks_since_ms = clock_ms();
    mark_put(&queue->marks, mark);
}

static uint64_t *marked_in(struct queue *queue, uint64_t segment) {
    struct journal_segment *known = journal_segment(&queue->journal, segment);
    return known ? &known->marked : &queue->marked_nowhere; /* one that could not be made */
}

void queue_marks_from(struct queue *queue, struct queue_message *message, uint64_t segment) {
    if (message->marks_from) --*marked_in(queue, message->marks_from);
    if (segment) ++*marked_in(queue, segment);
    message->marks_from = segment;
}

struct mark queue_mark_of(const struct queue_message *message, uint32_t index) {
    const struct queue_recipient *recipient = &message->recipients[index];
    const struct queue_part *part = &message->parts[recipient->part];
    const struct queue_note *note = recipient->state == RECIPIENT_DONE ? NULL : recipient->note;
    uint8_t held = message->hold == HOLD_HELD ? MARK_HELD : message->hold == HOLD_RELEASED ? MARK_RELEASED : 0;
    uint8_t again = part->again < MARK_AGAIN ? part->again : MARK_AGAIN; /* the bits beside it say something else */
    return (struct mark){.number = message->number,
                         .index = index,
                         .state = recipient->state,
                         .again = (uint8_t)(again | (message->delay_told ? MARK_DELAY_TOLD : 0) | held),
                         .attempts = part->attempts,
                         .next_ms = part->next_ms,
                         .status = note ? span_text(note->status) : (struct span){0},
                         .diagnostic = queue_note_diagnostic(note),
                         .remote = queue_note_remote(note)};
}

static void mark_with(struct queue *queue, struct queue_message *message, uint32_t index, uint8_t more) {
    struct mark made = queue_mark_of(message, index);
    made.again |= more;
    if (!message->marks_from) queue_marks_from(queue, message, queue->journal.last_segment);
    put_mark(queue, &made);
}

void queue_mark(struct queue *queue, struct queue_message *message, uint32_t index) {
    mark_with(queue, message, index, 0);
}

void queue_mark_whole(struct queue *queue, struct queue_message *message) {
    queue_marks_from(queue, message, 0);
    for (uint32_t i = 0; i < message->n_recipients; i++)
        if (message->recipients[i].state != RECIPIENT_WAITING || message->delay_told || message->hold ||
            message->parts[message->recipients[i].part].attempts)
            queue_mark(queue, message, i);
}

/* Its files may go once the marks are durable. */
static void add_gone(struct queue *queue, uint64_t number, bool own_file, bool deferred) {
    if (!own_file && !deferred) return;
    if (queue->n_gone == queue->gone_cap) {
        size_t cap = queue->gone_cap ? 2 * queue->gone_cap : 64;
        void *grown = realloc(queue->gone, cap * sizeof *queue->gone);
        if (!grown) return; /* without memory the files stay; recovery removes them */
        queue->gone = grown, queue->gone_cap = cap;
    }
    queue->gone[queue->n_gone++] = (struct queue_gone){number, own_file, deferred};
}

void queue_mark_gone(struct queue *queue, uint64_t number, bool own_file) {
    struct mark mark = {.number = number, .index = MARK_ALL, .state = RECIPIENT_DONE};
    put_mark(queue, &mark);
    add_gone(queue, number, own_file, false);
}

void queue_finish(struct queue *queue, struct queue_message *message) {
    bool deferred = message->has_file || message->place.segment == RECORD_FILE;
    add_gone(queue, message->number, message->flags & MESSAGE_OWN_FILE, deferred);
    queue_forget(queue, message);
}

bool queue_marks_add(struct queue *queue) {
    struct record_place place;
    if (!queue->marks.n) return true;
    if (queue->marks.n > MARKS_RECORD) return false; /* they go by themselves, in several records */
    return journal_add(&queue->journal, RECORD_MARKS, buf_span(&queue->marks), &place) == JOURNAL_ADDED;
}

/* The files of messages whose end is durable. A removal that a power cut undoes is found at recovery. */
void queue_gone_remove(struct queue *queue) {
    size_t kept = 0;
    if (queue_backup_runs(queue)) return;
    for (size_t i = 0; i < queue->n_gone; i++) {
        char name[DEFERRED_NAME_MAX];
        struct queue_gone gone = queue->gone[i];
        int error = 0;
        message_name(gone.number, name);
        if (gone.own_file && disk_calls()->unlink(queue->bodies, name) != 0 && errno != ENOENT) error = errno;
        if (gone.deferred) {
            queue_deferred_name(gone.number, name);
            queue_deferred_dirty(queue, name);
            if (disk_calls()->unlink(queue->deferred, name) != 0 && errno != ENOENT) error = errno;
        }
        if (!error) continue;
        log_fault("files of a message that has ended cannot be removed", error);
        queue->gone[kept++] = gone; /* again in a while */
    }
    queue->n_gone = kept;
}

void queue_marks_flushed(struct queue *queue, bool durable) {
    if (!durable) return;
    buf_clear(&queue->marks);
    queue_gone_remove(queue);
}

/* As many whole marks as go into one record. */
static struct span next_marks(struct span marks) {
    struct wire w = wire_over(marks);
    struct mark mark;
    while (w.rest.n && !w.bad && marks.n - w.rest.n < MARKS_RECORD) mark_get(&w, &mark);
    if (w.bad) log_bug("a mark of our own does not parse");
    return span_part(marks, 0, marks.n - w.rest.n);
}

int queue_marks_flush(struct queue *queue) {
    struct record_place place;
    int result = 0;
    if (!queue->marks.n) return 0;
    log_flush(); /* "delivered" is in the log before it is on the disk */
    for (struct span rest = buf_span(&queue->marks); rest.n && result == 0;) {
        struct span part = next_marks(rest);
        rest = span_from(rest, part.n);
        bool added = journal_add(&queue->journal, RECORD_MARKS, part, &place) == JOURNAL_ADDED;
        result = added ? journal_flush(&queue->journal) : -1;
    }
    queue_marks_flushed(queue, result == 0);
    if (result != 0) queue->marks_since_ms = clock_ms(); /* try again in a while */
    return result;
}

/* That it was said, of those in the report; of a delay once, for it is about the whole message. The marks lie in the
 * report's own record, so that a crash leaves both or neither: no report is lost, none goes out twice. */
static bool put_said(struct queue *queue, struct queue_message *message, struct buf *b) {
    size_t cap = (size_t)message->n_recipients * MARK_BYTES;
    *b = buf_over(malloc(cap), cap);
    if (!b->p) return false;
    for (uint32_t i = 0; i < message->n_recipients; i++) {
        if (!message->recipients[i].in_report) continue;
        struct mark mark = queue_mark_of(message, i);
        mark.status = mark.diagnostic = mark.remote = (struct span){0};
        if (message->reporting == REPORT_DELAY)
            mark.again |= MARK_DELAY_TOLD;
        else
            mark.state = RECIPIENT_DONE;
        mark_put(b, &mark);
        if (message->reporting == REPORT_DELAY) break;
    }
    if (!message->marks_from) queue_marks_from(queue, message, queue->journal.last_segment);
    return buf_ok(b);
}

/* A message of our own whose flush has failed: a crash may bring it back, and what it says of others with it. */
static void take_back(struct queue *queue, uint64_t number, struct queue_message *about) {
    for (uint32_t i = 0; about && i < about->n_recipients; i++)
        if (about->recipients[i].in_report) mark_with(queue, about, i, MARK_REOPENED);
    queue_mark_gone(queue, number, false);
}

/* The record's payload, in memory that the message keeps. */
static bool compose_own(const struct message *head, struct span body, struct buf *out, size_t *body_at_out) {
    size_t cap = message_bytes(head) + body.n;
    *out = buf_over(malloc(cap), cap);
    if (!out->p) return false;
    message_put(out, head);
    *body_at_out = out->n;
    buf_put_span(out, body);
    return buf_ok(out);
}

int queue_store_own(struct queue *queue, struct message *head, struct span body, struct queue_message *about) {
    struct record_place place;
    struct buf b = {0}, said = {0};
    size_t body_at;
    struct queue_message *message = NULL;
    bool sound = !about || put_said(queue, about, &said);
    head->marks = buf_span(&said);
    sound = sound && compose_own(head, body, &b, &body_at);
    head->marks = (struct span){0};
    free(said.p);
    bool added = sound && journal_add(&queue->journal, RECORD_MESSAGE, buf_span(&b), &place) == JOURNAL_ADDED;
    if (added) message = queue_message_new(queue, head, place, b.n, body_at);
    bool marks = message && queue_marks_add(queue);
    if (marks && queue->marks.n) log_flush();
    int result = journal_flush(&queue->journal);
    if (marks) queue_marks_flushed(queue, result == 0);
    if (!message || result != 0 || queue_file(queue, message) != 0) {
        if (message) queue_forget(queue, message);
        if (added) take_back(queue, head->number, about);
        free(b.p);
        return -1;
    }
    message->resident = b.p;
    queue->resident_bytes += b.n;
    queue_schedule_message(queue, message);
    return 0;
}

static void tell_space(struct queue *queue) {
    uint8_t storage[1];
    struct buf b = BUF_OVER(storage);
    bool enough = !queue->full && !queue->stopped;
    if (queue->space_told == enough) return;
    queue->space_told = enough;
    wire_put_u8(&b, enough);
    (void)queue_link_send(&queue->links[0], QUEUE_SPACE, buf_span(&b), -1);
    struct log_line line;
    log_open(&line, enough ? LOG_STORAGE_BACK : LOG_STORAGE_FULL);
    log_text(&line, KEY_WHY,
             enough        ? ""
             : queue->full ? "less than the reserve is free"
                           : "the log cannot be synced");
    log_send(&line);
}

/* After two failed flushes in a row nothing is accepted until one has worked. */
static void probe(struct queue *queue) {
    struct record_place place;
    if (queue->journal.failures >= 2) queue->stopped = true;
    if (!queue->stopped || clock_ms() - queue->probe_ms < 5000) return;
    queue->probe_ms = clock_ms();
    if (journal_add(&queue->journal, RECORD_MARKS, (struct span){0}, &place) == JOURNAL_ADDED &&
        journal_flush(&queue->journal) == 0)
        queue->stopped = false;
}

/* A copy holds back what would free space. It has a minute where space is short: mail goes before backups. */
static void end_backup(struct queue *queue) {
    if (!queue->full || !queue_backup_runs(queue) || clock_ms() - queue->copied_since_ms < COPY_FULL_MS) return;
    log_fault("a backup that was being made is given up", ENOSPC);
    control_drop_copier(&queue->control);
}

void queue_space_check(struct queue *queue, bool now) {
    uint64_t bytes = 0, inodes = 0, at = clock_ms();
    if (!now && at - queue->space_checked_ms < 1000) return;
    queue->space_checked_ms = at;
    if (disk_calls()->free_bytes(queue->directory, &bytes, &inodes) != 0)
        log_fault("free space", errno);
    else
        queue->full = bytes < queue->setup.reserve_bytes || inodes < INODES_MIN;
    end_backup(queue);
    probe(queue);
    tell_space(queue);
}
