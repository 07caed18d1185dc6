/* test_verify_scram.c - SCRAM as the verifier has it: message in, name out; credentials in, verdict out.
 * Runs in: the test runner. Trusts: OpenSSL, as the client. Never: has a process of its own. */
#include "auth/scram.h"
#include "auth/verify.h"
#include "tests/unit/scram_client.h"

#include <criterion/criterion.h>

static struct verify verify = {.salt_key = {9, 8, 7}};
static const uint8_t salt[VERIFY_SALT_BYTES] = {1, 2, 3}, end_point[32] = {7, 8, 9};
static uint8_t exporter[44] = {4, 5, 6, [32] = 10, 11, 12}; /* tls-unique behind it */
static size_t exporter_n = 32;
static uint8_t name[VERIFY_NAME_BYTES - 1], authorization[VERIFY_NAME_BYTES - 1], challenge[VERIFY_CHALLENGE_BYTES],
    state[SEAL_CLEAR_MAX], kept[SEAL_CLEAR_MAX];
static struct verify_identity identity;
static struct verify_result result;
static struct verify_credentials credentials;
static uint8_t keys_of_first[VERIFY_SCRAM_BYTES], keys_of_second[VERIFY_SCRAM_BYTES];
static size_t kept_n;
static struct scram_client client;

static void put_keys(const char *password, uint8_t out[VERIFY_SCRAM_BYTES]) {
    struct scram_keys keys;
    scram_keys_make(span_text(password), span_of(salt, sizeof salt), SCRAM_ITERATIONS, &keys);
    memcpy(out, keys.stored, 32), memcpy(out + 32, keys.server, 32);
}

/* A user with a credential without keys and two with. */
static void begin(void) {
    put_keys("pencil", keys_of_first);
    put_keys("crayon", keys_of_second);
    credentials = (struct verify_credentials){.real = true,
                                              .login = SPAN("alice@example.test"),
                                              .user_id = 5,
                                              .has_salt = true,
                                              .n = 3,
                                              .list = {{.id = 10, .hash = "x"},
                                                       {.id = 11, .scram = {keys_of_first, VERIFY_SCRAM_BYTES}},
                                                       {.id = 12, .scram = {keys_of_second, VERIFY_SCRAM_BYTES}}}};
    memcpy(credentials.salt, salt, sizeof salt);
}

static void end(void) {
    verify_scram.forget();
}

TestSuite(verify_scram, .init = begin, .fini = end);

static enum verify_outcome read(unsigned mechanism, unsigned step, struct span message, bool bound) {
    uint8_t octets[VERIFY_MESSAGE_MAX], bindings[76];
    struct verify_message in = {.mechanism = mechanism, .step = step};
    if (message.n) memcpy(octets, message.p, message.n);
    in.message = span_of(octets, message.n);
    memcpy(bindings, exporter, 44), memcpy(bindings + 44, end_point, 32);
    if (bound) in.exporter = span_of(bindings, exporter_n), in.end_point = span_of(bindings + 44, 32);
    in.state = step ? span_of(kept, kept_n) : span_of(NULL, 0);
    identity = (struct verify_identity){.name = BUF_OVER(name),
                                        .authorization = BUF_OVER(authorization),
                                        .challenge = BUF_OVER(challenge),
                                        .state = BUF_OVER(state)};
    enum verify_outcome outcome = verify_scram.read(&verify, &in, &identity);
    memset(octets, 0xee, sizeof octets), memset(bindings, 0xee, sizeof bindings); /* the frame is gone */
    if (outcome != VERIFY_CHECK) verify_scram.forget();
    return outcome;
}

static enum verify_verdict check(void) {
    result = (struct verify_result){.challenge = BUF_OVER(challenge), .state = BUF_OVER(state)};
    enum verify_verdict verdict = verify_scram.check(&verify, &credentials, &result);
    verify_scram.forget();
    if (verdict != VERIFY_GOES_ON) return verdict;
    kept_n = result.state.n;
    memcpy(kept, state, kept_n);
    return verdict;
}

static struct span challenged(unsigned mechanism, const char *header, const char *as) {
    cr_assert_eq(read(mechanism, 0, scram_client_first(&client, header, as), mechanism == MECHANISM_SCRAM_PLUS),
                 VERIFY_CHECK);
    cr_assert_eq(check(), VERIFY_GOES_ON);
    return buf_span(&result.challenge);
}

static enum verify_verdict answered(unsigned mechanism, const char *header, const char *password,
                                    struct span binding) {
    struct span asked = challenged(mechanism, header, "alice@example.test");
    struct span final = scram_client_final(&client, asked, password, binding);
    cr_assert_eq(read(mechanism, 1, final, mechanism == MECHANISM_SCRAM_PLUS), VERIFY_CHECK);
    return check();
}

