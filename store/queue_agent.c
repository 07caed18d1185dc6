/* queue_agent.c - agents: asking delivery for them, hearing what came of their jobs, letting them go.
 * Runs in: queue. Trusts: delivery; agents for the results of the jobs that they have. Never: blocks on an agent. */
#include "store/queue_state.h"

#include "store/clock.h"
#include "store/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

enum { AGENT_BACKLOG_BYTES = 4 << 20, ASKED_MS = 30000, FRAMES_AT_ONCE = 64 };

bool queue_agent_ask(struct queue *queue, struct queue_destination *destination) {
    uint8_t storage[2048];
    struct buf b = BUF_OVER(storage);
    struct queue_link *link = queue_link_for(queue, destination->kind);
    if (!link || link->watch.fd < 0) return false;
    struct queue_agent *agent = calloc(1, sizeof *agent);
    if (!agent) return false;
    agent->queue = queue, agent->destination = destination;
    agent->watch.fd = -1;
    agent->timer.kind = TIMER_AGENT;
    agent->backlog.cap_bytes = AGENT_BACKLOG_BYTES;
    agent->number = ++queue->last_agent;
    agent->heard_ms = clock_ms();
    wire_put_u32(&b, agent->number);
    wire_put_u8(&b, destination->kind);
    wire_put_span(&b, span_of(destination->octets, destination->bytes));
    if (!buf_ok(&b) || queue_timer_set(&queue->timers, &agent->timer, clock_ms() + ASKED_MS) != 0) {
        free(agent);
        return false;
    }
    agent->next = queue->agents;
    queue->agents = agent;
    queue->n_agents++;
    destination->agent = agent;
    if (queue_link_send(link, AGENT_WANTED, buf_span(&b), -1)) return true;
    queue_agent_drop(queue, agent);
    return false;
}

/* Jobs that it still had go back to wait: nobody knows how far they got. */
static void return_jobs(struct queue *queue, struct queue_agent *agent) {
    for (size_t i = 0; i < QUEUE_WINDOW; i++) {
        struct queue_part *part = agent->jobs[i].part;
        if (!agent->jobs[i].number) continue;
        agent->jobs[i].number = 0;
        agent->n_jobs--;
        part->state = PART_WAITING; /* tells queue_part_ended that it was lost */
        queue_part_ended(queue, part);
    }
}

void queue_agent_drop(struct queue *queue, struct queue_agent *agent) {
    struct queue_destination *destination = agent->destination;
    struct queue_agent **at = &queue->agents;
    while (*at != agent) at = &(*at)->next;
    *at = agent->next;
    queue->n_agents--;
    queue_timer_clear(&queue->timers, &agent->timer);
    if (agent->watch.fd >= 0) {
        loop_remove(&queue->loop, &agent->watch);
        close(agent->watch.fd);
    }
    frame_backlog_free(&agent->backlog);
    destination->agent = NULL;
    destination->parts++; /* stays while jobs are returned */
    return_jobs(queue, agent);
    destination->parts--;
    free(agent);
    queue_destination_want(queue, destination);
    queue_destination_release(queue, destination);
}

void queue_agent_lose(struct queue *queue, struct queue_agent *agent) {
    if (agent->n_jobs && !agent->destination->timer.place) queue_destination_failed(queue, agent->destination, NULL);
    queue_agent_drop(queue, agent);
}

/* The final address. Whoever holds the message unloads it. */
static struct span address_of(struct queue *queue, struct queue_message *message, uint32_t index) {
    struct message head;
    struct recipient recipient = {0};
    if (!queue_load(queue, message)) return (struct span){0};
    queue_head(message, &head);
    struct wire w = wire_over(head.recipients);
    for (uint32_t i = 0; i <= index; i++) recipient_get(&w, &recipient);
    return w.bad ? (struct span){0} : recipient.address;
}

void queue_log_result(struct queue *queue, enum log_event event, struct queue_message *message, uint32_t index,
                      const struct queue_note *note) {
    struct log_line line;
    char name[MESSAGE_NAME_SIZE];
    const struct queue_part *part = &message->parts[message->recipients[index].part];
    message_name(message->number, name);
    struct span address = address_of(queue, message, index);
    log_open(&line, event);
    log_text(&line, KEY_MESSAGE, name);
    if (address.n)
        log_span(&line, KEY_TO, address);
    else
        log_number(&line, KEY_TO, index + 1);
    log_span(&line, KEY_DESTINATION, span_of(part->destination->octets, part->destination->bytes));
    log_number(&line, KEY_ATTEMPTS, part->attempts + 1U);
    uint64_t now = clock_wall_ms();
    log_number(&line, KEY_DELAY, now > message->arrival_ms ? now - message->arrival_ms : 0);
    if (note) {
        log_text(&line, KEY_STATUS, note->status);
        if (note->remote_bytes) log_span(&line, KEY_REMOTE, queue_note_remote(note));
        if (note->diagnostic_bytes) log_span(&line, KEY_WHY, queue_note_diagnostic(note));
    }
    log_send(&line);
}

