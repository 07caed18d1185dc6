/* tls_key.c - a provider built into the session: it knows public keys only, and has the TLS transcript signed by the
 * keys process, which sees the octets that are signed and refuses what is no transcript.
 * Runs in: listener, session. Trusts: the keys process. Never: holds a private key. */
#include "server/inbound/tls_key.h"

#include "store/clock.h"
#include "store/frame.h"
#include "store/frames.h"

#include <errno.h>
#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/provider.h>
#include <openssl/rsa.h>
#include <openssl/sha.h>
#include <openssl/x509.h>
#include <poll.h>

struct key {
    unsigned references;
    bool ec;
    EVP_PKEY *public_key; /* the default provider's */
    uint8_t name[KEY_NAME_BYTES];
};

struct signature {
    struct key *key;
    bool pss;
    unsigned digest_bits;
};

static struct {
    int fd;
    uint64_t wait_ms, requests;
} keys = {-1, 0, 0};

static uint8_t storage[FRAME_MAX];

void tls_key_use(int keys_fd, uint64_t wait_ms) {
    keys.fd = keys_fd;
    keys.wait_ms = wait_ms;
}

/* ---- asking */

static bool wait_for(short events, uint64_t deadline_ms) {
    for (;;) {
        uint64_t now = clock_ms();
        struct pollfd wait = {keys.fd, events, 0};
        if (now >= deadline_ms) return false;
        int n = poll(&wait, 1, (int)(deadline_ms - now));
        if (n > 0) return true;
        if (n < 0 && errno != EINTR) return false;
    }
}

static bool request(const struct key *key, uint16_t scheme, struct span octets, uint64_t deadline_ms) {
    struct buf b = buf_over(storage, FRAME_BODY_MAX);
    wire_put_u64(&b, ++keys.requests);
    wire_put_bytes(&b, key->name, sizeof key->name);
    wire_put_u16(&b, scheme);
    wire_put_span(&b, octets);
    while (buf_ok(&b) && keys.fd >= 0) {
        if (frame_send_plain(keys.fd, SIGN_REQUEST, buf_span(&b)) == 0) return true;
        if (errno != EAGAIN || !wait_for(POLLOUT, deadline_ms)) return false;
    }
    return false;
}

static bool result(struct buf *signature_out, uint64_t deadline_ms) {
    struct frame frame;
    enum frame_status status;
    do {
        if (!wait_for(POLLIN, deadline_ms)) return false;
        status = frame_receive(keys.fd, storage, false, &frame);
    } while (status == FRAME_NONE);
    if (status != FRAME_RECEIVED || frame.type != SIGN_RESULT) return false;
    struct wire w = wire_over(frame.body);
    bool mine = wire_get_u64(&w) == keys.requests;
    bool ok = wire_get_u8(&w) == 1;
    buf_put_span(signature_out, wire_get_span(&w, FRAME_MAX));
    return wire_end(&w) && mine && ok && signature_out->n > 0 && buf_ok(signature_out);
}

/* TLS signature schemes, RFC 8446 4.2.3; 0 for one that is not offered. */
static uint16_t scheme_of(const struct signature *signature) {
    unsigned step = signature->digest_bits == 256 ? 0 : signature->digest_bits == 384 ? 1 : 2;
    if (signature->digest_bits == 0) return 0;
    if (signature->key->ec) return (uint16_t)(0x0403 + 0x100 * step);
    return signature->pss ? (uint16_t)(0x0804 + step) : (uint16_t)(0x0401 + 0x100 * step);
}

/* ---- keys */

static void *key_new(void *provider) {
    (void)provider;
    struct key *key = OPENSSL_zalloc(sizeof *key);
    if (key) key->references = 1;
    return key;
}

static void *key_new_ec(void *provider) {
    struct key *key = key_new(provider);
    if (key) key->ec = true;
    return key;
}

static void key_free(void *data) {
    struct key *key = data;
    if (!key || --key->references) return;
    EVP_PKEY_free(key->public_key);
    OPENSSL_free(key);
}

