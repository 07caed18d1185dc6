/* mechanism.h - the ways to log in that are offered on this connection, under TLS, and how auth is asked. */
#ifndef SERVER_INBOUND_MECHANISM_H
#define SERVER_INBOUND_MECHANISM_H

#include "server/inbound/ask.h"
#include "server/inbound/session_setup.h"

struct mechanism_offer;

/* The mechanism of that name in any case, or NULL: it is not offered. */
const struct mechanism_offer *mechanism_find(const struct session_setup *setup, struct span name);

/* Appends the names of those that are offered, strongest first: the first behind `start`, the others behind
 * `between`. */
void mechanism_put(const struct session_setup *setup, const char *start, const char *between, struct buf *out);

/* Asks auth; what the connection is bound to goes with it where the mechanism has a use for it. */
bool mechanism_ask(const struct mechanism_offer *offer, bool tls, bool initial, struct span response,
                   struct ask_auth *out) MUST_USE;

#endif
