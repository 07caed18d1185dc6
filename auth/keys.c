/* keys.c - keys by name and generation, and the channels of sessions that ask for signatures.
 * Runs in: keys. Trusts: the master, auth. Never: lets a key out, signs what is no TLS transcript, opens a file. */
#include "auth/keys.h"

#include "auth/auth_setup.h"
#include "auth/keys_judge.h"
#include "store/log.h"
#include "store/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    KEYS_MAX = 256,
    TRANSCRIPT_MAX = 256,
    SIGNATURE_MAX = 1024,      /* RSA of 8192 bits */
    SIGNATURES_PER_CHANNEL = 4 /* a session needs one for its handshake */
};

struct key {
    uint8_t name[KEY_NAME_BYTES];
    uint32_t generation;
    enum keys_kind kind;
    EVP_PKEY *pkey; /* NULL: a free place */
};

struct client {
    struct loop_watch watch;
    unsigned signatures;
    struct client *next, **from; /* the list of all; what points here */
};

static struct {
    struct role_start *start;
    struct loop loop;
    struct loop_watch master, auth;
    struct key keys[KEYS_MAX];
    struct client *clients;
} self;

int keys_prepare(struct role_start *start) {
    (void)start;
    return OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG | OPENSSL_INIT_ADD_ALL_DIGESTS, NULL) == 1 ? 0 : -1;
}

/* ---- keys */

/* SHA-256 of the DER SubjectPublicKeyInfo, cut. */
static bool name_of(EVP_PKEY *pkey, uint8_t name_out[KEY_NAME_BYTES]) {
    uint8_t *der = NULL, digest[32];
    int n = i2d_PUBKEY(pkey, &der);
    bool ok = n > 0 && EVP_Digest(der, (size_t)n, digest, NULL, EVP_sha256(), NULL) == 1;
    if (ok) memcpy(name_out, digest, KEY_NAME_BYTES);
    OPENSSL_free(der);
    return ok;
}

static void drop_key(struct key *key) {
    EVP_PKEY_free(key->pkey);
    *key = (struct key){0};
}

static struct key *find_key(const uint8_t name[KEY_NAME_BYTES]) {
    for (size_t i = 0; i < KEYS_MAX; i++)
        if (self.keys[i].pkey && CRYPTO_memcmp(self.keys[i].name, name, KEY_NAME_BYTES) == 0) return &self.keys[i];
    return NULL;
}

/* The same key in a later generation lives as long as that one. */
static bool keep(EVP_PKEY *pkey, uint32_t generation) {
    struct key new = {.generation = generation, .kind = keys_kind_of(pkey), .pkey = pkey};
    if (new.kind == KEYS_KIND_NONE || !name_of(pkey, new.name)) return false;
    struct key *place = find_key(new.name);
    for (size_t i = 0; i < KEYS_MAX && !place; i++)
        if (!self.keys[i].pkey) place = &self.keys[i];
    if (!place) return false;
    drop_key(place);
    *place = new;
    return true;
}

/* The master holds them against the certificates of the listener. */
static void report_keys(uint32_t generation) {
    uint8_t storage[4 + KEYS_MAX * (4 + KEY_NAME_BYTES)];
    struct buf b = BUF_OVER(storage);
    wire_put_u32(&b, generation);
    for (size_t i = 0; i < KEYS_MAX; i++) {
        if (!self.keys[i].pkey) continue;
        wire_put_u32(&b, self.keys[i].generation);
        wire_put_bytes(&b, self.keys[i].name, KEY_NAME_BYTES);
    }
    role_say(CHILD_KEYS, buf_span(&b));
}

/* What cannot be used is said, and leaves the keys of before in service. */
static void take_keys(void) {
    struct keys_setup setup;
    if (keys_setup_get(&setup, self.start->payload) != 0) log_bug("setup does not parse");
    for (uint32_t i = 0; i < setup.n; i++) {
        int fd = role_descriptor(self.start, DESCRIPTOR_KEY, i);
        enum verdict verdict;
        EVP_PKEY *pkey = fd < 0 ? NULL : keys_read_key(fd, &verdict);
        if (pkey && keep(pkey, setup.generation)) continue;
        EVP_PKEY_free(pkey);
        struct log_line line;
        log_open(&line, LOG_FAULT);
        log_text(&line, KEY_WHAT, "a private key cannot be used: RSA from 2048 bits, P-256, P-384, no passphrase");
        log_number(&line, KEY_COUNT, i + 1);
        log_send(&line);
    }
    report_keys(setup.generation);
}

static void forget_keys(uint32_t generation) {
    for (size_t i = 0; i < KEYS_MAX; i++)
        if (self.keys[i].pkey && self.keys[i].generation <= generation) drop_key(&self.keys[i]);
}

/* ---- signing */

/* Returns the signature's length, 0 when there is none. */
static size_t sign(const struct key *key, uint16_t scheme, struct span octets, uint8_t signature_out[SIGNATURE_MAX]) {
    struct keys_scheme how;
    size_t n = SIGNATURE_MAX;
    EVP_PKEY_CTX *parameters = NULL;
    if (!keys_form_scheme(key->kind, keys_form_of(octets), scheme, &how)) return 0;
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool ok = context && EVP_DigestSignInit_ex(context, &parameters, how.digest, NULL, NULL, key->pkey, NULL) == 1;
    if (ok && how.pss)
        ok = EVP_PKEY_CTX_set_rsa_padding(parameters, RSA_PKCS1_PSS_PADDING) == 1 &&
             EVP_PKEY_CTX_set_rsa_pss_saltlen(parameters, RSA_PSS_SALTLEN_DIGEST) == 1;
    ok = ok && EVP_DigestSign(context, signature_out, &n, octets.p, octets.n) == 1;
    EVP_MD_CTX_free(context);
    return ok ? n : 0;
}

