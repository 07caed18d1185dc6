/* queue_control.c - what the command line may ask of the queue.
 * Runs in: queue. Trusts: the owner's uid and root. Never: changes more than was named. */
#include "store/queue_walk.h"

#include "store/clock.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static struct control_row row; /* too large for a stack */

static void answer_status(struct queue *queue, struct control_peer *peer) {
    uint64_t bytes = 0;
    for (size_t i = 0; i < queue->journal.n; i++) bytes += queue->journal.segments[i].bytes;
    control_row_open(&row);
    control_row_number(&row, "messages", queue->n_messages);
    control_row_number(&row, "bytes", queue->queued_bytes);
    control_row_time(&row, "oldest", queue->oldest ? queue->oldest->arrival_ms : 0);
    control_row_number(&row, "accepted", queue->accepted);
    control_row_number(&row, "delivered", queue->delivered);
    control_row_number(&row, "failed", queue->failed);
    control_row_number(&row, "deferred", queue->deferrals);
    control_row_number(&row, "reports not sent", queue->suppressed);
    control_row_number(&row, "longest round ms", queue->longest_ms);
    control_row_number(&row, "sessions", queue->n_sessions);
    control_row_number(&row, "agents", queue->n_agents);
    control_row_number(&row, "log segments", queue->journal.n);
    control_row_number(&row, "log bytes", bytes);
    control_row_bool(&row, "accepting", !queue->full && !queue->stopped);
    (void)control_row_send(&row, peer);
    control_end(peer, CONTROL_OK, "");
}

bool queue_backup_runs(const struct queue *queue) {
    return queue->control.copier;
}

/* The command line copies our directory until it closes its connection. A line for each segment says how far it is
 * to be copied: so far all of it is durable, and what is appended from now on is not wanted in part. */
static void answer_backup(struct queue *queue, struct control_peer *peer) {
    if (queue_backup_runs(queue)) {
        control_end(peer, CONTROL_REFUSED, "another backup is being made");
        return;
    }
    if (queue_marks_flush(queue) != 0) {
        control_end(peer, CONTROL_FAILED, "the queue's log could not be written");
        return;
    }
    for (size_t i = 0; i < queue->journal.n; i++) {
        const struct journal_segment *segment = &queue->journal.segments[i];
        bool current = queue->journal.fd >= 0 && i + 1 == queue->journal.n;
        char name[JOURNAL_NAME_MAX], line[JOURNAL_NAME_MAX + 32];
        journal_name(segment->number, name);
        (void)snprintf(line, sizeof line, "%s %llu\n", name,
                       (unsigned long long)(current ? queue->journal.offset : segment->bytes));
        control_row_open(&row);
        control_row_line(&row, span_text(line));
        if (!control_row_send(&row, peer)) return;
    }
    queue->control.copier = peer;
    queue->copied_since_ms = clock_ms();
    control_end(peer, CONTROL_OK, "");
}

static void handle(void *context, struct control_peer *peer, const struct control_request *request) {
    struct queue *queue = context;
    static const struct {
        const char *verb;
        void (*answer)(struct queue *queue, struct control_peer *peer, const struct control_request *request);
    } verbs[] = {{"queue list", queue_list_answer},      {"queue show", queue_show_answer},
                 {"queue retry", queue_change_answer},   {"queue hold", queue_change_answer},
                 {"queue release", queue_change_answer}, {"queue remove", queue_change_answer},
                 {"queue cat", queue_export_answer},     {"queue export", queue_export_answer},
                 {"queue stats", queue_stats_answer}};
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
        if (strcmp(request->verb, verbs[i].verb) != 0) continue;
        verbs[i].answer(queue, peer, request);
        return;
    }
    if (strcmp(request->verb, "queue backup") == 0)
        answer_backup(queue, peer);
    else if (strcmp(request->verb, "queue status") == 0)
        answer_status(queue, peer);
    else
        control_end(peer, CONTROL_USAGE, "the queue does not know this command");
}

int queue_control_open(struct queue *queue) {
    queue->control =
        (struct control_server){.loop = &queue->loop, .owner_uid = getuid(), .handle = handle, .context = queue};
    int fd = role_descriptor(queue->start, DESCRIPTOR_CONTROL, 0);
    if (fd >= 0 && control_serve(&queue->control, fd) != 0) {
        log_fault("the control socket cannot be served", errno);
        return -1;
    }
    fd = role_channel(queue->start, ROLE_COMMAND, 0);
    if (queue->setup.stand_alone && fd >= 0 && control_serve_peer(&queue->control, fd) != 0) {
        log_fault("the command line cannot be served", errno);
        return -1;
    }
    return 0;
}
