/* login_queue.h - logins that wait for a verifier: bounded, and served in turn between client networks, so that one
 * network that guesses does not keep the others out. Networks that are known, because somebody logged in from there
 * lately, stand in a ring of their own with a bound of its own: strangers push nobody of them out, and at least every
 * second turn is theirs. */
#ifndef AUTH_LOGIN_QUEUE_H
#define AUTH_LOGIN_QUEUE_H

#include "store/netaddr.h"

struct login_wait { /* lives inside what waits */
    struct login_wait *next;
    struct login_line *line;
    void *owner;
};

/* Lines of networks, each with at least one waiting; first is served next. */
struct login_ring {
    struct login_line *first, *last;
    uint32_t n;
};

struct login_queue {
    struct login_ring strangers, known;
    bool known_had; /* the last turn that both could have had */
    uint32_t max;   /* waiting in each ring */
};

/* Adds to the end of its network's line. Returns what cannot wait, or NULL: when its ring is full, the last of the
 * longest line gives way (unless the newcomer's own line is as long: then the newcomer itself). */
struct login_wait *login_queue_add(struct login_queue *queue, struct login_wait *wait, const struct network *network,
                                   bool known) MUST_USE;

/* Takes out the next one, or NULL; of known networks only, when that is wanted. */
struct login_wait *login_queue_take(struct login_queue *queue, bool known_only) MUST_USE;

/* Takes out this one, when it waits. */
void login_queue_drop(struct login_queue *queue, struct login_wait *wait);

static inline uint32_t login_queue_waiting(const struct login_queue *queue) {
    return queue->strangers.n + queue->known.n;
}

#endif
