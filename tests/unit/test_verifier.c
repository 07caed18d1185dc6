/* test_verifier.c - the verifier process and its frames, with the test as auth. */
#include "auth/verifier.h"

#include "auth/password_app.h"
#include "auth/verify.h"
#include "tests/unit/driver.h"

#include <criterion/criterion.h>
#include <sys/wait.h>
#include <unistd.h>

static struct driver driver;
static int verifier;
static uint8_t storage[FRAME_MAX];

static void start(uint8_t key) {
    struct verifier_setup setup = {.argon2_memory_bytes = 1 << 20, .argon2_passes = 1};
    uint8_t payload[512];
    struct buf b = BUF_OVER(payload);
    struct frame frame;
    int ends[2];
    memset(&setup.keys, key, sizeof setup.keys);
    setup.keys.tag[0] ^= 1, setup.keys.fingerprint[0] ^= 2;
    verifier_setup_put(&b, &setup);
    cr_assert(buf_ok(&b) && frame_pair(ends, true) == 0);
    driver = driver_start(verifier_run, ROLE_VERIFIER, buf_span(&b),
                          &(struct driver_link){true, {ROLE_AUTH, 0, ends[1]}}, 1);
    close(ends[1]);
    verifier = ends[0];
    cr_assert(driver_receive(verifier, storage, &frame) && frame.type == VERIFY_MEASURED);
}

static void begin(void) {
    start(1);
}

TestSuite(verifier, .init = begin, .timeout = 60);

struct said {
    unsigned outcome;
    char name[VERIFY_NAME_BYTES], challenge[VERIFY_CHALLENGE_BYTES + 1];
    uint8_t tag[VERIFY_TAG_BYTES], fingerprint[VERIFY_FINGERPRINT_BYTES], state[VERIFY_STATE_BYTES];
};

static void step(uint64_t exchange, unsigned mechanism, unsigned number, const uint8_t *state, struct span message) {
    static const uint8_t none[VERIFY_STATE_BYTES];
    struct buf b = buf_over(storage, FRAME_BODY_MAX);
    wire_put_u64(&b, exchange);
    wire_put_u8(&b, (uint8_t)mechanism);
    wire_put_u8(&b, (uint8_t)number);
    wire_put_span(&b, span_of(NULL, 0));
    wire_put_span(&b, span_of(NULL, 0));
    wire_put_bytes(&b, state ? state : none, VERIFY_STATE_BYTES);
    wire_put_span(&b, message);
    cr_assert_eq(frame_send(verifier, VERIFY_STEP, buf_span(&b)), 0);
}

static void hear(uint64_t exchange, struct said *out) {
    uint8_t authorization[VERIFY_NAME_BYTES];
    struct frame frame;
    *out = (struct said){0};
    cr_assert(driver_receive(verifier, storage, &frame));
    cr_assert_eq(frame.type, VERIFY_IDENTITY);
    struct wire w = wire_over(frame.body);
    cr_assert_eq(wire_get_u64(&w), exchange);
    out->outcome = wire_get_u8(&w);
    (void)wire_get_u8(&w);
    wire_get_bytes(&w, out->name, sizeof out->name);
    wire_get_bytes(&w, authorization, sizeof authorization);
    wire_get_bytes(&w, out->tag, sizeof out->tag);
    wire_get_bytes(&w, out->fingerprint, sizeof out->fingerprint);
    size_t n = wire_get_u16(&w);
    wire_get_bytes(&w, out->challenge, VERIFY_CHALLENGE_BYTES);
    cr_assert(n == strlen(out->challenge));
    wire_get_bytes(&w, out->state, sizeof out->state);
    cr_assert(wire_end(&w));
}

static struct said plain(uint64_t exchange, const char *name, const char *password) {
    uint8_t octets[600];
    struct buf b = BUF_OVER(octets);
    struct said said;
    buf_put_octet(&b, 0);
    buf_put_text(&b, name);
    buf_put_octet(&b, 0);
    buf_put_text(&b, password);
    step(exchange, MECHANISM_PLAIN, 0, NULL, buf_span(&b));
    hear(exchange, &said);
    return said;
}

static void put_credentials(struct buf *b, uint64_t exchange, unsigned real, unsigned n, const char *hash) {
    static const uint8_t salt[VERIFY_SALT_BYTES];
    wire_put_u64(b, exchange);
    wire_put_u8(b, (uint8_t)real);
    wire_put_text(b, "alice@example.test");
    wire_put_u64(b, real ? 5 : 0);
    wire_put_bytes(b, salt, sizeof salt);
    wire_put_u16(b, (uint16_t)n);
    for (unsigned i = 0; i < n; i++) {
        wire_put_u64(b, 10 + i);
        wire_put_text(b, hash);
        wire_put_span(b, span_of(NULL, 0));
        wire_put_span(b, span_of(NULL, 0));
    }
}

