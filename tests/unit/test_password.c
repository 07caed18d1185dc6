/* test_password.c - hashes, what they say of themselves, and the state between two steps. */
#include "auth/password.h"
#include "auth/seal.h"

#include <criterion/criterion.h>

Test(password, round) {
    char hash[VERIFY_HASH_BYTES], other[VERIFY_HASH_BYTES];
    struct password_cost cost;
    cr_assert_eq(password_hash(SPAN("secret-word"), 1 << 20, 2, hash), 0);
    cr_assert_eq(password_hash(SPAN("secret-word"), 1 << 20, 2, other), 0);
    cr_expect_str_neq(hash, other, "salted");
    cr_expect(password_check(SPAN("secret-word"), hash));
    cr_expect_not(password_check(SPAN("secret-worD"), hash));
    cr_expect_not(password_check(SPAN("secret-word "), hash));
    cr_expect_not(password_check(SPAN(""), hash));
    cr_assert(password_format_read(span_text(hash), &cost));
    cr_expect(cost.memory_kib == 1024 && cost.passes == 2);
    cr_expect_eq(password_hash(SPAN("x"), 128ULL << 20, 1, hash), -1, "over the cap");
}

Test(password, formats_refused) {
    static const char *const rows[] = {
        "",
        "$argon2id$v=19$m=65537,t=2,p=1$c2FsdA$aGFzaA",
        "$argon2id$v=19$m=4194304,t=2,p=1$c2FsdA$aGFzaA",
        "$argon2id$v=19$m=65536,t=17,p=1$c2FsdA$aGFzaA",
        "$argon2id$v=19$m=65536,t=2,p=0$c2FsdA$aGFzaA",
        "$argon2id$v=16$m=65536,t=2,p=1$c2FsdA$aGFzaA",
        "$argon2i$v=19$m=65536,t=2,p=1$c2FsdA$aGFzaA",
        "$argon2id$v=19$m=65536,t=2,p=1$c2FsdA$",
        "$argon2id$v=19$m=65536,t=2,p=1$c2FsdA$aGF'zaA",
        "$argon2id$v=19$m=65536,t=2,p=1$c2FsdA$aGFzaA$x",
        "$argon2id$v=19$m=65536,t=0,p=1$c2FsdA$aGFzaA",
        "$argon2id$v=19$m=18446744073709551617,t=2,p=1$c2FsdA$aGFzaA",
        "$2b$10$abcdefghijklmnopqrstuv",
    };
    struct password_cost cost;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        cr_expect_not(password_format_read(span_text(rows[i]), &cost), "%s", rows[i]);
        cr_expect_not(password_check(SPAN("x"), rows[i]), "%s", rows[i]);
    }
    cr_expect(password_format_read(SPAN("$argon2id$v=19$m=65536,t=2,p=1$c2FsdA$aGFzaA"), &cost));
}

Test(password, seals) {
    uint8_t key[32] = {7}, other[32] = {8}, state[VERIFY_STATE_BYTES], octets[SEAL_CLEAR_MAX];
    static const uint8_t zeros[SEAL_CLEAR_MAX + 1];
    static const struct seal_label label = {5, MECHANISM_LOGIN, 1};
    static const struct seal_label others[] = {
        {6, MECHANISM_LOGIN, 1}, {5, MECHANISM_SCRAM, 1}, {5, MECHANISM_LOGIN, 2}};
    struct buf clear = BUF_OVER(octets);
    cr_assert(seal_close(key, label, 1000, SPAN("alice@example.test"), state));
    cr_assert(seal_open(key, label, 1000, state, &clear));
    cr_expect(span_equal(buf_span(&clear), SPAN("alice@example.test")));
    cr_expect_not(seal_open(key, label, 1001, state, &clear), "too late");
    cr_expect_not(seal_open(other, label, 999, state, &clear), "another key");
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        cr_expect_not(seal_open(key, others[i], 999, state, &clear), "another exchange, mechanism or step: %zu", i);
    for (size_t i = 0; i < sizeof state; i += 37) {
        state[i] ^= 1;
        cr_expect_not(seal_open(key, label, 999, state, &clear), "octet %zu changed", i);
        state[i] ^= 1;
    }
    cr_expect_not(seal_close(key, label, 1000, span_of(zeros, sizeof zeros), state), "too long");
    cr_assert(seal_close(key, label, 1000, span_of(zeros, SEAL_CLEAR_MAX), state));
    buf_clear(&clear);
    cr_expect(seal_open(key, label, 999, state, &clear) && clear.n == SEAL_CLEAR_MAX);
}
