/* loop.h - waiting on many descriptors (epoll). Time is the owner's: it says how long a round may wait. */
#ifndef STORE_LOOP_H
#define STORE_LOOP_H

#include "store/span.h"

#include <sys/epoll.h>

struct loop_watch { /* lives inside what it watches for */
    int fd;
    void (*ready)(void *context, uint32_t events);
    void *context;
};

enum { LOOP_BATCH = 64 };

struct loop {
    int epoll_fd;
    int n, at;        /* the batch being dispatched */
    uint64_t woke_ms; /* clock_ms when the last wait ended */
    struct epoll_event batch[LOOP_BATCH];
};

int loop_open(struct loop *loop) MUST_USE;
void loop_close(struct loop *loop);

/* Watches watch->fd for EPOLLIN and the like; the watch must stay where it is until loop_remove. 0 or -1 with
 * errno. */
int loop_add(struct loop *loop, struct loop_watch *watch, uint32_t events) MUST_USE;
int loop_change(struct loop *loop, struct loop_watch *watch, uint32_t events) MUST_USE;

/* Forgets the watch, also where it is still due in this round; the caller then closes the descriptor. */
void loop_remove(struct loop *loop, struct loop_watch *watch);

/* One round: waits at most timeout_ms (-1: for ever), calls what is ready. 0, or -1 with errno. */
int loop_round(struct loop *loop, int timeout_ms) MUST_USE;

#endif
