/* hook.h - what other servers of this host say of logins: at login.sock, that one succeeded (gatepost-pop3-login); by
 * the policy process, that one failed. */
#ifndef AUTH_HOOK_H
#define AUTH_HOOK_H

#include "auth/auth_setup.h"
#include "store/frame.h"
#include "store/loop.h"

enum { HOOK_PEERS = 16 };

/* Who has connected and not said anything yet. */
struct hook_peer {
    struct auth *auth;
    struct loop_watch watch; /* fd -1: the place is free */
    uint32_t uid;
    uint64_t until_ms; /* clock_ms */
};

struct hook {
    struct loop_watch watch; /* the listening socket */
    struct hook_peer peers[HOOK_PEERS];
    uint64_t said_ms;      /* when the second of `said` began */
    uint32_t said, unsaid; /* refusals that were logged in it, and those that were not since */
};

/* Serves the listening login socket, -1: there is none. 0, or -1 with errno.
 * A peer whose uid is in the setup's list sends one packet of at most HOOK_RECORD_MAX octets,
 *     "gatepost-login 1" NUL USER NUL ADDRESS NUL SERVICE NUL
 * waits, gets one, "ok" or "no REASON", and is closed. USER is any name that AUTH takes. */
enum { HOOK_RECORD_MAX = 1024 };
int hook_open(struct auth *auth, int fd) MUST_USE;

/* Drops who connected and stayed silent; returns ms until the next is due, or -1. */
int hook_round(struct auth *auth);

/* A frame of the policy process's: -1 when it is none, and that process is not to be heard again. */
int hook_policy_frame(struct auth *auth, struct frame *frame) MUST_USE;

#endif
