/* proxy.h - the PROXY protocol's header, versions 1 and 2, as a listed load balancer sends it. Pure. */
#ifndef SERVER_INBOUND_PROXY_H
#define SERVER_INBOUND_PROXY_H

#include "store/netaddr.h"

enum {
    PROXY_V1_MAX = 107, /* with its CRLF */
    PROXY_START = 12,   /* enough to tell the versions apart, and shorter than any header */
    PROXY_V2_HEAD = 16,
    PROXY_V2_REST_MAX = 1024 /* addresses and TLVs */
};

enum proxy_version { PROXY_NONE = 0, PROXY_V1, PROXY_V2 };

/* By its first PROXY_START octets. */
enum proxy_version proxy_version(const uint8_t start[PROXY_START]);

/* One line without its CRLF. False for UNKNOWN and whatever is malformed. */
bool proxy_v1(struct span line, struct netaddr *client_out, struct netaddr *local_out) MUST_USE;

/* Octets that follow the head of version 2; PROXY_V2_REST_MAX + 1 when there are too many. */
size_t proxy_v2_rest(const uint8_t head[PROXY_V2_HEAD]);

/* Head and rest. False for LOCAL, UNSPEC, anything but TCP over IPv4 or IPv6, and whatever is malformed. */
bool proxy_v2(const uint8_t head[PROXY_V2_HEAD], struct span rest, struct netaddr *client_out,
              struct netaddr *local_out) MUST_USE;

#endif
