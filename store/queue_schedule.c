/* queue_schedule.c - when which part of a message goes to which destination.
 * Runs in: queue. Trusts: agents' results. Never: lets one destination's trouble take the turn of another. */
#include "store/queue_state.h"

#include "store/clock.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/random.h>

enum { NO_LINK_MS = 1000, LOST_MAX_MS = 3600000, TIMERS_AT_ONCE = 2000 };

static uint32_t draw(void) {
    uint32_t random = 0;
    return getrandom(&random, sizeof random, 0) == sizeof random ? random : 0;
}

static uint64_t wall_to_clock(uint64_t wall_ms) {
    uint64_t now = clock_wall_ms();
    return wall_ms > now ? clock_ms() + (wall_ms - now) : clock_ms();
}

/* Destination keys come from auth; their hash need not withstand anybody. */
static struct queue_destination **bucket(struct queue *queue, uint8_t kind, struct span name) {
    uint64_t h = 0xcbf29ce484222325U ^ kind;
    for (size_t i = 0; i < name.n; i++) h = (h ^ name.p[i]) * 0x100000001b3U;
    return &queue->destinations[(h ^ h >> 32) % QUEUE_HASH];
}

struct queue_destination *queue_destination(struct queue *queue, uint8_t kind, struct span name) {
    struct queue_destination **first = bucket(queue, kind, name);
    for (struct queue_destination *at = *first; at; at = at->hash_next)
        if (at->kind == kind && span_equal(span_of(at->octets, at->bytes), name)) return at;
    struct queue_destination *made = calloc(1, sizeof *made + name.n);
    if (!made) return NULL;
    made->timer.kind = TIMER_DESTINATION;
    made->kind = kind, made->bytes = (uint16_t)name.n;
    if (name.n) memcpy(made->octets, name.p, name.n);
    queue_worked_recall(queue, made);
    made->hash_next = *first;
    return *first = made;
}

void queue_destination_release(struct queue *queue, struct queue_destination *destination) {
    if (destination->parts || destination->agent || destination->wanting) return;
    struct queue_destination **at =
        bucket(queue, destination->kind, span_of(destination->octets, destination->bytes));
    while (*at != destination) at = &(*at)->hash_next;
    *at = destination->hash_next;
    queue_worked_keep(queue, destination);
    queue_timer_clear(&queue->timers, &destination->timer);
    queue_note_set(&destination->note, NULL);
    free(destination);
}

static void leave_alone(struct queue *queue, struct queue_destination *destination, uint64_t wait_ms) {
    if (queue_timer_set(&queue->timers, &destination->timer, clock_ms() + wait_ms) != 0)
        log_fault("a timer cannot be set", ENOMEM);
}

void queue_destination_pause(struct queue *queue, struct queue_destination *destination) {
    leave_alone(queue, destination, NO_LINK_MS);
}

void queue_destination_worked(struct queue *queue, struct queue_destination *destination) {
    destination->failures = 0;
    destination->worked = 1;
    queue_timer_clear(&queue->timers, &destination->timer);
}

static void make_ready(struct queue *queue, struct queue_part *part) {
    struct queue_destination *destination = part->destination;
    part->state = PART_READY;
    queue_lane_add(queue, part);
    if (destination->agent && destination->agent->watch.fd >= 0 && !destination->timer.place)
        queue_agent_hungry(queue, destination->agent);
    else
        queue_destination_want(queue, destination);
}

void queue_part_unschedule(struct queue *queue, struct queue_part *part) {
    queue_timer_clear(&queue->timers, &part->timer);
    if (part->state != PART_READY) return;
    queue_lane_remove(queue, part);
    part->state = PART_WAITING;
}

