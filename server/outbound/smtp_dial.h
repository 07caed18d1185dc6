/* smtp_dial.h - connecting to the first of several addresses that answers. */
#ifndef SERVER_OUTBOUND_SMTP_DIAL_H
#define SERVER_OUTBOUND_SMTP_DIAL_H

#include "store/netaddr.h"

enum { SMTP_ADDRESSES_MAX = 16 };

struct smtp_addresses {
    struct netaddr list[SMTP_ADDRESSES_MAX]; /* with ports */
    size_t n;
    uint64_t limit_ms; /* for each */
};

/* A connected non-blocking socket, or -1 and the last one's reason. `addresses` is a struct smtp_addresses. */
int smtp_dial(void *addresses, const char **why_out) MUST_USE;

#endif
