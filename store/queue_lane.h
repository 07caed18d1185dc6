/* queue_lane.h - whose turn it is: senders at one destination (queue_lane.c), destinations for agents (queue_slot.c).
 */
#ifndef STORE_QUEUE_LANE_H
#define STORE_QUEUE_LANE_H

#include "store/envelope.h"

struct queue;
struct queue_agent;
struct queue_destination;
struct queue_part;

/* One sender's mail that is ready for one destination. It is there while it has parts. */
struct queue_lane {
    struct queue_lane *hash_next, *next, *previous; /* of the ring of its destination */
    struct queue_part *first, *last;
    struct queue_destination *destination;
    uint32_t key;
    uint8_t again; /* it was tried before */
};

/* What is known of a destination: how much room it may take from the others. */
enum queue_standing { STANDING_WORKED = 0, STANDING_NEW, STANDING_TROUBLED, STANDING_KINDS };

/* ---- queue_lane.c: whose turn it is at a destination */
/* Mail with the same key has turns together: of one login; without one, of one client's network, or of one envelope
 * sender on this machine. */
uint32_t queue_sender_key(struct queue *queue, const struct envelope *envelope);
void queue_lane_add(struct queue *queue, struct queue_part *part);
void queue_lane_remove(struct queue *queue, struct queue_part *part);
/* Whose turn it is, and the turn passes; NULL: nobody's. */
struct queue_part *queue_lane_turn(struct queue_destination *destination);

/* ---- queue_slot.c: who gets an agent */
void queue_destination_want(struct queue *queue, struct queue_destination *destination);
/* Asks for agents as far as there are places. */
void queue_slots_fill(struct queue *queue);
/* Whether its turn is over and somebody waits for its place. */
bool queue_turn_over(struct queue *queue, const struct queue_agent *agent);
/* Whether somebody waits for a place that this agent would free. */
bool queue_crowded(struct queue *queue, const struct queue_agent *agent);
/* A destination that comes into memory or goes: whether it has worked is remembered. */
void queue_worked_recall(struct queue *queue, struct queue_destination *destination);
void queue_worked_keep(struct queue *queue, const struct queue_destination *destination);

#endif