bool tls_key_name(const EVP_PKEY *public_key, uint8_t name_out[KEY_NAME_BYTES]) {
    uint8_t *der = NULL, digest[SHA256_DIGEST_LENGTH];
    int n = i2d_PUBKEY(public_key, &der);
    if (n <= 0) return false;
    SHA256(der, (size_t)n, digest);
    memcpy(name_out, digest, KEY_NAME_BYTES);
    OPENSSL_free(der);
    return true;
}

static int key_import(void *data, int selection, const OSSL_PARAM parameters[]) {
    struct key *key = data;
    if (!(selection & OSSL_KEYMGMT_SELECT_PUBLIC_KEY) || key->public_key) return 0;
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, key->ec ? "EC" : "RSA", "provider=default");
    int ok =
        context && EVP_PKEY_fromdata_init(context) == 1 &&
        EVP_PKEY_fromdata(context, &key->public_key, EVP_PKEY_PUBLIC_KEY, (OSSL_PARAM *)(uintptr_t)parameters) == 1 &&
        tls_key_name(key->public_key, key->name);
    EVP_PKEY_CTX_free(context);
    return ok;
}

/* The public part only: OpenSSL takes a key that it can export whole to its own provider and signs there. */
static int key_export(void *data, int selection, OSSL_CALLBACK *callback, void *argument) {
    struct key *key = data;
    OSSL_PARAM *parameters = NULL;
    if (!key->public_key || (selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY)) return 0;
    if (EVP_PKEY_todata(key->public_key, EVP_PKEY_PUBLIC_KEY, &parameters) != 1) return 0;
    int ok = callback(parameters, argument);
    OSSL_PARAM_free(parameters);
    return ok;
}

/* Only says that something may be imported: the names that matter. */
static const OSSL_PARAM *key_types(int selection) {
    static const OSSL_PARAM types[] = {
        {OSSL_PKEY_PARAM_GROUP_NAME, OSSL_PARAM_UTF8_STRING, NULL, 0, 0},
        {OSSL_PKEY_PARAM_PUB_KEY, OSSL_PARAM_OCTET_STRING, NULL, 0, 0},
        {OSSL_PKEY_PARAM_RSA_N, OSSL_PARAM_UNSIGNED_INTEGER, NULL, 0, 0},
        {OSSL_PKEY_PARAM_RSA_E, OSSL_PARAM_UNSIGNED_INTEGER, NULL, 0, 0},
        {NULL, 0, NULL, 0, 0},
    };
    return selection & OSSL_KEYMGMT_SELECT_PUBLIC_KEY ? types : NULL;
}

static int key_has(const void *data, int selection) {
    (void)selection; /* it stands for the whole key */
    return ((const struct key *)data)->public_key != NULL;
}

static int key_match(const void *a, const void *b, int selection) {
    const struct key *first = a, *second = b;
    (void)selection;
    return first->public_key && second->public_key && EVP_PKEY_eq(first->public_key, second->public_key) == 1;
}

static int key_get_params(void *data, OSSL_PARAM parameters[]) {
    struct key *key = data;
    return key->public_key ? EVP_PKEY_get_params(key->public_key, parameters) : 0;
}

static const OSSL_PARAM *key_gettable(void *provider) {
    static const OSSL_PARAM gettable[] = {
        {OSSL_PKEY_PARAM_BITS, OSSL_PARAM_INTEGER, NULL, 0, 0},
        {OSSL_PKEY_PARAM_SECURITY_BITS, OSSL_PARAM_INTEGER, NULL, 0, 0},
        {OSSL_PKEY_PARAM_MAX_SIZE, OSSL_PARAM_INTEGER, NULL, 0, 0},
        {OSSL_PKEY_PARAM_GROUP_NAME, OSSL_PARAM_UTF8_STRING, NULL, 0, 0},
        {NULL, 0, NULL, 0, 0},
    };
    (void)provider;
    return gettable;
}

static const char *key_operation_rsa(int operation) {
    (void)operation;
    return "RSA";
}

static const char *key_operation_ec(int operation) {
    (void)operation;
    return "ECDSA";
}

/* ---- signatures */

static void *sign_new(void *provider, const char *properties) {
    (void)provider, (void)properties;
    return OPENSSL_zalloc(sizeof(struct signature));
}