static void took(struct queue *queue, struct queue_message *message, uint32_t index, uint8_t outcome,
                 struct queue_note *note) {
    struct queue_recipient *recipient = &message->recipients[index];
    bool relayed = outcome == JOB_RELAYED;
    /* RFC 3461 5.2.2, 5.2.3: who asked for SUCCESS hears of it from the last that knows of DSN. */
    bool hop = outcome == JOB_REPORTED ||
               (message->parts[recipient->part].destination->kind == DESTINATION_SMARTHOST && !relayed);
    bool report = recipient->notify & DSN_NOTIFY_SUCCESS && !(recipient->notify & DSN_NOTIFY_NEVER) && !hop;
    queue_note_set(&recipient->note, report ? note : NULL);
    recipient->state = report ? relayed ? RECIPIENT_RELAYED : RECIPIENT_DELIVERED : RECIPIENT_DONE;
    if (!report) message->n_open--;
    queue->delivered++;
    queue_mark(queue, message, index);
}

/* RFC 3464 2.3.6 wants the reply with its code. */
static struct queue_note *note_of(uint16_t code, struct span status, struct span diagnostic, struct span remote) {
    uint8_t storage[4096 + 8];
    struct buf b = BUF_OVER(storage);
    if (!code) return queue_note_new(status, diagnostic, remote);
    buf_put_number(&b, code);
    buf_put_octet(&b, ' ');
    buf_put_span(&b, diagnostic);
    return queue_note_new(status, buf_span(&b), remote);
}

static int handle_result(struct queue *queue, struct queue_agent *agent, struct wire *w, struct queue_job *job) {
    uint16_t index = wire_get_u16(w);
    uint8_t outcome = wire_get_u8(w);
    uint16_t code = wire_get_u16(w);
    struct span status = wire_get_span(w, 32), diagnostic = wire_get_span(w, 4096), remote = wire_get_span(w, 4096);
    struct queue_message *message = job->part->message;
    if (!wire_end(w) || index >= message->n_recipients) return -1;
    struct queue_recipient *recipient = &message->recipients[index];
    if (&message->parts[recipient->part] != job->part || !recipient->in_job || recipient->state != RECIPIENT_WAITING)
        return -1;
    struct queue_note *note = note_of(code, status, diagnostic, remote);
    if (!note) return 0; /* as if it had not been answered: it is tried again */
    note->references++;
    /* Words of the agent's own, not a reply: no connection, or none that is safe. The next message fares no
     * better. */
    bool unreachable = outcome == JOB_DEFERRED && code == 0 &&
                       (span_starts_nocase(status, SPAN("4.4.")) || span_starts_nocase(status, SPAN("4.7.")));
    if (outcome == JOB_DELIVERED || outcome == JOB_RELAYED || outcome == JOB_REPORTED) {
        queue_log_result(queue, LOG_DELIVERED, message, index, note);
        took(queue, message, index, outcome, note);
    } else if (outcome == JOB_FAILED) {
        queue_recipient_failed(queue, message, index, note);
    } else {
        queue->deferrals++;
        queue_note_set(&recipient->note, note);
        queue_log_result(queue, LOG_DEFERRED, message, index, note);
    }
    if (unreachable && !agent->failed) {
        agent->failed = true;
        queue_destination_failed(queue, agent->destination, note);
    } else if (!unreachable && !agent->failed && (agent->destination->failures || !agent->destination->worked)) {
        queue_destination_worked(queue, agent->destination);
    }
    struct queue_note *held = note;
    queue_note_set(&held, NULL);
    return 0;
}

static int handle_frame(struct queue *queue, struct queue_agent *agent, const struct frame *frame);

static int handle_bundle(struct queue *queue, struct queue_agent *agent, const struct frame *bundle) {
    struct wire w = wire_over(bundle->body);
    struct frame frame = {0};
    while (frame_bundle_next(&w, &frame))
        if (handle_frame(queue, agent, &frame) != 0) return -1;
    return wire_end(&w) ? 0 : -1;
}

