/* share.c - places for networks.
 * Runs in: listener, auth. Trusts: nothing. Never: keeps anything. */
#include "auth/share.h"

enum { IPV6_BITS = 48 };

struct network share_network(const struct netaddr *client, uint32_t ipv4_bits, uint32_t ipv6_bits) {
    return network_of(client, ipv4_bits, ipv6_bits < IPV6_BITS ? ipv6_bits : IPV6_BITS);
}

bool share_allows(uint32_t has, uint32_t taken, uint32_t most) {
    uint32_t left = taken < most ? most - taken : 0;
    if (left == 0) return false;
    return has == 0 || left > most / 4 || (has == 1 && left > most / 8);
}
