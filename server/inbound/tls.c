/* tls.c - certificates and one TLS connection.
 * Runs in: listener (tls_prepare), session. Trusts: the master for certificates. Never: holds a private key,
 * allocates outside the arena, keeps anything of a connection for another. */
#include "server/inbound/tls.h"

#include "server/inbound/tls_arena.h"
#include "server/inbound/tls_binding.h"
#include "server/inbound/tls_key.h"
#include "server/inbound/tls_rehearse.h"
#include "store/log.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

enum { CHAIN_MAX = 10 };

/* One context for each certificate; one of the other key type for the same name shares it. */
static struct certificate {
    SSL_CTX *context;
    X509 *chain[CHAIN_MAX];
    size_t n_chain;
    EVP_PKEY *key;
    uint8_t key_name[KEY_NAME_BYTES];
    const struct session_certificate *setup;
} certificates[SESSION_CERTIFICATES_MAX];
static size_t n_certificates;

static SSL *connection;
static char description[96], reason[160];

static int fault(const char *what) {
    struct log_line line;
    unsigned long error = ERR_peek_last_error();
    log_open(&line, LOG_FAULT);
    log_text(&line, KEY_WHAT, what);
    if (error && ERR_reason_error_string(error)) log_text(&line, KEY_WHY, ERR_reason_error_string(error));
    log_send(&line);
    ERR_clear_error();
    return -1;
}

bool tls_available(void) {
    return n_certificates > 0;
}

void tls_put_key_names(struct buf *b) {
    for (size_t i = 0; i < n_certificates; i++) buf_put(b, certificates[i].key_name, KEY_NAME_BYTES);
}

/* ---- the name that the client wants (RFC 6066 3) */

/* "*.example.test" stands for one label, RFC 6125 6.4.3. */
static bool name_covers(struct span pattern, struct span host) {
    if (span_equal_nocase(pattern, host)) return true;
    if (!span_starts_nocase(pattern, SPAN("*."))) return false;
    size_t dot = span_find(host, '.');
    return dot > 0 && dot < host.n && span_equal_nocase(span_from(pattern, 1), span_from(host, dot));
}

static bool certificate_covers(const struct certificate *certificate, struct span host) {
    const struct session_certificate *setup = certificate->setup;
    for (uint32_t i = 0; i < setup->n_names; i++)
        if (name_covers(setup->names[i], host)) return true;
    if (setup->n_names) return false;
    return X509_check_host(certificate->chain[0], (const char *)host.p, host.n, 0, NULL) == 1;
}

static int choose_certificate(SSL *ssl, int *alert, void *argument) {
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    (void)alert, (void)argument;
    for (size_t i = 0; name && i < n_certificates; i++) {
        if (!certificate_covers(&certificates[i], span_text(name))) continue;
        SSL_set_SSL_CTX(ssl, certificates[i].context);
        return SSL_TLSEXT_ERR_OK;
    }
    return SSL_TLSEXT_ERR_NOACK; /* an unknown name gets the first certificate, as SMTP clients expect */
}

/* ---- contexts */

