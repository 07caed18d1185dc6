/* queue_session.c - the bodies, commits and aborts of sessions.
 * Runs in: queue. Trusts: nobody here. Never: believes a session in anything but its own octets; a session's frame
 * names a transaction of that session's number, or nothing happens. */
#include "store/queue_state.h"

#include "store/clock.h"
#include "store/disk.h"
#include "store/trace.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

enum { FRAMES_AT_ONCE = 16, STRAYS_MAX = 16, BEGIN_SYNC_BYTES = 4 << 20 };

void queue_closed_flush(struct queue *queue) {
    struct span body;
    if (!queue->closed.bundle.frames) return;
    uint16_t type = frame_bundle_type(&queue->closed.bundle, &body);
    (void)queue_link_send(&queue->links[0], type, body, -1);
    frame_bundle_clear(&queue->closed.bundle);
}

static void tell_closed(struct queue *queue, const uint8_t name[TRANSACTION_BYTES], bool committed,
                        uint32_t recipients) {
    uint8_t storage[TRANSACTION_BYTES + 8];
    struct buf b = BUF_OVER(storage);
    wire_put_bytes(&b, name, TRANSACTION_BYTES);
    wire_put_u8(&b, committed);
    wire_put_u32(&b, recipients);
    if (!queue->closed.bundle.b.p) queue->closed.bundle.b = BUF_OVER(queue->closed.storage);
    if (frame_bundle_add(&queue->closed.bundle, TRANSACTION_CLOSED, buf_span(&b))) return;
    queue_closed_flush(queue);
    if (!frame_bundle_add(&queue->closed.bundle, TRANSACTION_CLOSED, buf_span(&b)))
        log_bug("a frame outgrew its bundle");
}

void queue_session_closed(struct queue *queue, struct queue_transaction *transaction, bool committed) {
    transaction->closed_told = true;
    tell_closed(queue, transaction->name, committed, committed ? transaction->n_recipients : 0);
}

void queue_session_closed_name(struct queue *queue, const uint8_t name[TRANSACTION_BYTES]) {
    tell_closed(queue, name, false, 0);
}

/* Its transactions die at once; the rest of it at the end of the round, because a batch may still name it. */
static void drop_session(struct queue *queue, struct queue_session *session) {
    if (session->dropped) return;
    session->dropped = true;
    loop_remove(&queue->loop, &session->watch);
    while (session->transactions) {
        struct queue_transaction *transaction = session->transactions;
        session->transactions = transaction->session_next;
        transaction->session = NULL;
        if (transaction->message) continue; /* its batch is being written, and ends it */
        queue_session_closed(queue, transaction, false);
        queue_transaction_free(queue, transaction);
    }
    struct queue_session **at = &queue->sessions[session->number % QUEUE_HASH];
    while (*at != session) at = &(*at)->hash_next;
    *at = session->hash_next;
    queue->n_sessions--;
    session->next_dropped = queue->dropped;
    queue->dropped = session;
}

void queue_sessions_sweep(struct queue *queue) {
    while (queue->dropped) {
        struct queue_session *session = queue->dropped;
        queue->dropped = session->next_dropped;
        close(session->watch.fd);
        frame_backlog_free(&session->backlog);
        free(session);
    }
}

void queue_auth_lost(struct queue *queue) {
    queue->route.open = queue->notice.open = false;
    frame_bundle_clear(&queue->closed.bundle);
    for (size_t i = 0; i < QUEUE_HASH; i++) {
        while (queue->sessions[i]) drop_session(queue, queue->sessions[i]);
        while (queue->transactions[i]) queue_transaction_free(queue, queue->transactions[i]);
    }
}

/* The session's own transaction of that name. Auth wrote it before the session could know it: what is not there yet
 * lies in auth's channel. */
static struct queue_transaction *own(struct queue_session *session, const uint8_t name[TRANSACTION_BYTES]) {
    struct queue_transaction *transaction = queue_transaction_find(session->queue, name);
    if (!transaction) {
        queue_auth_drain(session->queue);
        transaction = queue_transaction_find(session->queue, name);
    }
    if (!transaction || transaction->session_number != session->number) return NULL;
    queue_transaction_attach(transaction, session); /* it may have opened before the channel came */
    return transaction->session == session ? transaction : NULL;
}

static void fail_body(struct queue *queue, struct queue_transaction *transaction, enum body_outcome outcome) {
    transaction->failed = (uint8_t)(outcome + 1);
    queue_body_drop(queue, transaction);
}

