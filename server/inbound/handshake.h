/* handshake.h - the connection goes under TLS. */
#ifndef SERVER_INBOUND_HANDSHAKE_H
#define SERVER_INBOUND_HANDSHAKE_H

#include "store/span.h"

enum handshake_end {
    HANDSHAKE_ALONE = 0, /* auth is gone */
    HANDSHAKE_FAILED,    /* the client's fault; auth knows of it */
    HANDSHAKE_DONE       /* auth has heard of it, and forgotten what was before */
};

/* A channel to the keys process, where TLS comes first of all. NULL, or why there is none. */
const char *handshake_keys(int *fd_out) MUST_USE;

/* The handshake itself, which needs the keys process: closes its channel. Logged either way. */
enum handshake_end handshake(int keys_fd, uint64_t deadline_ms) MUST_USE;

#endif
