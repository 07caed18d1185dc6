/* verifier.c - the verifier's steps: message in, name out; hash in, verdict out.
 * Runs in: verifier. Trusts: auth. Never: opens a file, holds a password longer than its exchange. */
#include "auth/verifier.h"

#include "auth/auth_setup.h"
#include "auth/password.h"
#include "auth/sasl.h"
#include "auth/seal.h"
#include "store/clock.h"
#include "store/log.h"
#include "store/secret.h"

#include <errno.h>
#include <poll.h>
#include <sodium.h>
#include <unistd.h>

enum { STEP_DEADLINE_MS = 5 * 60 * 1000 /* a client's time to type, RFC 5321 4.5.3.2.7 */, MESSAGE_MAX = SECRET_MAX };

static struct {
    struct role_start *start;
    struct verifier_setup setup;
    char dummy[VERIFY_HASH_BYTES]; /* of nobody: the same work as for a user */
    int auth;
    uint64_t exchange; /* whose password is held; 0: none */
    struct secret password;
} self;

static void forget(void) {
    secret_wipe(&self.password);
    self.exchange = 0;
}

static void say(enum frame_type type, const struct buf *b) {
    if (self.auth < 0 || frame_send(self.auth, (uint16_t)type, buf_span(b)) == 0) return;
    if (errno != EPIPE && errno != ECONNRESET)
        log_fault("telling auth", errno); /* auth may be gone: a new one asks again */
}

/* Hashes a random password at the configured cost: the hash that stands for nobody, and the time it takes. */
static void measure(void) {
    uint8_t password[16], storage[4];
    struct buf b = BUF_OVER(storage);
    randombytes_buf(password, sizeof password);
    uint64_t began = clock_ms();
    if (password_hash(span_of(password, sizeof password), self.setup.argon2_memory_bytes, self.setup.argon2_passes,
                      self.dummy) != 0)
        log_bug("the configured cost of a hash cannot be had");
    uint64_t took = clock_ms() - began;
    wire_put_u32(&b, took < 1 ? 1 : took > 60000 ? 60000 : (uint32_t)took);
    say(VERIFY_MEASURED, &b);
}

/* Each part is at most 255 octets, and both fields are longer. */
static enum verify_outcome read_plain(struct span message, uint8_t *state, uint8_t *name) {
    struct sasl_plain plain;
    memset(state, 0, VERIFY_STATE_BYTES);
    if (!sasl_plain(message, &plain) || !secret_set(&self.password, plain.password)) return VERIFY_MALFORMED;
    memcpy(name, plain.name.p, plain.name.n);
    if (plain.authorization.n) memcpy(state, plain.authorization.p, plain.authorization.n);
    return VERIFY_CHECK;
}

/* LOGIN: a name, then a password (draft-murchison-sasl-login). */
static enum verify_outcome read_login(uint64_t exchange, unsigned step, struct span message, uint8_t *state,
                                      uint8_t *name) {
    if (step == 0)
        return sasl_name(message) &&
                       seal_close(self.setup.seal_key, exchange, clock_ms() + STEP_DEADLINE_MS, message, state)
                   ? VERIFY_CONTINUE
                   : VERIFY_MALFORMED;
    bool ok = step == 1 && sasl_password(message) &&
              seal_open(self.setup.seal_key, exchange, clock_ms(), state, name) &&
              secret_set(&self.password, message);
    memset(state, 0, VERIFY_STATE_BYTES);
    return ok ? VERIFY_CHECK : VERIFY_MALFORMED;
}

static int take_step(void *context, struct frame *frame) {
    uint8_t state[VERIFY_STATE_BYTES], name[VERIFY_NAME_BYTES] = {0};
    uint8_t storage[16 + VERIFY_NAME_BYTES + VERIFY_STATE_BYTES];
    struct buf b = BUF_OVER(storage);
    struct wire w = wire_over(frame->body);
    enum verify_outcome outcome = VERIFY_MALFORMED;
    (void)context;
    uint64_t exchange = wire_get_u64(&w);
    unsigned mechanism = wire_get_u8(&w), step = wire_get_u8(&w);
    wire_get_bytes(&w, state, sizeof state);
    struct span message = wire_get_span(&w, MESSAGE_MAX);
    if (!wire_end(&w) || exchange == 0) return -1;
    forget();
    if (mechanism == MECHANISM_PLAIN && step == 0)
        outcome = read_plain(message, state, name);
    else if (mechanism == MECHANISM_LOGIN)
        outcome = read_login(exchange, step, message, state, name);
    if (outcome == VERIFY_CHECK) self.exchange = exchange;
    wire_put_u64(&b, exchange);
    wire_put_u8(&b, (uint8_t)outcome);
    wire_put_bytes(&b, name, sizeof name);
    wire_put_bytes(&b, state, sizeof state);
    say(VERIFY_IDENTITY, &b);
    return 0;
}

