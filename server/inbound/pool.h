/* pool.h - the listener's children: who they are, and what a child does until it has a connection. */
#ifndef SERVER_INBOUND_POOL_H
#define SERVER_INBOUND_POOL_H

#include "server/inbound/session_setup.h"
#include "store/role.h"

#include <sys/types.h>

/* What listener and children share. Each child closes the ends that are not its own. */
struct pool_wires {
    int sockets[SESSION_SOCKETS_MAX];
    int submit;      /* the local socket, whose connections the listener accepts itself; -1: none */
    int accepted[2]; /* children say one octet on 1 when they have a connection; the kernel names them on 0 */
    int idle[2];     /* pipe: its end tells children without a connection to leave */
    int stop[2];     /* pipe: its end tells sessions that the server is stopping */
    int exits;       /* signalfd for SIGCHLD */
};

enum { POOL_BUCKETS = 4096 };

struct pool {
    const struct role_start *start;
    const struct session_setup *setup;
    struct pool_wires wires;
    struct pool_child {
        pid_t pid;
        bool busy;
        uint32_t auth; /* which auth knows it: the pool's auth_number then */
        uint32_t next; /* of those with the same hash: its index, and 1 */
    } * children;
    uint32_t by_pid[POOL_BUCKETS]; /* the first: its index, and 1; 0: none */
    uint32_t n, idle, auth_number;
    uint64_t accepted, crashed;
    uint64_t wait_until_ms; /* children die before they get a connection: not again before then */
};

/* Before confinement: memory and descriptors; those of `start` that children share get other numbers. 0, or -1 with
 * errno. */
int pool_prepare(struct pool *pool, struct role_start *start, const struct session_setup *setup) MUST_USE;

/* Forks one child and tells auth about it. False: auth's channel is broken, or there is no process to be had. */
bool pool_add(struct pool *pool, int auth_channel) MUST_USE;

/* Accepts one connection of the local socket, forks a child for it, and tells auth whose it is by the kernel's word.
 */
void pool_serve_local(struct pool *pool, int auth_channel);

/* Handles what children said on `accepted`. */
void pool_hear(struct pool *pool);

enum pool_end { POOL_END_NONE = 0, POOL_END_FINE, POOL_END_CRASH };

/* Buries one child that has ended and tells auth (-1: none); POOL_END_NONE when there is none. */
enum pool_end pool_bury(struct pool *pool, int auth_channel);

#endif