static void tell(uint64_t exchange, unsigned real, unsigned n, const char *hash) {
    struct buf b = buf_over(storage, FRAME_BODY_MAX);
    put_credentials(&b, exchange, real, n, hash);
    cr_assert(buf_ok(&b) && frame_send(verifier, VERIFY_CREDENTIALS, buf_span(&b)) == 0);
}

static unsigned verdict(uint64_t exchange, uint64_t *credential_out) {
    struct frame frame;
    cr_assert(driver_receive(verifier, storage, &frame));
    cr_assert_eq(frame.type, VERIFY_RESULT);
    struct wire w = wire_over(frame.body);
    cr_assert_eq(wire_get_u64(&w), exchange);
    unsigned found = wire_get_u8(&w);
    (void)wire_get_u8(&w);
    *credential_out = wire_get_u64(&w);
    cr_expect_eq(w.rest.n, 2 + VERIFY_CHALLENGE_BYTES + VERIFY_STATE_BYTES + VERIFY_HASH_BYTES + VERIFY_SCRAM_BYTES,
                 "a result has one size");
    return found;
}

static const char *app_hash(const char *password) {
    static char hash[VERIFY_HASH_BYTES];
    cr_assert_eq(password_app_hash(span_text(password), hash), 0);
    return hash;
}

Test(verifier, a_login) {
    uint64_t credential;
    struct said said = plain(1, "alice", "device-word");
    cr_expect_eq(said.outcome, VERIFY_CHECK);
    cr_expect_str_eq(said.name, "alice");
    tell(1, 1, VERIFY_CREDENTIALS_MAX, app_hash("device-word"));
    cr_expect_eq(verdict(1, &credential), VERIFY_ACCEPTED);
    cr_expect_eq(credential, 10 + VERIFY_CREDENTIALS_MAX - 1);
    plain(2, "alice", "wrong-word");
    tell(2, 1, 1, app_hash("device-word"));
    cr_expect_eq(verdict(2, &credential), VERIFY_REJECTED);
    cr_expect_eq(credential, 0);
    plain(3, "nobody", "device-word");
    tell(3, 0, 0, "");
    cr_expect_eq(verdict(3, &credential), VERIFY_REJECTED);
    cr_expect_eq(driver_stop(&driver), 0);
}

/* One for each pair of name and password, and one for each password; of nothing else. */
Test(verifier, tags) {
    static const char *const others[][2] = {
        {"alice", "word2"}, {"bob", "word"}, {"alicew", "ord"}, {"Alice", "word"}, {"alic", "eword"}};
    static const uint8_t none[VERIFY_TAG_BYTES];
    struct said first = plain(1, "alice", "word"), again = plain(2, "alice", "word"), said;
    cr_expect_neq(memcmp(first.tag, none, sizeof none), 0);
    cr_expect_neq(memcmp(first.fingerprint, none, sizeof first.fingerprint), 0);
    cr_expect_eq(memcmp(first.tag, again.tag, sizeof first.tag), 0);
    cr_expect_eq(memcmp(first.fingerprint, again.fingerprint, sizeof first.fingerprint), 0);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        said = plain(3, others[i][0], others[i][1]);
        cr_expect_neq(memcmp(first.tag, said.tag, sizeof first.tag), 0, "%zu", i);
        cr_expect_eq(memcmp(first.fingerprint, said.fingerprint, sizeof first.fingerprint) == 0,
                     strcmp(others[i][1], "word") == 0, "%zu", i);
    }
    step(4, MECHANISM_LOGIN, 0, NULL, SPAN("alice"));
    hear(4, &said);
    cr_expect_eq(memcmp(said.tag, none, sizeof none), 0);
    step(4, MECHANISM_LOGIN, 1, said.state, SPAN("word"));
    hear(4, &said);
    cr_expect_eq(memcmp(first.tag, said.tag, sizeof first.tag), 0, "by whatever mechanism");
    step(5, MECHANISM_SCRAM, 0, NULL, SPAN("n,,n=alice,r=nonce"));
    hear(5, &said);
    cr_expect_eq(said.outcome, VERIFY_CHECK);
    cr_expect_eq(memcmp(said.tag, none, sizeof none), 0, "it shows no password");
    cr_expect_eq(memcmp(said.fingerprint, none, sizeof said.fingerprint), 0);
    cr_expect_eq(driver_stop(&driver), 0);
    start(2);
    said = plain(1, "alice", "word");
    cr_expect_neq(memcmp(first.tag, said.tag, sizeof first.tag), 0, "of the next start they are others");
    cr_expect_neq(memcmp(first.fingerprint, said.fingerprint, sizeof first.fingerprint), 0);
    cr_expect_eq(driver_stop(&driver), 0);
}

