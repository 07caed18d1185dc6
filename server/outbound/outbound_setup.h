/* outbound_setup.h - what the master hands to delivery and outbound: payloads of MASTER_SETUP (the
 * resolver needs only its descriptors). */
#ifndef SERVER_OUTBOUND_OUTBOUND_SETUP_H
#define SERVER_OUTBOUND_OUTBOUND_SETUP_H

#include "store/buf.h"
#include "store/secret.h"

struct delivery_setup { /* DESCRIPTOR_DIRECTORY 0: mail directory (domain/local/Maildir in it), 1: the capture
                           Maildir, if any */
    struct span hostname;
    uint32_t agents_max;
    uint32_t mailboxes_max;     /* mailbox agents, besides those */
    struct span mailbox_filter; /* of system calls, for these; may be empty */
};

enum smarthost_tls { SMARTHOST_TLS_STARTTLS = 0, SMARTHOST_TLS_IMPLICIT, SMARTHOST_TLS_NONE };

struct outbound_setup {   /* DESCRIPTOR_CA 0: bundle */
    struct span hostname; /* for EHLO */
    struct span host;     /* smarthost: a name or an address */
    uint16_t port;
    uint8_t tls; /* enum smarthost_tls */
    uint8_t verify;
    struct span user; /* empty: no AUTH */
    struct secret password;
    uint32_t agents_max;
    uint8_t clear_password_ok; /* the owner allows the password without TLS */
};

void delivery_setup_put(struct buf *b, const struct delivery_setup *setup);
int delivery_setup_get(struct delivery_setup *setup, struct span payload) MUST_USE;
void outbound_setup_put(struct buf *b, const struct outbound_setup *setup);
int outbound_setup_get(struct outbound_setup *setup, struct span payload) MUST_USE;

#endif
