/* hosts.h - addresses by the lines of a hosts file. */
#ifndef SERVER_OUTBOUND_HOSTS_H
#define SERVER_OUTBOUND_HOSTS_H

#include "store/netaddr.h"

/* The addresses of `name` (but for ASCII case) in the file's text, in its order, at most `most`; how many. */
size_t hosts_find(struct span text, struct span name, struct netaddr *list_out, size_t most);

#endif