static int handle_frame(struct queue *queue, struct queue_agent *agent, const struct frame *frame) {
    if (frame->type == FRAME_BUNDLE) return handle_bundle(queue, agent, frame);
    struct wire w = wire_over(frame->body);
    uint64_t number = wire_get_u64(&w);
    struct queue_job *job = NULL;
    for (size_t i = 0; i < QUEUE_WINDOW && !job; i++)
        if (number && agent->jobs[i].number == number) job = &agent->jobs[i];
    if (!job) return -1;
    if (frame->type == JOB_RESULT) return handle_result(queue, agent, &w, job);
    if (frame->type == JOB_SENDING) {
        job->sending = true;
        return wire_end(&w) ? 0 : -1;
    }
    if (frame->type != JOB_DONE || !wire_end(&w)) return -1;
    job->number = 0;
    agent->n_jobs--;
    queue_part_ended(queue, job->part);
    return 0;
}

static void agent_ready(void *context, uint32_t events) {
    static uint8_t storage[FRAME_MAX];
    struct queue_agent *agent = context;
    struct queue *queue = agent->queue;
    struct frame frame;
    if (events & EPOLLOUT) {
        if (frame_backlog_flush(&agent->backlog, agent->watch.fd) != 0) {
            queue_agent_lose(queue, agent);
            return;
        }
        if (frame_backlog_empty(&agent->backlog) && agent->polling_out) {
            agent->polling_out = false;
            if (loop_change(&queue->loop, &agent->watch, EPOLLIN) != 0) log_fault("watching an agent", errno);
        }
    }
    agent->heard_ms = clock_ms();
    for (int i = 0; i < FRAMES_AT_ONCE; i++) {
        enum frame_status status = frame_receive(agent->watch.fd, storage, false, &frame);
        if (status == FRAME_NONE) break;
        if (status == FRAME_RECEIVED && handle_frame(queue, agent, &frame) == 0) continue;
        if (status != FRAME_CLOSED) {
            struct log_line line;
            log_open(&line, LOG_BAD_FRAME);
            log_text(&line, KEY_PROCESS, "agent");
            log_send(&line);
        }
        queue_agent_lose(queue, agent);
        return;
    }
    queue_agent_hungry(queue, agent);
}

static struct queue_agent *find_asked(struct queue *queue, uint32_t number) {
    for (struct queue_agent *agent = queue->agents; agent; agent = agent->next)
        if (agent->number == number && agent->watch.fd < 0) return agent;
    return NULL;
}

/* There is no agent, and why: what waits is told of it when it is given up, and `queue show` meanwhile. */
static void no_agent(struct queue *queue, struct queue_agent *agent, struct span why) {
    struct queue_destination *destination = agent->destination;
    struct queue_note *note = queue_note_new(SPAN("4.4.0"), why, (struct span){0});
    struct log_line line;
    log_open(&line, LOG_AGENT);
    log_span(&line, KEY_DESTINATION, span_of(destination->octets, destination->bytes));
    log_span(&line, KEY_WHY, why);
    log_send(&line);
    if (note) queue_note_set(&destination->note, note);
    queue_destination_failed(queue, destination, NULL);
    queue_agent_drop(queue, agent);
}

void queue_delivery_frame(struct queue *queue, struct queue_link *link, struct frame *frame) {
    struct wire w = wire_over(frame->body);
    struct queue_agent *agent = find_asked(queue, wire_get_u32(&w));
    if (frame->type == AGENT_FAILED) {
        struct span why = wire_get_span(&w, 1024);
        if (!wire_end(&w)) log_bug("frame from delivery does not parse");
        if (agent) no_agent(queue, agent, why);
        return;
    }
    if (frame->type != AGENT_READY || frame->fd < 0 || !wire_end(&w)) log_bug("frame from delivery does not parse");
    if (!agent || queue_link_for(queue, agent->destination->kind) != link)
        return; /* given up; its channel is closed */
    queue_timer_clear(&queue->timers, &agent->timer);
    agent->heard_ms = agent->turn_ms = clock_ms();
    agent->watch = (struct loop_watch){frame->fd, agent_ready, agent};
    frame->fd = -1;
    if (loop_add(&queue->loop, &agent->watch, EPOLLIN) != 0)
        queue_agent_lose(queue, agent);
    else
        queue_agent_hungry(queue, agent);
}

void queue_agents_lost(struct queue *queue, uint8_t role) {
    for (struct queue_agent *agent = queue->agents, *next; agent; agent = next) {
        bool outbound = destination_goes_out(agent->destination->kind);
        next = agent->next;
        if (agent->watch.fd < 0 && outbound == (role == ROLE_OUTBOUND)) {
            queue_destination_failed(queue, agent->destination, NULL);
            queue_agent_drop(queue, agent);
            next = queue->agents; /* the list has changed */
        }
    }
}
