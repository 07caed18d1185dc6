/* queue_head.c - envelopes without bodies, many in a row: messages that came one after another lie beside one
 * another. Runs in: queue. Trusts: nothing that does not name its message. Never: says what is acted on; that is what
 * the MAC of the whole is for. */
#include "store/queue_walk.h"

#include "store/disk.h"

#include <fcntl.h>
#include <stdlib.h>

enum { AHEAD_BYTES = 64 << 10, SHORT_RECORD = 16 << 10, FILE_BYTES = 4 << 10 };
#define HEAD_MAX ((size_t)12 << 20) /* recipients have 8 MiB at most, and marks of each go before them */

/* A piece of the log; the segment is open until the end of the round. */
static struct {
    int fd; /* and 1; 0: none */
    uint64_t segment, offset;
    size_t n;
    struct buf octets;
} piece;

void queue_head_rest(void) {
    if (piece.fd) (void)disk_calls()->close(piece.fd - 1);
    piece.fd = 0, piece.n = 0;
    if (piece.octets.cap <= 4 * AHEAD_BYTES) return;
    free(piece.octets.p);
    piece.octets = (struct buf){0};
}

static bool make_room(size_t n) {
    if (piece.octets.cap >= n) return true;
    uint8_t *grown = n > HEAD_MAX ? NULL : realloc(piece.octets.p, n);
    if (!grown) return false;
    piece.octets.p = grown, piece.octets.cap = n;
    return true;
}

/* The octets from the record's head to the body. Short records are read many at a time. */
static struct span from_log(struct queue *queue, const struct queue_message *message, size_t n) {
    const struct record_place *place = &message->place;
    char name[JOURNAL_NAME_MAX];
    if (piece.fd && piece.segment != place->segment) queue_head_rest();
    if (!piece.fd) {
        journal_name(place->segment, name);
        piece.fd = disk_calls()->open(queue->journal.directory, name, O_RDONLY, 0) + 1;
        piece.segment = place->segment, piece.n = 0;
        if (!piece.fd) return (struct span){0};
    }
    if (place->offset < piece.offset || place->offset + n > piece.offset + piece.n) {
        size_t ahead = record_bytes(message->payload_bytes) > SHORT_RECORD || n > AHEAD_BYTES ? n : AHEAD_BYTES;
        ssize_t have = make_room(ahead) ? disk_read(piece.fd - 1, piece.octets.p, ahead, place->offset) : -1;
        piece.offset = place->offset, piece.n = have > 0 ? (size_t)have : 0;
    }
    return span_part(span_of(piece.octets.p, piece.n), (size_t)(place->offset - piece.offset), n);
}

/* The same of a file, whose payload begins with the message's states (queue_deferred_part). */
static struct span from_file(struct queue *queue, const struct queue_message *message, size_t *skip_out) {
    char name[DEFERRED_NAME_MAX];
    queue_deferred_name(message->number, name);
    queue_head_rest();
    size_t n = message->body_at + FILE_BYTES, wanted = n;
    int fd = make_room(n) ? disk_calls()->open(queue->deferred, name, O_RDONLY, 0) : -1;
    ssize_t have = fd < 0 ? -1 : disk_read(fd, piece.octets.p, n, 0);
    struct wire w = wire_over(span_from(span_of(piece.octets.p, have < 0 ? 0 : (size_t)have), RECORD_HEAD_BYTES));
    *skip_out = wire_get_u32(&w);
    wanted = RECORD_HEAD_BYTES + 4 + *skip_out + message->body_at;
    if (!w.bad && wanted > n) have = make_room(wanted) ? disk_read(fd, piece.octets.p, wanted, 0) : -1;
    if (fd >= 0) (void)disk_calls()->close(fd);
    return w.bad || have < 0 ? (struct span){0} : span_of(piece.octets.p, (size_t)have);
}

bool queue_head_read(struct queue *queue, const struct queue_message *message, struct message *out) {
    struct wire w;
    if (message->resident) {
        w = wire_over(span_of(message->resident, message->payload_bytes));
    } else if (message->place.segment == RECORD_FILE) {
        size_t skip = 0, before;
        struct span s = from_file(queue, message, &skip);
        before = 4 + skip;
        if (!record_peek(s, message->place, before + message->payload_bytes)) return false;
        w = wire_over(span_part(s, RECORD_HEAD_BYTES + before, message->body_at));
    } else {
        struct span s = from_log(queue, message, RECORD_HEAD_BYTES + message->body_at);
        if (!record_peek(s, message->place, message->payload_bytes)) return false;
        w = wire_over(span_part(s, RECORD_HEAD_BYTES, message->body_at));
    }
    return message_get_head(&w, out) && out->number == message->number && out->n_recipients == message->n_recipients;
}
