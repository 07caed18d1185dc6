/* verifier.c - the verifier's frames: a message in, what it came to out; credentials in, verdict out. What is in a
 * message is for its mechanism (auth/verify.h).
 * Runs in: verifier. Trusts: auth. Never: opens a file, keeps anything of an exchange longer than it must. */
#include "auth/verifier.h"

#include "auth/password.h"
#include "auth/verify.h"
#include "store/clock.h"
#include "store/log.h"

#include <errno.h>
#include <poll.h>
#include <sodium.h>
#include <unistd.h>

enum { STEP_DEADLINE_MS = 5 * 60 * 1000 /* a client's time to type, RFC 5321 4.5.3.2.7 */, MEASURES = 3 };

static const struct verify_mechanism *const mechanisms[MECHANISM_COUNT] = {
    [MECHANISM_PLAIN] = &verify_plain,      [MECHANISM_LOGIN] = &verify_login, [MECHANISM_SCRAM] = &verify_scram,
    [MECHANISM_SCRAM_PLUS] = &verify_scram, [MECHANISM_NTLM] = &verify_ntlm,
};

static struct {
    struct role_start *start;
    struct verify verify;
    int auth;
    uint64_t exchange;       /* whose message is held; 0: none */
    struct seal_label label; /* of the step that it holds */
    const struct verify_mechanism *mechanism;
} self;

static void forget(void) {
    if (self.mechanism) self.mechanism->forget();
    self.mechanism = NULL;
    self.exchange = 0;
}

static void say(enum frame_type type, const struct buf *b) {
    if (self.auth < 0 || frame_send(self.auth, (uint16_t)type, buf_span(b)) == 0) return;
    if (errno != EPIPE && errno != ECONNRESET)
        log_fault("telling auth", errno); /* auth may be gone: a new one asks again */
}

/* Hashes a random password at the configured cost: the hash that stands for nobody, and the time it takes. The least
 * of some: the machine is busy while a server starts, and auth multiplies it by what the dearest stored hash costs.
 */
static void measure(void) {
    uint8_t password[16], storage[4];
    struct buf b = BUF_OVER(storage);
    uint64_t least = 60000;
    randombytes_buf(password, sizeof password);
    for (int i = 0; i < MEASURES; i++) {
        uint64_t began = clock_ms();
        if (password_hash(span_of(password, sizeof password), self.verify.setup.argon2_memory_bytes,
                          self.verify.setup.argon2_passes, self.verify.dummy) != 0)
            log_bug("the configured cost of a hash cannot be had");
        uint64_t took = clock_ms() - began;
        if (took < least) least = took;
    }
    wire_put_u32(&b, least < 1 ? 1 : (uint32_t)least);
    say(VERIFY_MEASURED, &b);
}

/* ---- messages */

static void put_field(struct buf *b, struct span octets, size_t size) {
    static const uint8_t zeros[VERIFY_CHALLENGE_BYTES];
    buf_put_span(b, octets);
    wire_put_bytes(b, zeros, size - octets.n);
}

static void put_challenge(struct buf *b, struct span challenge) {
    wire_put_u16(b, (uint16_t)challenge.n);
    put_field(b, challenge, VERIFY_CHALLENGE_BYTES);
}

static bool seal_next(struct span clear, uint8_t state_out[VERIFY_STATE_BYTES]) {
    struct seal_label next = self.label;
    next.step++;
    return seal_close(self.verify.setup.keys.seal, next, clock_ms() + STEP_DEADLINE_MS, clear, state_out);
}

/* For the password of a name, and for the password alone: what auth may compare and cannot read. */
static void put_tags(struct buf *b, struct span name, struct span password) {
    uint8_t tag[VERIFY_TAG_BYTES] = {0}, fingerprint[crypto_generichash_BYTES_MIN] = {0}, n = (uint8_t)name.n;
    crypto_generichash_state state;
    if (password.n) {
        crypto_generichash_init(&state, self.verify.setup.keys.tag, VERIFY_KEY_BYTES, sizeof tag);
        crypto_generichash_update(&state, &n, 1);
        crypto_generichash_update(&state, name.p, name.n);
        crypto_generichash_update(&state, password.p, password.n);
        crypto_generichash_final(&state, tag, sizeof tag);
        crypto_generichash(fingerprint, sizeof fingerprint, password.p, password.n,
                           self.verify.setup.keys.fingerprint, VERIFY_KEY_BYTES);
        explicit_bzero(&state, sizeof state);
    }
    wire_put_bytes(b, tag, sizeof tag);
    wire_put_bytes(b, fingerprint, VERIFY_FINGERPRINT_BYTES);
}

