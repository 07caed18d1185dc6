/* test_verify_password.c - PLAIN and LOGIN as the verifier has them: which credential a password is, and what is made
 * anew. */
#include "auth/password.h"
#include "auth/password_app.h"
#include "auth/scram.h"
#include "auth/verify.h"

#include <criterion/criterion.h>
#include <time.h>

static struct verify verify = {.setup = {.argon2_memory_bytes = 2 << 20, .argon2_passes = 1}};
static const uint8_t salt[VERIFY_SALT_BYTES] = {1, 2, 3};
static uint8_t name[VERIFY_NAME_BYTES - 1], authorization[VERIFY_NAME_BYTES - 1], challenge[VERIFY_CHALLENGE_BYTES],
    state[SEAL_CLEAR_MAX], keys[VERIFY_SCRAM_BYTES];
static struct verify_identity identity;
static struct verify_result result;
static struct verify_credentials credentials;

static void begin(void) {
    cr_assert_eq(password_hash(SPAN("dummy"), 1 << 20, 1, verify.dummy), 0);
    memset(keys, 1, sizeof keys);
    credentials = (struct verify_credentials){
        .real = true, .login = SPAN("alice@example.test"), .user_id = 5, .has_salt = true};
    memcpy(credentials.salt, salt, sizeof salt);
}

static void end(void) {
    verify_plain.forget();
}

TestSuite(verify_password, .init = begin, .fini = end);

static struct verify_credential *add(int64_t id, const char *password, bool app) {
    struct verify_credential *credential = &credentials.list[credentials.n++];
    struct span octets = span_text(password);
    *credential = (struct verify_credential){.id = id, .scram = span_of(keys, sizeof keys)};
    cr_assert_eq(app ? password_app_hash(octets, credential->hash)
                     : password_hash(octets, verify.setup.argon2_memory_bytes, 1, credential->hash),
                 0);
    return credential;
}

static enum verify_outcome read(const struct verify_mechanism *mechanism, unsigned step, struct span octets,
                                struct span before) {
    uint8_t storage[VERIFY_MESSAGE_MAX];
    if (octets.n) memcpy(storage, octets.p, octets.n);
    struct verify_message message = {.step = step, .state = before, .message = span_of(storage, octets.n)};
    identity = (struct verify_identity){.name = BUF_OVER(name),
                                        .authorization = BUF_OVER(authorization),
                                        .challenge = BUF_OVER(challenge),
                                        .state = BUF_OVER(state)};
    enum verify_outcome outcome = mechanism->read(&verify, &message, &identity);
    memset(storage, 0xee, sizeof storage); /* the frame is gone */
    return outcome;
}

static enum verify_verdict check(void) {
    result = (struct verify_result){.challenge = BUF_OVER(challenge), .state = BUF_OVER(state)};
    enum verify_verdict verdict = verify_plain.check(&verify, &credentials, &result);
    verify_plain.forget();
    return verdict;
}

static enum verify_verdict try(const char *password) {
    uint8_t storage[512];
    struct buf b = BUF_OVER(storage);
    buf_put(&b, "\0alice\0", 7);
    buf_put_text(&b, password);
    cr_assert_eq(read(&verify_plain, 0, buf_span(&b), span_of(NULL, 0)), VERIFY_CHECK);
    return check();
}

static bool makes_keys(const char *password) {
    struct scram_keys made;
    scram_keys_make(span_text(password), span_of(salt, sizeof salt), SCRAM_ITERATIONS, &made);
    return memcmp(result.new_scram, made.stored, 32) == 0 && memcmp(result.new_scram + 32, made.server, 32) == 0;
}

static bool makes_no_keys(void) {
    static const uint8_t none[VERIFY_SCRAM_BYTES];
    return memcmp(result.new_scram, none, sizeof none) == 0;
}

