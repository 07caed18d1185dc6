/* queue_slot.c - which destinations get an agent when more want one than there may be.
 * Runs in: queue. Trusts: nothing that a destination promises. Never: lets destinations that hang or fail, however
 * many, take the places of those that work. */
#include "store/queue_state.h"

#include "store/clock.h"

/* An agent that has brought nothing forward for SLOW_MS only waits, and costs no more than a process: so many of them
 * as there are places do not count. What has failed may have half of the places, and what nobody knows yet three
 * quarters: the rest is there for destinations that have taken mail. */
enum { SLOW_MS = 5000, HANGS_MS = 40000, TURN_MS = 2000, TURN_JOBS = 4 * QUEUE_WINDOW };

struct places {
    unsigned most, n, slow, quick_new, troubled, unproven;
};

static size_t link_of(struct queue *queue, const struct queue_destination *destination) {
    return (size_t)(queue_link_for(queue, destination->kind) - queue->links);
}

static enum queue_standing standing(const struct queue_destination *destination) {
    if (destination->failures) return STANDING_TROUBLED;
    return destination->worked ? STANDING_WORKED : STANDING_NEW;
}

static uint64_t name_hash(const struct queue_destination *destination) {
    uint64_t h = 0xcbf29ce484222325U ^ destination->kind;
    for (size_t i = 0; i < destination->bytes; i++) h = (h ^ destination->octets[i]) * 0x100000001b3U;
    h ^= h >> 29;
    return h ? h : 1;
}

void queue_worked_recall(struct queue *queue, struct queue_destination *destination) {
    uint64_t h = name_hash(destination);
    destination->worked = queue->worked[h % QUEUE_WORKED] == h;
}

void queue_worked_keep(struct queue *queue, const struct queue_destination *destination) {
    uint64_t h = name_hash(destination), *place = &queue->worked[h % QUEUE_WORKED];
    if (destination->worked)
        *place = h;
    else if (*place == h)
        *place = 0;
}

void queue_destination_want(struct queue *queue, struct queue_destination *destination) {
    if (!destination->n_ready || destination->timer.place || destination->wanting || queue->setup.stand_alone) return;
    if (destination->agent || queue->draining) return; /* it is filled in this round */
    struct queue_wanting *wanting = &queue->wanting[link_of(queue, destination)][standing(destination)];
    destination->wanting = 1;
    destination->wanted = ++queue->last_wanted;
    destination->next_wanting = NULL;
    if (wanting->last)
        wanting->last->next_wanting = destination;
    else
        wanting->first = destination;
    wanting->last = destination;
}

static bool is_slow(const struct queue_agent *agent, uint64_t now) {
    return (agent->watch.fd < 0 || agent->n_jobs) && now - agent->heard_ms > SLOW_MS;
}

static struct places count(struct queue *queue, size_t link) {
    struct places places = {.most = queue->setup.agents_max};
    uint64_t now = clock_ms();
    for (const struct queue_agent *agent = queue->agents; agent; agent = agent->next) {
        if (link_of(queue, agent->destination) != link) continue;
        enum queue_standing its = standing(agent->destination);
        bool slow = is_slow(agent, now);
        places.n++;
        places.slow += slow;
        places.quick_new += its != STANDING_WORKED && !slow;
        places.troubled += its == STANDING_TROUBLED;
        places.unproven += its != STANDING_WORKED || slow;
    }
    return places;
}

static bool has_place(const struct places *places) {
    unsigned slow = places->slow < places->most ? places->slow : places->most;
    return places->n - slow < places->most && places->n < 2 * places->most;
}

/* Whether those of this standing may have more places, were there any. */
static bool may_have(const struct places *places, size_t its) {
    unsigned most = places->most;
    if (its == STANDING_WORKED) return true;
    if (places->quick_new >= most - most / 4 || places->unproven >= 2 * most - most / 4) return false;
    return its == STANDING_NEW || places->troubled < (most + 1) / 2;
}

/* Of those that may have a place, the one that has waited longest. */
static struct queue_wanting *next(struct queue_wanting wanting[STANDING_KINDS], const struct places *places) {
    struct queue_wanting *chosen = NULL;
    for (size_t i = 0; i < STANDING_KINDS; i++)
        if (wanting[i].first && may_have(places, i) && (!chosen || wanting[i].first->wanted < chosen->first->wanted))
            chosen = &wanting[i];
    return chosen;
}

static bool drop_idle(struct queue *queue, size_t link) {
    for (struct queue_agent *agent = queue->agents; agent; agent = agent->next) {
        if (agent->n_jobs || agent->hungry || agent->watch.fd < 0 || link_of(queue, agent->destination) != link)
            continue;
        queue_agent_drop(queue, agent);
        return true;
    }
    return false;
}

/* Where others wait, whoever has got nowhere for long has had its try: not where its message may be elsewhere by now,
 * nor at a mailbox here, where what it waits for is our own disk. */
static void drop_hanging(struct queue *queue, size_t link) {
    uint64_t now = clock_ms();
    for (struct queue_agent *agent = queue->agents; agent; agent = agent->next) {
        struct queue_destination *destination = agent->destination;
        if (!destination_goes_out(destination->kind) || !agent->n_jobs || now - agent->heard_ms <= HANGS_MS ||
            link_of(queue, destination) != link)
            continue;
        bool sending = false;
        for (size_t i = 0; i < QUEUE_WINDOW; i++) sending |= agent->jobs[i].number && agent->jobs[i].sending;
        if (sending) continue;
        struct queue_note *note = queue_note_new(SPAN("4.4.1"), SPAN("no answer for long"), (struct span){0});
        queue_destination_failed(queue, destination, note);
        queue_agent_drop(queue, agent);
        return;
    }
}

static void fill(struct queue *queue, size_t link) {
    struct queue_wanting *wanting = queue->wanting[link], *chosen;
    struct places places = count(queue, link);
    queue->crowded[link] = false;
    while ((chosen = next(wanting, &places))) {
        if (!has_place(&places)) {
            if (drop_idle(queue, link)) {
                places = count(queue, link);
                continue;
            }
            queue->crowded[link] = true;
            return;
        }
        struct queue_destination *destination = chosen->first;
        if (!(chosen->first = destination->next_wanting)) chosen->last = NULL;
        destination->wanting = 0;
        if (!destination->n_ready) {
            queue_destination_release(queue, destination);
        } else if (queue_agent_ask(queue, destination)) {
            places.n++;
            places.quick_new += standing(destination) != STANDING_WORKED;
            places.troubled += standing(destination) == STANDING_TROUBLED;
            places.unproven += standing(destination) != STANDING_WORKED;
        } else {
            queue_destination_pause(queue, destination);
        }
    }
}

void queue_slots_fill(struct queue *queue) {
    for (size_t link = 0; link < QUEUE_LINKS; link++) {
        fill(queue, link);
        bool waits = false;
        for (size_t i = 0; i < STANDING_KINDS; i++) waits |= queue->wanting[link][i].first != NULL;
        if (waits) drop_hanging(queue, link);
    }
}

bool queue_crowded(struct queue *queue, const struct queue_agent *agent) {
    return queue->crowded[link_of(queue, agent->destination)];
}

bool queue_turn_over(struct queue *queue, const struct queue_agent *agent) {
    if (!queue_crowded(queue, agent)) return false;
    return agent->turn_jobs >= TURN_JOBS || clock_ms() - agent->turn_ms > TURN_MS;
}
