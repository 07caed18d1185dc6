/* tls.h - the one door to OpenSSL's TLS: certificates at start, then one connection per process. TLS 1.2 and 1.3,
 * ECDHE only, no tickets, no session cache, no renegotiation, no client certificates (RFC 8996, 9325). */
#ifndef SERVER_INBOUND_TLS_H
#define SERVER_INBOUND_TLS_H

#include "server/inbound/session_setup.h"

/* Before confinement and before the first fork: memory, provider, certificates. 0, or -1 (logged): a certificate or
 * OpenSSL itself is of no use. Without certificates there is no TLS. */
int tls_prepare(const struct session_setup *setup) MUST_USE;

bool tls_available(void);

/* Appends the names of the certificates' keys, KEY_NAME_BYTES each, in the setup's order. */
void tls_put_key_names(struct buf *b);

enum tls_step {
    TLS_FAILED = 0, /* the connection is of no use any more */
    TLS_DONE,
    TLS_WANTS_READ,
    TLS_WANTS_WRITE,
    TLS_CLOSED /* the client ended TLS in order */
};

/* Takes the connected, non-blocking socket and the keys process's channel; signatures may take wait_ms. */
bool tls_open(int fd, int keys_fd, uint64_t wait_ms) MUST_USE;

/* Goes on with the handshake; after TLS_DONE no more signatures are asked for. */
enum tls_step tls_shake_hands(void);

/* "TLS1.3 TLS_AES_256_GCM_SHA384" */
const char *tls_description(void);

/* Why it failed, in OpenSSL's words. */
const char *tls_reason(void);

/* What a login can be bound to, after the handshake: tls-exporter (RFC 9266) with tls-unique behind it under TLS 1.2,
 * and tls-server-end-point (RFC 5929). Views until the next call; empty: there is none. No secrets; and a claim, once
 * they leave the session. */
struct span tls_exporter(void);
struct span tls_end_point(void);

/* Whether one of the two is there. */
bool tls_binds(void);

/* At most `size` octets, at least one with TLS_DONE. */
enum tls_step tls_read(uint8_t *p, size_t size, size_t *n_out);
enum tls_step tls_write(struct span octets, size_t *n_out);

/* Says goodbye (RFC 8446 6.1), without waiting. */
void tls_close(void);

#endif
