/* listener.h - the parent of the sessions: keeps children that wait for a connection, one connection each. */
#ifndef SERVER_INBOUND_LISTENER_H
#define SERVER_INBOUND_LISTENER_H

#include "server/inbound/session.h"
#include "store/role.h"

/* Before confinement: setup, TLS, everything that needs memory or descriptors. 0, or -1 (logged). */
int listener_prepare(struct role_start *start, const struct session_protocol *protocol) MUST_USE;

/* Serves until the master drains it or is gone; the exit status. */
int listener_run(struct role_start *start, uint32_t missing);

#endif
