/* grant_address.h - which addresses can carry a grant: those that say who is behind them. Pure functions. */
#ifndef AUTH_GRANT_ADDRESS_H
#define AUTH_GRANT_ADDRESS_H

#include "store/netaddr.h"

enum { GRANT_BOOT_BYTES = 16 };

/* What auth is told of grants; its networks are freed with the setup. */
struct grant_limits {
    uint8_t enabled;
    uint8_t boot[GRANT_BOOT_BYTES]; /* of this boot of the host; zero: not known, and nothing is granted */
    uint64_t lifetime_ms;
    uint32_t ipv6_bits;            /* what counts as one address in IPv6 */
    uint32_t messages, recipients; /* of one grant, until the next login; recipients elsewhere */
    uint32_t users_per_address;    /* more of them within shared_ms: the address carries none */
    uint64_t shared_ms;
    struct network *networks; /* whose addresses carry grants though they are of a kind that does not; */
    struct network *own, *gateways, *proxies; /* of these only those that stand in it alone */
    uint32_t n_networks, n_own, n_gateways, n_proxies;
};

/* What carries the grant of a client with this address. */
struct network grant_network(const struct grant_limits *limits, const struct netaddr *address);

/* What kind of address it is that cannot carry a grant ("private", "loopback"), or NULL where it can. */
const char *grant_address_fault(const struct grant_limits *limits, const struct netaddr *address);

#endif