static enum verify_outcome read_message(const struct verify_message *message, struct verify_identity *out,
                                        uint8_t state_out[VERIFY_STATE_BYTES]) {
    memset(state_out, 0, VERIFY_STATE_BYTES);
    if (!self.mechanism) return VERIFY_MALFORMED;
    enum verify_outcome outcome = self.mechanism->read(&self.verify, message, out);
    if (!buf_ok(&out->name) || !buf_ok(&out->authorization) || !buf_ok(&out->challenge) || !buf_ok(&out->state))
        return VERIFY_MALFORMED;
    if (outcome == VERIFY_CONTINUE && !seal_next(buf_span(&out->state), state_out)) return VERIFY_MALFORMED;
    return outcome;
}

static void say_identity(enum verify_outcome outcome, const struct verify_identity *identity, const uint8_t *state) {
    uint8_t storage[VERIFY_STATE_BYTES + 2 * VERIFY_NAME_BYTES + VERIFY_CHALLENGE_BYTES + 128];
    struct buf b = BUF_OVER(storage);
    bool check = outcome == VERIFY_CHECK;
    wire_put_u64(&b, self.label.exchange);
    wire_put_u8(&b, (uint8_t)outcome);
    wire_put_u8(&b, (uint8_t)identity->why);
    put_field(&b, check ? buf_span(&identity->name) : span_of(NULL, 0), VERIFY_NAME_BYTES);
    put_field(&b, check ? buf_span(&identity->authorization) : span_of(NULL, 0), VERIFY_NAME_BYTES);
    put_tags(&b, buf_span(&identity->name), check ? identity->password : span_of(NULL, 0));
    put_challenge(&b, outcome == VERIFY_CONTINUE ? buf_span(&identity->challenge) : span_of(NULL, 0));
    wire_put_bytes(&b, state, VERIFY_STATE_BYTES);
    say(VERIFY_IDENTITY, &b);
}

static void take_message(const struct verify_message *message) {
    uint8_t name[VERIFY_NAME_BYTES - 1], authorization[VERIFY_NAME_BYTES - 1], challenge[VERIFY_CHALLENGE_BYTES],
        clear[SEAL_CLEAR_MAX], state[VERIFY_STATE_BYTES];
    struct verify_identity identity = {.name = BUF_OVER(name),
                                       .authorization = BUF_OVER(authorization),
                                       .challenge = BUF_OVER(challenge),
                                       .state = BUF_OVER(clear)};
    enum verify_outcome outcome = read_message(message, &identity, state);
    say_identity(outcome, &identity, state);
    if (outcome == VERIFY_CHECK)
        self.exchange = self.label.exchange;
    else
        forget();
    explicit_bzero(clear, sizeof clear);
}

static int take_step(void *context, struct frame *frame) {
    uint8_t state[VERIFY_STATE_BYTES], clear[SEAL_CLEAR_MAX];
    struct buf opened = BUF_OVER(clear);
    struct wire w = wire_over(frame->body);
    (void)context;
    forget();
    self.label.exchange = wire_get_u64(&w);
    self.label.mechanism = wire_get_u8(&w);
    self.label.step = wire_get_u8(&w);
    struct verify_message message = {.mechanism = self.label.mechanism, .step = self.label.step};
    message.exporter = wire_get_span(&w, CHANNEL_BINDING_MAX);
    message.end_point = wire_get_span(&w, CHANNEL_BINDING_MAX);
    wire_get_bytes(&w, state, sizeof state);
    message.message = wire_get_span(&w, VERIFY_MESSAGE_MAX);
    if (!wire_end(&w) || self.label.exchange == 0 || self.label.mechanism >= MECHANISM_COUNT) return -1;
    bool first = self.label.step == 0;
    if (first || seal_open(self.verify.setup.keys.seal, self.label, clock_ms(), state, &opened))
        self.mechanism = mechanisms[self.label.mechanism];
    message.state = buf_span(&opened);
    take_message(&message);
    explicit_bzero(clear, sizeof clear);
    return 0;
}

/* ---- credentials */

static void get_credential(struct wire *w, struct verify_credential *out) {
    out->id = (int64_t)wire_get_u64(w);
    wire_get_text(w, out->hash, sizeof out->hash);
    out->scram = wire_get_span(w, VERIFY_SCRAM_BYTES);
    out->nt = wire_get_span(w, VERIFY_NT_MAX);
    if (out->id == 0 || (out->scram.n && out->scram.n != VERIFY_SCRAM_BYTES)) w->bad = true;
}

