/* queue_deferred.c - old segments: what lives in them moves to files of its own, then they go.
 * Runs in: queue. Trusts: what a sync has confirmed. Never: removes a segment that a live message, or a mark of one,
 * needs. */
#include "store/queue_state.h"

#include "store/clock.h"
#include "store/disk.h"
#include "store/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    MOVE_AT_ONCE = 64,
    MAINTAIN_MS = 1000,
    MARKS_AT_ONCE = 256 << 10,
    WALK_AT_ONCE = 5000,
    ROUND_MS = 10,
    REST_MS = 10000,
    HELD_SEGMENTS = 16
};

static unsigned hash(uint64_t number) {
    return (unsigned)(number * 0x9e3779b97f4a7c15U >> 56);
}

void queue_deferred_dirty(struct queue *queue, const char *name) {
    unsigned long directory = strtoul(name, NULL, 16) & 0xff;
    queue->dirty_deferred[directory / 8] |= (uint8_t)(1U << directory % 8);
}

void queue_deferred_name(uint64_t number, char name_out[DEFERRED_NAME_MAX]) {
    char name[MESSAGE_NAME_SIZE];
    message_name(number, name);
    snprintf(name_out, DEFERRED_NAME_MAX, "%02x/%s", hash(number), name);
}

/* Payload of RECORD_DEFERRED: a span of marks (mark_put, one after another), then the payload of RECORD_MESSAGE. */
struct span queue_deferred_part(struct span payload, struct span *marks_out) {
    struct wire w = wire_over(payload);
    struct span marks = wire_get_span(&w, SIZE_MAX);
    if (marks_out) *marks_out = marks;
    return w.bad ? (struct span){0} : w.rest;
}

