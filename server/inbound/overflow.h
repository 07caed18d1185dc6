/* overflow.h - connections beyond the limit in all: the listener accepts them, says so in one line, and closes. */
#ifndef SERVER_INBOUND_OVERFLOW_H
#define SERVER_INBOUND_OVERFLOW_H

#include "server/inbound/pool.h"

/* Whether more may be refused just now: so many a second, the rest waits in the kernel's queue. */
bool overflow_may_refuse(void);

/* Refuses what waits on that listening socket, as far as it may. Never blocks, reads nothing. */
void overflow_refuse(const struct pool *pool, unsigned socket);

/* Logs what was refused since the last line, when that is due. */
void overflow_log(void);

#endif
