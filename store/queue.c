/* queue.c - the queue process: its loop, and its channels to auth, delivery and outbound.
 * Runs in: queue. Trusts: the master and auth. Never: waits for a peer. */
#include "store/queue.h"

#include "store/clock.h"
#include "store/queue_state.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

enum { LINK_BACKLOG_BYTES = 8 << 20, LINK_FRAMES = 256, DRAIN_MS = 3000, WALK_MS = 5 };

static const uint8_t link_roles[QUEUE_LINKS] = {ROLE_AUTH, ROLE_DELIVERY, ROLE_OUTBOUND};

struct queue_link *queue_link_for(struct queue *queue, uint8_t destination_kind) {
    return &queue->links[destination_goes_out(destination_kind) ? 2 : 1];
}

/* The peer is gone, or will not read; the master brings a new channel. The descriptor belongs to queue->start. */
static void lose_link(struct queue *queue, struct queue_link *link) {
    if (link->watch.fd < 0) return;
    loop_remove(&queue->loop, &link->watch);
    link->watch.fd = -1;
    link->polling_out = false;
    frame_backlog_free(&link->backlog);
    if (link->role == ROLE_AUTH)
        queue_auth_lost(queue);
    else
        queue_agents_lost(queue, link->role);
}

bool queue_link_send(struct queue_link *link, uint16_t type, struct span body, int passed) {
    if (link->watch.fd < 0) return false;
    if (frame_backlog_send(&link->backlog, link->watch.fd, type, body, passed) != 0) {
        /* Whoever noticed is in the middle of something: the loop sees the end of the channel and cleans up. */
        (void)shutdown(link->watch.fd, SHUT_RDWR);
        return false;
    }
    if (frame_backlog_empty(&link->backlog) || link->polling_out) return true;
    link->polling_out = loop_change(&link->queue->loop, &link->watch, EPOLLIN | EPOLLOUT) == 0;
    return true;
}

/* Reads at most `most` frames. False when the channel has ended. */
static bool read_link(struct queue *queue, struct queue_link *link, int most) {
    static uint8_t storage[FRAME_MAX];
    struct frame frame;
    for (int i = 0; i < most && link->watch.fd >= 0; i++) {
        enum frame_status status = frame_receive(link->watch.fd, storage, true, &frame);
        if (status == FRAME_NONE) return true;
        if (status == FRAME_MALFORMED) log_bug("malformed frame from a trusted peer");
        if (status != FRAME_RECEIVED) return false;
        if (link->role == ROLE_AUTH)
            queue_auth_frame(queue, &frame);
        else
            queue_delivery_frame(queue, link, &frame);
        if (frame.fd >= 0) close(frame.fd);
    }
    return true;
}

void queue_auth_drain(struct queue *queue) {
    /* An end that is met here is met again by the loop, which then drops what belonged to that auth. */
    (void)read_link(queue, &queue->links[0], INT32_MAX);
}

static void link_ready(void *context, uint32_t events) {
    struct queue_link *link = context;
    struct queue *queue = link->queue;
    if (events & EPOLLOUT) {
        if (frame_backlog_flush(&link->backlog, link->watch.fd) != 0) {
            lose_link(queue, link);
            return;
        }
        if (frame_backlog_empty(&link->backlog) && loop_change(&queue->loop, &link->watch, EPOLLIN) == 0)
            link->polling_out = false;
    }
    if (!read_link(queue, link, LINK_FRAMES)) lose_link(queue, link);
}

static void open_link(struct queue *queue, struct queue_link *link, int fd) {
    link->watch = (struct loop_watch){fd, link_ready, link};
    link->backlog.cap_bytes = LINK_BACKLOG_BYTES;
    if (fcntl(fd, F_SETFL, O_NONBLOCK) != 0 || loop_add(&queue->loop, &link->watch, EPOLLIN) != 0) {
        log_fault("a channel cannot be watched", errno);
        link->watch.fd = -1;
        return;
    }
    if (link->role != ROLE_AUTH) return;
    queue->space_told = true; /* what auth assumes until it is told otherwise */
    queue_space_check(queue, true);
    queue_route_again(queue);
}

static void take_channel(struct queue *queue, const struct role_link *channel) {
    for (size_t i = 0; i < QUEUE_LINKS; i++) {
        struct queue_link *link = &queue->links[i];
        if (link->role != channel->kind) continue;
        /* The old descriptor is closed already, and with it its place in the loop. */
        if (link->watch.fd >= 0) {
            link->watch.fd = -1;
            loop_remove(&queue->loop, &link->watch);
            frame_backlog_free(&link->backlog);
            link->polling_out = false;
            if (link->role == ROLE_AUTH)
                queue_auth_lost(queue);
            else
                queue_agents_lost(queue, link->role);
        }
        open_link(queue, link, channel->fd);
    }
}

static void reload(struct queue *queue) {
    struct queue_setup setup;
    if (queue_setup_get(&setup, queue->start->payload) != 0) log_bug("the queue's setup does not parse");
    queue->setup = setup;
    queue->journal.segment_bytes = setup.segment_bytes;
}

