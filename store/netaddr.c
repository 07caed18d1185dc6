/* netaddr.c - addresses and networks, IPv4 and IPv6 alike.
 * Runs in: every process. Trusts: nothing it parses. Never: resolves a name. */
#include "store/netaddr.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>

static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

bool netaddr_from_socket(struct netaddr *out, const struct sockaddr_storage *address) {
    *out = (struct netaddr){0};
    if (address->ss_family == AF_INET) {
        const struct sockaddr_in *in = (const void *)address;
        memcpy(out->octets, mapped, sizeof mapped);
        memcpy(out->octets + 12, &in->sin_addr, 4);
        out->port = ntohs(in->sin_port);
        return true;
    }
    if (address->ss_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const void *)address;
        memcpy(out->octets, &in6->sin6_addr, 16);
        out->port = ntohs(in6->sin6_port);
        return true;
    }
    return false;
}

socklen_t netaddr_to_socket(const struct netaddr *address, struct sockaddr_storage *out) {
    memset(out, 0, sizeof *out);
    if (netaddr_is_ipv4(address)) {
        struct sockaddr_in *in = (void *)out;
        in->sin_family = AF_INET;
        in->sin_port = htons(address->port);
        memcpy(&in->sin_addr, address->octets + 12, 4);
        return sizeof *in;
    }
    struct sockaddr_in6 *in6 = (void *)out;
    in6->sin6_family = AF_INET6;
    in6->sin6_port = htons(address->port);
    memcpy(&in6->sin6_addr, address->octets, 16);
    return sizeof *in6;
}

bool netaddr_is_ipv4(const struct netaddr *address) {
    return memcmp(address->octets, mapped, sizeof mapped) == 0;
}

bool netaddr_parse(struct netaddr *out, struct span text) {
    char copy[INET6_ADDRSTRLEN];
    *out = (struct netaddr){0};
    if (text.n == 0 || text.n >= sizeof copy || memchr(text.p, 0, text.n)) return false;
    memcpy(copy, text.p, text.n);
    copy[text.n] = 0;
    if (inet_pton(AF_INET, copy, out->octets + 12) == 1) {
        memcpy(out->octets, mapped, sizeof mapped);
        return true;
    }
    return inet_pton(AF_INET6, copy, out->octets) == 1;
}

bool netaddr_parse_port(struct netaddr *out, struct span text) {
    size_t colon = text.n;
    while (colon && text.p[colon - 1] != ':') colon--;
    uint64_t port;
    *out = (struct netaddr){0};
    if (colon < 2 || !span_number(span_from(text, colon), 65535, &port)) return false;
    struct span host = span_part(text, 0, colon - 1);
    bool bracketed = host.n > 2 && host.p[0] == '[' && host.p[host.n - 1] == ']';
    if (bracketed) host = span_part(host, 1, host.n - 2);
    if (bracketed != (span_find(host, ':') < host.n)) return false;
    if (!netaddr_parse(out, host)) return false;
    out->port = (uint16_t)port;
    return true;
}

const char *netaddr_text(const struct netaddr *address, char text_out[NETADDR_TEXT_MAX]) {
    bool ipv4 = netaddr_is_ipv4(address);
    if (!inet_ntop(ipv4 ? AF_INET : AF_INET6, address->octets + (ipv4 ? 12 : 0), text_out, NETADDR_TEXT_MAX))
        text_out[0] = 0;
    return text_out;
}

const char *netaddr_text_client(const struct netaddr *address, char text_out[NETADDR_TEXT_MAX]) {
    static const uint8_t none[16] = {0};
    if (memcmp(address->octets, none, sizeof none) != 0) return netaddr_text(address, text_out);
    memcpy(text_out, "local", sizeof "local");
    return text_out;
}

const char *netaddr_text_port(const struct netaddr *address, char text_out[NETADDR_TEXT_MAX]) {
    char host[NETADDR_TEXT_MAX];
    bool ipv4 = netaddr_is_ipv4(address);
    struct buf b = buf_over(text_out, NETADDR_TEXT_MAX - 1);
    if (!ipv4) buf_put_octet(&b, '[');
    buf_put_text(&b, netaddr_text(address, host));
    if (!ipv4) buf_put_octet(&b, ']');
    buf_put_octet(&b, ':');
    buf_put_number(&b, address->port);
    text_out[b.n] = 0;
    return text_out;
}

