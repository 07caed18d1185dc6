/* queue_transaction.c - transactions, as auth opens, fills and closes them.
 * Runs in: queue. Trusts: auth. Never: hears of an envelope from anybody else. */
#include "store/queue_state.h"

#include "store/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

enum { SESSION_BACKLOG_BYTES = 4096 };

static struct queue_transaction **bucket(struct queue *queue, const uint8_t name[TRANSACTION_BYTES]) {
    return &queue->transactions[(name[0] | name[1] << 8) % QUEUE_HASH]; /* 128 random bits */
}

struct queue_transaction *queue_transaction_find(struct queue *queue, const uint8_t name[TRANSACTION_BYTES]) {
    struct queue_transaction *at = *bucket(queue, name);
    while (at && memcmp(at->name, name, TRANSACTION_BYTES) != 0) at = at->hash_next;
    return at;
}

static struct queue_session *find_session(struct queue *queue, uint64_t number) {
    struct queue_session *at = queue->sessions[number % QUEUE_HASH];
    while (at && at->number != number) at = at->hash_next;
    return at;
}

void queue_body_drop(struct queue *queue, struct queue_transaction *transaction) {
    queue->in_flight -= transaction->body_cap;
    free(transaction->body);
    transaction->body = NULL, transaction->body_cap = 0;
    if (transaction->fd < 0) return;
    char name[MESSAGE_NAME_SIZE];
    (void)disk_calls()->close(transaction->fd);
    transaction->fd = -1;
    message_name(transaction->number, name);
    if (!transaction->message && disk_calls()->unlink(queue->bodies, name) != 0)
        log_fault("a body cannot be removed", errno);
}

void queue_transaction_free(struct queue *queue, struct queue_transaction *transaction) {
    struct queue_transaction **at = bucket(queue, transaction->name);
    while (*at != transaction) at = &(*at)->hash_next;
    *at = transaction->hash_next;
    if (transaction->session) {
        at = &transaction->session->transactions;
        while (*at != transaction) at = &(*at)->session_next;
        *at = transaction->session_next;
    }
    if (transaction->committing) {
        for (at = &queue->first_commit; *at && *at != transaction;) at = &(*at)->next_commit;
        if (*at) {
            if (queue->last_commit == &transaction->next_commit) queue->last_commit = at;
            *at = transaction->next_commit;
        }
    }
    queue_body_drop(queue, transaction);
    queue->n_transactions--;
    free(transaction->head);
    queue_recipients_free(transaction);
    free(transaction);
}

void queue_transaction_attach(struct queue_transaction *transaction, struct queue_session *session) {
    if (!session || session->dropped || transaction->session) return;
    transaction->session = session;
    transaction->session_next = session->transactions;
    session->transactions = transaction;
}

static int handle_open(void *context, struct frame *frame) {
    struct queue *queue = context;
    struct wire w = wire_over(frame->body);
    struct queue_transaction *transaction = calloc(1, sizeof *transaction);
    if (!transaction || !(transaction->head = malloc(frame->body.n + 1))) log_bug("no memory for a transaction");
    wire_get_bytes(&w, transaction->name, TRANSACTION_BYTES);
    size_t n = w.rest.n;
    if (n) memcpy(transaction->head, w.rest.p, n);
    struct wire head = wire_over(span_of(transaction->head, n));
    envelope_get(&head, &transaction->envelope);
    if (w.bad || !wire_end(&head) || queue_transaction_find(queue, transaction->name)) {
        free(transaction->head);
        free(transaction);
        return -1;
    }
    transaction->fd = -1;
    transaction->session_number = transaction->envelope.session_number;
    struct queue_transaction **first = bucket(queue, transaction->name);
    transaction->hash_next = *first;
    *first = transaction;
    queue->n_transactions++;
    queue_transaction_attach(transaction, find_session(queue, transaction->session_number));
    return 0;
}

