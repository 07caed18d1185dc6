/* log_setup.h - what the master hands to the log writer: payload of MASTER_SETUP. */
#ifndef STORE_LOG_SETUP_H
#define STORE_LOG_SETUP_H

#include "store/buf.h"

enum { LOG_SOCKET_MAX = 107 }; /* what struct sockaddr_un holds */

struct log_setup {
    uint8_t syslog; /* DESCRIPTOR_DIRECTORY 0 is the directory of its socket; else standard error */
    uint8_t json;
    uint8_t warnings_only; /* for one command without a server */
    struct span socket;    /* syslog's name in that directory */
};

void log_setup_put(struct buf *b, const struct log_setup *setup);
int log_setup_get(struct log_setup *setup, struct span payload) MUST_USE;

#endif