static int write_file(struct queue *queue, struct queue_message *message, struct span marks, const char *name) {
    uint8_t head[RECORD_HEAD_BYTES], length[4];
    struct buf b = BUF_OVER(length);
    size_t n = sizeof length + marks.n + message->payload_bytes;
    errno = EMSGSIZE; /* more than is read back: it stays in the log */
    uint8_t *payload = n > RECORD_PAYLOAD_MAX ? NULL : malloc(n);
    if (!payload) return -1;
    wire_put_u32(&b, (uint32_t)marks.n);
    b = buf_over(payload, n);
    buf_put(&b, length, sizeof length);
    buf_put_span(&b, marks);
    buf_put(&b, message->resident, message->payload_bytes);
    struct record record = {{RECORD_FILE, message->number}, message->number, RECORD_DEFERRED, buf_span(&b)};
    record_seal(queue->journal.key, &record, head);
    struct iovec parts[2] = {{head, sizeof head}, {payload, n}};
    int fd = disk_calls()->open(queue->deferred, name, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    int result = fd >= 0 && disk_write(fd, parts, 2, 0) == 0 ? disk_calls()->fsync(fd) : -1;
    if (fd >= 0 && disk_calls()->close(fd) != 0) result = -1;
    int error = errno;
    /* What there is of it takes space that may be short. */
    if (fd >= 0 && result != 0) (void)disk_calls()->unlink(queue->deferred, name);
    errno = error;
    free(payload);
    return result;
}

/* The states of a message, as marks. */
static bool states(struct queue *queue, struct queue_message *message, struct buf *out) {
    struct buf saved = queue->marks;
    uint64_t since = queue->marks_since_ms;
    queue->marks = (struct buf){0};
    queue_mark_whole(queue, message);
    *out = queue->marks;
    queue->marks = saved, queue->marks_since_ms = since;
    return buf_ok(out);
}

/* Writes and syncs the message's file under a name that recovery throws away. False with errno. */
static bool prepare(struct queue *queue, struct queue_message *message) {
    char name[DEFERRED_NAME_MAX + 4], directory[3] = {0};
    struct buf marks = {0};
    bool was_resident = message->resident;
    if (!queue_load(queue, message)) return false;
    queue_deferred_name(message->number, name);
    memcpy(directory, name, 2);
    int made = disk_directory(queue->deferred, directory);
    if (made >= 0) (void)disk_calls()->close(made);
    memcpy(name + strlen(name), ".new", 5);
    bool ok = made >= 0 && states(queue, message, &marks) && write_file(queue, message, buf_span(&marks), name) == 0;
    int error = errno;
    if (!ok) log_fault("a deferred message cannot be written", error);
    free(marks.p);
    if (!was_resident) queue_unload(queue, message);
    errno = error;
    return ok;
}

static int sync_directory(struct queue *queue, unsigned directory) {
    char name[3];
    snprintf(name, sizeof name, "%02x", directory & 0xff);
    int fd = disk_calls()->open(queue->deferred, name, O_RDONLY | O_DIRECTORY, 0);
    int result = fd >= 0 ? disk_calls()->fsync(fd) : -1;
    if (fd >= 0) (void)disk_calls()->close(fd);
    return result;
}

/* Gives the files their names, and makes the names durable. */
static int rename_all(struct queue *queue, struct queue_message **messages, size_t n) {
    uint8_t touched[256] = {0};
    for (size_t i = 0; i < n; i++) {
        char name[DEFERRED_NAME_MAX], new_name[DEFERRED_NAME_MAX + 4];
        queue_deferred_name(messages[i]->number, name);
        snprintf(new_name, sizeof new_name, "%s.new", name);
        messages[i]->has_file = true; /* also where the log never says so: it goes with the message */
        if (disk_calls()->rename(queue->deferred, new_name, queue->deferred, name) != 0) return -1;
        touched[hash(messages[i]->number)] = 1;
    }
    for (unsigned i = 0; i < 256; i++)
        if (touched[i] && sync_directory(queue, i) != 0) return -1;
    return 0;
}

static int say_moved(struct queue *queue, struct queue_message **messages, size_t n) {
    uint8_t storage[8 * MOVE_AT_ONCE];
    struct buf b = BUF_OVER(storage);
    struct record_place place;
    for (size_t i = 0; i < n; i++) wire_put_u64(&b, messages[i]->number);
    if (journal_add(&queue->journal, RECORD_MOVED, buf_span(&b), &place) != JOURNAL_ADDED) return -1;
    return journal_flush(&queue->journal);
}

/* Moves some of the messages that live in the segment, which is the oldest; what cannot be read stays there. Messages
 * are filed in the order of the log, behind those that were moved before a start. 0, or -1: later. */
static int move_some(struct queue *queue, uint64_t number) {
    struct queue_message *messages[MOVE_AT_ONCE], *at = queue->walks.move ? queue->walks.move : queue->oldest;
    uint64_t began = clock_ms();
    size_t n = 0;
    int steps = 0;
    for (; at && at->place.segment == RECORD_FILE && at->next && steps < WALK_AT_ONCE; steps++) at = at->next;
    queue->walks.move = at;
    for (; at && n < MOVE_AT_ONCE && steps < WALK_AT_ONCE; steps++, at = at->next) {
        if (at->place.segment != RECORD_FILE && at->place.segment > number) break;
        if (at->place.segment == number && !at->unreadable) {
            if (prepare(queue, at))
                messages[n++] = at;
            else if (!at->unreadable && errno == ENOSPC)
                break; /* nor for those behind it */
        }
        if (clock_ms() - began > ROUND_MS) break;
    }
    if (!n) return steps < WALK_AT_ONCE ? -1 : 0;
    if (rename_all(queue, messages, n) != 0 || say_moved(queue, messages, n) != 0) {
        log_fault("messages cannot be moved out of the log", errno);
        return -1;
    }
    for (size_t i = 0; i < n; i++) {
        struct journal_segment *segment = journal_segment(&queue->journal, number);
        segment->live_bytes -= record_bytes(messages[i]->payload_bytes);
        messages[i]->place = (struct record_place){RECORD_FILE, messages[i]->number};
        queue_marks_from(queue, messages[i], 0);
    }
    return 0;
}

/* Writes the states again of messages that have marks in the oldest segment. 1: the rest in the next round. New marks
 * go to the current segment: who was passed has none in the oldest. */
static int renew_marks(struct queue *queue) {
    const struct journal_segment *oldest = &queue->journal.segments[0];
    bool marked = oldest->marked || queue->marked_nowhere;
    if (queue->walks.dropping != oldest->number) queue->walks.drop = queue->oldest;
    queue->walks.dropping = oldest->number;
    size_t before = queue->marks.n;
    for (int i = 0; marked && queue->walks.drop && i < WALK_AT_ONCE; i++) {
        struct queue_message *message = queue->walks.drop;
        queue->walks.drop = message->next;
        if (message->marks_from && message->marks_from <= oldest->number) queue_mark_whole(queue, message);
        if (queue->marks.n - before > MARKS_AT_ONCE) break;
        marked = oldest->marked || queue->marked_nowhere;
    }
    if (marked && queue->walks.drop) return 1;
    queue->walks.drop = NULL;
    return queue_marks_flush(queue);
}

/* 0; 1: the rest in the next round; -1: later. */
static int drop_oldest(struct queue *queue) {
    uint64_t began = clock_ms();
    int result = renew_marks(queue);
    if (result != 0) return result;
    errno = EBUSY;
    if (queue->n_gone) return -1; /* a file whose removal has failed would come back without its marks */
    for (unsigned i = 0; i < 256; i++) {
        if (!(queue->dirty_deferred[i / 8] & 1U << i % 8)) continue;
        if (clock_ms() - began > ROUND_MS) return 1;
        if (sync_directory(queue, i) != 0) return -1;
        queue->dirty_deferred[i / 8] &= (uint8_t) ~(1U << i % 8);
    }
    return journal_drop_oldest(&queue->journal);
}

bool queue_walks(const struct queue *queue) {
    return queue->walks.sweep || queue->walks.route || (queue->walks.drop && !queue_backup_runs(queue));
}

/* Whether it pays to move what lives in the oldest segment: little does, and nothing of that has gone by itself for a
 * while; or it holds back the removal of many others. */
static bool worth_moving(const struct queue *queue) {
    const struct journal *journal = &queue->journal;
    const struct journal_segment *oldest = &journal->segments[0];
    uint64_t bytes = 0, live = 0, now = clock_ms();
    if (now - oldest->closed_ms <= REST_MS) return false;
    for (size_t i = 0; i < journal->n; i++)
        bytes += journal->segments[i].bytes, live += journal->segments[i].live_bytes;
    if (bytes > 4 * live + 4 * queue->setup.segment_bytes) return true;
    return now - oldest->changed_ms > REST_MS && oldest->live_bytes * 4 < queue->setup.segment_bytes;
}

/* One segment: goes, or some of what lives in it moves. 0: gone; 1: more in a while; -1: it stays. */
static int maintain_oldest(struct queue *queue) {
    const struct journal_segment *oldest = &queue->journal.segments[0];
    bool held = oldest->unreadable || queue->journal.held; /* the next start may read what this one could not */
    if (held && queue->journal.n < HELD_SEGMENTS) return -1;
    if (oldest->live_bytes) {
        if (!worth_moving(queue) || move_some(queue, oldest->number) != 0) return -1;
        if (queue->journal.segments[0].live_bytes) return 1;
    }
    int result = drop_oldest(queue);
    if (result < 0) log_fault("a segment of the log cannot be removed", errno);
    return result;
}

void queue_maintain(struct queue *queue) {
    uint64_t now = clock_ms();
    if (now < queue->maintain_ms || queue_backup_runs(queue)) return;
    queue->maintain_ms = now + MAINTAIN_MS;
    if (!queue->marks.n) queue_gone_remove(queue); /* of messages that recovery found ended, or a backup held */
    if (queue->stopped || queue->journal.fd < 0) return;
    int result = 0;
    while (result == 0 && queue->journal.n > 1 && clock_ms() - now <= ROUND_MS) result = maintain_oldest(queue);
    uint64_t took = clock_ms() - now; /* other work has most of the time */
    if (result >= 0 && queue->journal.n > 1) queue->maintain_ms = now + took + (took < 10 ? 30 : 3 * took);
}
