/* test_verify_ntlm.c - NTLM as a mechanism of the verifier: both messages, and what credentials they fit. */
#include "auth/verify.h"
#include "tests/unit/ntlm_client.h"

#include <criterion/criterion.h>

#define LOGIN SPAN("alice@example.test")

static struct verify verify = {
    .setup = {.ntlm = 1, .hostname = {(const uint8_t *)"mail.example.test", 17}, .nt_key = {1, 2, 3}}};
static uint8_t negotiate_octets[64], answer_octets[2048], sealed[4][NT_SEALED_BYTES];

/* What a step came to, with storage as the dispatcher gives it. */
static struct {
    uint8_t name[VERIFY_NAME_BYTES - 1], authorization[VERIFY_NAME_BYTES - 1], challenge[VERIFY_CHALLENGE_BYTES],
        state[SEAL_CLEAR_MAX];
    struct verify_identity identity;
} got;

static enum verify_outcome take(unsigned step, struct span state, struct span end_point, struct span message) {
    struct verify_message in = {
        .mechanism = MECHANISM_NTLM, .step = step, .state = state, .end_point = end_point, .message = message};
    got.identity = (struct verify_identity){.name = BUF_OVER(got.name),
                                            .authorization = BUF_OVER(got.authorization),
                                            .challenge = BUF_OVER(got.challenge),
                                            .state = BUF_OVER(got.state)};
    return verify_ntlm.read(&verify, &in, &got.identity);
}

/* The first step; the state and the challenge that it left. */
static struct span begin(uint8_t state_storage[SEAL_CLEAR_MAX], struct ntlm_kept *kept_out) {
    struct buf b = BUF_OVER(negotiate_octets);
    ntlm_client_negotiate(&b, NTLM_CLIENT_FLAGS);
    cr_assert_eq(take(0, span_of(NULL, 0), SPAN(""), buf_span(&b)), VERIFY_CONTINUE);
    cr_assert(buf_ok(&got.identity.challenge) && buf_ok(&got.identity.state));
    memcpy(state_storage, got.state, got.identity.state.n);
    struct span state = span_of(state_storage, got.identity.state.n);
    cr_assert(ntlm_kept_get(state, kept_out));
    cr_assert(span_equal(kept_out->challenge, buf_span(&got.identity.challenge)));
    return state;
}

/* Both steps by this client. */
static enum verify_outcome exchange(const struct ntlm_client *client, struct span end_point) {
    uint8_t storage[SEAL_CLEAR_MAX];
    struct ntlm_kept kept;
    struct span state = begin(storage, &kept);
    struct buf b = BUF_OVER(answer_octets);
    ntlm_client_answer(&b, client, kept.negotiate, kept.challenge);
    return take(1, state, end_point, buf_span(&b));
}

static struct span seal(size_t i, const char *login, const char *password) {
    uint8_t hash[NT_HASH_BYTES];
    cr_assert(nt_hash_make(span_text(password), hash));
    cr_assert(nt_hash_seal(verify.setup.nt_key, span_text(login), hash, sealed[i]));
    return span_of(sealed[i], sizeof sealed[i]);
}

static struct verify_result check(const struct verify_credentials *credentials, enum verify_verdict expected) {
    struct verify_result result = {0};
    cr_expect_eq(verify_ntlm.check(&verify, credentials, &result), expected);
    verify_ntlm.forget();
    return result;
}

static const struct ntlm_client alice = {
    .user = "alice@example.test", .domain = "", .password = "secret-word", .mic = true};

Test(verify_ntlm, accepted) {
    struct verify_credentials credentials = {.real = true, .login = LOGIN, .n = 3};
    credentials.list[0] = (struct verify_credential){.id = 7}; /* without an NT hash */
    credentials.list[1] = (struct verify_credential){.id = 8, .nt = seal(0, "alice@example.test", "another-word")};
    credentials.list[2] = (struct verify_credential){.id = 9, .nt = seal(1, "alice@example.test", "secret-word")};
    cr_assert_eq(exchange(&alice, SPAN("")), VERIFY_CHECK);
    cr_expect(span_equal(buf_span(&got.identity.name), LOGIN));
    cr_expect_eq(got.identity.authorization.n, 0);
    cr_expect_eq(got.identity.password.n, 0);
    struct verify_result result = check(&credentials, VERIFY_ACCEPTED);
    cr_expect_eq(result.credential_id, 9);
    cr_expect_eq(result.why, VERIFY_WHY_NONE);
    cr_expect_eq(result.new_hash[0], 0);
}

