/* test_password_app.c - the fast hash of passwords that we drew. */
#include "auth/password_app.h"

#include <criterion/criterion.h>

Test(password_app, own_password_only) {
    char hash[VERIFY_HASH_BYTES], again[VERIFY_HASH_BYTES];
    cr_assert_eq(password_app_hash(SPAN("abcde-fghij-kmnpq-rstuv"), hash), 0);
    cr_assert_eq(password_app_hash(SPAN("abcde-fghij-kmnpq-rstuv"), again), 0);
    cr_expect_str_neq(hash, again, "each has a salt of its own");
    cr_expect(password_app_check(SPAN("abcde-fghij-kmnpq-rstuv"), hash));
    cr_expect(password_app_check(SPAN("abcde-fghij-kmnpq-rstuv"), again));
    cr_expect_not(password_app_check(SPAN("abcde-fghij-kmnpq-rstuw"), hash));
    cr_expect_not(password_app_check(SPAN(""), hash));
}

/* Made with Python's hashlib: blake2b(bytes(range(16)) + b"secret", digest_size=32). */
#define SALT "AAECAwQFBgcICQoLDA0ODw"
#define SUM "v6gIU0Im7q8PrZ3fql4rUFmxhHNDqEvO0iJqqP/Arys"

Test(password_app, format) {
    static const struct {
        const char *hash;
        bool good;
    } rows[] = {
        {"$gp1$" SALT "$" SUM, true},
        {"$gp2$" SALT "$" SUM, false},
        {"$gp1$" SALT "$" SUM "A", false},
        {"$gp1$" SALT SUM "A", false},
        {"$gp1$" SALT "$" SALT, false},
        {"$gp1$AAECAwQFBgcICQoLDA0O!w$" SUM, false},
        {"$gp1$", false},
        {"", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        cr_expect_eq(password_app_check(SPAN("secret"), rows[i].hash), rows[i].good, "%s", rows[i].hash);
    cr_expect(password_app_is(span_text(rows[0].hash)));
    cr_expect_not(password_app_is(SPAN("$argon2id$v=19$m=65536,t=2,p=1$AAAA$AAAA")));
}