Test(verify_password, plain) {
    cr_assert_eq(read(&verify_plain, 0, span_of("bob\0alice\0secret", 16), span_of(NULL, 0)), VERIFY_CHECK);
    cr_expect(span_equal(buf_span(&identity.name), SPAN("alice")));
    cr_expect(span_equal(buf_span(&identity.authorization), SPAN("bob")));
    cr_expect(span_equal(identity.password, SPAN("secret")));
    cr_expect_eq(read(&verify_plain, 1, span_of("\0alice\0secret", 13), span_of(NULL, 0)), VERIFY_MALFORMED);
    cr_expect_eq(read(&verify_plain, 0, SPAN("alice"), span_of(NULL, 0)), VERIFY_MALFORMED);
    cr_expect_eq(read(&verify_plain, 0, span_of(NULL, 0), span_of(NULL, 0)), VERIFY_MALFORMED);
    cr_expect_eq(read(&verify_plain, 0, span_of("\0\xe2\x80\x8b\0secret", 11), span_of(NULL, 0)), VERIFY_DENIED,
                 "nobody has an invisible name");
}

Test(verify_password, login) {
    cr_assert_eq(read(&verify_login, 0, SPAN("alice"), span_of(NULL, 0)), VERIFY_CONTINUE);
    cr_expect(span_equal(buf_span(&identity.challenge), SPAN("Password:")));
    cr_expect(span_equal(buf_span(&identity.state), SPAN("alice")));
    cr_assert_eq(read(&verify_login, 1, SPAN("secret"), SPAN("alice")), VERIFY_CHECK);
    cr_expect(span_equal(buf_span(&identity.name), SPAN("alice")));
    cr_expect(span_equal(identity.password, SPAN("secret")));
    cr_expect_eq(read(&verify_login, 0, span_of(NULL, 0), span_of(NULL, 0)), VERIFY_MALFORMED);
    cr_expect_eq(read(&verify_login, 1, span_of(NULL, 0), SPAN("alice")), VERIFY_MALFORMED);
    cr_expect_eq(read(&verify_login, 2, SPAN("secret"), SPAN("alice")), VERIFY_MALFORMED);
}

Test(verify_password, which_credential) {
    add(10, "mailbox word", false);
    add(11, "first device", true);
    add(12, "second device", true);
    static const struct {
        const char *password;
        int64_t id;
    } rows[] = {{"mailbox word", 10}, {"first device", 11}, {"second device", 12}, {"no device", 0}, {"dummy", 0}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        cr_expect_eq(try(rows[i].password), rows[i].id ? VERIFY_ACCEPTED : VERIFY_REJECTED, "%zu", i);
        cr_expect_eq(result.credential_id, rows[i].id);
        cr_expect(result.new_hash[0] == 0 && makes_no_keys(), "nothing is to be made anew");
    }
}

Test(verify_password, nobody) {
    credentials.real = false;
    cr_expect_eq(try("dummy"), VERIFY_REJECTED, "the hash of nobody opens nothing");
    add(11, "first device", true); /* no mailbox password */
    credentials.real = true;
    cr_expect_eq(try("dummy"), VERIFY_REJECTED);
    cr_expect_eq(try("first device"), VERIFY_ACCEPTED);
}

Test(verify_password, what_is_made_anew) {
    struct verify_credential *mailbox = add(10, "mailbox word", false);
    struct verify_credential *app = add(11, "first device", true);
    mailbox->scram.n = app->scram.n = 0;
    cr_assert_eq(try("mailbox word"), VERIFY_ACCEPTED);
    cr_expect(result.new_hash[0] == 0 && makes_keys("mailbox word"));
    cr_assert_eq(try("first device"), VERIFY_ACCEPTED);
    cr_expect(result.new_hash[0] == 0 && makes_keys("first device"));
    cr_assert_eq(try("wrong"), VERIFY_REJECTED);
    cr_expect(result.new_hash[0] == 0 && makes_no_keys());
    credentials.has_salt = false;
    cr_assert_eq(try("mailbox word"), VERIFY_ACCEPTED);
    cr_expect(makes_no_keys(), "without the user's salt");
    /* Another cost. */
    credentials.has_salt = true;
    mailbox->scram = span_of(keys, sizeof keys);
    cr_assert_eq(password_hash(SPAN("mailbox word"), 1 << 20, 1, mailbox->hash), 0);
    cr_assert_eq(try("mailbox word"), VERIFY_ACCEPTED);
    cr_expect(makes_no_keys());
    cr_expect(password_check(SPAN("mailbox word"), result.new_hash));
    cr_expect_str_neq(result.new_hash, mailbox->hash);
}

