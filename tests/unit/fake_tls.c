/* fake_tls.c - a TLS server between two sockets.
 * Runs in: tests. Trusts: the test. */
#include "tests/unit/fake_tls.h"

#include <criterion/criterion.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

static EVP_PKEY *key;
static X509 *certificate;
static int highest;

static void add_extension(int nid, const char *value) {
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, nid, value);
    cr_assert(extension && X509_add_ext(certificate, extension, -1) == 1);
    X509_EXTENSION_free(extension);
}

int fake_tls_prepare(void) {
    int fd = memfd_create("ca", MFD_CLOEXEC);
    FILE *file = fdopen(dup(fd), "w");
    key = EVP_EC_gen("P-256");
    certificate = X509_new();
    cr_assert(fd >= 0 && file && key && certificate);
    X509_set_version(certificate, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
    X509_gmtime_adj(X509_getm_notBefore(certificate), -3600);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_ASC, (const unsigned char *)"test",
                               -1, -1, 0);
    X509_set_issuer_name(certificate, X509_get_subject_name(certificate));
    X509_set_pubkey(certificate, key);
    add_extension(NID_subject_alt_name, "DNS:mx.example,IP:192.0.2.25");
    add_extension(NID_basic_constraints, "critical,CA:TRUE");
    cr_assert(X509_sign(certificate, key, EVP_sha256()) > 0 && PEM_write_X509(file, certificate) == 1);
    (void)fclose(file);
    return fd;
}

void fake_tls_limit(int version) {
    highest = version;
}

static _Noreturn void pump(int fd, int clear) {
    char octets[4096];
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    SSL_CTX_set_security_level(context, 0);
    SSL_CTX_set_min_proto_version(context, TLS1_VERSION);
    SSL_CTX_set_max_proto_version(context, highest);
    SSL_CTX_use_certificate(context, certificate);
    SSL_CTX_use_PrivateKey(context, key);
    SSL *ssl = SSL_new(context);
    SSL_set_fd(ssl, fd);
    if (SSL_accept(ssl) != 1) _exit(0);
    for (;;) {
        struct pollfd waits[2] = {{fd, POLLIN, 0}, {clear, POLLIN, 0}};
        if (!SSL_pending(ssl)) poll(waits, 2, -1);
        if (SSL_pending(ssl) || waits[0].revents) {
            int n = SSL_read(ssl, octets, sizeof octets);
            if (n <= 0 || write(clear, octets, (size_t)n) != n) _exit(0);
        }
        if (waits[1].revents) {
            ssize_t n = read(clear, octets, sizeof octets);
            if (n <= 0 || SSL_write(ssl, octets, (int)n) != n) _exit(0);
        }
    }
}

void fake_tls_take(int fd, int *in_out, int *out_out) {
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) _exit(2);
    if (fork() == 0) {
        close(pair[0]);
        pump(fd, pair[1]);
    }
    close(pair[1]), close(fd);
    *in_out = *out_out = pair[0];
}
