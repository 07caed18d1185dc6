/* test_keys_judge.c - what certificates and keys are found to be worth. */
#include "auth/keys_judge.h"

#include <criterion/criterion.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static X509 *make_certificate(EVP_PKEY *key, const EVP_MD *digest, const char *issuer, long from, long to) {
    X509 *x = X509_new();
    X509_NAME *name = X509_get_subject_name(x), *other = X509_NAME_new();
    cr_assert(ASN1_INTEGER_set(X509_get_serialNumber(x), 1) == 1 && X509_set_version(x, 2) == 1);
    cr_assert(X509_gmtime_adj(X509_getm_notBefore(x), from) && X509_gmtime_adj(X509_getm_notAfter(x), to));
    cr_assert(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const uint8_t *)"mx.example.test", -1, -1, 0) ==
              1);
    cr_assert(X509_NAME_add_entry_by_txt(other, "CN", MBSTRING_ASC, (const uint8_t *)issuer, -1, -1, 0) == 1);
    cr_assert(X509_set_issuer_name(x, other) == 1 && X509_set_pubkey(x, key) == 1 && X509_sign(x, key, digest) > 0);
    X509_NAME_free(other);
    return x;
}

static int file_of(const char *text, X509 *certificate, EVP_PKEY *key, const EVP_CIPHER *cipher, bool traditional) {
    int fd = memfd_create("pem", MFD_CLOEXEC), copy = dup(fd);
    FILE *file = fdopen(copy, "w");
    cr_assert(file && fputs(text, file) >= 0);
    unsigned char word[] = "word";
    if (certificate) cr_assert_eq(PEM_write_X509(file, certificate), 1);
    if (key && traditional) {
        BIO *bio = BIO_new_fp(file, BIO_NOCLOSE);
        cr_assert_eq(PEM_write_bio_PrivateKey_traditional(bio, key, cipher, word, 4, NULL, NULL), 1);
        BIO_free(bio);
    } else if (key) {
        cr_assert_eq(PEM_write_PrivateKey(file, key, cipher, cipher ? word : NULL, cipher ? 4 : 0, NULL, NULL), 1);
    }
    fclose(file);
    return fd;
}

#define TEXT(text) file_of(text, NULL, NULL, NULL, false)
#define CERTIFICATE(x) file_of("", x, NULL, NULL, false)
#define KEY(key) file_of("", NULL, key, NULL, false)

static void check(const char *what, int certificate, int key, enum verdict one, enum verdict other) {
    struct keys_worth worth = keys_worth(certificate, key);
    cr_expect_eq(worth.certificate, one, "%s: certificate %d", what, (int)worth.certificate);
    cr_expect_eq(worth.key, other, "%s: key %d", what, (int)worth.key);
    close(certificate), close(key);
}

Test(test_keys_judge, pairs) {
    EVP_PKEY *ec = EVP_EC_gen("P-256"), *other = EVP_EC_gen("P-256"), *rsa = EVP_RSA_gen(2048),
             *odd = EVP_EC_gen("P-521");
    EVP_PKEY *edwards = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"), *small = EVP_RSA_gen(1024);
    X509 *x = make_certificate(ec, EVP_sha256(), "mx.example.test", 0, 1000);
    X509 *r = make_certificate(rsa, EVP_sha256(), "mx.example.test", 0, 1000);
    X509 *p521 = make_certificate(odd, EVP_sha256(), "mx.example.test", 0, 1000);
    X509 *ed = make_certificate(edwards, NULL, "mx.example.test", 0, 1000);
    X509 *old = make_certificate(rsa, EVP_sha1(), "authority.example", 0, 1000);
    X509 *s = make_certificate(small, EVP_sha256(), "mx.example.test", 0, 1000);
    check("P-256", CERTIFICATE(x), KEY(ec), VERDICT_GOOD, VERDICT_GOOD);
    check("RSA", CERTIFICATE(r), KEY(rsa), VERDICT_GOOD, VERDICT_GOOD);
    check("EC PARAMETERS before it", CERTIFICATE(x), file_of("", NULL, ec, NULL, true), VERDICT_GOOD, VERDICT_GOOD);
    check("both in one file", file_of("", x, ec, NULL, false), file_of("", x, ec, NULL, false), VERDICT_GOOD,
          VERDICT_GOOD);
    check("empty", TEXT(""), TEXT(""), VERDICT_EMPTY, VERDICT_EMPTY);
    check("garbage", TEXT("not PEM\n"), TEXT("not PEM\n"), VERDICT_NOT_PEM, VERDICT_NOT_PEM);
    check("the other way round", KEY(ec), CERTIFICATE(x), VERDICT_NOT_PEM, VERDICT_NOT_PEM);
    check("another key", CERTIFICATE(x), KEY(other), VERDICT_GOOD, VERDICT_MISFIT);
    check("another kind", CERTIFICATE(x), KEY(rsa), VERDICT_GOOD, VERDICT_MISFIT);
    check("encrypted", CERTIFICATE(x), file_of("", NULL, ec, EVP_aes_128_cbc(), false), VERDICT_GOOD,
          VERDICT_ENCRYPTED);
    check("encrypted, old form", CERTIFICATE(r), file_of("", NULL, rsa, EVP_aes_128_cbc(), true), VERDICT_GOOD,
          VERDICT_ENCRYPTED);
    check("P-521", CERTIFICATE(p521), KEY(odd), VERDICT_KIND, VERDICT_KIND);
    check("Ed25519", CERTIFICATE(ed), KEY(edwards), VERDICT_KIND, VERDICT_KIND);
    check("RSA of 1024 bits", CERTIFICATE(s), KEY(small), VERDICT_KIND, VERDICT_KIND);
    check("SHA-1", CERTIFICATE(old), KEY(rsa), VERDICT_WEAK, VERDICT_GOOD);
    EVP_PKEY *keys[] = {ec, other, rsa, odd, edwards, small};
    X509 *all[] = {x, r, p521, ed, old, s};
    for (size_t i = 0; i < 6; i++) EVP_PKEY_free(keys[i]), X509_free(all[i]);
}