/* What a step leaves is for the next one of the same exchange. */
Test(verifier, states) {
    struct said said;
    uint8_t state[VERIFY_STATE_BYTES];
    static const struct {
        uint64_t exchange;
        unsigned mechanism, number, outcome;
    } rows[] = {{1, MECHANISM_LOGIN, 1, VERIFY_CHECK},
                {2, MECHANISM_LOGIN, 1, VERIFY_MALFORMED},
                {1, MECHANISM_LOGIN, 2, VERIFY_MALFORMED},
                {1, MECHANISM_SCRAM, 1, VERIFY_MALFORMED},
                {1, MECHANISM_NONE, 0, VERIFY_MALFORMED}};
    step(1, MECHANISM_LOGIN, 0, NULL, SPAN("alice"));
    hear(1, &said);
    cr_expect_eq(said.outcome, VERIFY_CONTINUE);
    cr_expect_str_eq(said.challenge, "Password:");
    cr_expect_str_eq(said.name, "", "it is not told yet");
    memcpy(state, said.state, sizeof state);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        step(rows[i].exchange, rows[i].mechanism, rows[i].number, state, SPAN("word"));
        hear(rows[i].exchange, &said);
        cr_expect_eq(said.outcome, rows[i].outcome, "%zu", i);
    }
    state[100] ^= 1;
    step(1, MECHANISM_LOGIN, 1, state, SPAN("word"));
    hear(1, &said);
    cr_expect_eq(said.outcome, VERIFY_MALFORMED, "an octet is another");
    cr_expect_eq(driver_stop(&driver), 0);
}

Test(verifier, forgets) {
    uint8_t octets[8];
    struct buf b = BUF_OVER(octets);
    uint64_t credential;
    plain(1, "alice", "device-word");
    wire_put_u64(&b, 1);
    cr_assert_eq(frame_send(verifier, VERIFY_FORGET, buf_span(&b)), 0);
    plain(2, "alice", "other-word");
    plain(3, "alice", "device-word"); /* the one before is forgotten with this */
    tell(3, 1, 1, app_hash("device-word"));
    cr_expect_eq(verdict(3, &credential), VERIFY_ACCEPTED);
    cr_expect_eq(driver_stop(&driver), 0);
}

/* Auth says nothing that makes no sense: a verifier that hears such a thing ends. */
static void expect_end(const char *what) {
    int status;
    cr_assert_eq(waitpid(driver.pid, &status, 0), driver.pid);
    cr_expect(WIFSIGNALED(status) || (WIFEXITED(status) && WEXITSTATUS(status) != 0), "%s", what);
    close(verifier), close(driver.control), close(driver.log);
    start(1);
}

Test(verifier, nonsense) {
    struct buf b;
    tell(1, 1, 1, app_hash("device-word"));
    expect_end("credentials of nobody that was asked for");
    plain(1, "alice", "device-word");
    tell(2, 1, 1, app_hash("device-word"));
    expect_end("credentials for another exchange");
    plain(1, "alice", "device-word");
    tell(1, 0, 1, app_hash("device-word"));
    expect_end("credentials of nobody");
    plain(1, "alice", "device-word");
    tell(1, 2, 1, app_hash("device-word"));
    expect_end("half real");
    plain(1, "alice", "device-word");
    tell(1, 1, VERIFY_CREDENTIALS_MAX + 1, app_hash("device-word"));
    expect_end("too many");
    plain(1, "alice", "device-word");
    b = buf_over(storage, FRAME_BODY_MAX);
    put_credentials(&b, 1, 1, 1, app_hash("device-word"));
    wire_put_u8(&b, 0);
    cr_assert_eq(frame_send(verifier, VERIFY_CREDENTIALS, buf_span(&b)), 0);
    expect_end("something after it");
    step(0, MECHANISM_PLAIN, 0, NULL, SPAN("x"));
    expect_end("exchange 0");
    step(1, MECHANISM_COUNT, 0, NULL, SPAN("x"));
    expect_end("a mechanism that there is not");
    cr_assert_eq(frame_send(verifier, VERIFY_FORGET, SPAN("\1\0\0\0\0\0\0\0")), 0);
    expect_end("nothing is to be forgotten");
    cr_assert_eq(frame_send(verifier, VERIFY_SETUP, SPAN("short")), 0);
    expect_end("half a key");
    cr_assert_eq(frame_send(verifier, SESSION_AUTH, SPAN("")), 0);
    expect_end("a frame of a session's");
    cr_expect_eq(driver_stop(&driver), 0);
}
