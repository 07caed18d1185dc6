/* resolver.h - the resolver: host names to addresses, for outbound. */
#ifndef SERVER_OUTBOUND_RESOLVER_H
#define SERVER_OUTBOUND_RESOLVER_H

#include "store/role.h"

/* With a setup (struct zone_setup) it checks the DNS, says what it finds to the master and returns. Without one it
 * serves until the master is gone or says drain; returns the exit status. Needs the channel {ROLE_OUTBOUND, 0}
 * and, for what they say, the descriptors of resolv.conf and hosts. */
int resolver_run(struct role_start *start, uint32_t missing);

#endif
