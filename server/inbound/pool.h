/* pool.h - the listener's children: who they are, and what a child does until it has a connection. */
#ifndef SERVER_INBOUND_POOL_H
#define SERVER_INBOUND_POOL_H

#include "server/inbound/door.h"
#include "server/inbound/session.h"
#include "store/role.h"

#include <sys/types.h>

/* What listener and children share. Each child closes the ends that are not its own. */
struct pool_wires {
    int sockets[SESSION_SOCKETS_MAX];
    int submit;  /* the local socket; -1: none */
    int stop[2]; /* pipe: its end tells sessions that the server is stopping */
    int exits;   /* signalfd for SIGCHLD */
};

enum { POOL_BUCKETS = 4096 };

enum { POOL_END_BYTES = 5, POOL_ENDS = 64 };

struct pool_child {
    pid_t pid;
    uint32_t auth;          /* which auth knows it: the pool's auth_number then */
    uint32_t next;          /* of those with the same hash: its index, and 1 */
    uint64_t until_ms;      /* it is ended by force */
    struct network network; /* that it counts for at the door; no bits: none, or only auth knows */
};

/* The listener's alone: no child has these pages. */
struct pool {
    struct role_start *start;
    const struct session_setup *setup;
    const struct session_protocol *protocol;
    struct pool_wires wires;
    struct door *door;
    uint32_t by_pid[POOL_BUCKETS]; /* the first: its index, and 1; 0: none */
    uint32_t n, auth_number;
    uint64_t accepted, crashed;
    uint64_t wait_until_ms; /* there was no process to be had: not again before then */
    struct buf ended;       /* what auth is to hear of those that have */
    uint8_t ended_storage[POOL_ENDS * POOL_END_BYTES];
    struct pool_child children[];
};

/* Before confinement: memory and descriptors; those of `start` that children share get other numbers. NULL with
 * errno. */
struct pool *pool_open(struct role_start *start, const struct session_setup *setup,
                       const struct session_protocol *protocol) MUST_USE;

/* The channel to an auth that knows none of the children yet: -1: there is none. */
int pool_find_auth(struct pool *pool) MUST_USE;

/* Accepts one connection of that socket; turns it away at the door, or forks a child for it, and tells auth who the
 * client is (a listed proxy's child says it itself). False: there is none. */
bool pool_serve(struct pool *pool, unsigned socket, int auth_channel) MUST_USE;

/* The same for the local socket: auth hears whose it is by the kernel's word. */
void pool_serve_local(struct pool *pool, int auth_channel);

/* Ends the sessions that are still there some seconds beyond the time that each keeps by itself. */
void pool_end_overdue(struct pool *pool);
/* Ends all that are there: nobody will look after them. */
void pool_end_all(struct pool *pool);

enum pool_end { POOL_END_NONE = 0, POOL_END_FINE, POOL_END_CRASH };

/* Buries one child that has ended; POOL_END_NONE when there is none. Auth hears of it with the next client, or by
 * pool_tell_ended. */
enum pool_end pool_bury(struct pool *pool, int auth_channel);
void pool_tell_ended(struct pool *pool, int auth_channel);

#endif
