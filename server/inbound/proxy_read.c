/* proxy_read.c - a PROXY header, octet by octet: what is behind it is the client's.
 * Runs in: session. Trusts: that the peer is a listed one. Never: reads beyond the header, waits longer for it than
 * three seconds. */
#include "server/inbound/proxy_read.h"

#include "server/inbound/client.h"
#include "server/inbound/proxy.h"
#include "store/clock.h"

enum { PROXY_MS = 3000 };

static bool read_v1(const uint8_t start[PROXY_START], uint64_t deadline_ms, struct netaddr *client,
                    struct netaddr *local) {
    uint8_t line[PROXY_V1_MAX];
    size_t n = PROXY_START;
    memcpy(line, start, PROXY_START);
    while (n < sizeof line && (line[n - 1] != '\n')) {
        if (client_read_exactly(line + n, 1, deadline_ms) != CLIENT_FINE) return false;
        n++;
    }
    return line[n - 1] == '\n' && line[n - 2] == '\r' && proxy_v1(span_of(line, n - 2), client, local);
}

static bool read_v2(const uint8_t start[PROXY_START], uint64_t deadline_ms, struct netaddr *client,
                    struct netaddr *local) {
    uint8_t head[PROXY_V2_HEAD], rest[PROXY_V2_REST_MAX];
    memcpy(head, start, PROXY_START);
    if (client_read_exactly(head + PROXY_START, sizeof head - PROXY_START, deadline_ms) != CLIENT_FINE) return false;
    size_t n = proxy_v2_rest(head);
    return n <= sizeof rest && client_read_exactly(rest, n, deadline_ms) == CLIENT_FINE &&
           proxy_v2(head, span_of(rest, n), client, local);
}

bool proxy_read(struct netaddr *client_out, struct netaddr *local_out) {
    uint8_t start[PROXY_START];
    uint64_t deadline = clock_ms() + PROXY_MS;
    if (client_read_exactly(start, sizeof start, deadline) != CLIENT_FINE) return false;
    switch (proxy_version(start)) {
    case PROXY_V1:
        return read_v1(start, deadline, client_out, local_out);
    case PROXY_V2:
        return read_v2(start, deadline, client_out, local_out);
    case PROXY_NONE:
        break;
    }
    return false;
}
