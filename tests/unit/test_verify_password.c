/* test_verify_password.c - which credential a password is of, whatever stands beside it. */
#include "auth/password.h"
#include "auth/password_app.h"
#include "auth/verify.h"

#include <criterion/criterion.h>
#include <time.h>

static struct verify verify;
static struct verify_credentials credentials;
static char mailbox[VERIFY_HASH_BYTES];

static void begin(void) {
    verify.setup = (struct verifier_setup){.argon2_memory_bytes = 1 << 20, .argon2_passes = 1};
    cr_assert_eq(password_hash(SPAN("nobody's"), 1 << 20, 1, verify.dummy), 0);
    cr_assert_eq(password_hash(SPAN("secret-word"), 1 << 20, 1, mailbox), 0);
}

TestSuite(verify_password, .init = begin, .timeout = 60);

static void add(int64_t id, const char *hash) {
    struct verify_credential *credential = &credentials.list[credentials.n++];
    credential->id = id;
    strcpy(credential->hash, hash);
    credentials.real = true;
}

static void add_app(int64_t id, const char *password) {
    char hash[VERIFY_HASH_BYTES];
    cr_assert_eq(password_app_hash(span_text(password), hash), 0);
    add(id, hash);
}

/* The credential that opens, or 0. */
static int64_t try(const char *password) {
    uint8_t storage[600], name[VERIFY_NAME_BYTES], authorization[VERIFY_NAME_BYTES];
    struct buf b = BUF_OVER(storage);
    struct verify_identity identity = {.name = BUF_OVER(name), .authorization = BUF_OVER(authorization)};
    struct verify_result result = {0};
    buf_put(&b, "\0alice", 6);
    buf_put_octet(&b, 0);
    buf_put_text(&b, password);
    struct verify_message message = {.mechanism = MECHANISM_PLAIN, .message = buf_span(&b)};
    cr_assert_eq(verify_plain.read(&verify, &message, &identity), VERIFY_CHECK);
    cr_expect(span_equal(buf_span(&identity.name), SPAN("alice")));
    enum verify_verdict verdict = verify_plain.check(&verify, &credentials, &result);
    verify_plain.forget();
    cr_expect_eq(verdict == VERIFY_ACCEPTED, result.credential_id != 0);
    return verdict == VERIFY_ACCEPTED ? result.credential_id : 0;
}

Test(verify_password, mailbox_and_apps) {
    add(7, mailbox);
    add_app(8, "abcde-fghij-kmnpq-rstuv");
    add_app(9, "zzzzz-fghij-kmnpq-rstuv");
    cr_expect_eq(try("secret-word"), 7);
    cr_expect_eq(try("abcde-fghij-kmnpq-rstuv"), 8);
    cr_expect_eq(try("zzzzz-fghij-kmnpq-rstuv"), 9);
    cr_expect_eq(try("yyyyy-fghij-kmnpq-rstuv"), 0);
    cr_expect_eq(try("nobody's"), 0);
}

/* The hash of nobody is worked out, and opens nothing. */
Test(verify_password, apps_alone) {
    add_app(8, "abcde-fghij-kmnpq-rstuv");
    cr_expect_eq(try("abcde-fghij-kmnpq-rstuv"), 8);
    cr_expect_eq(try("nobody's"), 0);
    cr_expect_eq(try("secret-word"), 0);
}

Test(verify_password, nobody) {
    cr_expect_eq(try("nobody's"), 0);
    cr_expect_eq(try("secret-word"), 0);
}

/* ---- work */

static int64_t processor_ns(void) {
    struct timespec now;
    cr_assert_eq(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now), 0);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* The least of several, since a busy machine only adds. */
static int64_t work_of(const char *hash, const char *password) {
    int64_t least = INT64_MAX;
    for (int i = 0; i < 9; i++) {
        credentials = (struct verify_credentials){0};
        if (hash) add(7, hash);
        int64_t began = processor_ns();
        cr_expect_eq(try(password), 0);
        int64_t took = processor_ns() - began;
        if (took < least) least = took;
    }
    return least;
}

/* Whoever it is, a wrong password costs about what nobody's does; and two forms of one twice that. */
Test(verify_password, cheap_hashes_are_made_up_for) {
    char cheap[VERIFY_HASH_BYTES];
    cr_assert_eq(password_hash(SPAN("secret-word"), 1 << 18, 1, cheap), 0);
    int64_t nobody = work_of(NULL, "another-word"), twice = work_of(NULL, "anothe\u0301r-word");
    const char *hashes[] = {mailbox, cheap, "{SSHA}h1iLDvMZGyP+YTi2ELRGDSKVOwdzYWx0"};
    cr_expect_gt(twice, nobody * 3 / 2);
    for (size_t i = 0; i < sizeof hashes / sizeof *hashes; i++) {
        int64_t one = work_of(hashes[i], "another-word"), two = work_of(hashes[i], "anothe\u0301r-word");
        cr_expect(one > nobody / 2 && one < nobody * 2, "hash %zu: %jd ns, nobody's %jd", i, one, nobody);
        cr_expect(two > twice / 2 && two < twice * 2, "hash %zu: %jd ns, nobody's %jd", i, two, twice);
    }
}