#define COMPOSED                                                                                                     \
    "\xc3\xbc"                                                                                                       \
    "zzzz"
#define DECOMPOSED                                                                                                   \
    "u\xcc\x88"                                                                                                      \
    "zzzz"

/* A hash of what was typed, by a keyboard that composes letters otherwise, or that RFC 8265 does not allow at all. */
Test(verify_password, forms_of_a_password) {
    add(10, DECOMPOSED, false);
    cr_expect_eq(try(COMPOSED), VERIFY_REJECTED, "the other form is another password as long as the hash is old");
    cr_assert_eq(try(DECOMPOSED), VERIFY_ACCEPTED);
    cr_expect(password_check(SPAN(COMPOSED), result.new_hash), "and from then on it is in the one form");
    credentials.n = 0;
    add(10, COMPOSED, false);
    cr_expect_eq(try(DECOMPOSED), VERIFY_ACCEPTED);
    cr_expect_eq(result.new_hash[0], 0);
    credentials.n = 0;
    add(10, "tab\tword", false)->scram.n = 0;
    cr_expect_eq(try("tab\tword"), VERIFY_ACCEPTED);
    cr_expect(result.new_hash[0] == 0 && makes_no_keys(), "it stays as it is");
    cr_expect_eq(try("tab\tword2"), VERIFY_REJECTED);
}

/* ---- work */

static int64_t processor_ns(void) {
    struct timespec now;
    cr_assert_eq(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now), 0);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static int64_t work_of(const char *hash, const char *password) {
    credentials = (struct verify_credentials){0};
    if (hash) memcpy(add(7, "unused", false)->hash, hash, strlen(hash) + 1);
    int64_t began = processor_ns();
    cr_expect_eq(try(password), 0);
    return processor_ns() - began;
}

enum { WHOSE = 4, ROUNDS = 9, TRIES = 8 };

/* Whether the work for each of the hashes, the first being nobody's, is about the same, and for two forms of a
 * password more. The least of several counts, taken in turns: a busy machine only adds, and to all alike. */
static bool is_even(const char *const hashes[WHOSE], int64_t one[WHOSE], int64_t two[WHOSE]) {
    for (size_t i = 0; i < WHOSE; i++) one[i] = two[i] = INT64_MAX;
    for (size_t round = 0; round < ROUNDS * WHOSE; round++) {
        size_t i = round % WHOSE;
        int64_t took = work_of(hashes[i], "another-word"), both = work_of(hashes[i], "anothe\u0301r-word");
        if (took < one[i]) one[i] = took;
        if (both < two[i]) two[i] = both;
    }
    bool even = two[0] > one[0] * 3 / 2;
    for (size_t i = 1; i < WHOSE; i++)
        even = even && one[i] > one[0] / 2 && one[i] < one[0] * 2 && two[i] > two[0] / 2 && two[i] < two[0] * 2;
    return even;
}

/* Whoever it is, a wrong password costs about what nobody's does; and two forms of one twice that. Work that is left
 * out is missing in each try; what another process does to a processor's caches is not. */
Test(verify_password, cheap_hashes_are_made_up_for) {
    char mailbox[VERIFY_HASH_BYTES], cheap[VERIFY_HASH_BYTES];
    int64_t one[WHOSE], two[WHOSE];
    cr_assert_eq(password_hash(SPAN("dummy"), verify.setup.argon2_memory_bytes, 1, verify.dummy), 0);
    cr_assert_eq(password_hash(SPAN("secret-word"), verify.setup.argon2_memory_bytes, 1, mailbox), 0);
    cr_assert_eq(password_hash(SPAN("secret-word"), 1 << 18, 1, cheap), 0);
    const char *const hashes[WHOSE] = {NULL, mailbox, cheap, "{SSHA}h1iLDvMZGyP+YTi2ELRGDSKVOwdzYWx0"};
    bool even = false;
    for (int i = 0; i < TRIES && !even; i++) even = is_even(hashes, one, two);
    for (size_t i = 0; i < WHOSE; i++) cr_expect(even, "hash %zu: %jd ns, both forms %jd", i, one[i], two[i]);
}
