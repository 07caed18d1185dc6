/* queue_index.c - the messages that are not done, in memory.
 * Runs in: queue. Trusts: the log's records, once their MAC fits. Never: writes to the disk. */
#include "store/queue_state.h"

#include "store/clock.h"
#include "store/disk.h"
#include "store/log.h"
#include "store/queue_walk.h"
#include "store/random.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

static size_t slot(const struct queue *queue, uint64_t number) {
    return (size_t)(number * 0x9e3779b97f4a7c15U >> 20) & (queue->messages_cap - 1);
}

struct queue_message *queue_find(struct queue *queue, uint64_t number) {
    struct queue_message *message = queue->messages_cap ? queue->messages[slot(queue, number)] : NULL;
    while (message && message->number != number) message = message->hash_next;
    return message;
}

static int grow(struct queue *queue) {
    size_t old_cap = queue->messages_cap, cap = old_cap ? 2 * old_cap : 1024;
    struct queue_message **old = queue->messages, **grown = calloc(cap, sizeof(struct queue_message *));
    if (!grown) return old_cap ? 0 : -1; /* a crowded table still works */
    queue->messages = grown, queue->messages_cap = cap;
    for (size_t i = 0; i < old_cap; i++)
        for (struct queue_message *message = old[i], *next; message; message = next) {
            next = message->hash_next;
            message->hash_next = grown[slot(queue, message->number)];
            grown[slot(queue, message->number)] = message;
        }
    free(old);
    return 0;
}

/* Puts every recipient into the part of its destination, which has noted the last part that was made of it: there may
 * be as many parts as recipients. */
static bool take_recipients(struct queue *queue, struct queue_message *message, struct span recipients) {
    struct wire w = wire_over(recipients);
    for (uint32_t i = 0; i < message->n_recipients; i++) {
        struct recipient recipient;
        recipient_get(&w, &recipient);
        if (w.bad) return false;
        struct queue_destination *destination = queue_destination(queue, recipient.kind, recipient.destination);
        if (!destination) return false;
        uint16_t part = destination->last_part; /* of this message, if it has one there */
        if (part >= message->n_parts || message->parts[part].destination != destination) {
            part = destination->last_part = message->n_parts;
            message->parts[part] = (struct queue_part){.message = message, .destination = destination};
            message->parts[part].timer.kind = TIMER_PART;
            message->n_parts++;
            destination->parts++;
        }
        message->recipients[i] = (struct queue_recipient){.part = part, .notify = recipient.notify};
    }
    return wire_end(&w);
}

static void free_message(struct queue *queue, struct queue_message *message) {
    for (uint16_t i = 0; i < message->n_parts; i++) {
        queue_part_unschedule(queue, &message->parts[i]);
        message->parts[i].destination->parts--;
        queue_destination_release(queue, message->parts[i].destination);
    }
    for (uint32_t i = 0; i < message->n_recipients; i++) queue_note_set(&message->recipients[i].note, NULL);
    queue_timer_clear(&queue->timers, &message->report);
    queue_unload(queue, message);
    free(message->parts);
    free(message);
}

struct queue_message *queue_message_new(struct queue *queue, const struct message *message, struct record_place place,
                                        size_t payload_bytes, size_t body_at) {
    size_t n = message->n_recipients;
    if (!n || n > MESSAGE_RECIPIENTS_MAX || payload_bytes > UINT32_MAX) return NULL;
    struct queue_message *made = calloc(1, sizeof *made + n * sizeof made->recipients[0]);
    if (!made) return NULL;
    made->number = message->number, made->arrival_ms = message->arrival_ms, made->body_bytes = message->body_bytes;
    made->place = place;
    made->payload_bytes = (uint32_t)payload_bytes, made->body_at = (uint32_t)body_at;
    made->n_recipients = made->n_open = message->n_recipients;
    made->flags = message->flags, made->envelope_flags = message->envelope.flags;
    made->report.kind = TIMER_REPORT;
    made->sender_key = queue_sender_key(queue, &message->envelope);
    made->parts = calloc(n, sizeof *made->parts);
    if (made->parts && take_recipients(queue, made, message->recipients)) return made;
    free_message(queue, made);
    return NULL;
}

int queue_file(struct queue *queue, struct queue_message *message) {
    if (queue->n_messages >= queue->messages_cap && grow(queue) != 0) return -1;
    size_t i = slot(queue, message->number);
    message->hash_next = queue->messages[i];
    queue->messages[i] = message;
    message->previous = queue->newest;
    if (queue->newest)
        queue->newest->next = message;
    else
        queue->oldest = message;
    queue->newest = message;
    queue->n_messages++;
    queue->queued_bytes += message->body_bytes;
    struct journal_segment *segment = journal_segment(&queue->journal, message->place.segment);
    if (segment) segment->live_bytes += record_bytes(message->payload_bytes);
    if (message->number > queue->last_number) queue->last_number = message->number;
    return 0;
}

static bool unlink_message(struct queue *queue, struct queue_message *message) {
    if (!queue->messages_cap) return false;
    struct queue_message **at = &queue->messages[slot(queue, message->number)];
    while (*at && *at != message) at = &(*at)->hash_next;
    if (!*at) return false;
    *at = message->hash_next;
    queue_walk_left(queue, message);
    if (message->previous)
        message->previous->next = message->next;
    else
        queue->oldest = message->next;
    if (message->next)
        message->next->previous = message->previous;
    else
        queue->newest = message->previous;
    struct queue_message **walks[] = {&queue->walks.sweep, &queue->walks.route, &queue->walks.drop,
                                      &queue->walks.move};
    for (size_t i = 0; i < sizeof walks / sizeof *walks; i++)
        if (*walks[i] == message) *walks[i] = message->next;
    return true;
}

