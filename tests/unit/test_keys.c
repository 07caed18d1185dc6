/* test_keys.c - the keys process through its frames: signatures that verify, and what it does not sign. */
#include "auth/auth_setup.h"
#include "auth/keys.h"
#include "tests/unit/driver.h"

#include <criterion/criterion.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <poll.h>
#include <sys/mman.h>
#include <unistd.h>

enum { KEYS = 3 };
static EVP_PKEY *pkeys[KEYS];
static uint8_t names[KEYS][KEY_NAME_BYTES], storage[FRAME_MAX];
static struct driver driver;
static int auth;

static int run(struct role_start *start, uint32_t missing) {
    return keys_prepare(start) == 0 ? keys_run(start, missing) : 1;
}

/* A PEM private key in a descriptor, as the master opens it. */
static int pem_of(EVP_PKEY *pkey) {
    int fd = memfd_create("key", MFD_CLOEXEC), copy = dup(fd);
    FILE *file = fdopen(copy, "w");
    cr_assert(file && PEM_write_PrivateKey(file, pkey, NULL, NULL, 0, NULL, NULL) == 1 && fclose(file) == 0);
    cr_assert_eq(lseek(fd, 0, SEEK_SET), 0);
    return fd;
}

static void name_key(size_t i) {
    uint8_t *der = NULL, digest[32];
    int n = i2d_PUBKEY(pkeys[i], &der);
    cr_assert(n > 0 && EVP_Digest(der, (size_t)n, digest, NULL, EVP_sha256(), NULL) == 1);
    memcpy(names[i], digest, KEY_NAME_BYTES);
    OPENSSL_free(der);
}

static void begin(void) {
    struct driver_link links[KEYS + 1];
    uint8_t payload[16];
    struct buf b = BUF_OVER(payload);
    int ends[2];
    pkeys[0] = EVP_EC_gen("P-256"), pkeys[1] = EVP_RSA_gen(2048), pkeys[2] = EVP_EC_gen("P-384");
    for (size_t i = 0; i < KEYS; i++) {
        name_key(i);
        links[i] = (struct driver_link){false, {DESCRIPTOR_KEY, (uint8_t)i, pem_of(pkeys[i])}};
    }
    cr_assert_eq(frame_pair(ends, true), 0);
    links[KEYS] = (struct driver_link){true, {ROLE_AUTH, 0, ends[1]}};
    keys_setup_put(&b, &(struct keys_setup){.generation = 1, .n = KEYS});
    driver = driver_start(run, ROLE_KEYS, buf_span(&b), links, KEYS + 1);
    auth = ends[0];
    for (size_t i = 0; i < KEYS + 1; i++) close(links[i].link.fd);
}

static void end(void) {
    cr_expect_eq(driver_stop(&driver), 0);
    for (size_t i = 0; i < KEYS; i++) EVP_PKEY_free(pkeys[i]);
}

TestSuite(keys, .init = begin, .fini = end, .timeout = 60);

static int session(void) {
    int ends[2];
    cr_assert_eq(frame_pair(ends, true), 0);
    cr_assert_eq(frame_send_fd(auth, KEYS_CLIENT, span_of(NULL, 0), ends[1]), 0);
    close(ends[1]);
    return ends[0];
}

static void ask(int channel, const uint8_t *name, uint16_t scheme, struct span octets) {
    uint8_t space[4096];
    struct buf b = BUF_OVER(space);
    wire_put_u64(&b, 42);
    wire_put_bytes(&b, name, KEY_NAME_BYTES);
    wire_put_u16(&b, scheme);
    wire_put_span(&b, octets);
    cr_assert_eq(frame_send(channel, SIGN_REQUEST, buf_span(&b)), 0);
}

/* The signature; empty when it was refused. A view until the next frame. */
static struct span answered(int channel) {
    struct frame frame;
    cr_assert(driver_receive(channel, storage, &frame) && frame.type == SIGN_RESULT);
    struct wire w = wire_over(frame.body);
    cr_expect_eq(wire_get_u64(&w), 42);
    unsigned ok = wire_get_u8(&w);
    struct span signature = wire_get_span(&w, 1024);
    cr_expect(wire_end(&w) && ok == (signature.n > 0));
    return signature;
}

