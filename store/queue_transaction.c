/* queue_transaction.c - what auth says of transactions, and the bodies that sessions send.
 * Runs in: queue. Trusts: auth. Never: believes a session in anything but its own octets; a session's frame names a
 * transaction of that session's number, or nothing happens. */
#include "store/queue_state.h"

#include "store/clock.h"
#include "store/disk.h"
#include "store/trace.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

enum { FRAMES_AT_ONCE = 16, SESSION_BACKLOG_BYTES = 4096, RECIPIENTS_BYTES_MAX = 8 << 20 };

static struct queue_transaction **bucket(struct queue *queue, const uint8_t name[TRANSACTION_BYTES]) {
    return &queue->transactions[(name[0] | name[1] << 8) % QUEUE_HASH]; /* 128 random bits */
}

static struct queue_transaction *find(struct queue *queue, const uint8_t name[TRANSACTION_BYTES]) {
    struct queue_transaction *at = *bucket(queue, name);
    while (at && memcmp(at->name, name, TRANSACTION_BYTES) != 0) at = at->hash_next;
    return at;
}

static struct queue_session *find_session(struct queue *queue, uint64_t number) {
    struct queue_session *at = queue->sessions[number % QUEUE_HASH];
    while (at && at->number != number) at = at->hash_next;
    return at;
}

static void drop_body(struct queue *queue, struct queue_transaction *transaction) {
    queue->in_flight -= transaction->body_cap;
    free(transaction->body);
    transaction->body = NULL, transaction->body_cap = 0;
    if (transaction->fd < 0) return;
    char name[MESSAGE_NAME_SIZE];
    (void)disk_calls()->close(transaction->fd);
    transaction->fd = -1;
    message_name(transaction->number, name);
    if (!transaction->message && disk_calls()->unlink(queue->bodies, name) != 0) log_fault("a body cannot be removed", errno);
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
    drop_body(queue, transaction);
    queue->n_transactions--;
    free(transaction->head);
    free(transaction->recipients);
    free(transaction->indexes);
    free(transaction);
}

/* ---- auth */