static void sign_free(void *data) {
    struct signature *signature = data;
    if (!signature) return;
    key_free(signature->key);
    OPENSSL_free(signature);
}

static int sign_set_params(void *data, const OSSL_PARAM parameters[]) {
    struct signature *signature = data;
    const OSSL_PARAM *mode = parameters ? OSSL_PARAM_locate_const(parameters, OSSL_SIGNATURE_PARAM_PAD_MODE) : NULL;
    int number = 0;
    if (!mode) return 1; /* salt length and mask digest follow from the scheme */
    if (mode->data_type == OSSL_PARAM_UTF8_STRING) {
        signature->pss = strcmp(mode->data, OSSL_PKEY_RSA_PAD_MODE_PSS) == 0;
        return 1;
    }
    if (!OSSL_PARAM_get_int(mode, &number)) return 0;
    signature->pss = number == RSA_PKCS1_PSS_PADDING;
    return signature->pss || number == RSA_PKCS1_PADDING;
}

static const OSSL_PARAM *sign_settable(void *data, void *provider) {
    static const OSSL_PARAM settable[] = {
        {OSSL_SIGNATURE_PARAM_PAD_MODE, OSSL_PARAM_UTF8_STRING, NULL, 0, 0},
        {OSSL_SIGNATURE_PARAM_PSS_SALTLEN, OSSL_PARAM_UTF8_STRING, NULL, 0, 0},
        {NULL, 0, NULL, 0, 0},
    };
    (void)data, (void)provider;
    return settable;
}

static unsigned digest_bits_of(const char *name) {
    if (!name) return 0;
    if (OPENSSL_strcasecmp(name, "SHA256") == 0 || OPENSSL_strcasecmp(name, "SHA2-256") == 0) return 256;
    if (OPENSSL_strcasecmp(name, "SHA384") == 0 || OPENSSL_strcasecmp(name, "SHA2-384") == 0) return 384;
    if (OPENSSL_strcasecmp(name, "SHA512") == 0 || OPENSSL_strcasecmp(name, "SHA2-512") == 0) return 512;
    return 0;
}

static int sign_start(void *data, const char *digest, void *key_data, const OSSL_PARAM parameters[]) {
    struct signature *signature = data;
    struct key *key = key_data;
    if (key && key != signature->key) {
        key_free(signature->key);
        signature->key = key;
        key->references++;
    }
    signature->digest_bits = digest_bits_of(digest);
    return signature->key && signature->digest_bits && sign_set_params(signature, parameters);
}

static int sign(void *data, unsigned char *out, size_t *n_out, size_t size, const unsigned char *octets, size_t n) {
    struct signature *signature = data;
    uint16_t scheme = scheme_of(signature);
    size_t most = (size_t)EVP_PKEY_get_size(signature->key->public_key);
    if (!out) {
        *n_out = most;
        return 1;
    }
    struct buf b = buf_over(out, size < most ? size : most);
    uint64_t deadline = clock_ms() + keys.wait_ms;
    if (!scheme || !request(signature->key, scheme, span_of(octets, n), deadline) || !result(&b, deadline)) {
        ERR_raise_data(ERR_LIB_PROV, ERR_R_OPERATION_FAIL, "no signature from the keys process");
        return 0;
    }
    *n_out = b.n;
    return 1;
}

/* ---- the provider */

#define ROW(id, function)                                                                                            \
    { id, (void (*)(void))(function) }
#define KEY_ROWS                                                                                                     \
    ROW(OSSL_FUNC_KEYMGMT_FREE, key_free), ROW(OSSL_FUNC_KEYMGMT_IMPORT, key_import),                                \
        ROW(OSSL_FUNC_KEYMGMT_IMPORT_TYPES, key_types), ROW(OSSL_FUNC_KEYMGMT_EXPORT, key_export),                   \
        ROW(OSSL_FUNC_KEYMGMT_EXPORT_TYPES, key_types), ROW(OSSL_FUNC_KEYMGMT_HAS, key_has),                         \
        ROW(OSSL_FUNC_KEYMGMT_MATCH, key_match), ROW(OSSL_FUNC_KEYMGMT_GET_PARAMS, key_get_params),                  \
        ROW(OSSL_FUNC_KEYMGMT_GETTABLE_PARAMS, key_gettable)

