/* login_queue.c - a line for each network, and two rings of lines.
 * Runs in: auth. Trusts: its caller for who is known. Never: holds more than its bounds. */
#include "auth/login_queue.h"

#include <stdlib.h>

struct login_line {
    struct login_line *next;
    struct login_ring *ring;
    struct network network;
    struct login_wait *first, *last;
    uint32_t n;
};

static struct login_line *find_line(struct login_ring *ring, const struct network *network) {
    struct login_line *line = ring->first;
    while (line && memcmp(&line->network, network, sizeof *network) != 0) line = line->next;
    return line;
}

static void append_line(struct login_line *line) {
    struct login_ring *ring = line->ring;
    line->next = NULL;
    if (ring->last)
        ring->last->next = line;
    else
        ring->first = line;
    ring->last = line;
}

static void unlink_line(struct login_line *line) {
    struct login_ring *ring = line->ring;
    struct login_line *before = NULL;
    for (struct login_line *at = ring->first; at && at != line; at = at->next) before = at;
    if (before)
        before->next = line->next;
    else
        ring->first = line->next;
    if (ring->last == line) ring->last = before;
}

static void take_out(struct login_wait *wait) {
    struct login_line *line = wait->line;
    struct login_wait *before = NULL;
    for (struct login_wait *at = line->first; at != wait; at = at->next) before = at;
    if (before)
        before->next = wait->next;
    else
        line->first = wait->next;
    if (line->last == wait) line->last = before;
    wait->next = NULL;
    wait->line = NULL;
    line->ring->n--;
    if (--line->n == 0) {
        unlink_line(line);
        free(line);
    }
}

void login_queue_drop(struct login_queue *queue, struct login_wait *wait) {
    (void)queue;
    if (wait->line) take_out(wait);
}

/* The last one of the longest line, when that is longer than `than`. */
static struct login_wait *yielding(const struct login_ring *ring, uint32_t than) {
    struct login_line *longest = NULL;
    for (struct login_line *line = ring->first; line; line = line->next)
        if (line->n > than && (!longest || line->n > longest->n)) longest = line;
    return longest ? longest->last : NULL;
}

static struct login_line *make_line(struct login_ring *ring, const struct network *network) {
    struct login_line *line = calloc(1, sizeof *line);
    if (!line) return NULL;
    line->ring = ring;
    line->network = *network;
    append_line(line);
    return line;
}

struct login_wait *login_queue_add(struct login_queue *queue, struct login_wait *wait, const struct network *network,
                                   bool known) {
    struct login_ring *ring = known ? &queue->known : &queue->strangers;
    struct login_wait *out = NULL;
    struct login_line *line = find_line(ring, network);
    if (ring->n >= queue->max) {
        /* With its newcomer the own line would be one longer. */
        if (!(out = yielding(ring, (line ? line->n : 0) + 1))) return wait;
        take_out(out);
        line = find_line(ring, network);
    }
    if (!line && !(line = make_line(ring, network))) return wait; /* one that gave way is lost too: no memory */
    wait->next = NULL;
    wait->line = line;
    if (line->last)
        line->last->next = wait;
    else
        line->first = wait;
    line->last = wait;
    line->n++;
    ring->n++;
    return out;
}

static struct login_ring *next_ring(struct login_queue *queue, bool known_only) {
    if (known_only || !queue->strangers.n) return &queue->known;
    if (!queue->known.n) return &queue->strangers;
    queue->known_had = !queue->known_had;
    return queue->known_had ? &queue->known : &queue->strangers;
}

struct login_wait *login_queue_take(struct login_queue *queue, bool known_only) {
    struct login_line *line = next_ring(queue, known_only)->first;
    if (!line) return NULL;
    struct login_wait *wait = line->first;
    unlink_line(line); /* its turn is over */
    append_line(line);
    take_out(wait);
    return wait;
}
