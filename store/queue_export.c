/* queue_export.c - messages as they lie in the queue, for the command line: the octets of one, or envelopes and
 * octets of many. Runs in: queue. Trusts: the owner's uid and root. Never: has more of a message in memory than its
 * reader is about to take. */
#include "store/clock.h"
#include "store/disk.h"
#include "store/queue_list.h"
#include "store/queue_walk.h"

#include <fcntl.h>
#include <stdlib.h>

enum { EXPORT_BYTES = 48 << 10 };

static struct control_row row; /* too large for a stack */

/* A file on its way is held open: its message may be delivered meanwhile. */
struct export {
    struct queue_walk walk;
    bool only_octets; /* queue cat */
    int fd;           /* and 1; 0: none */
    uint64_t at, bytes, done, unreadable;
};

static enum queue_step send_octets(struct queue_walk *walk, struct span octets) {
    control_row_open(&row);
    control_row_line(&row, octets);
    return queue_walk_send(walk, &row);
}

static void close_file(struct queue_walk *walk) {
    struct export *export = (struct export *)walk;
    if (export->fd) (void)disk_calls()->close(export->fd - 1);
    export->fd = 0;
}

static enum queue_step file_more(struct queue_walk *walk) {
    static uint8_t storage[EXPORT_BYTES];
    struct export *export = (struct export *)walk;
    ssize_t n = disk_read(export->fd - 1, storage, sizeof storage, export->at);
    if (n > 0) {
        export->at += (uint64_t)n;
        return send_octets(walk, span_of(storage, (size_t)n));
    }
    walk->inside = NULL;
    close_file(walk);
    if (n == 0 && export->at == export->bytes)
        export->done++;
    else
        export->unreadable++;
    return STEP_ON;
}

static void begin_file(struct export *export, const struct queue_message *message) {
    char name[MESSAGE_NAME_SIZE];
    message_name(message->number, name);
    export->fd = disk_calls()->open(export->walk.queue->bodies, name, O_RDONLY, 0) + 1;
    export->at = 0, export->bytes = message->body_bytes;
    if (export->fd)
        export->walk.inside = file_more;
    else
        export->unreadable++;
}

/* The rows of queue show. */
static void send_envelope(struct queue_walk *walk, const struct queue_message *message, const struct message *head) {
    struct wire w = wire_over(head->recipients);
    queue_list_envelope(&row, walk->queue, message, head);
    (void)queue_walk_send(walk, &row);
    for (uint32_t i = 0; i < head->n_recipients; i++) {
        struct recipient recipient;
        recipient_get(&w, &recipient);
        queue_list_recipient(&row, message, i, &recipient);
        (void)queue_walk_send(walk, &row);
    }
}

static enum queue_step export_one(struct queue_walk *walk, struct queue_message *message,
                                  const struct message *none) {
    struct export *export = (struct export *)walk;
    struct message head;
    enum queue_step step = STEP_ON;
    (void)none;
    bool resident = message->resident;
    if (!queue_load(walk->queue, message)) {
        export->unreadable++;
        return STEP_ON;
    }
    queue_head(message, &head);
    if (!export->only_octets) send_envelope(walk, message, &head);
    struct span body = queue_body(message);
    if (message->flags & MESSAGE_OWN_FILE)
        begin_file(export, message);
    else
        export->done++;
    for (size_t at = 0; at < body.n; at += EXPORT_BYTES) step = send_octets(walk, span_part(body, at, EXPORT_BYTES));
    if (!resident) queue_unload(walk->queue, message);
    return step;
}

static enum queue_step end(struct queue_walk *walk) {
    struct export *export = (struct export *)walk;
    struct control_peer *peer = walk->peer;
    const char *what = export->only_octets ? "the message cannot be read to its end" : "some cannot be read whole";
    if (walk->filter.one && !export->done && !export->unreadable) {
        control_end(peer, CONTROL_NOT_FOUND, "no such message");
        return STEP_OVER;
    }
    if (!export->only_octets) {
        control_row_open(&row);
        control_row_number(&row, "exported", export->done);
        control_row_number(&row, "unreadable", export->unreadable);
        (void)control_row_send(&row, peer);
    }
    control_end(peer, export->unreadable ? CONTROL_FAILED : CONTROL_OK, export->unreadable ? what : "");
    return STEP_OVER;
}

void queue_export_answer(struct queue *queue, struct control_peer *peer, const struct control_request *request) {
    char why[QUEUE_FILTER_WHY] = "which messages?";
    struct export *export = calloc(1, sizeof *export);
    if (!export) {
        control_end(peer, CONTROL_FAILED, "no memory");
        return;
    }
    struct queue_walk *walk = &export->walk;
    export->only_octets = strcmp(request->verb, "queue cat") == 0;
    bool clear = queue_filter_read(request, clock_wall_ms(), &walk->filter, why);
    if (!clear || !queue_filter_chooses(&walk->filter) || (export->only_octets && !walk->filter.one)) {
        free(export);
        control_end(peer, CONTROL_USAGE, why);
        return;
    }
    walk->visit = export_one, walk->close = end, walk->release = close_file;
    queue_walk_begin(queue, peer, walk);
}
