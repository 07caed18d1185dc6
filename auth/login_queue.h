/* login_queue.h - logins that wait for a verifier: bounded, and served in turn between client networks, so that one
 * network that guesses does not keep the others out. */
#ifndef AUTH_LOGIN_QUEUE_H
#define AUTH_LOGIN_QUEUE_H

#include "store/netaddr.h"

struct login_wait { /* lives inside what waits */
    struct login_wait *next;
    struct login_line *line;
    void *owner;
};

struct login_queue {
    struct login_line *first, *last; /* lines of networks, each with at least one waiting; first is served next */
    uint32_t n, max;
};

/* Adds to the end of its network's line. Returns what cannot wait, or NULL: when the queue is full, the last of the
 * longest line gives way (unless the newcomer's own line is as long: then the newcomer itself). */
struct login_wait *login_queue_add(struct login_queue *queue, struct login_wait *wait,
                                   const struct network *network) MUST_USE;

/* Takes out the next one, or NULL. */
struct login_wait *login_queue_take(struct login_queue *queue) MUST_USE;

/* Takes out this one, when it waits. */
void login_queue_drop(struct login_queue *queue, struct login_wait *wait);

#endif