Test(verify_ntlm, rejected) {
    static const uint8_t other_key[NT_KEY_BYTES] = {9};
    uint8_t hash[NT_HASH_BYTES], by_other_key[NT_SEALED_BYTES];
    cr_assert(nt_hash_make(SPAN("secret-word"), hash));
    cr_assert(nt_hash_seal(other_key, LOGIN, hash, by_other_key));
    struct span right = seal(0, "alice@example.test", "secret-word");
    const struct {
        const char *what;
        struct span nt;
        bool real;
        enum verify_why why;
    } rows[] = {
        {"wrong password", seal(1, "alice@example.test", "another-word"), true, VERIFY_WHY_NONE},
        {"another user's hash", seal(2, "bob@example.test", "secret-word"), true, VERIFY_WHY_NONE},
        {"sealed with another key", {by_other_key, sizeof by_other_key}, true, VERIFY_WHY_NONE},
        {"cut", span_part(right, 0, right.n - 1), true, VERIFY_WHY_NONE},
        {"not enrolled", {NULL, 0}, true, VERIFY_WHY_NOT_ENROLLED},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct verify_credentials credentials = {.real = rows[i].real, .login = LOGIN, .n = 1};
        credentials.list[0] = (struct verify_credential){.id = 7, .nt = rows[i].nt};
        cr_assert_eq(exchange(&alice, SPAN("")), VERIFY_CHECK);
        struct verify_result result = check(&credentials, VERIFY_REJECTED);
        cr_expect_eq(result.why, rows[i].why, "%s", rows[i].what);
        cr_expect_eq(result.credential_id, 0, "%s", rows[i].what);
    }
    struct verify_credentials nobody = {.login = LOGIN};
    cr_assert_eq(exchange(&alice, SPAN("")), VERIFY_CHECK);
    cr_expect_eq(check(&nobody, VERIFY_REJECTED).why, VERIFY_WHY_NONE);
}

/* A hash that does not open counts as zeros in the work: who knows that must not come in by it. */
Test(verify_ntlm, zeros_are_no_hash) {
    static const uint8_t zeros[NT_HASH_BYTES];
    uint8_t storage[SEAL_CLEAR_MAX], key[NTLM_KEY_BYTES], proof[NTLM_PROOF_BYTES];
    struct verify_credentials credentials = {.real = true, .login = LOGIN, .n = 1};
    struct ntlm_kept kept;
    struct ntlm_answer answer;
    struct span state = begin(storage, &kept);
    struct ntlm_client client = alice;
    struct buf b = BUF_OVER(answer_octets);
    client.mic = false;
    ntlm_client_answer(&b, &client, kept.negotiate, kept.challenge);
    cr_assert_eq(ntlm_answer_read(buf_span(&b), &kept, &answer), NTLM_V2);
    ntlm_proof_key(zeros, answer.user, answer.domain, key);
    ntlm_proof_make(key, ntlm_server_challenge(kept.challenge), answer.client_challenge, proof);
    memcpy(answer_octets + (answer.proof.p - answer_octets), proof, sizeof proof);
    cr_assert_eq(take(1, state, SPAN(""), buf_span(&b)), VERIFY_CHECK);
    credentials.list[0] = (struct verify_credential){.id = 7, .nt = seal(0, "bob@example.test", "secret-word")};
    (void)check(&credentials, VERIFY_REJECTED);
}

