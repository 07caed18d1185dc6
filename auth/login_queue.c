/* login_queue.c - a line for each network, and a ring of lines.
 * Runs in: auth. Trusts: nothing. Never: holds more than its bound. */
#include "auth/login_queue.h"

#include <stdlib.h>

struct login_line {
    struct login_line *next;
    struct network network;
    struct login_wait *first, *last;
    uint32_t n;
};

static struct login_line *find_line(struct login_queue *queue, const struct network *network) {
    struct login_line *line = queue->first;
    while (line && memcmp(&line->network, network, sizeof *network) != 0) line = line->next;
    return line;
}

static void append_line(struct login_queue *queue, struct login_line *line) {
    line->next = NULL;
    if (queue->last)
        queue->last->next = line;
    else
        queue->first = line;
    queue->last = line;
}

static void unlink_line(struct login_queue *queue, struct login_line *line) {
    struct login_line *before = NULL;
    for (struct login_line *at = queue->first; at && at != line; at = at->next) before = at;
    if (before)
        before->next = line->next;
    else
        queue->first = line->next;
    if (queue->last == line) queue->last = before;
}

void login_queue_drop(struct login_queue *queue, struct login_wait *wait) {
    struct login_line *line = wait->line;
    struct login_wait *before = NULL;
    if (!line) return;
    for (struct login_wait *at = line->first; at != wait; at = at->next) before = at;
    if (before)
        before->next = wait->next;
    else
        line->first = wait->next;
    if (line->last == wait) line->last = before;
    wait->next = NULL;
    wait->line = NULL;
    queue->n--;
    if (--line->n == 0) {
        unlink_line(queue, line);
        free(line);
    }
}

/* The last one of the longest line, when that is longer than `than`. */
static struct login_wait *yielding(const struct login_queue *queue, uint32_t than) {
    struct login_line *longest = NULL;
    for (struct login_line *line = queue->first; line; line = line->next)
        if (line->n > than && (!longest || line->n > longest->n)) longest = line;
    return longest ? longest->last : NULL;
}

struct login_wait *login_queue_add(struct login_queue *queue, struct login_wait *wait,
                                   const struct network *network) {
    struct login_wait *out = NULL;
    struct login_line *line = find_line(queue, network);
    if (queue->n >= queue->max) {
        /* With its newcomer the own line would be one longer. */
        if (!(out = yielding(queue, (line ? line->n : 0) + 1))) return wait;
        login_queue_drop(queue, out);
        line = find_line(queue, network);
    }
    if (!line) {
        if (!(line = calloc(1, sizeof *line))) return wait; /* one that gave way is lost too: there is no memory */
        line->network = *network;
        append_line(queue, line);
    }
    wait->next = NULL;
    wait->line = line;
    if (line->last)
        line->last->next = wait;
    else
        line->first = wait;
    line->last = wait;
    line->n++;
    queue->n++;
    return out;
}

struct login_wait *login_queue_take(struct login_queue *queue) {
    struct login_line *line = queue->first;
    if (!line) return NULL;
    struct login_wait *wait = line->first;
    unlink_line(queue, line); /* its turn is over */
    append_line(queue, line);
    login_queue_drop(queue, wait);
    return wait;
}
