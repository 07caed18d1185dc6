/* overflow.h - connections that get no child: the listener accepts them, says why in one line, and closes. */
#ifndef SERVER_INBOUND_OVERFLOW_H
#define SERVER_INBOUND_OVERFLOW_H

#include "auth/reason.h"
#include "server/inbound/pool.h"

/* Whether more may be refused just now: so many a second, the rest waits in the kernel's queue. */
bool overflow_may_refuse(void);

/* Refuses what waits on that listening socket, as far as it may. Never blocks, reads nothing. */
void overflow_refuse(const struct pool *pool, unsigned socket);

/* Refuses a client that has been accepted already, for this reason; closes its connection. */
void overflow_turn_away(const struct pool *pool, unsigned socket, int fd, const struct netaddr *client,
                        enum reason reason);

/* Logs what was refused since the last lines, one for each reason, when that is due. */
void overflow_log(void);

#endif