Test(verify_ntlm, bound) {
    static const struct span end_point = {(const uint8_t *)"0123456789abcdef0123456789abcdef", 32};
    uint8_t binding[NTLM_BINDING_BYTES];
    struct verify_credentials credentials = {.real = true, .login = LOGIN, .n = 1};
    struct ntlm_client client = alice;
    ntlm_proof_binding(end_point, binding);
    client.binding = binding;
    credentials.list[0] = (struct verify_credential){.id = 7, .nt = seal(0, "alice@example.test", "secret-word")};
    cr_assert_eq(exchange(&client, end_point), VERIFY_CHECK);
    cr_expect_eq(check(&credentials, VERIFY_ACCEPTED).why, VERIFY_WHY_NONE);
    cr_assert_eq(exchange(&client, SPAN("0123456789abcdef0123456789abcdeX")), VERIFY_CHECK);
    cr_expect_eq(check(&credentials, VERIFY_REJECTED).why, VERIFY_WHY_BINDING);
    cr_assert_eq(exchange(&client, SPAN("")), VERIFY_CHECK);
    cr_expect_eq(check(&credentials, VERIFY_REJECTED).why, VERIFY_WHY_BINDING);
}

Test(verify_ntlm, challenges_differ) {
    uint8_t first[SEAL_CLEAR_MAX], second[SEAL_CLEAR_MAX];
    struct ntlm_kept one, other;
    struct verify_credentials credentials = {.real = true, .login = LOGIN, .n = 1};
    (void)begin(first, &one);
    struct span state = begin(second, &other);
    cr_expect_not(span_equal(ntlm_server_challenge(one.challenge), ntlm_server_challenge(other.challenge)));
    struct buf b = BUF_OVER(answer_octets);
    struct ntlm_client client = alice;
    client.pairs = ntlm_client_pairs(other.challenge); /* whatever time it was */
    client.mic = false;
    ntlm_client_answer(&b, &client, one.negotiate, one.challenge);
    cr_assert_eq(take(1, state, SPAN(""), buf_span(&b)), VERIFY_CHECK);
    credentials.list[0] = (struct verify_credential){.id = 7, .nt = seal(0, "alice@example.test", "secret-word")};
    (void)check(&credentials, VERIFY_REJECTED);
}

Test(verify_ntlm, refused) {
    static const uint8_t old[24] = {1};
    struct ntlm_client client = alice;
    uint8_t storage[SEAL_CLEAR_MAX];
    struct ntlm_kept kept;
    client.nt = span_of(old, sizeof old);
    cr_expect_eq(exchange(&client, SPAN("")), VERIFY_DENIED);
    cr_expect_eq(got.identity.why, VERIFY_WHY_OLD_NTLM);
    client.user = "";
    cr_expect_eq(exchange(&client, SPAN("")), VERIFY_DENIED);
    cr_expect_eq(got.identity.why, VERIFY_WHY_NONE);
    client = alice;
    client.user = "al\nice";
    cr_expect_eq(exchange(&client, SPAN("")), VERIFY_MALFORMED);
    cr_expect_eq(take(0, span_of(NULL, 0), SPAN(""), SPAN("NTLMSSP")), VERIFY_MALFORMED);
    cr_expect_eq(take(0, span_of(NULL, 0), SPAN(""), SPAN("")), VERIFY_MALFORMED);
    struct span state = begin(storage, &kept);
    struct buf b = BUF_OVER(answer_octets);
    ntlm_client_answer(&b, &alice, kept.negotiate, kept.challenge);
    cr_expect_eq(take(1, SPAN(""), SPAN(""), buf_span(&b)), VERIFY_MALFORMED, "no state");
    cr_expect_eq(take(2, state, SPAN(""), buf_span(&b)), VERIFY_MALFORMED, "a third step");
    cr_expect_eq(take(1, state, SPAN(""), kept.negotiate), VERIFY_MALFORMED, "the first message again");
    cr_expect_eq(take(1, state, SPAN(""), buf_span(&b)), VERIFY_CHECK);
    verify.setup.ntlm = 0;
    cr_expect_eq(take(1, state, SPAN(""), buf_span(&b)), VERIFY_MALFORMED, "switched off");
    cr_expect_eq(take(0, span_of(NULL, 0), SPAN(""), kept.negotiate), VERIFY_MALFORMED, "switched off");
}
