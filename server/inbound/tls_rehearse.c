/* tls_rehearse.c - a server and a client of TLS, joined by memory.
 * Runs in: listener, before confinement and the first fork. Trusts: OpenSSL. Never: speaks with anybody, leaves a key
 * or a random number to its children: OpenSSL's generators draw anew in another process (its fork_id). */
#include "server/inbound/tls_rehearse.h"

#include "server/inbound/tls_binding.h"

#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/x509.h>

enum { TURNS = 10, KEY_DAYS = 1 };

struct profile {
    int version;
    const char *groups, *ciphers; /* of TLS 1.3 or of what was before */
};

static const struct profile profiles[] = {
    {TLS1_3_VERSION, "X25519", "TLS_AES_256_GCM_SHA384"},
    {TLS1_3_VERSION, "P-256", "TLS_AES_128_GCM_SHA256"},
    {TLS1_3_VERSION, "P-384", "TLS_CHACHA20_POLY1305_SHA256"},
    /* There the certificate's curve has to be among the groups (RFC 8422 5.1). */
    {TLS1_2_VERSION, "X25519:P-256", "ECDHE+AESGCM+AES256"},
    {TLS1_2_VERSION, "P-256", "ECDHE+AESGCM+AES128"},
    {TLS1_2_VERSION, "P-256", "ECDHE+CHACHA20"},
};

/* ---- both ends */

struct pair {
    SSL *server, *client;
};

static bool join(struct pair *pair) {
    BIO *a = NULL, *b = NULL;
    if (!pair->server || !pair->client || BIO_new_bio_pair(&a, 0, &b, 0) != 1) return false;
    SSL_set_bio(pair->server, a, a);
    SSL_set_bio(pair->client, b, b);
    SSL_set_accept_state(pair->server);
    SSL_set_connect_state(pair->client);
    return true;
}

static bool shake_hands(struct pair *pair) {
    for (int turn = 0; turn < TURNS; turn++) {
        int client = SSL_do_handshake(pair->client), server = SSL_do_handshake(pair->server);
        if (client == 1 && server == 1) return true;
    }
    return false;
}

/* What a session does with it afterwards. */
static bool use(struct pair *pair) {
    uint8_t binding[CHANNEL_BINDING_MAX], octet = 'x';
    size_t n = 0;
    bool done = SSL_write_ex(pair->client, &octet, 1, &n) == 1 && SSL_read_ex(pair->server, &octet, 1, &n) == 1 &&
                SSL_write_ex(pair->server, &octet, 1, &n) == 1 && SSL_read_ex(pair->client, &octet, 1, &n) == 1;
    (void)tls_binding_exporter(pair->server, binding);
    (void)tls_binding_end_point(pair->server, binding);
    (void)SSL_shutdown(pair->server);
    return done;
}

static void part(struct pair *pair) {
    SSL_free(pair->server);
    SSL_free(pair->client);
    ERR_clear_error();
}

static SSL_CTX *make_client(void) {
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    if (context) SSL_CTX_set_verify(context, SSL_VERIFY_NONE, NULL);
    return context;
}

/* ---- a certificate for nobody */

static X509 *make_certificate(EVP_PKEY *key) {
    X509 *certificate = X509_new();
    if (certificate && X509_set_version(certificate, X509_VERSION_3) == 1 &&
        ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1) == 1 &&
        X509_gmtime_adj(X509_getm_notBefore(certificate), 0) &&
        X509_time_adj_ex(X509_getm_notAfter(certificate), KEY_DAYS, 0, NULL) &&
        X509_set_pubkey(certificate, key) == 1 && X509_sign(certificate, key, EVP_sha256()) > 0)
        return certificate;
    X509_free(certificate);
    return NULL;
}

static bool give_certificate(SSL_CTX *context) {
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *certificate = key ? make_certificate(key) : NULL;
    bool done = certificate && SSL_CTX_use_certificate(context, certificate) == 1 &&
                SSL_CTX_use_PrivateKey(context, key) == 1;
    X509_free(certificate);
    EVP_PKEY_free(key);
    return done;
}

/* ---- rehearsals */

static bool choose(SSL *client, const struct profile *profile) {
    char groups[16];
    bool newest = profile->version == TLS1_3_VERSION;
    (void)OPENSSL_strlcpy(groups, profile->groups, sizeof groups); /* OpenSSL's macro casts const away */
    return SSL_set_min_proto_version(client, profile->version) == 1 &&
           SSL_set_max_proto_version(client, profile->version) == 1 && SSL_set1_groups_list(client, groups) == 1 &&
           (newest ? SSL_set_ciphersuites(client, profile->ciphers)
                   : SSL_set_cipher_list(client, profile->ciphers)) == 1;
}

static bool rehearse_profile(SSL_CTX *server, SSL_CTX *client, const struct profile *profile) {
    struct pair pair = {SSL_new(server), SSL_new(client)};
    bool done = join(&pair) && choose(pair.client, profile) && shake_hands(&pair) && use(&pair);
    part(&pair);
    return done;
}

bool tls_rehearse(SSL_CTX *(*make)(void)) {
    SSL_CTX *server = make(), *client = make_client();
    bool done = server && client && give_certificate(server);
    for (size_t i = 0; done && i < sizeof profiles / sizeof *profiles; i++)
        done = rehearse_profile(server, client, &profiles[i]);
    SSL_CTX_free(server);
    SSL_CTX_free(client);
    return done;
}

void tls_rehearse_certificate(SSL_CTX *server) {
    static const char *const signatures[] = {"ECDSA+SHA256", "RSA-PSS+SHA256", "RSA+SHA256"};
    SSL_CTX *client = make_client();
    for (size_t i = 0; client && i < sizeof signatures / sizeof *signatures; i++) {
        struct pair pair = {SSL_new(server), SSL_new(client)};
        char list[16];
        (void)OPENSSL_strlcpy(list, signatures[i], sizeof list);
        if (join(&pair) && SSL_set1_sigalgs_list(pair.client, list) == 1) (void)shake_hands(&pair);
        part(&pair);
    }
    SSL_CTX_free(client);
}
