/* queue_feed.c - handing agents what there is for them.
 * Runs in: queue. Trusts: the messages it holds. Never: gives an agent what is not its destination's, blocks on
 * an agent. */
#include "store/queue_state.h"

#include "store/clock.h"
#include "store/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

enum { CHUNK_BYTES = 60 << 10, LOAD_MS = 15 };

static void idle(struct queue *queue, struct queue_agent *agent) {
    if (agent->n_jobs) return;
    if (agent->failed || queue_crowded(queue, agent) || queue->draining)
        queue_agent_drop(queue, agent);
    else if (queue_timer_set(&queue->timers, &agent->timer, clock_ms() + QUEUE_AGENT_IDLE_MS) != 0)
        queue_agent_drop(queue, agent);
}

static bool send_now(struct queue *queue, struct queue_agent *agent, uint16_t type, struct span body, int passed) {
    if (frame_backlog_send(&agent->backlog, agent->watch.fd, type, body, passed) != 0) return false;
    if (frame_backlog_empty(&agent->backlog) || agent->polling_out) return true;
    agent->polling_out = true;
    return loop_change(&queue->loop, &agent->watch, EPOLLIN | EPOLLOUT) == 0;
}

/* Frames for the agent that is being filled: many small messages go in one. */
static uint8_t outgoing_storage[FRAME_BODY_MAX];
static struct frame_bundle outgoing = {.b = {.p = outgoing_storage, .cap = sizeof outgoing_storage}};

static bool flush(struct queue *queue, struct queue_agent *agent) {
    struct span body;
    if (!outgoing.frames) return true;
    uint16_t type = frame_bundle_type(&outgoing, &body);
    bool sent = send_now(queue, agent, type, body, -1);
    frame_bundle_clear(&outgoing);
    return sent;
}

static bool agent_send(struct queue *queue, struct queue_agent *agent, uint16_t type, struct span body, int passed) {
    if (passed < 0 && frame_bundle_add(&outgoing, type, body)) return true;
    if (!flush(queue, agent)) return false;
    if (passed < 0 && frame_bundle_add(&outgoing, type, body)) return true;
    return send_now(queue, agent, type, body, passed);
}

static bool send_open(struct queue *queue, struct queue_agent *agent, struct queue_job *job, int fd) {
    static uint8_t storage[FRAME_BODY_MAX];
    struct buf b = BUF_OVER(storage);
    return queue_job_put(&b, job) && agent_send(queue, agent, JOB_OPEN, buf_span(&b), fd);
}

static bool send_body(struct queue *queue, struct queue_agent *agent, const struct queue_job *job) {
    static uint8_t storage[FRAME_BODY_MAX];
    struct span body = queue_body(job->part->message);
    for (size_t at = 0; at < body.n; at += CHUNK_BYTES) {
        struct buf b = BUF_OVER(storage);
        wire_put_u64(&b, job->number);
        wire_put_span(&b, span_part(body, at, CHUNK_BYTES));
        if (!agent_send(queue, agent, JOB_BODY, buf_span(&b), -1)) return false;
    }
    return true;
}

/* The message cannot be read: the part waits, and its sender is told when it expires. */
static void cannot_read(struct queue *queue, struct queue_part *part) {
    struct queue_message *message = part->message;
    uint16_t index = (uint16_t)(part - message->parts);
    log_fault("a message that waits cannot be read", EIO);
    struct queue_note *note =
        queue_note_new(SPAN("4.3.0"), SPAN("the stored message cannot be read"), (struct span){0});
    for (uint32_t i = 0; i < message->n_recipients; i++)
        if (message->recipients[i].part == index && message->recipients[i].state == RECIPIENT_WAITING) {
            message->recipients[i].in_job = 1;
            queue_note_set(&message->recipients[i].note, note);
        }
    if (note && !note->references) free(note);
    queue_part_ended(queue, part);
}

/* Hands the part to the agent. False: the agent is lost. */
static bool give(struct queue *queue, struct queue_agent *agent, struct queue_part *part) {
    struct queue_message *message = part->message;
    struct queue_job *job = agent->jobs;
    char name[MESSAGE_NAME_SIZE];
    int fd = -1;
    while (job->number) job++;
    message->active++;
    part->state = PART_ACTIVE;
    message_name(message->number, name);
    uint64_t before = clock_ms();
    bool ok = queue_load(queue, message);
    queue->load_ms += clock_ms() - before;
    if (ok && message->flags & MESSAGE_OWN_FILE && (fd = disk_calls()->open(queue->bodies, name, O_RDONLY, 0)) < 0) {
        log_fault("a message's body cannot be opened", errno);
        ok = false;
    }
    if (!ok) {
        cannot_read(queue, part);
        return true;
    }
    *job = (struct queue_job){++queue->last_job, part, false};
    if (!agent->n_jobs++) agent->heard_ms = clock_ms();
    agent->turn_jobs++;
    ok = send_open(queue, agent, job, fd) && (fd >= 0 || send_body(queue, agent, job));
    if (fd >= 0) (void)disk_calls()->close(fd);
    /* The agent's copy is on its way; another attempt reads it again. */
    if (queue->resident_bytes > QUEUE_RESIDENT_BYTES) queue_unload(queue, message);
    return ok;
}

static void fill(struct queue *queue, struct queue_agent *agent) {
    struct queue_destination *destination = agent->destination;
    while (destination->n_ready && !queue->draining && agent->n_jobs < QUEUE_WINDOW &&
           frame_backlog_empty(&agent->backlog)) {
        /* After a failure one job finds out whether the destination is back. */
        if (agent->failed || destination->timer.place || (destination->failures && agent->n_jobs)) break;
        if (queue_turn_over(queue, agent)) break;
        if (queue->load_ms > LOAD_MS) {
            queue_agent_hungry(queue, agent);
            break;
        }
        struct queue_part *part = queue_lane_turn(destination);
        queue_timer_clear(&queue->timers, &agent->timer);
        queue_part_unschedule(queue, part);
        if (give(queue, agent, part)) continue;
        frame_bundle_clear(&outgoing);
        queue_agent_lose(queue, agent);
        return;
    }
    if (!flush(queue, agent))
        queue_agent_lose(queue, agent);
    else if (!agent->hungry)
        idle(queue, agent);
}

void queue_agent_hungry(struct queue *queue, struct queue_agent *agent) {
    agent->hungry = queue->hungry = true;
}

void queue_agents_feed(struct queue *queue) {
    while (queue->hungry && queue->load_ms <= LOAD_MS) {
        struct queue_agent *agent = queue->agents;
        while (agent && !agent->hungry) agent = agent->next;
        queue->hungry = agent;
        if (!agent) return;
        agent->hungry = false;
        if (agent->watch.fd >= 0) fill(queue, agent);
    }
}
