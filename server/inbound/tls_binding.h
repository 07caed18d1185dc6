/* tls_binding.h - channel bindings of a TLS connection whose handshake is done; a part of tls.c. NULL for the
 * connection: there is none. */
#ifndef SERVER_INBOUND_TLS_BINDING_H
#define SERVER_INBOUND_TLS_BINDING_H

#include "store/frames.h"
#include "store/span.h"

#include <openssl/ssl.h>

enum { TLS_EXPORTER_BYTES = 32, TLS_UNIQUE_BYTES = 12 };

/* Whether one of these two is there. */
bool tls_binding_there(SSL *connection);

/* tls-exporter, RFC 9266, written to `octets`: under TLS 1.3, or 1.2 with the extended master secret (RFC 7627).
 * Empty when there is none. */
struct span tls_binding_exporter(SSL *connection, uint8_t octets[TLS_EXPORTER_BYTES]);

/* tls-unique, RFC 5929 3: under TLS 1.2 with the extended master secret, where clients that know no exporter use it
 * (RFC 9266 3). Empty when there is none. */
struct span tls_binding_unique(SSL *connection, uint8_t octets[TLS_UNIQUE_BYTES]);

/* tls-server-end-point, RFC 5929 4.1: the digest of the certificate that the client was shown. Empty where its
 * signature has no digest of its own (Ed25519). */
struct span tls_binding_end_point(SSL *connection, uint8_t octets[CHANNEL_BINDING_MAX]);

#endif