static SSL_CTX *make_context(void) {
    static char groups[] = "X25519:P-256:P-384"; /* OpenSSL's macro casts const away */
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    if (!context) return NULL;
    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    SSL_CTX_set_options(context, SSL_OP_NO_TICKET | SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
                                     SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA |
                                     SSL_OP_CLEANSE_PLAINTEXT | SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_mode(context,
                     SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_num_tickets(context, 0);
    SSL_CTX_set_read_ahead(context, 1);
    SSL_CTX_set_verify(context, SSL_VERIFY_NONE, NULL);
    SSL_CTX_set_tlsext_servername_callback(context, choose_certificate);
    if (SSL_CTX_set_cipher_list(context, "ECDHE+AESGCM:ECDHE+CHACHA20") != 1 ||
        SSL_CTX_set1_groups_list(context, groups) != 1) {
        SSL_CTX_free(context);
        return NULL;
    }
    return context;
}

static int read_chain(struct certificate *certificate, struct span pem) {
    BIO *bio = BIO_new_mem_buf(pem.p, (int)pem.n);
    while (bio && certificate->n_chain < CHAIN_MAX) {
        X509 *next = PEM_read_bio_X509(bio, NULL, NULL, NULL);
        if (!next) break;
        certificate->chain[certificate->n_chain++] = next;
    }
    BIO_free(bio);
    ERR_clear_error(); /* "no start line" is how the end of a file reads */
    return certificate->n_chain ? 0 : -1;
}

static int read_certificate(struct certificate *certificate, const struct session_certificate *setup) {
    certificate->setup = setup;
    if (read_chain(certificate, setup->chain_pem) != 0) return fault("reading a certificate");
    EVP_PKEY *public_key = X509_get0_pubkey(certificate->chain[0]);
    certificate->key = public_key ? tls_key_for(public_key) : NULL;
    if (!certificate->key) return fault("a certificate's key is neither EC nor RSA");
    if (!tls_key_name(public_key, certificate->key_name)) return fault("naming a certificate's key");
    certificate->context = make_context();
    return certificate->context ? 0 : fault("making a TLS context");
}

static int use_certificate(SSL_CTX *context, struct certificate *certificate) {
    if (SSL_CTX_use_certificate(context, certificate->chain[0]) != 1 ||
        SSL_CTX_use_PrivateKey(context, certificate->key) != 1)
        return fault("using a certificate");
    for (size_t i = 1; i < certificate->n_chain; i++)
        if (SSL_CTX_add1_chain_cert(context, certificate->chain[i]) != 1) return fault("using a certificate's chain");
    return 0;
}

/* Whether b is for the first name of a. */
static bool same_name(const struct certificate *a, const struct certificate *b) {
    char name[256];
    if (a->setup->n_names) return certificate_covers(b, a->setup->names[0]);
    int n = X509_NAME_get_text_by_NID(X509_get_subject_name(a->chain[0]), NID_commonName, name, sizeof name);
    return n > 0 ? certificate_covers(b, span_of(name, (size_t)n)) : false;
}

/* The context of each certificate gets it, and first the nearest one of the other key type for the same name. */
static int fill_contexts(void) {
    for (size_t i = 0; i < n_certificates; i++) {
        bool ec = EVP_PKEY_is_a(certificates[i].key, "EC");
        for (size_t k = 0; k < n_certificates; k++) {
            if (EVP_PKEY_is_a(certificates[k].key, "EC") == ec || !same_name(&certificates[i], &certificates[k]))
                continue;
            if (use_certificate(certificates[i].context, &certificates[k]) != 0) return -1;
            break;
        }
        if (use_certificate(certificates[i].context, &certificates[i]) != 0) return -1;
    }
    return 0;
}

/* A session's first handshake is OpenSSL's hundredth. */
static int rehearse(void) {
    if (n_certificates == 0) return 0;
    if (!tls_rehearse(make_context)) return fault("a handshake with itself");
    for (size_t i = 0; i < n_certificates; i++) tls_rehearse_certificate(certificates[i].context);
    return 0;
}

int tls_prepare(const struct session_setup *setup) {
    if (!tls_arena_install()) return fault("memory for OpenSSL");
    if (OPENSSL_init_ssl(OPENSSL_INIT_NO_LOAD_CONFIG | OPENSSL_INIT_NO_ATEXIT | OPENSSL_INIT_LOAD_SSL_STRINGS |
                             OPENSSL_INIT_LOAD_CRYPTO_STRINGS,
                         NULL) != 1 ||
        !tls_key_prepare())
        return fault("starting OpenSSL");
    for (uint32_t i = 0; i < setup->n_certificates; i++)
        if (read_certificate(&certificates[n_certificates++], &setup->certificates[i]) != 0) return -1;
    return fill_contexts() == 0 ? rehearse() : -1;
}

/* ---- one connection */

bool tls_open(int fd, int keys_fd, uint64_t wait_ms) {
    ERR_clear_error();
    tls_key_use(keys_fd, wait_ms);
    connection = n_certificates ? SSL_new(certificates[0].context) : NULL;
    if (!connection || SSL_set_fd(connection, fd) != 1) return false;
    SSL_set_accept_state(connection);
    return true;
}

static void keep_reason(const char *otherwise) {
    unsigned long error = ERR_peek_error();
    const char *words = error ? ERR_reason_error_string(error) : NULL;
    struct buf b = buf_over(reason, sizeof reason - 1);
    struct span text = span_text(words ? words : otherwise);
    buf_put_span(&b, span_part(text, 0, sizeof reason - 1));
    reason[b.n] = '\0';
    ERR_clear_error();
}

static enum tls_step step_of(int result) {
    switch (SSL_get_error(connection, result)) {
    case SSL_ERROR_NONE:
        return TLS_DONE;
    case SSL_ERROR_WANT_READ:
        return TLS_WANTS_READ;
    case SSL_ERROR_WANT_WRITE:
        return TLS_WANTS_WRITE;
    case SSL_ERROR_ZERO_RETURN:
        return TLS_CLOSED;
    default:
        keep_reason("the client closed the connection");
        return TLS_FAILED;
    }
}

enum tls_step tls_shake_hands(void) {
    ERR_clear_error();
    enum tls_step step = step_of(SSL_accept(connection));
    if (step == TLS_CLOSED) keep_reason("the client closed the connection");
    if (step != TLS_DONE) return step;
    struct buf b = buf_over(description, sizeof description - 1);
    buf_put_text(&b, "TLS");
    buf_put_text(&b, SSL_get_version(connection) + strlen("TLSv"));
    buf_put_octet(&b, ' ');
    buf_put_text(&b, SSL_get_cipher_name(connection));
    description[b.n] = '\0';
    return TLS_DONE;
}

const char *tls_description(void) {
    return description;
}
const char *tls_reason(void) {
    return reason;
}

bool tls_binds(void) {
    return tls_binding_there(connection);
}

struct span tls_exporter(void) {
    static uint8_t octets[TLS_EXPORTER_BYTES + TLS_UNIQUE_BYTES];
    struct span exporter = tls_binding_exporter(connection, octets);
    if (exporter.n) exporter.n += tls_binding_unique(connection, octets + exporter.n).n;
    return exporter;
}

struct span tls_end_point(void) {
    static uint8_t octets[CHANNEL_BINDING_MAX];
    return tls_binding_end_point(connection, octets);
}

enum tls_step tls_read(uint8_t *p, size_t size, size_t *n_out) {
    ERR_clear_error();
    return step_of(SSL_read_ex(connection, p, size, n_out));
}

enum tls_step tls_write(struct span octets, size_t *n_out) {
    ERR_clear_error();
    return step_of(SSL_write_ex(connection, octets.p, octets.n, n_out));
}

void tls_close(void) {
    if (connection && SSL_is_init_finished(connection)) (void)SSL_shutdown(connection);
    ERR_clear_error();
}
