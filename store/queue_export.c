/* queue_export.c - a message as it lies in the queue, for the command line.
 * Runs in: queue. Trusts: the owner's uid and root. Never: has more of a message in memory than its reader is about
 * to take. */
#include "store/queue_state.h"

#include "store/disk.h"

#include <fcntl.h>
#include <stdlib.h>

enum { EXPORT_BYTES = 48 << 10, BLOCKS_AT_ONCE = 4 };

static struct control_row row; /* too large for a stack */

/* A file on its way. It is held open: the message may be delivered meanwhile. */
struct queue_export {
    struct queue_export *next;
    const struct control_peer *peer;
    uint64_t at, bytes;
    int fd;
};

static bool send_octets(struct control_peer *peer, struct span octets) {
    control_row_open(&row);
    control_row_line(&row, octets);
    return control_row_send(&row, peer);
}

void queue_export_gone(void *context, struct control_peer *peer) {
    struct queue *queue = context;
    struct queue_export **at = &queue->exports;
    while (*at && (*at)->peer != peer) at = &(*at)->next;
    if (!*at) return;
    (void)disk_calls()->close((*at)->fd);
    *at = (*at)->next;
}

static void end(struct queue *queue, struct control_peer *peer, bool whole) {
    queue_export_gone(queue, peer);
    if (whole)
        control_end(peer, CONTROL_OK, "");
    else
        control_end(peer, CONTROL_FAILED, "the message cannot be read to its end");
}

static void file_more(void *context, struct control_peer *peer, void *state) {
    static uint8_t storage[EXPORT_BYTES];
    struct queue_export *export = state;
    for (int i = 0; i < BLOCKS_AT_ONCE; i++) {
        ssize_t n = disk_read(export->fd, storage, sizeof storage, export->at);
        if (n <= 0) {
            end(context, peer, n == 0 && export->at == export->bytes);
            return;
        }
        export->at += (uint64_t)n;
        if (!send_octets(peer, span_of(storage, (size_t)n))) return;
    }
}

static void begin_file(struct queue *queue, const struct queue_message *message, struct control_peer *peer) {
    char name[MESSAGE_NAME_SIZE];
    message_name(message->number, name);
    struct queue_export *export = malloc(sizeof *export);
    int fd = export ? disk_calls()->open(queue->bodies, name, O_RDONLY, 0) : -1;
    if (fd < 0) {
        free(export);
        end(queue, peer, false);
        return;
    }
    *export = (struct queue_export){queue->exports, peer, 0, message->body_bytes, fd};
    queue->exports = export;
    control_later(peer, file_more, export);
}

void queue_export_answer(struct queue *queue, struct control_peer *peer, const struct control_request *request) {
    struct span id = control_argument(request, "id");
    uint64_t number = 0;
    if (!id.n) {
        control_end(peer, CONTROL_USAGE, "which message?");
        return;
    }
    struct queue_message *message = message_number(id, &number) ? queue_find(queue, number) : NULL;
    if (!message) {
        control_end(peer, CONTROL_NOT_FOUND, "no such message");
        return;
    }
    bool resident = message->resident, whole = queue_load(queue, message);
    if (whole && message->flags & MESSAGE_OWN_FILE) {
        begin_file(queue, message, peer);
    } else {
        struct span body = whole ? queue_body(message) : (struct span){0};
        for (size_t at = 0; whole && at < body.n; at += EXPORT_BYTES)
            whole = send_octets(peer, span_part(body, at, EXPORT_BYTES));
        end(queue, peer, whole);
    }
    if (!resident) queue_unload(queue, message);
}
