/* loop.c - one round of waiting and calling.
 * Runs in: every process but the session. Trusts: its owner. Never: keeps a pointer to a watch that was removed. */
#include "store/loop.h"

#include "store/clock.h"

#include <errno.h>
#include <unistd.h>

int loop_open(struct loop *loop) {
    *loop = (struct loop){.epoll_fd = epoll_create1(EPOLL_CLOEXEC)};
    return loop->epoll_fd < 0 ? -1 : 0;
}

void loop_close(struct loop *loop) {
    if (loop->epoll_fd >= 0) close(loop->epoll_fd);
    loop->epoll_fd = -1;
}

static int control(struct loop *loop, int operation, struct loop_watch *watch, uint32_t events) {
    struct epoll_event event = {.events = events, .data.ptr = watch};
    return epoll_ctl(loop->epoll_fd, operation, watch->fd, &event);
}

int loop_add(struct loop *loop, struct loop_watch *watch, uint32_t events) {
    return control(loop, EPOLL_CTL_ADD, watch, events);
}

int loop_change(struct loop *loop, struct loop_watch *watch, uint32_t events) {
    return control(loop, EPOLL_CTL_MOD, watch, events);
}

void loop_remove(struct loop *loop, struct loop_watch *watch) {
    if (watch->fd >= 0) (void)control(loop, EPOLL_CTL_DEL, watch, 0);
    for (int i = loop->at; i < loop->n; i++)
        if (loop->batch[i].data.ptr == watch) loop->batch[i].data.ptr = NULL;
}

int loop_round(struct loop *loop, int timeout_ms) {
    int n = epoll_wait(loop->epoll_fd, loop->batch, LOOP_BATCH, timeout_ms);
    loop->woke_ms = clock_ms();
    if (n < 0) return errno == EINTR ? 0 : -1;
    loop->n = n;
    for (loop->at = 0; loop->at < n;) {
        struct epoll_event event = loop->batch[loop->at++];
        struct loop_watch *watch = event.data.ptr;
        if (watch) watch->ready(watch->context, event.events);
    }
    loop->n = loop->at = 0;
    return 0;
}