static const OSSL_DISPATCH rsa_keys[] = {ROW(OSSL_FUNC_KEYMGMT_NEW, key_new),
                                         KEY_ROWS,
                                         ROW(OSSL_FUNC_KEYMGMT_QUERY_OPERATION_NAME, key_operation_rsa),
                                         {0, NULL}};
static const OSSL_DISPATCH ec_keys[] = {ROW(OSSL_FUNC_KEYMGMT_NEW, key_new_ec),
                                        KEY_ROWS,
                                        ROW(OSSL_FUNC_KEYMGMT_QUERY_OPERATION_NAME, key_operation_ec),
                                        {0, NULL}};
static const OSSL_DISPATCH signatures[] = {ROW(OSSL_FUNC_SIGNATURE_NEWCTX, sign_new),
                                           ROW(OSSL_FUNC_SIGNATURE_FREECTX, sign_free),
                                           ROW(OSSL_FUNC_SIGNATURE_DIGEST_SIGN_INIT, sign_start),
                                           ROW(OSSL_FUNC_SIGNATURE_DIGEST_SIGN, sign),
                                           ROW(OSSL_FUNC_SIGNATURE_SET_CTX_PARAMS, sign_set_params),
                                           ROW(OSSL_FUNC_SIGNATURE_SETTABLE_CTX_PARAMS, sign_settable),
                                           {0, NULL}};

#define PROPERTIES "provider=gatepost"
static const OSSL_ALGORITHM key_algorithms[] = {
    {"RSA:rsaEncryption", PROPERTIES, rsa_keys, ""}, {"EC:id-ecPublicKey", PROPERTIES, ec_keys, ""}, {0}};
static const OSSL_ALGORITHM signature_algorithms[] = {
    {"RSA:rsaEncryption", PROPERTIES, signatures, ""}, {"ECDSA", PROPERTIES, signatures, ""}, {0}};

static const OSSL_ALGORITHM *query(void *provider, int operation, int *no_cache) {
    (void)provider;
    *no_cache = 0;
    if (operation == OSSL_OP_KEYMGMT) return key_algorithms;
    return operation == OSSL_OP_SIGNATURE ? signature_algorithms : NULL;
}

static const OSSL_DISPATCH functions[] = {ROW(OSSL_FUNC_PROVIDER_QUERY_OPERATION, query), {0, NULL}};

static int start(const OSSL_CORE_HANDLE *core, const OSSL_DISPATCH *in, const OSSL_DISPATCH **out, void **provider) {
    (void)in;
    *out = functions;
    *provider = (void *)(uintptr_t)core;
    return 1;
}

bool tls_key_prepare(void) {
    /* Whatever is not asked of this provider by name is the default one's. */
    return OSSL_PROVIDER_add_builtin(NULL, "gatepost", start) == 1 && OSSL_PROVIDER_load(NULL, "default") &&
           OSSL_PROVIDER_load(NULL, "gatepost") && EVP_set_default_properties(NULL, "?provider=default") == 1;
}

EVP_PKEY *tls_key_for(EVP_PKEY *public_key) {
    const char *type = EVP_PKEY_is_a(public_key, "EC") ? "EC" : EVP_PKEY_is_a(public_key, "RSA") ? "RSA" : NULL;
    OSSL_PARAM *parameters = NULL;
    EVP_PKEY *key = NULL;
    EVP_PKEY_CTX *context = type ? EVP_PKEY_CTX_new_from_name(NULL, type, PROPERTIES) : NULL;
    if (context && EVP_PKEY_todata(public_key, EVP_PKEY_PUBLIC_KEY, &parameters) == 1 &&
        EVP_PKEY_fromdata_init(context) == 1 &&
        EVP_PKEY_fromdata(context, &key, EVP_PKEY_PUBLIC_KEY, parameters) != 1)
        key = NULL;
    OSSL_PARAM_free(parameters);
    EVP_PKEY_CTX_free(context);
    return key;
}