/* The part may go as soon as there is an agent, or waits until its time; for ever when it is held. */
static void schedule(struct queue *queue, struct queue_part *part) {
    part->state = PART_WAITING;
    if (part->message->hold == HOLD_HELD) return;
    uint64_t at = wall_to_clock(part->next_ms);
    if (at <= clock_ms())
        make_ready(queue, part);
    else if (queue_timer_set(&queue->timers, &part->timer, at) != 0)
        make_ready(queue, part);
}

uint64_t queue_part_next_ms(const struct queue_part *part) {
    const struct queue_timer *held = &part->destination->timer;
    uint64_t now = clock_ms(), next = part->state == PART_WAITING ? part->next_ms : 0;
    if ((part->state != PART_WAITING && part->state != PART_READY) || part->message->hold == HOLD_HELD) return 0;
    if (!held->place || held->at_ms <= now) return next;
    uint64_t free = clock_wall_ms() + (held->at_ms - now);
    return free > next ? free : next;
}

static bool has_waiting(const struct queue_part *part) {
    const struct queue_message *message = part->message;
    uint16_t index = (uint16_t)(part - message->parts);
    for (uint32_t i = 0; i < message->n_recipients; i++)
        if (message->recipients[i].part == index && message->recipients[i].state == RECIPIENT_WAITING) return true;
    return false;
}

void queue_release(struct queue *queue, struct queue_message *message) {
    if (--message->active || message->n_open) return;
    if (queue_timer_set(&queue->timers, &message->report, clock_ms()) != 0)
        log_fault("a timer cannot be set", ENOMEM);
}

void queue_schedule_message(struct queue *queue, struct queue_message *message) {
    message->active++; /* so that nothing that happens here lets the message go */
    for (uint16_t i = 0; i < message->n_parts; i++) {
        if (has_waiting(&message->parts[i]))
            schedule(queue, &message->parts[i]);
        else
            message->parts[i].state = PART_DONE;
    }
    queue_release(queue, message);
}

void queue_recipient_failed(struct queue *queue, struct queue_message *message, uint32_t index,
                            struct queue_note *note) {
    struct queue_recipient *recipient = &message->recipients[index];
    /* RFC 3461 4.1: NEVER and a list without FAILURE ask for silence. */
    bool silent = recipient->notify & DSN_NOTIFY_NEVER ||
                  (recipient->notify != DSN_NOTIFY_DEFAULT && !(recipient->notify & DSN_NOTIFY_FAILURE));
    queue_note_set(&recipient->note, note);
    recipient->state = silent ? RECIPIENT_DONE : RECIPIENT_FAILED;
    if (silent) message->n_open--;
    queue->failed++;
    queue_mark(queue, message, index);
    queue_log_result(queue, LOG_FAILED, message, index, note);
}

static void expire(struct queue *queue, struct queue_message *message, uint32_t index) {
    struct queue_recipient *recipient = &message->recipients[index];
    const struct queue_destination *destination = message->parts[recipient->part].destination;
    uint8_t storage[MARK_TEXT_MAX];
    struct buf b = BUF_OVER(storage);
    buf_put_text(&b, "expired in the queue");
    const struct queue_note *last = recipient->note ? recipient->note : destination->note;
    if (last && last->diagnostic_bytes < MARK_TEXT_MAX - 40) {
        buf_put_text(&b, "; last: ");
        buf_put_span(&b, queue_note_diagnostic(last));
    }
    /* RFC 3463 3.5: delivery time expired */
    struct queue_note *note = queue_note_new(SPAN("5.4.7"), buf_span(&b), queue_note_remote(last));
    queue_recipient_failed(queue, message, index, note);
}

/* Nobody works on the message any more. */
static void let_go(struct queue *queue, struct queue_message *message) {
    if (--message->active) return;
    if (!message->n_open) {
        queue_finish(queue, message);
        return;
    }
    queue_unload(queue, message);
    queue_report_consider(queue, message);
}

