/* dialer.h - connections to Unix sockets for agents, whose empty root has no paths: an agent asks its parent, and
 * that the master, who connects to what the configuration names. */
#ifndef SERVER_OUTBOUND_DIALER_H
#define SERVER_OUTBOUND_DIALER_H

#include "store/loop.h"
#include "store/wire.h"

/* ---- in the parent */

void dialer_open(struct loop *loop);

/* A line for an agent whose destination is the socket at `path`: the agent's end, which the caller passes on and
 * closes; -1 with errno. Ours is closed when every copy of that is. */
int dialer_add(struct span path) MUST_USE;

/* MASTER_DIALED: takes over fd, which is -1 where error (errno) is not 0. */
void dialer_take(uint32_t request, int fd, int error);

/* ---- in the agent */

struct dialer_line {
    int fd;
    uint64_t limit_ms; /* for each connection */
    uint32_t requests;
};

/* A connected non-blocking socket, or -1 and why. `line` is a struct dialer_line. */
int dialer_dial(void *line, const char **why_out) MUST_USE;

#endif
