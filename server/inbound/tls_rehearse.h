/* tls_rehearse.h - handshakes of the listener with itself: what OpenSSL makes when it first uses an algorithm is made
 * once, before the first fork, and not in every session anew. */
#ifndef SERVER_INBOUND_TLS_REHEARSE_H
#define SERVER_INBOUND_TLS_REHEARSE_H

#include <openssl/ssl.h>
#include <stdbool.h>

/* A whole handshake, and an octet each way, in each version, with each group and cipher that `make` offers, under a
 * key that is drawn for this alone. False: OpenSSL cannot do it, and no client could. */
bool tls_rehearse(SSL_CTX *(*make)(void)) __attribute__((warn_unused_result));

/* With a certificate in service, up to the signature, which there is nobody to make. */
void tls_rehearse_certificate(SSL_CTX *server);

#endif