static struct span transcript13(void) {
    static uint8_t octets[130];
    memset(octets, ' ', 64);
    memcpy(octets + 64, "TLS 1.3, server CertificateVerify", 34);
    memset(octets + 98, 0xaa, 32);
    return span_of(octets, sizeof octets);
}

static bool verifies(EVP_PKEY *pkey, const char *digest, bool pss, struct span octets, struct span signature) {
    EVP_PKEY_CTX *parameters = NULL;
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool ok = EVP_DigestVerifyInit_ex(context, &parameters, digest, NULL, NULL, pkey, NULL) == 1;
    if (pss)
        ok = ok && EVP_PKEY_CTX_set_rsa_padding(parameters, RSA_PKCS1_PSS_PADDING) == 1 &&
             EVP_PKEY_CTX_set_rsa_pss_saltlen(parameters, RSA_PSS_SALTLEN_DIGEST) == 1;
    ok = ok && EVP_DigestVerify(context, signature.p, signature.n, octets.p, octets.n) == 1;
    EVP_MD_CTX_free(context);
    return ok;
}

static bool ended(int channel) {
    struct frame frame;
    for (;;) {
        struct pollfd wait = {channel, POLLIN, 0};
        if (poll(&wait, 1, 10000) != 1) return false;
        if (frame_receive(channel, storage, false, &frame) == FRAME_CLOSED) return true;
    }
}

Test(keys, signs_transcripts) {
    int channel = session();
    ask(channel, names[0], 0x0403, transcript13());
    cr_expect(verifies(pkeys[0], "SHA256", false, transcript13(), answered(channel)));
    ask(channel, names[1], 0x0804, transcript13());
    cr_expect(verifies(pkeys[1], "SHA256", true, transcript13(), answered(channel)));
    ask(channel, names[2], 0x0503, transcript13());
    cr_expect(verifies(pkeys[2], "SHA384", false, transcript13(), answered(channel)));
    ask(channel, names[1], 0x0401, transcript13());
    cr_expect_eq(answered(channel).n, 0, "PKCS #1 v1.5 in TLS 1.3");
    ask(channel, names[0], 0x0403, transcript13());
    cr_expect(ended(channel), "the fifth request");
}

Test(keys, signs_nothing_else) {
    static uint8_t digest[32], large[4000];
    int channel = session();
    ask(channel, names[0], 0x0403, span_of(digest, sizeof digest));
    cr_expect_eq(answered(channel).n, 0, "a bare digest");
    ask(channel, names[0], 0x0403, span_of(NULL, 0));
    cr_expect_eq(answered(channel).n, 0, "nothing");
    ask(channel, (const uint8_t *)"0123456789abcdef", 0x0403, transcript13());
    cr_expect_eq(answered(channel).n, 0, "an unknown key");
    ask(channel, names[0], 0x0403, span_of(large, sizeof large));
    cr_expect(ended(channel), "longer than any transcript");
    channel = session();
    cr_assert_eq(frame_send(channel, KEYS_CLIENT, span_of(NULL, 0)), 0);
    cr_expect(ended(channel), "a frame of auth's");
    channel = session();
    cr_assert_eq(frame_send(channel, SIGN_REQUEST, span_of("x", 1)), 0);
    cr_expect(ended(channel), "half a frame");
    channel = session();
    ask(channel, names[0], 0x0403, transcript13());
    cr_expect_gt(answered(channel).n, 0, "still there");
}

Test(keys, generations) {
    uint8_t octets[4];
    struct buf b = BUF_OVER(octets);
    int channel = session();
    wire_put_u32(&b, 1);
    cr_assert_eq(frame_send(driver.control, MASTER_FORGET, buf_span(&b)), 0);
    int tries = 100;
    do {
        close(channel);
        usleep(10000);
        channel = session();
        ask(channel, names[0], 0x0403, transcript13());
    } while (answered(channel).n && --tries);
    cr_expect(tries > 0, "a forgotten key signs no more");
}
