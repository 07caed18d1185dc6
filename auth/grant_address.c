/* grant_address.c - addresses that many hosts have, or that are put in another's place: they say nothing of who it
 * is.
 * Runs in: auth. Trusts: the master for what the host's own addresses are. Never: resolves, reads a file. */
#include "auth/grant_address.h"

/* Behind one of these networks' addresses, seen from here, may be anybody: a proxy on this host, a container's
 * gateway, a provider's translator. RFC 6890 lists them. */
static const struct {
    const char *network, *kind;
} kinds[] = {
    {"0.0.0.0/8", "no host's address (RFC 1122)"},
    {"10.0.0.0/8", "private (RFC 1918)"},
    {"100.64.0.0/10", "carrier-grade NAT (RFC 6598)"},
    {"127.0.0.0/8", "loopback"},
    {"169.254.0.0/16", "link-local (RFC 3927)"},
    {"172.16.0.0/12", "private (RFC 1918)"},
    {"192.0.0.0/24", "a translator's (RFC 6333)"},
    {"192.168.0.0/16", "private (RFC 1918)"},
    {"198.18.0.0/15", "for tests of networks (RFC 2544)"},
    {"224.0.0.0/4", "multicast"},
    {"240.0.0.0/4", "reserved (RFC 1112)"},
    {"::1", "loopback"},
    {"::/96", "no host's address (RFC 4291)"},
    {"100::/64", "no host's address (RFC 6666)"},
    {"2001::/32", "a translator's (Teredo, RFC 4380)"},
    {"64:ff9b:1::/48", "a translator's (RFC 8215)"},
    {"fc00::/7", "unique local (RFC 4193)"},
    {"fe80::/10", "link-local (RFC 4291)"},
    {"fec0::/10", "private (site-local, RFC 3879)"},
    {"ff00::/8", "multicast"},
};

/* Networks whose addresses hold one of IPv4, from this octet on: what that is worth, they are. */
static const struct {
    const char *network;
    unsigned at;
} embedding[] = {{"64:ff9b::/96", 12} /* RFC 6052 */,
                 {"::ffff:0:0:0/96", 12} /* SIIT, RFC 2765 2.1 */,
                 {"2002::/16", 2} /* 6to4, RFC 3056 */};

static bool holds(const char *text, const struct netaddr *address) {
    struct network network;
    return network_parse(&network, span_text(text)) && network_holds(&network, address);
}

static const char *kind_of(const struct netaddr *address) {
    struct netaddr inner = {.octets = {[10] = 0xff, [11] = 0xff}};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (holds(kinds[i].network, address)) return kinds[i].kind;
    for (size_t i = 0; i < sizeof embedding / sizeof *embedding; i++) {
        if (!holds(embedding[i].network, address)) continue;
        memcpy(inner.octets + 12, address->octets + embedding[i].at, 4);
        return kind_of(&inner);
    }
    return NULL;
}

struct network grant_network(const struct grant_limits *limits, const struct netaddr *address) {
    return network_of(address, 32, limits->ipv6_bits);
}

static struct netaddr first_of(const struct network *network) {
    struct netaddr address = {0};
    memcpy(address.octets, network->octets, sizeof address.octets);
    return address;
}

/* Whether any of the listed is in the network, or the other way round. */
static bool meets(const struct network *listed, uint32_t n, const struct network *network) {
    for (uint32_t i = 0; i < n; i++) {
        struct netaddr a = first_of(&listed[i]), b = first_of(network);
        if (network_holds(network, &a) || network_holds(&listed[i], &b)) return true;
    }
    return false;
}

/* `alone`: by an entry for nothing else. */
static bool is_listed(const struct grant_limits *limits, const struct netaddr *address, bool alone) {
    for (uint32_t i = 0; i < limits->n_networks; i++)
        if ((!alone || limits->networks[i].bits == 128) && network_holds(&limits->networks[i], address)) return true;
    return false;
}

/* Who lists the network of an office does not mean the router in it, behind which everybody may be. */
static const char *named_kind(const struct grant_limits *limits, const struct network *network) {
    if (meets(limits->own, limits->n_own, network)) return "this host's own";
    if (meets(limits->gateways, limits->n_gateways, network)) return "this host's gateway's";
    if (meets(limits->proxies, limits->n_proxies, network)) return "a load balancer's (proxy_from)";
    return NULL;
}

const char *grant_address_fault(const struct grant_limits *limits, const struct netaddr *address) {
    static const uint8_t nobody[16] = {0};
    struct network network = grant_network(limits, address);
    if (memcmp(address->octets, nobody, sizeof nobody) == 0) return "no address";
    if (is_listed(limits, address, true)) return NULL;
    const char *kind = named_kind(limits, &network);
    return kind || is_listed(limits, address, false) ? kind : kind_of(address);
}
