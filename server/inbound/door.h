/* door.h - who gets a place, before a child is forked for it: of each network no more than its share (auth/share.h),
 * and nobody whom auth has turned away just now. Times are clock_ms, handed in. */
#ifndef SERVER_INBOUND_DOOR_H
#define SERVER_INBOUND_DOOR_H

#include "auth/reason.h"
#include "server/inbound/session_setup.h"

enum { DOOR_BUCKETS = 4096, DOOR_MARKS = 2048 };

/* The children of one network; it goes with the last of them. */
struct door_count {
    struct network network;
    uint32_t n, next; /* next: its index, and 1 */
};

struct door_mark {
    struct network network;
    enum reason reason;
    uint64_t told_ms;
    uint32_t for_ms; /* from then on; 0: not yet */
};

struct door {
    const struct session_setup *setup;
    uint32_t free;                  /* the first that counts nothing: as next */
    uint32_t buckets[DOOR_BUCKETS]; /* as next; 0: none */
    struct door_mark marks[DOOR_MARKS];
    struct door_count counts[];
};

/* For at most `children`; in memory that no child gets. NULL with errno. */
struct door *door_open(const struct session_setup *setup, uint32_t children) MUST_USE;

/* Whether a client has a place on a socket of this role, while so many are taken, fewer than all: REASON_COUNT, or
 * the reason for a refusal. Where connections_per_network is no lower than connections, one network may have all. */
enum reason door_judge(const struct door *door, unsigned role, const struct netaddr *client, uint32_t taken,
                       uint64_t now_ms) MUST_USE;

/* A client has got a place; the network that it counts for, by which it leaves. */
struct network door_enter(struct door *door, const struct netaddr *client);
/* A network of no bits never entered. */
void door_leave(struct door *door, const struct network *network);

/* Auth has refused one of this network (in throttle_ipv4_bits or throttle_ipv6_bits), who came to log in, for this
 * reason. From the second time within for_ms on nobody of it comes to log in for so long; twice as long each time
 * that it goes on, up to eight times. */
void door_mark(struct door *door, const struct network *network, enum reason reason, uint64_t now_ms,
               uint32_t for_ms);

#endif
