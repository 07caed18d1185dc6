/* outbound.h - delivery to other hosts: a parent that asks the resolver, and SMTP agents. */
#ifndef SERVER_OUTBOUND_OUTBOUND_H
#define SERVER_OUTBOUND_OUTBOUND_H

#include "store/role.h"

/* Before the process is confined: prepares OpenSSL and reads the trusted certificates. 0 or -1. */
int outbound_prepare(const struct role_start *start) MUST_USE;

/* Serves until the master is gone or says drain; returns the exit status. Needs the channels {ROLE_QUEUE, 0} and,
 * where the smarthost is a name, {ROLE_RESOLVER, 0}, and the descriptor of the CA bundle. */
int outbound_run(struct role_start *start, uint32_t missing);

#endif