static int handle_rcpt(void *context, struct frame *frame) {
    struct queue *queue = context;
    struct wire w = wire_over(frame->body);
    uint8_t name[TRANSACTION_BYTES];
    wire_get_bytes(&w, name, sizeof name);
    uint32_t index = wire_get_u32(&w);
    struct span recipients = w.rest;
    while (w.rest.n && !w.bad) {
        struct recipient recipient;
        recipient_get(&w, &recipient);
    }
    if (!wire_end(&w) || !recipients.n) return -1;
    struct queue_transaction *transaction = queue_transaction_find(queue, name);
    if (!transaction) return 0; /* it died with its session's channel */
    if (!queue_recipients_add(transaction, index, recipients)) transaction->failed = BODY_REFUSED + 1;
    return 0;
}

static int handle_channel(void *context, struct frame *frame) {
    struct queue *queue = context;
    struct wire w = wire_over(frame->body);
    uint64_t number = wire_get_u64(&w);
    if (!wire_end(&w) || frame->fd < 0 || find_session(queue, number)) return -1;
    struct queue_session *session = calloc(1, sizeof *session);
    if (!session) return 0; /* the session finds its channel closed: 451 */
    *session =
        (struct queue_session){.queue = queue, .number = number, .watch = {frame->fd, queue_session_ready, session}};
    session->backlog.cap_bytes = SESSION_BACKLOG_BYTES;
    if (loop_add(&queue->loop, &session->watch, EPOLLIN) != 0) { /* auth has made it non-blocking */
        log_fault("a session's channel", errno);
        free(session);
        return 0;
    }
    frame->fd = -1;
    session->hash_next = queue->sessions[number % QUEUE_HASH];
    queue->sessions[number % QUEUE_HASH] = session;
    queue->n_sessions++;
    return 0;
}

static int handle_close(void *context, struct frame *frame) {
    struct queue *queue = context;
    struct wire w = wire_over(frame->body);
    uint8_t name[TRANSACTION_BYTES];
    wire_get_bytes(&w, name, sizeof name);
    if (!wire_end(&w)) return -1;
    struct queue_transaction *transaction = queue_transaction_find(queue, name);
    if (transaction && transaction->message) return 0; /* its batch is being written: it is too late */
    if (transaction && transaction->committing) {
        transaction->failed = BODY_REFUSED + 1; /* answered with the batch */
        return 0;
    }
    if (transaction) queue_transaction_free(queue, transaction);
    /* What it reserved is free; one that was committed has been told of before. */
    queue_session_closed_name(queue, name);
    return 0;
}

static int handle_notice(void *context, struct frame *frame) {
    return queue_notice_wanted(context, frame);
}

static int handle_route(void *context, struct frame *frame) {
    queue_route_result(context, frame);
    return 0;
}

/* The descriptor of a bundle is that of the one frame in it that wants one. */
static int handle_bundle(void *context, struct frame *bundle) {
    struct wire w = wire_over(bundle->body);
    struct frame frame;
    while (frame_bundle_next(&w, &frame)) {
        if (frame.type == TRANSACTION_CHANNEL) frame.fd = bundle->fd, bundle->fd = -1;
        queue_auth_frame(context, &frame);
    }
    return w.bad ? -1 : 0;
}

void queue_auth_frame(struct queue *queue, struct frame *frame) {
    static const struct frame_row rows[] = {
        {TRANSACTION_OPEN, 1, handle_open},       {TRANSACTION_RCPT, 1, handle_rcpt},
        {TRANSACTION_CHANNEL, 1, handle_channel}, {TRANSACTION_CLOSE, 1, handle_close},
        {ROUTE_RESULT, 1, handle_route},          {FRAME_BUNDLE, 1, handle_bundle},
        {NOTICE_WANTED, 1, handle_notice},
    };
    if (frame_dispatch(rows, sizeof rows / sizeof rows[0], 1, queue, frame) != 0)
        log_bug("frame from auth does not parse");
}