Test(verify_scram, right_by_each_credential) {
    cr_expect_eq(answered(MECHANISM_SCRAM, "n,,", "pencil", span_of(NULL, 0)), VERIFY_LAST);
    cr_expect_eq(result.credential_id, 11);
    cr_expect(scram_client_believes(&client, buf_span(&result.challenge)));
    cr_expect_eq(answered(MECHANISM_SCRAM, "n,,", "crayon", span_of(NULL, 0)), VERIFY_LAST);
    cr_expect_eq(result.credential_id, 12);
    cr_expect(scram_client_believes(&client, buf_span(&result.challenge)));
    cr_expect_eq(answered(MECHANISM_SCRAM_PLUS, "p=tls-exporter,,", "crayon", span_of(exporter, 32)), VERIFY_LAST);
    cr_expect_eq(result.credential_id, 12);
    cr_expect_eq(answered(MECHANISM_SCRAM_PLUS, "p=tls-server-end-point,,", "pencil", span_of(end_point, 32)),
                 VERIFY_LAST);
    cr_expect(scram_client_believes(&client, buf_span(&result.challenge)));
    exporter_n = 44; /* under TLS 1.2 */
    cr_expect_eq(answered(MECHANISM_SCRAM_PLUS, "p=tls-unique,,", "pencil", span_of(exporter + 32, 12)), VERIFY_LAST);
    cr_expect_eq(answered(MECHANISM_SCRAM_PLUS, "p=tls-exporter,,", "pencil", span_of(exporter, 32)), VERIFY_LAST);
}

Test(verify_scram, names_are_prepared) {
    cr_assert_eq(read(MECHANISM_SCRAM, 0, scram_client_first(&client, "n,a=b=2Cob,", "\uff41lice\uff20ex=3D"), false),
                 VERIFY_CHECK);
    cr_expect(span_equal(buf_span(&identity.name), SPAN("alice@ex=")));
    cr_expect(span_equal(buf_span(&identity.authorization), SPAN("b,ob")));
    cr_expect_eq(identity.password.n, 0);
    cr_assert_eq(check(), VERIFY_GOES_ON);
    /* And again with the proof. */
    struct span final = scram_client_final(&client, buf_span(&result.challenge), "pencil", span_of(NULL, 0));
    cr_assert_eq(read(MECHANISM_SCRAM, 1, final, false), VERIFY_CHECK);
    cr_expect(span_equal(buf_span(&identity.name), SPAN("alice@ex=")));
    cr_expect(span_equal(buf_span(&identity.authorization), SPAN("b,ob")));
    cr_expect_eq(read(MECHANISM_SCRAM, 0, scram_client_first(&client, "n,,", "a\u200bb"), false), VERIFY_DENIED);
    cr_expect_eq(read(MECHANISM_SCRAM, 0, scram_client_first(&client, "n,a=a\u200bb,", "alice"), false),
                 VERIFY_DENIED);
}

Test(verify_scram, wrong) {
    cr_expect_eq(answered(MECHANISM_SCRAM, "n,,", "pencils", span_of(NULL, 0)), VERIFY_REJECTED);
    cr_expect_eq(result.why, VERIFY_WHY_NONE);
    cr_expect_eq(result.challenge.n, 0);
    /* Right, for a user who has no keys. */
    credentials.list[1].scram.n = credentials.list[2].scram.n = 0;
    cr_expect_eq(answered(MECHANISM_SCRAM, "n,,", "pencil", span_of(NULL, 0)), VERIFY_REJECTED);
    cr_expect_eq(result.why, VERIFY_WHY_NO_KEYS);
    /* Nobody. */
    credentials = (struct verify_credentials){.login = SPAN("nobody@example.test")};
    cr_expect_eq(answered(MECHANISM_SCRAM, "n,,", "pencil", span_of(NULL, 0)), VERIFY_REJECTED);
    cr_expect_eq(result.why, VERIFY_WHY_NONE);
}

Test(verify_scram, bindings) {
    static const struct {
        unsigned mechanism;
        const char *header;
        bool bound;
        enum verify_outcome outcome;
        enum verify_why why;
    } rows[] = {
        {MECHANISM_SCRAM, "n,,", false, VERIFY_CHECK, VERIFY_WHY_NONE},
        {MECHANISM_SCRAM, "n,,", true, VERIFY_CHECK, VERIFY_WHY_NONE},
        {MECHANISM_SCRAM, "y,,", false, VERIFY_CHECK, VERIFY_WHY_NONE},
        {MECHANISM_SCRAM, "y,,", true, VERIFY_DENIED, VERIFY_WHY_DOWNGRADE},
        {MECHANISM_SCRAM, "p=tls-exporter,,", true, VERIFY_MALFORMED, VERIFY_WHY_NONE},
        {MECHANISM_SCRAM_PLUS, "n,,", true, VERIFY_MALFORMED, VERIFY_WHY_NONE},
        {MECHANISM_SCRAM_PLUS, "y,,", true, VERIFY_MALFORMED, VERIFY_WHY_NONE},
        {MECHANISM_SCRAM_PLUS, "p=tls-exporter,,", true, VERIFY_CHECK, VERIFY_WHY_NONE},
        {MECHANISM_SCRAM_PLUS, "p=tls-exporter,,", false, VERIFY_DENIED, VERIFY_WHY_BINDING},
        {MECHANISM_SCRAM_PLUS, "p=tls-server-end-point,,", true, VERIFY_CHECK, VERIFY_WHY_NONE},
        {MECHANISM_SCRAM_PLUS, "p=tls-unique,,", true, VERIFY_DENIED, VERIFY_WHY_BINDING},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct span first = scram_client_first(&client, rows[i].header, "alice");
        cr_expect_eq(read(rows[i].mechanism, 0, first, rows[i].bound), rows[i].outcome, "%zu", i);
        cr_expect_eq(identity.why, rows[i].why, "%zu", i);
    }
    /* The exporter of another connection: who relays the exchange is found out. */
    struct span asked = challenged(MECHANISM_SCRAM_PLUS, "p=tls-exporter,,", "alice@example.test");
    struct span final = scram_client_final(&client, asked, "pencil", span_of(end_point, 32));
    cr_expect_eq(read(MECHANISM_SCRAM_PLUS, 1, final, true), VERIFY_DENIED);
    cr_expect_eq(identity.why, VERIFY_WHY_BINDING);
    final = scram_client_final(&client, asked, "pencil", span_of(exporter, 32));
    cr_expect_eq(read(MECHANISM_SCRAM_PLUS, 1, final, false), VERIFY_DENIED);
    cr_expect_eq(read(MECHANISM_SCRAM_PLUS, 1, final, true), VERIFY_CHECK);
}

