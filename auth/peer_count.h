/* peer_count.h - how many sessions there are from where, without going through all of them. */
#ifndef AUTH_PEER_COUNT_H
#define AUTH_PEER_COUNT_H

#include "auth/reason.h"
#include "store/netaddr.h"
#include "store/span.h"

#include <sys/types.h>

struct auth;
struct peer;

enum { PEER_BUCKETS = 4096 };

/* The sessions of one address, system user or network; it goes with the last of them. */
struct peer_count {
    struct peer_count *next;
    uint8_t kind, bits, octets[16];
    uint32_t n;
    uint32_t waiting; /* of these, where it is the share of a network: as in peer_counts */
};

struct peer_counts {
    struct peer_count *counts[PEER_BUCKETS];
    struct peer *pids[PEER_BUCKETS];
    uint32_t all;     /* announced and welcome */
    uint32_t waiting; /* of these, on a port for submission and without a login */
};

/* Whether a newcomer has a place: REASON_COUNT, or the reason for a refusal. */
enum reason peer_count_judge(const struct peer *newcomer) MUST_USE;

/* Counts one that is welcome, until peer_count_leave. False: there is no memory. */
bool peer_count_join(struct peer *peer) MUST_USE;
void peer_count_leave(struct peer *peer);
/* It has logged in, or that is forgotten. */
void peer_count_login(struct peer *peer);
/* The setup may say otherwise what a network is. */
void peer_count_renew(struct auth *auth);

/* Every session is known by its pid, from its beginning to its end. */
void peer_pid_add(struct peer *peer);
void peer_pid_remove(struct peer *peer);
bool peer_pid_known(const struct auth *auth, pid_t pid);

#endif