void queue_expire_ready(struct queue *queue, struct queue_message *message) {
    if (clock_wall_ms() < message->arrival_ms + queue->setup.expire_ms) return;
    message->active++;
    bool expired = false;
    for (uint16_t index = 0; index < message->n_parts; index++) {
        struct queue_part *part = &message->parts[index];
        if (part->state != PART_READY || !part->destination->failures) continue;
        queue_part_unschedule(queue, part);
        part->state = PART_DONE;
        expired = true;
        for (uint32_t i = 0; i < message->n_recipients; i++)
            if (message->recipients[i].part == index && message->recipients[i].state == RECIPIENT_WAITING)
                expire(queue, message, i);
    }
    if (expired)
        let_go(queue, message);
    else
        queue_release(queue, message);
}

void queue_destination_failed(struct queue *queue, struct queue_destination *destination, struct queue_note *note) {
    if (destination->failures < UINT16_MAX) destination->failures++;
    destination->worked = 0;
    unsigned shift = destination->failures < 6 ? destination->failures - 1U : 5;
    uint64_t soon = (uint64_t)NO_LINK_MS << shift, wait = soon; /* without a note: a trouble of our own, no agent */
    if (note) {
        queue_note_set(&destination->note, note);
        wait = queue_retry_ms(&queue->setup, destination->failures, draw());
        /* Our own mailboxes' server is mostly just being started again: one message at a time finds out. */
        if (destination->kind == DESTINATION_LMTP && soon < wait) wait = soon;
    }
    leave_alone(queue, destination, wait);
}

/* Everybody in the part was tried and some must be tried again. */
static void defer_part(struct queue *queue, struct queue_part *part, bool lost) {
    struct queue_message *message = part->message;
    uint16_t index = (uint16_t)(part - message->parts);
    uint64_t now = clock_wall_ms();
    if (lost) {
        if (part->again < 20) part->again++;
        uint64_t wait = (uint64_t)NO_LINK_MS << (part->again - 1);
        part->next_ms = now + (wait < LOST_MAX_MS ? wait : LOST_MAX_MS);
        if (now >= message->arrival_ms + queue->setup.expire_ms) part->next_ms = 0;
    } else {
        part->attempts++;
        part->next_ms = queue_retry_at(&queue->setup, message->arrival_ms, now, part->attempts, draw());
    }
    if (message->hold == HOLD_HELD && !part->next_ms) part->next_ms = now;
    bool over = part->next_ms == 0;
    for (uint32_t i = 0; i < message->n_recipients; i++) {
        struct queue_recipient *recipient = &message->recipients[i];
        if (recipient->part != index || recipient->state != RECIPIENT_WAITING) continue;
        recipient->in_job = 0;
        if (over)
            expire(queue, message, i);
        else
            queue_mark(queue, message, i);
    }
    if (over)
        part->state = PART_DONE;
    else
        schedule(queue, part);
}

void queue_part_ended(struct queue *queue, struct queue_part *part) {
    struct queue_message *message = part->message;
    uint16_t index = (uint16_t)(part - message->parts);
    bool untried = false, waiting = false, lost = part->state == PART_WAITING;
    for (uint32_t i = 0; i < message->n_recipients; i++) {
        struct queue_recipient *recipient = &message->recipients[i];
        if (recipient->part != index || recipient->state != RECIPIENT_WAITING) continue;
        waiting = true;
        if (!recipient->in_job) untried = true;
    }
    if (!waiting)
        part->state = PART_DONE;
    else if (untried && !lost)
        part->next_ms = 0, schedule(queue, part);
    else
        defer_part(queue, part, lost);
    let_go(queue, message);
}

bool queue_retry_now(struct queue *queue, struct queue_message *message) {
    bool any = false;
    if (message->hold == HOLD_HELD) return false;
    message->active++;
    for (uint16_t i = 0; i < message->n_parts; i++) {
        struct queue_part *part = &message->parts[i];
        if (part->state != PART_WAITING && part->state != PART_READY) continue;
        queue_timer_clear(&queue->timers, &part->destination->timer);
        queue_part_unschedule(queue, part);
        any = true;
        part->next_ms = 0;
        schedule(queue, part);
    }
    queue_release(queue, message);
    return any;
}