static void attach(struct queue_transaction *transaction, struct queue_session *session) {
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
    if (w.bad || !wire_end(&head) || find(queue, transaction->name)) {
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
    attach(transaction, find_session(queue, transaction->session_number));
    return 0;
}

/* Counts distinct RCPT commands: an alias may come in several frames of the same index. */
static bool count_index(struct queue_transaction *transaction, uint32_t index) {
    for (uint32_t i = transaction->n_indexes; i > 0; i--)
        if (transaction->indexes[i - 1] == index) return true;
    if (transaction->n_indexes == transaction->indexes_cap) {
        uint32_t cap = transaction->indexes_cap ? 2 * transaction->indexes_cap : 8;
        void *grown = realloc(transaction->indexes, cap * sizeof *transaction->indexes);
        if (!grown) return false;
        transaction->indexes = grown, transaction->indexes_cap = cap;
    }
    transaction->indexes[transaction->n_indexes++] = index;
    return true;
}

static bool add_recipients(struct queue_transaction *transaction, struct span recipients, uint32_t n) {
    if (transaction->recipients_cap - transaction->recipients_bytes < recipients.n) {
        size_t cap = 2 * (transaction->recipients_cap + recipients.n);
        void *grown = cap > RECIPIENTS_BYTES_MAX ? NULL : realloc(transaction->recipients, cap);
        if (!grown) return false;
        transaction->recipients = grown, transaction->recipients_cap = cap;
    }
    memcpy(transaction->recipients + transaction->recipients_bytes, recipients.p, recipients.n);
    transaction->recipients_bytes += recipients.n;
    transaction->n_recipients += n;
    return true;
}

static int handle_rcpt(void *context, struct frame *frame) {
    struct queue *queue = context;
    struct wire w = wire_over(frame->body);
    uint8_t name[TRANSACTION_BYTES];
    uint32_t n = 0;
    wire_get_bytes(&w, name, sizeof name);
    uint32_t index = wire_get_u32(&w);
    struct span recipients = w.rest;
    for (; w.rest.n && !w.bad; n++) {
        struct recipient recipient;
        recipient_get(&w, &recipient);
    }
    if (!wire_end(&w) || !n) return -1;
    struct queue_transaction *transaction = find(queue, name);
    if (!transaction) return 0; /* it died with its session's channel */
    if (!count_index(transaction, index) || !add_recipients(transaction, recipients, n))
        transaction->failed = BODY_REFUSED + 1;
    return 0;
}

static void session_ready(void *context, uint32_t events);

static int handle_channel(void *context, struct frame *frame) {
    struct queue *queue = context;
    struct wire w = wire_over(frame->body);
    uint64_t number = wire_get_u64(&w);
    if (!wire_end(&w) || frame->fd < 0 || find_session(queue, number)) return -1;
    struct queue_session *session = calloc(1, sizeof *session);
    if (!session) return 0; /* the session finds its channel closed: 451 */
    *session = (struct queue_session){.queue = queue, .number = number, .watch = {frame->fd, session_ready, session}};
    session->backlog.cap_bytes = SESSION_BACKLOG_BYTES;
    /* O_NONBLOCK belongs to this end alone; the session's may block. */
    if (fcntl(frame->fd, F_SETFL, O_NONBLOCK) != 0 || loop_add(&queue->loop, &session->watch, EPOLLIN) != 0) {
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
    struct queue_transaction *transaction = find(queue, name);
    if (!transaction || transaction->message) return 0; /* its batch is being written: it is too late */
    if (transaction->committing) transaction->failed = BODY_REFUSED + 1; /* answered with the batch */
    else queue_transaction_free(queue, transaction);
    return 0;
}

static int handle_route(void *context, struct frame *frame) {
    queue_route_result(context, frame);
    return 0;
}

void queue_auth_frame(struct queue *queue, struct frame *frame) {
    static const struct frame_row rows[] = {
        {TRANSACTION_OPEN, 1, handle_open},   {TRANSACTION_RCPT, 1, handle_rcpt}, {TRANSACTION_CHANNEL, 1, handle_channel},
        {TRANSACTION_CLOSE, 1, handle_close}, {ROUTE_RESULT, 1, handle_route},
    };
    if (frame_dispatch(rows, sizeof rows / sizeof rows[0], 1, queue, frame) != 0) log_bug("frame from auth does not parse");
}

/* ---- sessions */

static void say_closed(struct queue *queue, const struct queue_transaction *transaction, bool committed) {
    uint8_t storage[TRANSACTION_BYTES + 8];
    struct buf b = BUF_OVER(storage);
    wire_put_bytes(&b, transaction->name, TRANSACTION_BYTES);
    wire_put_u8(&b, committed);
    wire_put_u32(&b, committed ? transaction->n_recipients : 0);
    (void)queue_link_send(&queue->links[0], TRANSACTION_CLOSED, buf_span(&b), -1);
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
        say_closed(queue, transaction, false);
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
    for (size_t i = 0; i < QUEUE_HASH; i++) {
        while (queue->sessions[i]) drop_session(queue, queue->sessions[i]);
        while (queue->transactions[i]) queue_transaction_free(queue, queue->transactions[i]);
    }
}

/* The session's own transaction of that name. Auth wrote it before the session could know it: what is not there yet lies
 * in auth's channel. */
static struct queue_transaction *own(struct queue_session *session, const uint8_t name[TRANSACTION_BYTES]) {
    struct queue_transaction *transaction = find(session->queue, name);
    if (!transaction) {
        queue_auth_drain(session->queue);
        transaction = find(session->queue, name);
    }
    if (!transaction || transaction->session_number != session->number) return NULL;
    attach(transaction, session); /* it may have opened before the channel came */
    return transaction->session == session ? transaction : NULL;
}

static void fail_body(struct queue *queue, struct queue_transaction *transaction, enum body_outcome outcome) {
    transaction->failed = (uint8_t)(outcome + 1);
    drop_body(queue, transaction);
}

/* The body goes on in a file of its own, which begins with the trace. */
static bool spill(struct queue *queue, struct queue_transaction *transaction) {
    uint8_t storage[TRACE_MAX];
    struct buf trace = BUF_OVER(storage);
    char name[MESSAGE_NAME_SIZE];
    struct recipient only = {0};
    transaction->number = queue_draw_number(queue);
    struct message message = {.number = transaction->number, .arrival_ms = clock_wall_ms(), .envelope = transaction->envelope};
    if (transaction->n_recipients == 1) {
        struct wire w = wire_over(span_of(transaction->recipients, transaction->recipients_bytes));
        recipient_get(&w, &only);
    }
    struct span body = span_of(transaction->body, transaction->bytes);
    trace_put(&trace, &message, queue->setup.hostname, only.original, trace_fields(body));
    message_name(transaction->number, name);
    transaction->fd = disk_calls()->open(queue->bodies, name, O_RDWR | O_CREAT | O_EXCL, 0600);
    if (transaction->fd < 0 || !buf_ok(&trace)) return false;
    struct iovec parts[2] = {{trace.p, trace.n}, {transaction->body, transaction->bytes}};
    if (disk_write(transaction->fd, parts, 2, 0) != 0) return false;
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
            log_fault("a body cannot be written", errno);
            return errno == ENOSPC ? BODY_NO_SPACE : BODY_REFUSED;
        }
    } else {
        size_t need = (size_t)transaction->bytes + octets.n, cap = transaction->body_cap ? transaction->body_cap : 8192;
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

static int handle_data(void *context, struct frame *frame) {
    struct queue_session *session = context;
    struct wire w = wire_over(frame->body);
    uint8_t name[TRANSACTION_BYTES];
    wire_get_bytes(&w, name, sizeof name);
    struct span octets = wire_get_span(&w, FRAME_BODY_MAX);
    if (!wire_end(&w)) return -1;
    struct queue_transaction *transaction = own(session, name);
    if (transaction && outgrows(transaction, octets)) { /* the trace is written now: all that auth has said counts */
        queue_auth_drain(session->queue);
        transaction = own(session, name);
    }
    if (!transaction || transaction->committing || transaction->failed || !octets.n) return 0; /* its commit is refused */
    enum body_outcome outcome = keep(session->queue, transaction, octets);
    if (outcome != BODY_DURABLE) fail_body(session->queue, transaction, outcome);
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
    say_closed(queue, transaction, outcome == BODY_DURABLE);
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
    if (!wire_end(&w)) return -1;
    struct queue_transaction *transaction = own(session, name);
    if (!transaction || transaction->committing) {
        struct log_line line;
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
    say_closed(session->queue, transaction, false);
    queue_transaction_free(session->queue, transaction);
    return 0;
}

static void bad_frame(struct queue_session *session) {
    struct log_line line;
    log_open(&line, LOG_BAD_FRAME);
    log_text(&line, KEY_PROCESS, "session");
    if (session->transactions) log_span(&line, KEY_SESSION, session->transactions->envelope.session_name);
    else log_number(&line, KEY_SESSION, session->number);
    log_send(&line);
    drop_session(session->queue, session);
}

static void session_ready(void *context, uint32_t events) {
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
    }
}
