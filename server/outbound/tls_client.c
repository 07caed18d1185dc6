/* tls_client.c - OpenSSL as a client.
 * Runs in: outbound, SMTP agents. Trusts: the certificates that the master handed out. Never: opens a file,
 * accepts an unverified peer where verification is asked for, resumes a session. */
#include "server/outbound/tls_client.h"

#include "store/netaddr.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <unistd.h>

enum { BUNDLE_BYTES_MAX = 4 << 20 };

struct tls_client {
    SSL_CTX *context;
    size_t trusted;
};

struct tls_client_session {
    SSL *ssl;
    bool verify;
};

/* The whole bundle in memory; NULL when it cannot be read. */
static uint8_t *read_bundle(int fd, size_t *n_out) {
    uint8_t *octets = malloc(BUNDLE_BYTES_MAX);
    size_t n = 0;
    for (ssize_t got; octets && n < BUNDLE_BYTES_MAX; n += (size_t)got) {
        got = pread(fd, octets + n, BUNDLE_BYTES_MAX - n, (off_t)n);
        if (got < 0) { /* a file's part is never an authority */
            free(octets);
            return NULL;
        }
        if (got == 0) break;
    }
    *n_out = n;
    return octets;
}

static void trust_bundle(struct tls_client *client, int fd) {
    size_t n = 0;
    uint8_t *octets = read_bundle(fd, &n);
    BIO *bio = octets ? BIO_new_mem_buf(octets, (int)n) : NULL;
    for (X509 *certificate; bio && (certificate = PEM_read_bio_X509(bio, NULL, NULL, NULL));) {
        if (X509_STORE_add_cert(SSL_CTX_get_cert_store(client->context), certificate) == 1) client->trusted++;
        X509_free(certificate);
    }
    ERR_clear_error();
    BIO_free(bio);
    free(octets);
}

struct tls_client *tls_client_new(int ca) {
    struct tls_client *client = calloc(1, sizeof *client);
    if (!client || OPENSSL_init_ssl(OPENSSL_INIT_NO_LOAD_CONFIG, NULL) != 1 ||
        !(client->context = SSL_CTX_new(TLS_client_method())) ||
        SSL_CTX_set_min_proto_version(client->context, TLS1_2_VERSION) != 1) {
        tls_client_free(client);
        return NULL;
    }
    SSL_CTX_set_mode(client->context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_options(client->context, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_TICKET);
    (void)SSL_CTX_set_session_cache_mode(client->context, SSL_SESS_CACHE_OFF);
    if (ca >= 0) trust_bundle(client, ca);
    return client;
}

void tls_client_free(struct tls_client *client) {
    if (client) SSL_CTX_free(client->context);
    free(client);
}

size_t tls_client_trusted(const struct tls_client *client) {
    return client->trusted;
}

static bool name_peer(SSL *ssl, const char *host) {
    struct netaddr address;
    if (netaddr_parse(&address, span_text(host)))
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host) == 1;
    SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    /* SSL_set_tlsext_host_name without its cast */
    return SSL_set1_host(ssl, host) == 1 &&
           SSL_ctrl(ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name, (void *)(uintptr_t)host) == 1;
}

struct tls_client_session *tls_client_session_new(struct tls_client *client, int fd, const char *host, bool verify) {
    struct tls_client_session *session = calloc(1, sizeof *session);
    if (!session || !(session->ssl = SSL_new(client->context)) || SSL_set_fd(session->ssl, fd) != 1 ||
        !name_peer(session->ssl, host)) {
        tls_client_session_free(session);
        return NULL;
    }
    session->verify = verify;
    SSL_set_verify(session->ssl, verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, NULL);
    SSL_set_connect_state(session->ssl);
    return session;
}

void tls_client_session_free(struct tls_client_session *session) {
    if (session) SSL_free(session->ssl);
    free(session);
}

static enum tls_client_status status_of(const struct tls_client_session *session, int result) {
    switch (SSL_get_error(session->ssl, result)) {
    case SSL_ERROR_NONE:
        return TLS_CLIENT_DONE;
    case SSL_ERROR_WANT_READ:
        return TLS_CLIENT_WANTS_READ;
    case SSL_ERROR_WANT_WRITE:
        return TLS_CLIENT_WANTS_WRITE;
    case SSL_ERROR_ZERO_RETURN:
        return TLS_CLIENT_CLOSED;
    default:
        return TLS_CLIENT_FAILED;
    }
}

enum tls_client_status tls_client_handshake(struct tls_client_session *session) {
    ERR_clear_error();
    enum tls_client_status status = status_of(session, SSL_do_handshake(session->ssl));
    if (status == TLS_CLIENT_DONE && session->verify && SSL_get_verify_result(session->ssl) != X509_V_OK)
        return TLS_CLIENT_FAILED;
    return status;
}

enum tls_client_status tls_client_read(struct tls_client_session *session, uint8_t *p, size_t n, size_t *n_out) {
    ERR_clear_error();
    return status_of(session, SSL_read_ex(session->ssl, p, n, n_out));
}

enum tls_client_status tls_client_write(struct tls_client_session *session, const uint8_t *p, size_t n,
                                        size_t *n_out) {
    ERR_clear_error();
    return status_of(session, SSL_write_ex(session->ssl, p, n, n_out));
}

const char *tls_client_why(const struct tls_client_session *session, bool *certificate_out) {
    long result = SSL_get_verify_result(session->ssl);
    const char *reason = ERR_reason_error_string(ERR_peek_error());
    *certificate_out = session->verify && result != X509_V_OK;
    if (*certificate_out) return X509_verify_cert_error_string(result);
    return reason ? reason : "the connection was closed";
}