static bool get_credentials(struct wire *w, struct verify_credentials *out) {
    static const uint8_t none[VERIFY_SALT_BYTES];
    unsigned real = wire_get_u8(w);
    out->real = real;
    out->login = wire_get_span(w, VERIFY_NAME_BYTES);
    out->user_id = (int64_t)wire_get_u64(w);
    wire_get_bytes(w, out->salt, sizeof out->salt);
    out->has_salt = memcmp(out->salt, none, sizeof none) != 0;
    out->n = wire_get_u16(w);
    if (out->n > VERIFY_CREDENTIALS_MAX) return false;
    for (size_t i = 0; i < out->n; i++) get_credential(w, &out->list[i]);
    return wire_end(w) && real <= 1 && (real || out->n == 0);
}

static void say_result(enum verify_verdict verdict, const struct verify_result *result, const uint8_t *state) {
    uint8_t storage[VERIFY_STATE_BYTES + VERIFY_CHALLENGE_BYTES + VERIFY_HASH_BYTES + VERIFY_SCRAM_BYTES + 64];
    struct buf b = BUF_OVER(storage);
    bool right = verdict == VERIFY_ACCEPTED || verdict == VERIFY_LAST;
    bool says = verdict == VERIFY_GOES_ON || verdict == VERIFY_LAST;
    wire_put_u64(&b, self.label.exchange);
    wire_put_u8(&b, (uint8_t)verdict);
    wire_put_u8(&b, (uint8_t)result->why);
    wire_put_u64(&b, right ? (uint64_t)result->credential_id : 0);
    put_challenge(&b, says ? buf_span(&result->challenge) : span_of(NULL, 0));
    wire_put_bytes(&b, state, VERIFY_STATE_BYTES);
    wire_put_bytes(&b, result->new_hash, VERIFY_HASH_BYTES);
    wire_put_bytes(&b, result->new_scram, VERIFY_SCRAM_BYTES);
    say(VERIFY_RESULT, &b);
    explicit_bzero(storage, sizeof storage);
}

static void check(const struct verify_credentials *credentials) {
    uint8_t challenge[VERIFY_CHALLENGE_BYTES], clear[SEAL_CLEAR_MAX], state[VERIFY_STATE_BYTES] = {0};
    struct verify_result result = {.challenge = BUF_OVER(challenge), .state = BUF_OVER(clear)};
    enum verify_verdict verdict = self.mechanism->check(&self.verify, credentials, &result);
    forget();
    /* Whatever a mechanism finds, nobody is not let in. */
    if (!credentials->real && verdict != VERIFY_GOES_ON) verdict = VERIFY_REJECTED;
    if (!buf_ok(&result.challenge) || !buf_ok(&result.state)) verdict = VERIFY_REJECTED;
    if (verdict == VERIFY_GOES_ON && !seal_next(buf_span(&result.state), state)) verdict = VERIFY_REJECTED;
    say_result(verdict, &result, state);
    explicit_bzero(clear, sizeof clear);
    explicit_bzero(&result, sizeof result);
}

static int take_credentials(void *context, struct frame *frame) {
    static struct verify_credentials credentials;
    struct wire w = wire_over(frame->body);
    (void)context;
    uint64_t exchange = wire_get_u64(&w);
    if (!get_credentials(&w, &credentials) || exchange == 0 || exchange != self.exchange) return -1;
    check(&credentials);
    explicit_bzero(&credentials, sizeof credentials);
    return 0;
}

static int take_forget(void *context, struct frame *frame) {
    struct wire w = wire_over(frame->body);
    (void)context;
    uint64_t exchange = wire_get_u64(&w);
    if (!wire_end(&w) || exchange == 0 || exchange != self.exchange) return -1;
    forget();
    return 0;
}

static int take_salt_key(void *context, struct frame *frame) {
    struct wire w = wire_over(frame->body);
    (void)context;
    wire_get_bytes(&w, self.verify.salt_key, sizeof self.verify.salt_key);
    return wire_end(&w) ? 0 : -1;
}

/* ---- auth and master */

static const struct frame_row rows[] = {{VERIFY_SETUP, 1, take_salt_key},
                                        {VERIFY_STEP, 1, take_step},
                                        {VERIFY_CREDENTIALS, 1, take_credentials},
                                        {VERIFY_FORGET, 1, take_forget}};

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
    if (verifier_setup_get(&self.verify.setup, self.start->payload) != 0) log_bug("setup does not parse");
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
