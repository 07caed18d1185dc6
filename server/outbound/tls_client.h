/* tls_client.h - TLS towards other hosts: the one file of outbound that knows OpenSSL. TLS 1.2 and up (RFC 8996). */
#ifndef SERVER_OUTBOUND_TLS_CLIENT_H
#define SERVER_OUTBOUND_TLS_CLIENT_H

#include "store/span.h"

#include <sys/types.h>

struct tls_client;         /* what connections share: certificates that are trusted */
struct tls_client_session; /* one connection */

/* Trusts the PEM certificates that can be read from `ca` (from offset 0; -1: none, then nothing verifies). NULL
 * when OpenSSL cannot be had. */
struct tls_client *tls_client_new(int ca) MUST_USE;
void tls_client_free(struct tls_client *client);

/* How many certificates are trusted. */
size_t tls_client_trusted(const struct tls_client *client);

/* Over a non-blocking socket. With `verify`, the other side must show a valid certificate for `host`, a name or an
 * address (RFC 6125). NULL on failure. */
struct tls_client_session *tls_client_session_new(struct tls_client *client, int fd, const char *host,
                                                  bool verify) MUST_USE;
void tls_client_session_free(struct tls_client_session *session);

enum tls_client_status {
    TLS_CLIENT_FAILED = 0,
    TLS_CLIENT_DONE,
    TLS_CLIENT_WANTS_READ, /* wait for the socket, then call again */
    TLS_CLIENT_WANTS_WRITE,
    TLS_CLIENT_CLOSED
};

enum tls_client_status tls_client_handshake(struct tls_client_session *session) MUST_USE;
enum tls_client_status tls_client_read(struct tls_client_session *session, uint8_t *p, size_t n,
                                       size_t *n_out) MUST_USE;
enum tls_client_status tls_client_write(struct tls_client_session *session, const uint8_t *p, size_t n,
                                        size_t *n_out) MUST_USE;

/* Why the handshake failed, in words; whether it was the certificate. */
const char *tls_client_why(const struct tls_client_session *session, bool *certificate_out);

#endif