static void clear_host_bits(uint8_t octets[16], unsigned bits) {
    for (unsigned i = bits; i < 128; i++) octets[i / 8] &= (uint8_t) ~(0x80 >> i % 8);
}

bool network_parse(struct network *out, struct span text) {
    struct netaddr address;
    size_t slash = span_find(text, '/');
    uint64_t bits;
    *out = (struct network){0};
    if (!netaddr_parse(&address, span_part(text, 0, slash))) return false;
    unsigned width = netaddr_is_ipv4(&address) ? 32 : 128;
    bits = width;
    if (slash < text.n && !span_number(span_from(text, slash + 1), width, &bits)) return false;
    out->bits = (uint8_t)(128 - width + bits);
    memcpy(out->octets, address.octets, 16);
    clear_host_bits(out->octets, out->bits);
    return memcmp(out->octets, address.octets, 16) == 0;
}

const char *network_text(const struct network *network, char text_out[NETWORK_TEXT_MAX]) {
    struct netaddr first = {0};
    char address[NETADDR_TEXT_MAX];
    struct buf b = buf_over(text_out, NETWORK_TEXT_MAX - 1);
    memcpy(first.octets, network->octets, sizeof first.octets);
    buf_put_text(&b, netaddr_text(&first, address));
    if (network->bits < 128) {
        buf_put_octet(&b, '/');
        buf_put_number(&b, netaddr_is_ipv4(&first) ? network->bits - 96U : network->bits);
    }
    text_out[b.n] = 0;
    return text_out;
}

bool network_holds(const struct network *network, const struct netaddr *address) {
    uint8_t octets[16];
    /* ::/64 and the like are networks of IPv6: that IPv4 is written as ::ffff:a.b.c.d does not bring it in. */
    if (network->bits < 96 && netaddr_is_ipv4(address)) return false;
    memcpy(octets, address->octets, 16);
    clear_host_bits(octets, network->bits);
    return memcmp(octets, network->octets, 16) == 0;
}

struct network network_of(const struct netaddr *address, unsigned ipv4_bits, unsigned ipv6_bits) {
    struct network network = {.bits = (uint8_t)(netaddr_is_ipv4(address) ? 96 + ipv4_bits : ipv6_bits)};
    memcpy(network.octets, address->octets, 16);
    clear_host_bits(network.octets, network.bits);
    return network;
}

void wire_put_netaddr(struct buf *b, const struct netaddr *address) {
    wire_put_bytes(b, address->octets, sizeof address->octets);
    wire_put_u16(b, address->port);
}

void wire_get_netaddr(struct wire *w, struct netaddr *out) {
    wire_get_bytes(w, out->octets, sizeof out->octets);
    out->port = wire_get_u16(w);
}

void wire_put_network(struct buf *b, const struct network *network) {
    wire_put_bytes(b, network->octets, sizeof network->octets);
    wire_put_u8(b, network->bits);
}

void wire_get_network(struct wire *w, struct network *out) {
    wire_get_bytes(w, out->octets, sizeof out->octets);
    out->bits = wire_get_u8(w);
    if (out->bits > 128) w->bad = true;
}

void wire_put_networks(struct buf *b, const struct network *networks, uint32_t n) {
    wire_put_u32(b, n);
    for (uint32_t i = 0; i < n; i++) wire_put_network(b, &networks[i]);
}

struct network *wire_get_networks(struct wire *w, uint32_t max, uint32_t *n_out) {
    uint32_t n = wire_get_u32(w);
    /* One more than asked, so that an empty list is no special case. */
    struct network *networks = n > max || w->bad ? NULL : calloc((size_t)n + 1, sizeof *networks);
    for (uint32_t i = 0; networks && i < n; i++) wire_get_network(w, &networks[i]);
    if (!networks || w->bad) {
        free(networks);
        w->bad = true;
        networks = NULL;
    }
    *n_out = networks ? n : 0;
    return networks;
}
