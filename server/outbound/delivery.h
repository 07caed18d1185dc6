/* delivery.h - local delivery: a parent, and one agent per Maildir. */
#ifndef SERVER_OUTBOUND_DELIVERY_H
#define SERVER_OUTBOUND_DELIVERY_H

#include "store/role.h"

/* Serves until the master is gone or says drain; returns the exit status. Needs the channel {ROLE_QUEUE, 0}, the mail
 * directory (descriptor 0) and, where mail is captured, its Maildir (descriptor 1). */
int delivery_run(struct role_start *start, uint32_t missing);

#endif