static void master_ready(void *context, uint32_t events) {
    struct queue *queue = context;
    struct role_link link;
    uint32_t number;
    int old;
    (void)events;
    switch (role_listen(queue->start, &link, &old, &number)) {
    case ROLE_EVENT_GONE:
        (void)queue_marks_flush(queue);
        log_flush();
        _exit(0);
    case ROLE_EVENT_SETUP:
        reload(queue);
        break;
    case ROLE_EVENT_CHANNEL:
        take_channel(queue, &link);
        break;
    case ROLE_EVENT_DRAIN:
        queue->draining = true, queue->draining_since_ms = clock_ms();
        break;
    case ROLE_EVENT_DESCRIPTOR:
    case ROLE_EVENT_LOG_NEW:
    case ROLE_EVENT_ACCEPT:
    case ROLE_EVENT_FORGET:
    case ROLE_EVENT_DIALED:
    case ROLE_EVENT_NONE:
        break;
    }
}

static int prepare(struct queue *queue, struct role_start *start) {
    queue->start = start;
    queue->last_commit = &queue->first_commit;
    queue->directory = -1;
    if (queue_setup_get(&queue->setup, start->payload) != 0) log_bug("the queue's setup does not parse");
    for (size_t i = 0; i < QUEUE_LINKS; i++)
        queue->links[i] = (struct queue_link){.queue = queue, .watch.fd = -1, .role = link_roles[i]};
    if (loop_open(&queue->loop) != 0) {
        log_fault("the loop cannot be made", errno);
        return -1;
    }
    if (queue_store_open(queue) != 0 || queue_recover(queue) != 0) return -1;
    queue->master = (struct loop_watch){ROLE_CONTROL_FD, master_ready, queue};
    if (fcntl(ROLE_CONTROL_FD, F_SETFL, O_NONBLOCK) != 0 || loop_add(&queue->loop, &queue->master, EPOLLIN) != 0) {
        log_fault("the master's channel cannot be watched", errno);
        return -1;
    }
    for (size_t i = 0; i < QUEUE_LINKS; i++) {
        int fd = role_channel(start, (enum role)link_roles[i], 0);
        if (fd >= 0) open_link(queue, &queue->links[i], fd);
    }
    return queue_control_open(queue);
}

/* How long the loop may wait: marks must reach the disk within a second. */
static int wait_ms(struct queue *queue, int schedule_ms) {
    if (queue_walks(queue) && schedule_ms > WALK_MS) schedule_ms = WALK_MS;
    if (!queue->marks.n) return schedule_ms;
    uint64_t due = queue->marks_since_ms + QUEUE_MARK_MS, now = clock_ms();
    if (due <= now) return 0;
    return due - now < (uint64_t)schedule_ms ? (int)(due - now) : schedule_ms;
}

static void round_end(struct queue *queue) {
    queue_commit_round(queue);
    if (queue->marks.n && clock_ms() - queue->marks_since_ms >= QUEUE_MARK_MS) (void)queue_marks_flush(queue);
    queue_sessions_sweep(queue);
    queue_space_check(queue, false);
    queue_report_sweep(queue);
    queue_maintain(queue);
    queue_closed_flush(queue);
    log_flush();
}

/* Without a server it serves one command, and ends with it. */
static bool command_gone(const struct queue *queue) {
    if (!queue->setup.stand_alone) return false;
    for (size_t i = 0; i < CONTROL_PEERS; i++)
        if (queue->control.peers[i]) return false;
    return true;
}

/* Told to stop: nothing new begins, and agents have a moment to say what came of what they have. */
static bool goes_on(struct queue *queue) {
    if (command_gone(queue)) return false;
    if (!queue->draining) return true;
    if (clock_ms() - queue->draining_since_ms > DRAIN_MS) return false;
    for (const struct queue_agent *agent = queue->agents; agent; agent = agent->next)
        if (agent->n_jobs) return true;
    return queue->first_commit != NULL;
}

struct queue *queue_begin(struct role_start *start) {
    static struct queue queue;
    return prepare(&queue, start) == 0 ? &queue : NULL;
}

/* From one wait to the next. */
static void measure_round(struct queue *queue) {
    uint64_t took = queue->loop.woke_ms ? clock_ms() - queue->loop.woke_ms : 0;
    if (took > queue->longest_ms) queue->longest_ms = took;
}

void queue_round(struct queue *queue, int most_ms) {
    int wait = wait_ms(queue, queue_schedule_run(queue));
    measure_round(queue);
    if (loop_round(&queue->loop, wait < most_ms ? wait : most_ms) != 0) log_bug("the loop cannot wait");
    round_end(queue);
}

int queue_run(struct role_start *start, uint32_t missing) {
    (void)signal(SIGPIPE, SIG_IGN);
    struct queue *queue = queue_begin(start);
    if (!queue) return 1;
    role_ready(missing);
    log_gather();
    while (goes_on(queue)) queue_round(queue, INT_MAX);
    (void)queue_marks_flush(queue);
    log_flush();
    control_close(&queue->control);
    return 0;
}
