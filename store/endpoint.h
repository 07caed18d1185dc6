/* endpoint.h - where an LMTP server listens: "unix:/run/dovecot/lmtp", "imap.example.org:24", "192.0.2.1:24",
 * "[2001:db8::1]:24". It is the destination of the mail for it. */
#ifndef STORE_ENDPOINT_H
#define STORE_ENDPOINT_H

#include "store/netaddr.h"

enum { ENDPOINT_MAX = 263, ENDPOINT_PATH_MAX = 107 /* unix(7) */ };

struct endpoint {     /* views into the text */
    struct span path; /* of a Unix socket; else empty */
    struct span host; /* a name or an address, without brackets */
    uint16_t port;
    bool literal; /* host is an address: this one, with the port */
    struct netaddr address;
};

/* False on anything else. A name is not looked into further than that it can be one. */
bool endpoint_parse(struct endpoint *out, struct span text) MUST_USE;

#endif
