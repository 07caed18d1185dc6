/* share.h - how many places one network may have of those that all share. Pure. The last quarter is for networks that
 * have fewer than two, the last eighth for those that have none: a few networks that take what they can get, and keep
 * it, keep nobody else out. To fill that eighth takes as many networks as there are places in it. */
#ifndef AUTH_SHARE_H
#define AUTH_SHARE_H

#include "store/netaddr.h"

/* What counts together: the network of so many bits, but of IPv6 no less than a /48, which whoever has one /64 has as
 * a rule (RFC 6177 2). */
struct network share_network(const struct netaddr *client, uint32_t ipv4_bits, uint32_t ipv6_bits);

/* Whether a network that has `has` of `most` places may have another, when `taken` are in all. */
bool share_allows(uint32_t has, uint32_t taken, uint32_t most);

#endif
