/* test_tls_binding.c - channel bindings, against what the client's side of the connection says. */
#include "server/inbound/tls_binding.h"

#include <criterion/criterion.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

static X509 *make_certificate(EVP_PKEY *key, const EVP_MD *digest) {
    X509 *certificate = X509_new();
    cr_assert(certificate && key);
    X509_set_version(certificate, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
    X509_gmtime_adj(X509_getm_notBefore(certificate), -3600);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_ASC, (const unsigned char *)"test",
                               -1, -1, 0);
    X509_set_issuer_name(certificate, X509_get_subject_name(certificate));
    X509_set_pubkey(certificate, key);
    cr_assert(X509_sign(certificate, key, digest) > 0);
    return certificate;
}

static SSL *side(const SSL_METHOD *method, X509 *certificate, EVP_PKEY *key, int version, uint64_t options) {
    SSL_CTX *context = SSL_CTX_new(method);
    cr_assert(context);
    SSL_CTX_set_security_level(context, 0);
    SSL_CTX_set_min_proto_version(context, version);
    SSL_CTX_set_max_proto_version(context, version);
    SSL_CTX_set_options(context, options);
    if (certificate)
        cr_assert(SSL_CTX_use_certificate(context, certificate) == 1 && SSL_CTX_use_PrivateKey(context, key) == 1);
    SSL *ssl = SSL_new(context);
    SSL_CTX_free(context);
    return ssl;
}

static void connect_sides(SSL *client, SSL *server) {
    BIO *here, *there;
    cr_assert_eq(BIO_new_bio_pair(&here, 0, &there, 0), 1);
    SSL_set_bio(client, here, here);
    SSL_set_bio(server, there, there);
    SSL_set_connect_state(client);
    SSL_set_accept_state(server);
    for (int i = 0; i < 10; i++) (void)SSL_do_handshake(client), (void)SSL_do_handshake(server);
    cr_assert(SSL_is_init_finished(client) && SSL_is_init_finished(server));
}

static void expect_exporter(SSL *client, SSL *server, bool there) {
    static const char label[] = "EXPORTER-Channel-Binding";
    uint8_t octets[32], storage[TLS_EXPORTER_BYTES];
    struct span mine = tls_binding_exporter(server, storage);
    cr_expect_eq(mine.n, there ? 32 : 0);
    if (!there) return;
    cr_assert_eq(SSL_export_keying_material(client, octets, sizeof octets, label, 24, (const uint8_t *)"", 0, 1), 1);
    cr_expect(span_equal(mine, span_of(octets, sizeof octets)));
}

/* The client's Finished, which OpenSSL tells each side. */
static void expect_unique(SSL *client, SSL *server, bool there) {
    uint8_t octets[64], storage[TLS_UNIQUE_BYTES];
    struct span mine = tls_binding_unique(server, storage);
    cr_expect_eq(mine.n, there ? 12 : 0);
    if (!there) return;
    cr_assert_eq(SSL_get_finished(client, octets, sizeof octets), 12);
    cr_expect(span_equal(mine, span_of(octets, 12)));
}

static void expect_end_point(SSL *client, SSL *server, const EVP_MD *digest) {
    uint8_t octets[EVP_MAX_MD_SIZE], storage[CHANNEL_BINDING_MAX];
    unsigned n = 0;
    X509 *shown = SSL_get0_peer_certificate(client);
    if (digest) cr_assert_eq(X509_digest(shown, digest, octets, &n), 1);
    cr_expect(span_equal(tls_binding_end_point(server, storage), span_of(octets, n)));
}

Test(tls_binding, nothing_without_a_connection) {
    uint8_t storage[CHANNEL_BINDING_MAX];
    cr_expect(!tls_binding_there(NULL));
    cr_expect(tls_binding_exporter(NULL, storage).n == 0 && tls_binding_end_point(NULL, storage).n == 0 &&
              tls_binding_unique(NULL, storage).n == 0);
}

Test(tls_binding, both_ends_agree) {
    const struct {
        EVP_PKEY *key;
        const EVP_MD *signature, *end_point;
        int version;
        uint64_t client_options;
        bool exporter, there;
    } rows[] = {
        {EVP_EC_gen("P-256"), EVP_sha256(), EVP_sha256(), TLS1_3_VERSION, 0, true, true},
        {EVP_EC_gen("P-384"), EVP_sha384(), EVP_sha384(), TLS1_3_VERSION, 0, true, true},
        {EVP_RSA_gen(2048), EVP_sha512(), EVP_sha512(), TLS1_3_VERSION, 0, true, true},
        {EVP_RSA_gen(2048), EVP_sha1(), EVP_sha256(), TLS1_3_VERSION, 0, true, true},
        {EVP_EC_gen("P-256"), EVP_sha256(), EVP_sha256(), TLS1_2_VERSION, 0, true, true},
        {EVP_EC_gen("P-256"), EVP_sha256(), EVP_sha256(), TLS1_2_VERSION, SSL_OP_NO_EXTENDED_MASTER_SECRET, false,
         true},
        {EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"), NULL, NULL, TLS1_3_VERSION, 0, true, true},
        {EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"), NULL, NULL, TLS1_2_VERSION, SSL_OP_NO_EXTENDED_MASTER_SECRET,
         false, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        X509 *certificate = make_certificate(rows[i].key, rows[i].signature);
        SSL *server = side(TLS_server_method(), certificate, rows[i].key, rows[i].version, 0);
        SSL *client = side(TLS_client_method(), NULL, NULL, rows[i].version, rows[i].client_options);
        connect_sides(client, server);
        cr_expect_eq(tls_binding_there(server), rows[i].there, "%zu", i);
        expect_exporter(client, server, rows[i].exporter);
        expect_unique(client, server, rows[i].exporter && rows[i].version == TLS1_2_VERSION);
        expect_end_point(client, server, rows[i].end_point);
        SSL_free(client), SSL_free(server);
        X509_free(certificate), EVP_PKEY_free(rows[i].key);
    }
}