void queue_forget(struct queue *queue, struct queue_message *message) {
    if (unlink_message(queue, message)) {
        struct journal_segment *segment = journal_segment(&queue->journal, message->place.segment);
        if (segment) segment->live_bytes -= record_bytes(message->payload_bytes), segment->changed_ms = clock_ms();
        queue->n_messages--;
        queue_marks_from(queue, message, 0);
        queue->queued_bytes -= message->body_bytes;
    }
    free_message(queue, message);
}

/* Reads the message's file below deferred/ and keeps what follows the states in it. */
static uint8_t *load_file(struct queue *queue, const struct queue_message *message) {
    char name[DEFERRED_NAME_MAX];
    struct record record;
    struct span part = {0};
    queue_deferred_name(message->number, name);
    int fd = disk_calls()->open(queue->deferred, name, O_RDONLY, 0);
    size_t cap = record_bytes(message->payload_bytes) + (size_t)message->n_recipients * 2048 + 64;
    uint8_t *octets = fd < 0 ? NULL : malloc(cap);
    ssize_t n = octets ? disk_read(fd, octets, cap, 0) : -1;
    if (n > 0 && record_open(queue->journal.key, span_of(octets, (size_t)n),
                             (struct record_place){RECORD_FILE, message->number}, &record))
        part = queue_deferred_part(record.payload, NULL);
    if (fd >= 0) (void)disk_calls()->close(fd);
    if (part.n != message->payload_bytes) {
        free(octets);
        return NULL;
    }
    memmove(octets, part.p, part.n);
    return octets;
}

static uint8_t *load_record(struct queue *queue, const struct queue_message *message) {
    struct record record;
    size_t n = record_bytes(message->payload_bytes);
    uint8_t *octets = malloc(n);
    if (octets && journal_read(&queue->journal, message->place, octets, n, &record) &&
        record.payload.n == message->payload_bytes) {
        memmove(octets, record.payload.p, record.payload.n);
        return octets;
    }
    free(octets);
    return NULL;
}

bool queue_load(struct queue *queue, struct queue_message *message) {
    struct message head;
    size_t body_at;
    if (message->resident) return true;
    uint8_t *octets = message->place.segment == RECORD_FILE ? load_file(queue, message) : load_record(queue, message);
    if (octets && !message_get(span_of(octets, message->payload_bytes), &head, &body_at)) {
        free(octets);
        octets = NULL;
    }
    if (octets) {
        message->resident = octets;
        message->unreadable = false;
        queue->resident_bytes += message->payload_bytes;
        return true;
    }
    if (message->unreadable) return false;
    message->unreadable = true;
    struct log_line line;
    char name[MESSAGE_NAME_SIZE];
    message_name(message->number, name);
    log_open(&line, LOG_DAMAGED);
    log_text(&line, KEY_MESSAGE, name);
    log_number(&line, KEY_SEGMENT, message->place.segment);
    log_number(&line, KEY_OFFSET, message->place.offset);
    log_text(&line, KEY_WHY, "the message cannot be read back");
    log_send(&line);
    return false;
}

bool queue_read_own(struct queue *queue, const struct queue_message *message, struct buf *out) {
    char name[MESSAGE_NAME_SIZE];
    message_name(message->number, name);
    int fd = disk_calls()->open(queue->bodies, name, O_RDONLY, 0);
    ssize_t n = fd < 0 ? -1 : disk_read(fd, out->p, out->cap, 0);
    if (n < 0) log_fault("a body cannot be read", errno);
    if (fd >= 0) (void)disk_calls()->close(fd);
    out->n = n < 0 ? 0 : (size_t)n;
    return n >= 0;
}

void queue_unload(struct queue *queue, struct queue_message *message) {
    if (!message->resident) return;
    queue->resident_bytes -= message->payload_bytes;
    free(message->resident);
    message->resident = NULL;
}

void queue_head(const struct queue_message *message, struct message *out) {
    size_t body_at;
    if (!message_get(span_of(message->resident, message->payload_bytes), out, &body_at))
        log_bug("a message in memory does not parse");
}

struct span queue_body(const struct queue_message *message) {
    return span_from(span_of(message->resident, message->payload_bytes), message->body_at);
}

struct queue_note *queue_note_new(struct span status, struct span diagnostic, struct span remote) {
    status = span_part(status, 0, MARK_STATUS_MAX);
    diagnostic = span_part(diagnostic, 0, MARK_TEXT_MAX);
    remote = span_part(remote, 0, MARK_TEXT_MAX);
    struct queue_note *note = calloc(1, sizeof *note + diagnostic.n + remote.n);
    if (!note) return NULL;
    for (size_t i = 0; i < status.n; i++) note->status[i] = (char)status.p[i];
    note->diagnostic_bytes = (uint16_t)diagnostic.n, note->remote_bytes = (uint16_t)remote.n;
    if (diagnostic.n) memcpy(note->octets, diagnostic.p, diagnostic.n);
    if (remote.n) memcpy(note->octets + diagnostic.n, remote.p, remote.n);
    return note;
}

void queue_note_set(struct queue_note **place, struct queue_note *note) {
    if (note) note->references++;
    if (*place && --(*place)->references == 0) free(*place);
    *place = note;
}

static uint16_t draw(void) {
    uint16_t random;
    return random_draw(&random, sizeof random) == 0 ? random : 0;
}

uint64_t queue_draw_number(struct queue *queue) {
    uint16_t random = draw();
    uint64_t number = clock_wall_ms() << 16 | random;
    if (number <= queue->last_number) number = queue->last_number + 1 + (random & 0xff);
    queue->last_number = number;
    queue->journal.floor = number;
    return number;
}