static bool waits(const struct queue_part *part) {
    return part->state == PART_WAITING || part->state == PART_READY || part->state == PART_ACTIVE;
}

bool queue_hold(struct queue *queue, struct queue_message *message) {
    bool any = false;
    if (message->hold == HOLD_HELD) return false;
    for (uint16_t i = 0; i < message->n_parts; i++) any |= waits(&message->parts[i]);
    if (!any) return false;
    message->hold = HOLD_HELD;
    for (uint16_t i = 0; i < message->n_parts; i++) queue_part_unschedule(queue, &message->parts[i]);
    queue_mark(queue, message, 0);
    return true;
}

bool queue_hold_end(struct queue *queue, struct queue_message *message) {
    if (message->hold != HOLD_HELD) return false;
    message->hold = HOLD_RELEASED;
    queue_mark(queue, message, 0);
    message->active++;
    for (uint16_t i = 0; i < message->n_parts; i++)
        if (message->parts[i].state == PART_WAITING) schedule(queue, &message->parts[i]);
    queue_release(queue, message);
    return true;
}

bool queue_give_up(struct queue *queue, struct queue_message *message, struct span why) {
    bool any = false;
    if (message->active) return false;
    struct queue_note *note = queue_note_new(SPAN("5.0.0"), why, (struct span){0});
    message->active++;
    for (uint16_t i = 0; i < message->n_parts; i++) {
        if (!waits(&message->parts[i])) continue;
        queue_part_unschedule(queue, &message->parts[i]);
        message->parts[i].state = PART_DONE;
    }
    for (uint32_t i = 0; i < message->n_recipients; i++) {
        if (message->recipients[i].state != RECIPIENT_WAITING) continue;
        queue_recipient_failed(queue, message, i, note);
        any = true;
    }
    if (note && !note->references) free(note);
    let_go(queue, message);
    return any;
}

#define OWNER(pointer, type, member) ((type *)(void *)((uint8_t *)(pointer)-offsetof(type, member)))

static void timer_due(struct queue *queue, struct queue_timer *timer) {
    switch (timer->kind) {
    case TIMER_PART:
        make_ready(queue, OWNER(timer, struct queue_part, timer));
        break;
    case TIMER_DESTINATION: {
        struct queue_destination *destination = OWNER(timer, struct queue_destination, timer);
        if (destination->agent && destination->agent->watch.fd >= 0)
            queue_agent_hungry(queue, destination->agent);
        else
            queue_destination_want(queue, destination);
        break;
    }
    case TIMER_AGENT: {
        struct queue_agent *agent = OWNER(timer, struct queue_agent, timer);
        struct queue_destination *destination = agent->destination;
        if (agent->n_jobs) break;
        if (agent->watch.fd < 0) queue_destination_failed(queue, destination, NULL); /* asked for and never came */
        queue_agent_drop(queue, agent);
        break;
    }
    case TIMER_REPORT:
        queue_report_due(queue, OWNER(timer, struct queue_message, report));
        break;
    default:
        log_bug("unknown timer");
    }
}

int queue_schedule_run(struct queue *queue) {
    uint64_t now = clock_ms();
    struct queue_timer *timer;
    queue->load_ms = 0;
    queue_agents_feed(queue);
    /* After a long stop all may be due at once; other work goes on between. */
    for (int i = 0; i < TIMERS_AT_ONCE && (timer = queue_timer_take(&queue->timers, now)); i++)
        timer_due(queue, timer);
    queue_slots_fill(queue);
    if (queue->hungry) return 0;
    if (!queue->timers.n) return 1000;
    uint64_t at = queue->timers.heap[0]->at_ms;
    return at <= now ? 0 : at - now < 1000 ? (int)(at - now) : 1000;
}