static bool costs_as_configured(const char *hash) {
    struct password_cost cost;
    return password_format_read(span_text(hash), &cost) && cost.passes == self.setup.argon2_passes &&
           cost.memory_kib == self.setup.argon2_memory_bytes / 1024;
}

static int take_hash(void *context, struct frame *frame) {
    char hash[VERIFY_HASH_BYTES], new_hash[VERIFY_HASH_BYTES] = "";
    uint8_t storage[16 + VERIFY_HASH_BYTES];
    struct buf b = BUF_OVER(storage);
    struct wire w = wire_over(frame->body);
    (void)context;
    uint64_t exchange = wire_get_u64(&w);
    unsigned real = wire_get_u8(&w);
    wire_get_text(&w, hash, sizeof hash);
    if (!wire_end(&w) || real > 1 || exchange == 0 || exchange != self.exchange) return -1;
    bool matches = password_check(secret_span(&self.password), real ? hash : self.dummy);
    bool ok = matches && real;
    if (ok && !costs_as_configured(hash) &&
        password_hash(secret_span(&self.password), self.setup.argon2_memory_bytes, self.setup.argon2_passes,
                      new_hash) != 0)
        memset(new_hash, 0, sizeof new_hash); /* the old one stays */
    forget();
    wire_put_u64(&b, exchange);
    wire_put_u8(&b, ok);
    wire_put_bytes(&b, new_hash, sizeof new_hash);
    say(VERIFY_RESULT, &b);
    explicit_bzero(hash, sizeof hash);
    explicit_bzero(new_hash, sizeof new_hash);
    explicit_bzero(storage, sizeof storage);
    return 0;
}

static const struct frame_row rows[] = {{VERIFY_STEP, 1, take_step}, {VERIFY_HASH, 1, take_hash}};

static void read_auth(void) {
    static uint8_t storage[FRAME_MAX];
    struct frame frame;
    switch (frame_receive(self.auth, storage, false, &frame)) {
    case FRAME_RECEIVED:
        if (frame_dispatch(rows, sizeof rows / sizeof *rows, 1, NULL, &frame) != 0) log_bug("bad frame from auth");
        explicit_bzero(storage, frame.body.n + 2);
        return;
    case FRAME_NONE:
        return;
    case FRAME_MALFORMED:
        log_bug("malformed frame from auth");
    case FRAME_CLOSED:
    case FRAME_ERROR:
        break;
    }
    forget();
    self.auth = -1; /* until the master sends another channel */
}

static void take_setup(void) {
    if (verifier_setup_get(&self.setup, self.start->payload) != 0) log_bug("setup does not parse");
}

static void read_master(void) {
    struct role_link link;
    uint32_t number;
    int old;
    switch (role_listen(self.start, &link, &old, &number)) {
    case ROLE_EVENT_GONE:
    case ROLE_EVENT_DRAIN:
        forget();
        _exit(0);
    case ROLE_EVENT_SETUP:
        take_setup();
        if (self.auth >= 0) measure();
        break;
    case ROLE_EVENT_CHANNEL:
        if (link.kind != ROLE_AUTH) break;
        forget();
        self.auth = link.fd;
        measure();
        break;
    case ROLE_EVENT_NONE:
    case ROLE_EVENT_DESCRIPTOR:
    case ROLE_EVENT_LOG_NEW:
    case ROLE_EVENT_ACCEPT:
    case ROLE_EVENT_FORGET:
    case ROLE_EVENT_DIALED:
        break;
    }
}

int verifier_run(struct role_start *start, uint32_t missing) {
    self.start = start;
    if (sodium_init() < 0) log_bug("libsodium does not start");
    take_setup();
    self.auth = role_channel(start, ROLE_AUTH, 0);
    if (self.auth >= 0) measure();
    role_ready(missing);
    for (;;) {
        struct pollfd wait[2] = {{ROLE_CONTROL_FD, POLLIN, 0}, {self.auth, POLLIN, 0}};
        if (poll(wait, 2, -1) < 0 && errno != EINTR) {
            log_fault("poll", errno);
            return 1;
        }
        if (wait[1].revents) read_auth();
        if (wait[0].revents) read_master();
    }
}
