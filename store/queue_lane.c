/* queue_lane.c - whose turn it is at one destination: a lane for each sender's mail, one for what is tried for the
 * first time and one for what is tried again; the lanes have turns.
 * Runs in: queue. Trusts: auth's envelopes for who a sender is. Never: needs memory that it cannot do without. */
#include "store/queue_state.h"

#include <stdlib.h>
#include <sys/random.h>

enum { AGAIN_EVERY = 4 }; /* where both wait, one turn in so many is for what is tried again */

static uint32_t mix(uint32_t h, struct span s) {
    for (size_t i = 0; i < s.n; i++) h = (h ^ octet_lower(s.p[i])) * 16777619U;
    return h;
}

/* Many programs that have nothing to do with each other send from here. */
static bool is_this_machine(const struct netaddr *client) {
    static const uint8_t one[16] = {[15] = 1}, none[16];
    if (netaddr_is_ipv4(client)) return client->octets[12] == 127;
    return memcmp(client->octets, one, sizeof one) == 0 || memcmp(client->octets, none, sizeof none) == 0;
}

/* Two senders that fall together share their turns, no more; the seed is there so that nobody chooses with whom. */
uint32_t queue_sender_key(struct queue *queue, const struct envelope *envelope) {
    const struct netaddr *client = &envelope->client;
    if (!queue->lane_seed && getrandom(&queue->lane_seed, sizeof queue->lane_seed, 0) < 0) queue->lane_seed = 1;
    uint32_t h = mix(2166136261U, span_of((const uint8_t *)&queue->lane_seed, sizeof queue->lane_seed));
    if (envelope->flags & ENVELOPE_BOUNCE) return mix(h, SPAN("report"));
    if (envelope->principal.n) return mix(mix(h, SPAN("@")), envelope->principal);
    if (is_this_machine(client)) return mix(mix(h, SPAN("<")), envelope->sender);
    struct network network = network_of(client, 24, 64);
    return mix(mix(h, SPAN("[")), span_of(network.octets, sizeof network.octets));
}

static struct queue_lane **bucket(struct queue *queue, const struct queue_destination *destination, uint32_t key,
                                  uint8_t again) {
    uint64_t h = ((uint64_t)(uintptr_t)destination >> 4) + key * 2ULL + again;
    return &queue->lanes[(size_t)(h * 0x9e3779b97f4a7c15U >> 20) & (queue->lanes_cap - 1)];
}

/* A crowded table, or none, still works: without a lane of its own mail goes into the destination's spare one. */
static void grow(struct queue *queue) {
    size_t cap = queue->lanes_cap ? 2 * queue->lanes_cap : 256, old_cap = queue->lanes_cap;
    struct queue_lane **old = queue->lanes, **grown = calloc(cap, sizeof(struct queue_lane *));
    if (!grown) return;
    queue->lanes = grown, queue->lanes_cap = cap;
    for (size_t i = 0; i < old_cap; i++)
        for (struct queue_lane *lane = old[i], *next; lane; lane = next) {
            struct queue_lane **first = bucket(queue, lane->destination, lane->key, lane->again);
            next = lane->hash_next;
            lane->hash_next = *first;
            *first = lane;
        }
    free(old);
}

static void join_ring(struct queue_lane *lane) {
    struct queue_lane **ring = &lane->destination->rings[lane->again];
    if (!*ring) {
        *ring = lane->next = lane->previous = lane;
        return;
    }
    lane->next = *ring, lane->previous = (*ring)->previous; /* behind all others */
    lane->previous->next = lane->next->previous = lane;
}

static struct queue_lane *lane_for(struct queue *queue, struct queue_destination *destination, uint32_t key,
                                   uint8_t again) {
    struct queue_lane *spare = &destination->spare, *lane = NULL;
    if (spare->first && spare->key == key && spare->again == again) return spare;
    if (queue->lanes_cap)
        for (lane = *bucket(queue, destination, key, again); lane; lane = lane->hash_next)
            if (lane->destination == destination && lane->key == key && lane->again == again) return lane;
    if (spare->first) {
        if (queue->n_lanes >= queue->lanes_cap) grow(queue);
        if (!queue->lanes_cap || !(lane = calloc(1, sizeof *lane))) return spare;
        struct queue_lane **first = bucket(queue, destination, key, again);
        lane->hash_next = *first;
        *first = lane;
        queue->n_lanes++;
    } else {
        lane = spare;
    }
    lane->destination = destination, lane->key = key, lane->again = again;
    join_ring(lane);
    return lane;
}

void queue_lane_add(struct queue *queue, struct queue_part *part) {
    struct queue_lane *lane = lane_for(queue, part->destination, part->message->sender_key, part->attempts ? 1 : 0);
    part->lane = lane;
    part->next = NULL;
    part->previous = lane->last;
    if (lane->last)
        lane->last->next = part;
    else
        lane->first = part;
    lane->last = part;
    part->destination->n_ready++;
}

static void leave_ring(struct queue *queue, struct queue_lane *lane) {
    struct queue_lane **ring = &lane->destination->rings[lane->again];
    lane->previous->next = lane->next;
    lane->next->previous = lane->previous;
    if (*ring == lane) *ring = lane->next == lane ? NULL : lane->next;
    if (lane == &lane->destination->spare) return;
    struct queue_lane **at = bucket(queue, lane->destination, lane->key, lane->again);
    while (*at != lane) at = &(*at)->hash_next;
    *at = lane->hash_next;
    queue->n_lanes--;
    free(lane);
}

void queue_lane_remove(struct queue *queue, struct queue_part *part) {
    struct queue_lane *lane = part->lane;
    if (part->previous)
        part->previous->next = part->next;
    else
        lane->first = part->next;
    if (part->next)
        part->next->previous = part->previous;
    else
        lane->last = part->previous;
    part->next = part->previous = NULL;
    part->lane = NULL;
    part->destination->n_ready--;
    if (!lane->first) leave_ring(queue, lane);
}

struct queue_part *queue_lane_turn(struct queue_destination *destination) {
    bool again = destination->rings[1] && (!destination->rings[0] || ++destination->turn % AGAIN_EVERY == 0);
    struct queue_lane **ring = &destination->rings[again];
    if (!*ring) return NULL;
    struct queue_part *part = (*ring)->first;
    *ring = (*ring)->next;
    return part;
}