static void drop_client(struct client *client) {
    loop_remove(&self.loop, &client->watch);
    close(client->watch.fd);
    *client->from = client->next;
    if (client->next) client->next->from = client->from;
    free(client);
}

/* 0, or -1: not a session of ours that speaks. */
static int answer(struct client *client, const struct frame *frame) {
    uint8_t name[KEY_NAME_BYTES], signature[SIGNATURE_MAX], storage[32 + SIGNATURE_MAX];
    struct buf b = BUF_OVER(storage);
    struct wire w = wire_over(frame->body);
    uint64_t request = wire_get_u64(&w);
    wire_get_bytes(&w, name, sizeof name);
    uint16_t scheme = wire_get_u16(&w);
    struct span octets = wire_get_span(&w, TRANSCRIPT_MAX);
    if (frame->type != SIGN_REQUEST || !wire_end(&w) || ++client->signatures > SIGNATURES_PER_CHANNEL) return -1;
    const struct key *key = find_key(name);
    size_t n = key ? sign(key, scheme, octets, signature) : 0;
    wire_put_u64(&b, request);
    wire_put_u8(&b, n > 0);
    wire_put_span(&b, span_of(signature, n));
    return frame_send(client->watch.fd, SIGN_RESULT, buf_span(&b));
}

static void client_ready(void *context, uint32_t events) {
    static uint8_t storage[FRAME_MAX];
    struct client *client = context;
    struct frame frame;
    (void)events;
    enum frame_status status = frame_receive(client->watch.fd, storage, false, &frame);
    if (status == FRAME_NONE) return;
    if (status == FRAME_RECEIVED && answer(client, &frame) == 0) return;
    if (status != FRAME_CLOSED) {
        struct log_line line;
        log_open(&line, LOG_BAD_FRAME);
        log_text(&line, KEY_WHAT, "from a session");
        log_send(&line);
    }
    drop_client(client);
}

/* ---- auth and master */

static void add_client(int fd) {
    struct client *client = calloc(1, sizeof *client);
    int flags = fcntl(fd, F_GETFL);
    if (client) client->watch = (struct loop_watch){fd, client_ready, client};
    if (client && flags >= 0 && fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0 &&
        loop_add(&self.loop, &client->watch, EPOLLIN) == 0) {
        client->next = self.clients, client->from = &self.clients;
        if (self.clients) self.clients->from = &client->next;
        self.clients = client;
        return;
    }
    log_fault("a session's channel", errno);
    free(client);
    close(fd);
}

static void auth_ready(void *context, uint32_t events) {
    static uint8_t storage[FRAME_MAX];
    struct frame frame;
    (void)context;
    (void)events;
    switch (frame_receive(self.auth.fd, storage, true, &frame)) {
    case FRAME_RECEIVED:
        if (frame.type != KEYS_CLIENT || frame.body.n || frame.fd < 0) log_bug("bad frame from auth");
        add_client(frame.fd);
        return;
    case FRAME_NONE:
        return;
    case FRAME_MALFORMED:
        log_bug("malformed frame from auth");
    case FRAME_CLOSED:
    case FRAME_ERROR:
        break;
    }
    loop_remove(&self.loop, &self.auth); /* until the master sends another channel */
    self.auth.fd = -1;
}

static void use_auth(int fd) {
    if (self.auth.fd >= 0) {
        self.auth.fd = -1; /* role.c has closed it */
        loop_remove(&self.loop, &self.auth);
    }
    self.auth = (struct loop_watch){fd, auth_ready, NULL};
    if (fd >= 0 && loop_add(&self.loop, &self.auth, EPOLLIN) != 0) log_fault("auth's channel", errno);
}

static void master_ready(void *context, uint32_t events) {
    struct role_link link;
    uint32_t number;
    int old;
    (void)context;
    (void)events;
    switch (role_listen(self.start, &link, &old, &number)) {
    case ROLE_EVENT_GONE:
    case ROLE_EVENT_DRAIN:
        _exit(0);
    case ROLE_EVENT_SETUP:
        take_keys();
        break;
    case ROLE_EVENT_CHANNEL:
        if (link.kind == ROLE_AUTH) use_auth(link.fd);
        break;
    case ROLE_EVENT_FORGET:
        forget_keys(number);
        break;
    case ROLE_EVENT_NONE:
    case ROLE_EVENT_LOG_NEW:
    case ROLE_EVENT_ACCEPT:
    case ROLE_EVENT_DESCRIPTOR:
    case ROLE_EVENT_DIALED:
        break;
    }
}

int keys_run(struct role_start *start, uint32_t missing) {
    struct keys_setup setup;
    if (keys_setup_get(&setup, start->payload) != 0) log_bug("setup does not parse");
    if (setup.judge) return keys_judge(start, setup.n);
    self.start = start;
    self.auth.fd = -1;
    self.master = (struct loop_watch){ROLE_CONTROL_FD, master_ready, NULL};
    int flags = fcntl(ROLE_CONTROL_FD, F_GETFL);
    if (flags < 0 || fcntl(ROLE_CONTROL_FD, F_SETFL, flags | O_NONBLOCK) != 0) return 1;
    if (loop_open(&self.loop) != 0 || loop_add(&self.loop, &self.master, EPOLLIN) != 0) return 1;
    take_keys();
    use_auth(role_channel(start, ROLE_AUTH, 0));
    role_ready(missing);
    while (loop_round(&self.loop, -1) == 0) continue;
    log_fault("epoll_wait", errno);
    return 1;
}
