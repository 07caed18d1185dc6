/* zone_probe.h - a resolver that answers one question of the owner's: is what the DNS says of us right? */
#ifndef SERVER_OUTBOUND_ZONE_PROBE_H
#define SERVER_OUTBOUND_ZONE_PROBE_H

#include "store/role.h"

enum { ZONE_PROBE_MS = 60000 }; /* for all questions together */

/* Checks what the setup's payload (struct zone_setup) names, by the name servers of DESCRIPTOR_RESOLV; says
 * CHILD_FINDING for each finding, CHILD_CHECKED, and returns the exit status. */
int zone_probe_run(struct role_start *start) MUST_USE;

#endif