Test(test_keys_judge, times) {
    EVP_PKEY *ec = EVP_EC_gen("P-256");
    X509 *x = make_certificate(ec, EVP_sha256(), "mx.example.test", -86400 * 400L, -86400);
    int certificate = CERTIFICATE(x), key = KEY(ec);
    uint64_t now = (uint64_t)time(NULL);
    struct keys_worth worth = keys_worth(certificate, key);
    cr_expect(worth.certificate == VERDICT_GOOD && worth.key == VERDICT_GOOD, "who warns is not here");
    cr_expect(worth.not_after <= now - 86400 && worth.not_after > now - 86400 - 60);
    cr_expect(worth.not_before <= now - 400 * 86400 && worth.not_before > now - 400 * 86400 - 60);
    close(certificate), close(key);
    EVP_PKEY_free(ec), X509_free(x);
}

/* subjectAltName of "DNS:..." */
static X509 *make_named(EVP_PKEY *key, const char *names) {
    X509 *x = make_certificate(key, EVP_sha256(), "mx.example.test", 0, 1000);
    X509V3_CTX context;
    X509V3_set_ctx(&context, x, x, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, NID_subject_alt_name, names);
    cr_assert(extension && X509_add_ext(x, extension, -1) == 1 && X509_sign(x, key, EVP_sha256()) > 0);
    X509_EXTENSION_free(extension);
    return x;
}

Test(test_keys_judge, names_and_public_key) {
    EVP_PKEY *key = EVP_EC_gen("P-256");
    char many[9000] = "DNS:first.test";
    for (size_t i = 0, n = strlen(many); i < 200; i++)
        n += (size_t)snprintf(many + n, sizeof many - n, ",DNS:name-%zu.example.test", i);
    X509 *named = make_named(key, "DNS:MX.example.test,IP:192.0.2.1,email:a@b.test,DNS:*.example.test,DNS:a b");
    X509 *crowded = make_named(key, many);
    X509 *bare = make_certificate(key, EVP_sha256(), "authority.example", 0, 1000);
    uint8_t *der = NULL, digest[32];
    int n = i2d_PUBKEY(key, &der);
    cr_assert(n > 0 && EVP_Digest(der, (size_t)n, digest, NULL, EVP_sha256(), NULL) == 1);
    struct keys_worth worth = keys_worth(CERTIFICATE(named), KEY(key));
    cr_expect_str_eq(worth.names, "mx.example.test *.example.test");
    cr_expect(worth.self_signed == 1 && memcmp(worth.spki, digest, sizeof digest) == 0);
    worth = keys_worth(CERTIFICATE(crowded), KEY(key));
    cr_expect(strncmp(worth.names, "first.test name-0.example.test ", 31) == 0 && strlen(worth.names) > 900);
    worth = keys_worth(CERTIFICATE(bare), KEY(key));
    cr_expect_str_eq(worth.names, "");
    cr_expect_eq(worth.self_signed, 0);
    worth = keys_worth(TEXT("not PEM\n"), KEY(key));
    cr_expect_str_eq(worth.names, "");
    OPENSSL_free(der);
    X509_free(named), X509_free(crowded), X509_free(bare);
    EVP_PKEY_free(key);
}
