/* netaddr.h - network addresses as 16 octets (IPv4 as ::ffff:a.b.c.d) and a port, and networks to hold them
 * against. */
#ifndef STORE_NETADDR_H
#define STORE_NETADDR_H

#include "store/wire.h"

#include <sys/socket.h>

struct netaddr {
    uint8_t octets[16];
    uint16_t port;
};

struct network {
    uint8_t octets[16];
    uint8_t bits; /* of 128; an IPv4 /24 is 120 */
};

enum { NETADDR_TEXT_MAX = 56, NETWORK_TEXT_MAX = 60 }; /* "[ipv6]:port", and a terminator */

/* From a socket address; ::ffff:a.b.c.d is IPv4. False for any other family. */
bool netaddr_from_socket(struct netaddr *out, const struct sockaddr_storage *address) MUST_USE;

/* For connect(2) and bind(2); returns the length. */
socklen_t netaddr_to_socket(const struct netaddr *address, struct sockaddr_storage *out);

bool netaddr_is_ipv4(const struct netaddr *address);

/* An address alone ("192.0.2.1", "2001:db8::1"); false on anything else. */
bool netaddr_parse(struct netaddr *out, struct span text) MUST_USE;

/* "192.0.2.1:25", "[2001:db8::1]:25"; false on anything else. */
bool netaddr_parse_port(struct netaddr *out, struct span text) MUST_USE;

/* The address without its port, as RFC 5952 writes it. Returns text_out. */
const char *netaddr_text(const struct netaddr *address, char text_out[NETADDR_TEXT_MAX]);

/* The same for a client: "local" where it has no address (:: is nobody's), because it came by the local socket. */
const char *netaddr_text_client(const struct netaddr *address, char text_out[NETADDR_TEXT_MAX]);

/* With the port: "192.0.2.1:25" or "[2001:db8::1]:25". Returns text_out. */
const char *netaddr_text_port(const struct netaddr *address, char text_out[NETADDR_TEXT_MAX]);

/* "192.0.2.0/24", "2001:db8::/32", or one address. False when malformed or when host bits are set. */
bool network_parse(struct network *out, struct span text) MUST_USE;

/* "192.0.2.0/24"; one address alone without its bits. Returns text_out. */
const char *network_text(const struct network *network, char text_out[NETWORK_TEXT_MAX]);

/* An IPv6 network holds no IPv4 address, though IPv4 is written as ::ffff:a.b.c.d. */
bool network_holds(const struct network *network, const struct netaddr *address);

/* The network of `address` that counts together: ipv4_bits of an IPv4 address, ipv6_bits of an IPv6 one. */
struct network network_of(const struct netaddr *address, unsigned ipv4_bits, unsigned ipv6_bits);

void wire_put_netaddr(struct buf *b, const struct netaddr *address);
void wire_get_netaddr(struct wire *w, struct netaddr *out);

/* Octets, then u8 bits; more than 128 of these make the wire bad. */
void wire_put_network(struct buf *b, const struct network *network);
void wire_get_network(struct wire *w, struct network *out);

/* A number and that many networks. Read into memory that the caller frees; NULL and a bad wire where there are more
 * than `max`, or one has too many bits. */
void wire_put_networks(struct buf *b, const struct network *networks, uint32_t n);
struct network *wire_get_networks(struct wire *w, uint32_t max, uint32_t *n_out);

#endif