Test(verify_scram, messages) {
    uint8_t large[VERIFY_MESSAGE_MAX] = "n,,n=alice,r=abc,x=";
    memset(large + 19, 'x', sizeof large - 19);
    cr_expect_eq(read(MECHANISM_SCRAM, 0, span_of(NULL, 0), false), VERIFY_MALFORMED);
    cr_expect_eq(read(MECHANISM_SCRAM, 0, SPAN("n,,n=alice"), false), VERIFY_MALFORMED);
    cr_expect_eq(read(MECHANISM_SCRAM, 0, span_of(large, SCRAM_FIRST_MAX), false), VERIFY_CHECK);
    cr_expect_eq(read(MECHANISM_SCRAM, 0, span_of(large, SCRAM_FIRST_MAX + 1), false), VERIFY_MALFORMED);
    cr_expect_eq(read(MECHANISM_SCRAM, 0, span_of(large, sizeof large), false), VERIFY_MALFORMED);
    struct span asked = challenged(MECHANISM_SCRAM, "n,,", "alice");
    struct span final = scram_client_final(&client, asked, "pencil", span_of(NULL, 0));
    cr_expect_eq(read(MECHANISM_SCRAM, 2, final, false), VERIFY_MALFORMED);
    cr_expect_eq(read(MECHANISM_SCRAM, 1, SPAN("c=biws"), false), VERIFY_MALFORMED);
    cr_expect_eq(read(MECHANISM_SCRAM, 1, final, false), VERIFY_CHECK);
    kept_n--;
    cr_expect_eq(read(MECHANISM_SCRAM, 1, final, false), VERIFY_MALFORMED);
    /* Another nonce than ours: an old message. */
    memcpy(large, final.p, final.n);
    (void)challenged(MECHANISM_SCRAM, "n,,", "alice");
    cr_expect_eq(read(MECHANISM_SCRAM, 1, span_of(large, final.n), false), VERIFY_DENIED);
    cr_expect_eq(identity.why, VERIFY_WHY_NONE);
}

static struct span salt_told(const char *login, bool real) {
    static char text[2][64];
    static unsigned turn;
    char *out = text[turn++ % 2];
    credentials.login = span_text(login);
    credentials.real = credentials.has_salt = real;
    if (!real) credentials.n = 0;
    struct span asked = challenged(MECHANISM_SCRAM, "n,,", login), rest = span_from(asked, span_find(asked, ',') + 1);
    size_t n = span_find(rest, ',');
    cr_expect(span_equal(span_from(rest, n), SPAN(",i=10000")));
    cr_assert_lt(n, 64);
    memcpy(out, rest.p, n);
    return span_of(out, n);
}

/* Nobody's salt is as steady as somebody's, and as long. */
Test(verify_scram, salts) {
    struct span somebody = salt_told("alice@example.test", true);
    cr_expect(span_equal(somebody, SPAN("s=AQIDAAAAAAAAAAAAAAAAAA==")));
    cr_expect(span_equal(salt_told("nobody@example.test", false), salt_told("nobody@example.test", false)));
    cr_expect_not(span_equal(salt_told("nobody@example.test", false), salt_told("nobodi@example.test", false)));
    cr_expect_eq(salt_told("nobody@example.test", false).n, somebody.n);
}

Test(verify_scram, nonces_differ) {
    uint8_t first[256];
    struct span asked = challenged(MECHANISM_SCRAM, "n,,", "alice");
    size_t n = span_find(asked, ',');
    memcpy(first, asked.p, n);
    asked = challenged(MECHANISM_SCRAM, "n,,", "alice");
    /* The last 32 are ours. */
    cr_expect_not(span_equal(span_part(asked, span_find(asked, ',') - 32, 32), span_of(first + n - 32, 32)));
}
