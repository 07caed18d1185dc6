/* proxy_read.h - the header by which a listed load balancer says who the client is. */
#ifndef SERVER_INBOUND_PROXY_READ_H
#define SERVER_INBOUND_PROXY_READ_H

#include "store/netaddr.h"

/* Reads it from the connection, before anything else is. False: none came, or none that says it. */
bool proxy_read(struct netaddr *client_out, struct netaddr *local_out) MUST_USE;

#endif