/* The body goes on in a file of its own, which begins with the trace. */
static bool spill(struct queue *queue, struct queue_transaction *transaction) {
    uint8_t storage[TRACE_MAX];
    struct buf trace = BUF_OVER(storage);
    char name[MESSAGE_NAME_SIZE];
    struct recipient only = {0};
    transaction->number = queue_draw_number(queue);
    struct message message = {
        .number = transaction->number, .arrival_ms = clock_wall_ms(), .envelope = transaction->envelope};
    if (transaction->n_recipients == 1) {
        struct wire w = wire_over(span_of(transaction->recipients, transaction->recipients_bytes));
        recipient_get(&w, &only);
    }
    struct span body = span_of(transaction->body, transaction->bytes);
    trace_put(&trace, &message, queue->setup.hostname, only.original, trace_fields(body));
    message_name(transaction->number, name);
    errno = EMSGSIZE;
    if (buf_ok(&trace)) transaction->fd = disk_calls()->open(queue->bodies, name, O_RDWR | O_CREAT | O_EXCL, 0600);
    struct iovec parts[2] = {{trace.p, trace.n}, {transaction->body, transaction->bytes}};
    if (transaction->fd < 0 || disk_write(transaction->fd, parts, 2, 0) != 0) {
        int error = errno;
        log_fault(transaction->fd < 0 ? "a body's file cannot be made" : "a body cannot be written", error);
        errno = error;
        return false;
    }
    transaction->trace_bytes = (uint32_t)trace.n;
    queue->in_flight -= transaction->body_cap;
    free(transaction->body);
    transaction->body = NULL, transaction->body_cap = 0;
    return true;
}

static bool outgrows(const struct queue_transaction *transaction, struct span octets) {
    return transaction->fd < 0 && transaction->bytes + octets.n > QUEUE_INLINE_BYTES;
}

static enum body_outcome keep(struct queue *queue, struct queue_transaction *transaction, struct span octets) {
    if (transaction->bytes + octets.n > transaction->envelope.limit_bytes) return BODY_TOO_LARGE;
    if (outgrows(transaction, octets) && !spill(queue, transaction))
        return errno == ENOSPC ? BODY_NO_SPACE : BODY_REFUSED;
    if (transaction->fd >= 0) {
        if (queue->full) return BODY_NO_SPACE;
        if (disk_write_span(transaction->fd, octets, transaction->trace_bytes + transaction->bytes) != 0) {
            int error = errno;
            log_fault("a body cannot be written", error);
            return error == ENOSPC ? BODY_NO_SPACE : BODY_REFUSED;
        }
        /* So that the sync at the end waits for the last of it only. */
        if (transaction->bytes / BEGIN_SYNC_BYTES != (transaction->bytes + octets.n) / BEGIN_SYNC_BYTES)
            (void)disk_calls()->begin_sync(transaction->fd);
    } else {
        size_t need = (size_t)transaction->bytes + octets.n,
               cap = transaction->body_cap ? transaction->body_cap : 8192;
        while (cap < need) cap *= 2;
        if (cap != transaction->body_cap) {
            if (queue->in_flight + cap - transaction->body_cap > queue->setup.in_flight_bytes) return BODY_NO_SPACE;
            void *grown = realloc(transaction->body, cap);
            if (!grown) return BODY_NO_SPACE;
            queue->in_flight += cap - transaction->body_cap;
            transaction->body = grown, transaction->body_cap = cap;
        }
        memcpy(transaction->body + transaction->bytes, octets.p, octets.n);
    }
    transaction->bytes += octets.n;
    return BODY_DURABLE; /* so far so good */
}

/* Octets of the body; what cannot be kept fails the transaction, and its commit is refused. Returns it, or NULL. */
static struct queue_transaction *take_octets(struct queue_session *session, const uint8_t name[TRANSACTION_BYTES],
                                             struct span octets) {
    struct queue_transaction *transaction = own(session, name);
    if (transaction && outgrows(transaction, octets)) { /* the trace is written now: all that auth has said counts */
        queue_auth_drain(session->queue);
        transaction = own(session, name);
    }
    if (!transaction || transaction->committing || transaction->failed || !octets.n) return transaction;
    enum body_outcome outcome = keep(session->queue, transaction, octets);
    if (outcome != BODY_DURABLE) fail_body(session->queue, transaction, outcome);
    return transaction;
}

static int handle_data(void *context, struct frame *frame) {
    struct wire w = wire_over(frame->body);
    uint8_t name[TRANSACTION_BYTES];
    wire_get_bytes(&w, name, sizeof name);
    struct span octets = wire_get_span(&w, FRAME_BODY_MAX);
    if (!wire_end(&w)) return -1;
    (void)take_octets(context, name, octets);
    return 0;
}

