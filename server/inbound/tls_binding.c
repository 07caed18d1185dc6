/* tls_binding.c - what a login can be bound to: values that the two ends of a TLS connection have in common.
 * Runs in: session. Trusts: OpenSSL. Never: keeps one. */
#include "server/inbound/tls_binding.h"

#include <openssl/err.h>
#include <openssl/x509.h>

_Static_assert(TLS_EXPORTER_BYTES + TLS_UNIQUE_BYTES <= (int)CHANNEL_BINDING_MAX, "both fit");

/* RFC 9266 4.2: without the extended master secret another connection may have the same one. */
static bool is_unique(SSL *connection) {
    return SSL_version(connection) >= TLS1_3_VERSION || SSL_get_extms_support(connection) == 1;
}

/* The digest of the certificate's signature, SHA-256 in place of MD5 and SHA-1. */
static const EVP_MD *digest_of(X509 *certificate) {
    int digest = NID_undef;
    if (!certificate || X509_get_signature_info(certificate, &digest, NULL, NULL, NULL) != 1 || digest == NID_undef)
        return NULL;
    return digest == NID_md5 || digest == NID_sha1 ? EVP_sha256() : EVP_get_digestbynid(digest);
}

bool tls_binding_there(SSL *connection) {
    return connection && (is_unique(connection) || digest_of(SSL_get_certificate(connection)));
}

struct span tls_binding_exporter(SSL *connection, uint8_t octets[TLS_EXPORTER_BYTES]) {
    static const char label[] = "EXPORTER-Channel-Binding";
    bool done = connection && is_unique(connection) &&
                SSL_export_keying_material(connection, octets, TLS_EXPORTER_BYTES, label, sizeof label - 1, NULL, 0,
                                           1 /* an empty context is not none: RFC 9266 2, RFC 5705 4 */) == 1;
    ERR_clear_error();
    return span_of(octets, done ? TLS_EXPORTER_BYTES : 0);
}

/* The first Finished of a whole handshake is the client's. RFC 7627 6.1: another connection may else have the same.
 */
struct span tls_binding_unique(SSL *connection, uint8_t octets[TLS_UNIQUE_BYTES]) {
    bool there = connection && SSL_version(connection) == TLS1_2_VERSION && is_unique(connection) &&
                 !SSL_session_reused(connection);
    bool whole = there && SSL_get_peer_finished(connection, octets, TLS_UNIQUE_BYTES) == TLS_UNIQUE_BYTES;
    return span_of(octets, whole ? TLS_UNIQUE_BYTES : 0);
}

struct span tls_binding_end_point(SSL *connection, uint8_t octets[CHANNEL_BINDING_MAX]) {
    X509 *certificate = connection ? SSL_get_certificate(connection) : NULL;
    const EVP_MD *digest = digest_of(certificate);
    unsigned n = 0;
    bool fits = digest && EVP_MD_get_size(digest) <= CHANNEL_BINDING_MAX;
    bool done = fits && X509_digest(certificate, digest, octets, &n) == 1;
    ERR_clear_error();
    return span_of(octets, done ? n : 0);
}
