/* queue_walk.h - going through all messages for somebody who asked, a little in each round of the loop, while they
 * come and go; and reading envelopes without bodies. */
#ifndef STORE_QUEUE_WALK_H
#define STORE_QUEUE_WALK_H

#include "store/queue_filter.h"

/* What comes after a step: the next one; a pause until the peer has read; nothing, the answer was ended (and with it
 * the walk). */
enum queue_step { STEP_ON = 0, STEP_PAUSE, STEP_OVER };

/* The beginning of what a command remembers (malloc'ed whole). */
struct queue_walk {
    struct queue *queue;
    struct control_peer *peer;
    struct queue_walk *next;   /* of the queue's */
    struct queue_message *at;  /* the one that is next; moves on when it leaves */
    uint64_t until, looked_at; /* numbers drawn later are passed over; how many were looked at */
    uint64_t sent_ms;          /* the last sign of life */
    struct queue_filter filter;
    bool heads; /* `visit` wants them */
    /* For each message that is meant, which may end in it; `head` is void afterwards, NULL when unreadable or not
     * wanted. */
    enum queue_step (*visit)(struct queue_walk *walk, struct queue_message *message, const struct message *head);
    /* Unless NULL: goes on with what a visit began. STEP_ON: done, it is NULL again. */
    enum queue_step (*inside)(struct queue_walk *walk);
    /* All were visited: sends the rest and ends the answer. */
    enum queue_step (*close)(struct queue_walk *walk);
    /* Unless NULL: what else is to be freed. */
    void (*release)(struct queue_walk *walk);
};

/* Begins; the walk belongs to the peer's answer from now on. Its functions, `heads` and `filter` are set. */
void queue_walk_begin(struct queue *queue, struct control_peer *peer, struct queue_walk *walk);
/* The message leaves: answers that would go on with it pass it over. */
void queue_walk_left(struct queue *queue, const struct queue_message *message);
/* Sends the row that the command has put together. */
enum queue_step queue_walk_send(struct queue_walk *walk, struct control_row *row);

/* ---- queue_list.c, queue_change.c, queue_export.c, queue_stats.c: answers to the command line */
void queue_list_answer(struct queue *queue, struct control_peer *peer, const struct control_request *request);
void queue_show_answer(struct queue *queue, struct control_peer *peer, const struct control_request *request);
void queue_change_answer(struct queue *queue, struct control_peer *peer, const struct control_request *request);
void queue_export_answer(struct queue *queue, struct control_peer *peer, const struct control_request *request);
void queue_stats_answer(struct queue *queue, struct control_peer *peer, const struct control_request *request);

/* ---- queue_head.c */
/* Reads what goes before the body, which is all that a list needs: from memory, or a few octets of the disk, which
 * are checked for being those of this message but not against their MAC. Views that end with the next call. */
bool queue_head_read(struct queue *queue, const struct queue_message *message, struct message *out) MUST_USE;
/* At the end of a round: closes what was kept open between calls. */
void queue_head_rest(void);

#endif
