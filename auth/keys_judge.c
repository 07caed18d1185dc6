/* keys_judge.c - PEM to keys and certificates, and whether they can be used together.
 * Runs in: keys; most of it in one that is started to judge and holds no key for longer. Trusts: nothing in the
 * files. Never: asks for a passphrase, says more of a key than whether it is good. */
#include "auth/keys_judge.h"

#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    KEY_PEM_MAX = 64 << 10,
    CHAIN_PEM_MAX = 1 << 20,
    SECURITY_BITS = 112 /* what OpenSSL's security level 2 asks for, and the listener would not take less */
};

enum keys_kind keys_kind_of(const EVP_PKEY *pkey) {
    char group[32] = "";
    if (EVP_PKEY_is_a(pkey, "RSA")) return EVP_PKEY_get_bits(pkey) >= 2048 ? KEYS_KIND_RSA : KEYS_KIND_NONE;
    if (!EVP_PKEY_is_a(pkey, "EC") || EVP_PKEY_get_group_name(pkey, group, sizeof group, NULL) != 1)
        return KEYS_KIND_NONE;
    if (strcmp(group, "prime256v1") == 0) return KEYS_KIND_P256;
    return strcmp(group, "secp384r1") == 0 ? KEYS_KIND_P384 : KEYS_KIND_NONE;
}

/* No passphrase is asked for: there is nobody to ask. */
static int no_passphrase(char *buffer, int size, int writing, void *context) {
    (void)buffer, (void)size, (void)writing, (void)context;
    return -1;
}

/* The octets of the master's copy, whose offset is shared; at most max. */
static size_t read_all(int fd, char *p, size_t max) {
    size_t n = 0;
    ssize_t got = 1;
    while (n < max && (got = pread(fd, p + n, max - n, (off_t)n)) > 0) n += (size_t)got;
    return got == 0 ? n : 0;
}

EVP_PKEY *keys_read_key(int fd, enum verdict *verdict_out) {
    static char pem[KEY_PEM_MAX];
    EVP_PKEY *pkey = NULL;
    size_t n = read_all(fd, pem, sizeof pem);
    BIO *bio = n > 0 ? BIO_new_mem_buf(pem, (int)n) : NULL;
    if (bio) pkey = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL);
    BIO_free(bio);
    if (pkey)
        *verdict_out = VERDICT_GOOD;
    else if (n == 0)
        *verdict_out = VERDICT_EMPTY;
    else
        *verdict_out = memmem(pem, n, "ENCRYPTED", 9) ? VERDICT_ENCRYPTED : VERDICT_NOT_PEM;
    explicit_bzero(pem, n);
    return pkey;
}

/* Without the C library's own calendar, which opens the file of the time zone. */
static uint64_t seconds_of(const ASN1_TIME *time) {
    int days = 0, seconds = 0;
    ASN1_TIME *epoch = ASN1_TIME_new();
    bool ok = epoch && ASN1_TIME_set_string(epoch, "19700101000000Z") == 1 &&
              ASN1_TIME_diff(&days, &seconds, epoch, time) == 1 && days >= 0 && seconds >= 0;
    ASN1_TIME_free(epoch);
    return ok ? (uint64_t)days * 86400 + (uint64_t)seconds : 0;
}

/* A signature of its own making protects nothing, and is not looked at. */
static bool is_weak(X509 *certificate) {
    int bits = 0;
    const EVP_PKEY *key = X509_get0_pubkey(certificate);
    if (!key || EVP_PKEY_get_security_bits(key) < SECURITY_BITS) return true;
    if (X509_get_extension_flags(certificate) & EXFLAG_SS) return false;
    return X509_get_signature_info(certificate, NULL, NULL, &bits, NULL) == 1 && bits < SECURITY_BITS;
}