static void answer(struct queue_session *session, const uint8_t name[TRANSACTION_BYTES], enum body_outcome outcome,
                   uint64_t number) {
    uint8_t storage[TRANSACTION_BYTES + 64];
    char text[MESSAGE_NAME_SIZE] = "";
    struct buf b = BUF_OVER(storage);
    if (outcome == BODY_DURABLE) message_name(number, text);
    wire_put_bytes(&b, name, TRANSACTION_BYTES);
    wire_put_u8(&b, (uint8_t)outcome);
    wire_put_text(&b, text);
    if (frame_backlog_send(&session->backlog, session->watch.fd, BODY_RESULT, buf_span(&b), -1) != 0 ||
        (!frame_backlog_empty(&session->backlog) &&
         loop_change(&session->queue->loop, &session->watch, EPOLLIN | EPOLLOUT) != 0))
        drop_session(session->queue, session);
}

void queue_session_answer(struct queue *queue, struct queue_transaction *transaction, enum body_outcome outcome,
                          uint64_t number) {
    if (!transaction->closed_told) queue_session_closed(queue, transaction, outcome == BODY_DURABLE);
    queue_closed_flush(queue);
    struct queue_session *session = transaction->session;
    uint8_t name[TRANSACTION_BYTES];
    memcpy(name, transaction->name, sizeof name);
    queue_transaction_free(queue, transaction);
    if (session && !session->dropped) answer(session, name, outcome, number);
}

static int handle_commit(void *context, struct frame *frame) {
    struct queue_session *session = context;
    struct queue *queue = session->queue;
    struct wire w = wire_over(frame->body);
    uint8_t name[TRANSACTION_BYTES];
    wire_get_bytes(&w, name, sizeof name);
    uint32_t recipients = wire_get_u32(&w);
    if (w.bad) return -1;
    struct queue_transaction *transaction = take_octets(session, name, w.rest);
    if (!transaction || transaction->committing) {
        struct log_line line;
        if (++session->strays > STRAYS_MAX) return -1; /* each is a line of the log */
        log_open(&line, LOG_QUEUE_REFUSED);
        log_number(&line, KEY_SESSION, session->number);
        log_text(&line, KEY_WHY, "commit of a transaction that is not this session's to commit");
        log_send(&line);
        answer(session, name, BODY_REFUSED, 0);
        return 0;
    }
    transaction->committing = true;
    transaction->commit_recipients = recipients;
    transaction->next_commit = NULL;
    *queue->last_commit = transaction;
    queue->last_commit = &transaction->next_commit;
    return 0;
}

static int handle_abort(void *context, struct frame *frame) {
    struct queue_session *session = context;
    struct wire w = wire_over(frame->body);
    uint8_t name[TRANSACTION_BYTES];
    wire_get_bytes(&w, name, sizeof name);
    if (!wire_end(&w)) return -1;
    struct queue_transaction *transaction = own(session, name);
    if (!transaction || transaction->committing) return 0;
    queue_session_closed(session->queue, transaction, false);
    queue_transaction_free(session->queue, transaction);
    return 0;
}

static void bad_frame(struct queue_session *session) {
    struct log_line line;
    log_open(&line, LOG_BAD_FRAME);
    log_text(&line, KEY_PROCESS, "session");
    if (session->transactions)
        log_span(&line, KEY_SESSION, session->transactions->envelope.session_name);
    else
        log_number(&line, KEY_SESSION, session->number);
    log_send(&line);
    drop_session(session->queue, session);
}

void queue_session_ready(void *context, uint32_t events) {
    static const struct frame_row rows[] = {
        {BODY_DATA, 1, handle_data}, {BODY_COMMIT, 1, handle_commit}, {BODY_ABORT, 1, handle_abort}};
    static uint8_t storage[FRAME_MAX];
    struct queue_session *session = context;
    struct frame frame;
    if (events & EPOLLOUT) {
        if (frame_backlog_flush(&session->backlog, session->watch.fd) != 0) {
            drop_session(session->queue, session);
            return;
        }
        if (frame_backlog_empty(&session->backlog) &&
            loop_change(&session->queue->loop, &session->watch, EPOLLIN) != 0)
            log_fault("watching a session", errno);
    }
    for (int i = 0; i < FRAMES_AT_ONCE && !session->dropped; i++) {
        enum frame_status status = frame_receive(session->watch.fd, storage, false, &frame);
        if (status == FRAME_NONE) return;
        if (status == FRAME_CLOSED || status == FRAME_ERROR) {
            drop_session(session->queue, session);
            return;
        }
        if (status != FRAME_RECEIVED || frame_dispatch(rows, 3, 1, session, &frame) != 0) {
            bad_frame(session);
            return;
        }
        if (frame.type == BODY_COMMIT) return; /* it waits for its answer now */
    }
}