static X509 *read_certificate(int fd, enum verdict *verdict_out) {
    X509 *first = NULL;
    char *pem = malloc(CHAIN_PEM_MAX + 1);
    if (!pem) abort();
    size_t n = read_all(fd, pem, CHAIN_PEM_MAX + 1);
    BIO *bio = n > 0 ? BIO_new_mem_buf(pem, (int)n) : NULL;
    *verdict_out = n > 0 ? VERDICT_NOT_PEM : VERDICT_EMPTY;
    for (X509 *next; bio && (next = PEM_read_bio_X509(bio, NULL, no_passphrase, NULL));) {
        if (!first) *verdict_out = VERDICT_GOOD;
        if (is_weak(next)) *verdict_out = VERDICT_WEAK;
        if (first)
            X509_free(next);
        else
            first = next;
    }
    BIO_free(bio);
    free(pem);
    return first;
}

/* The DNS names of subjectAltName (RFC 6125 6.4); those with an octet that no name has are left out. */
static void put_names(X509 *certificate, struct buf *out) {
    static const char good[] = "abcdefghijklmnopqrstuvwxyz0123456789-_.*";
    GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    for (int i = 0; names && i < sk_GENERAL_NAME_num(names); i++) {
        int type;
        const ASN1_STRING *value = GENERAL_NAME_get0_value(sk_GENERAL_NAME_value(names, i), &type);
        if (type != GEN_DNS) continue;
        struct span name = span_of(ASN1_STRING_get0_data(value), (size_t)ASN1_STRING_length(value));
        size_t n = 0;
        while (n < name.n && name.p[n] && strchr(good, octet_lower(name.p[n]))) n++;
        if (n == 0 || n < name.n || n + 1 > out->cap - out->n) continue;
        if (out->n) buf_put_octet(out, ' ');
        for (size_t j = 0; j < n; j++) buf_put_octet(out, octet_lower(name.p[j]));
    }
    GENERAL_NAMES_free(names);
}

static void put_facts(X509 *certificate, struct keys_worth *worth) {
    uint8_t *spki = NULL;
    struct buf names = buf_over(worth->names, sizeof worth->names - 1);
    int n = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(certificate), &spki);
    if (n > 0) (void)EVP_Digest(spki, (size_t)n, worth->spki, NULL, EVP_sha256(), NULL);
    OPENSSL_free(spki);
    worth->self_signed = (X509_get_extension_flags(certificate) & EXFLAG_SS) != 0;
    put_names(certificate, &names);
}

struct keys_worth keys_worth(int certificate_fd, int key_fd) {
    struct keys_worth worth = {0};
    X509 *certificate = read_certificate(certificate_fd, &worth.certificate);
    EVP_PKEY *key = keys_read_key(key_fd, &worth.key);
    const EVP_PKEY *public_key = certificate ? X509_get0_pubkey(certificate) : NULL;
    if (certificate) {
        worth.not_before = seconds_of(X509_get0_notBefore(certificate));
        worth.not_after = seconds_of(X509_get0_notAfter(certificate));
        put_facts(certificate, &worth);
        if (!public_key || !keys_kind_of(public_key)) worth.certificate = VERDICT_KIND;
    }
    if (key && !keys_kind_of(key))
        worth.key = VERDICT_KIND;
    else if (key && public_key && EVP_PKEY_eq(public_key, key) != 1)
        worth.key = VERDICT_MISFIT;
    X509_free(certificate);
    EVP_PKEY_free(key);
    return worth;
}

int keys_judge(const struct role_start *start, uint32_t n) {
    static uint8_t storage[FRAME_BODY_MAX];
    struct buf b = BUF_OVER(storage);
    for (uint32_t i = 0; i < n; i++) {
        int certificate = role_descriptor(start, DESCRIPTOR_CERTIFICATE, i),
            key = role_descriptor(start, DESCRIPTOR_KEY, i);
        struct keys_worth worth = {0};
        if (certificate >= 0 && key >= 0) worth = keys_worth(certificate, key);
        wire_put_u8(&b, (uint8_t)worth.certificate);
        wire_put_u8(&b, (uint8_t)worth.key);
        wire_put_u64(&b, worth.not_before);
        wire_put_u64(&b, worth.not_after);
        wire_put_u8(&b, worth.self_signed);
        wire_put_bytes(&b, worth.spki, sizeof worth.spki);
        wire_put_text(&b, worth.names);
    }
    if (!buf_ok(&b)) return 1;
    role_say(CHILD_VERDICTS, buf_span(&b));
    return 0;
}
