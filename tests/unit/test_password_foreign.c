/* test_password_foreign.c - hashes that other servers' own tools made: read, brought into the stored form, checked.
 */
#include "auth/password.h"
#include "auth/password_import.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

/* Made by doveadm pw of Dovecot 2.3.19, htpasswd of Apache 2.4, mkpasswd of whois 5.5, openssl passwd of OpenSSL 3.0
 * and argon2 of 20171227; in the words of each. */
#define WORDS "correct horse battery"
#define UTF8 "pässwörd, länger als sechzehn Oktette: κλειδί"
#define A10 "aaaaaaaaaa"
#define LONG A10 A10 A10 A10 A10 A10 A10 A10 A10 A10 A10 A10 A10 A10 A10 A10 A10 A10 A10 A10
static const struct vector {
    const char *field, *password;
    enum password_scheme scheme;
} vectors[] = {
    {"{PBKDF2}$1$dbbyaX6bbi7lqV2N$5000$c570d3bed7654c4fb2b2ca4aaefd6752a2c55a88", WORDS, PASSWORD_PBKDF2},
    {"{PBKDF2}$1$djXDdSgmIBHofUmP$100000$73e9787860cdd69e0695e04a651d0ca0408169bc", WORDS, PASSWORD_PBKDF2},
    {"{PBKDF2}$1$GPWu7r9KUxloir92$5000$4643ca3e5ba8a7fc4bcbfa1545dd41e52a84f409", UTF8, PASSWORD_PBKDF2},
    {"{PBKDF2}$1$QN9AKyrRvAhDLfpx$5000$a9f31847afb112ad4d6386fe4955b3707b75684d", LONG, PASSWORD_PBKDF2},
    {"{SSHA}+mBgPvbiHemKWQJs3UA+PTtLl6AwVFXE", WORDS, PASSWORD_SSHA},
    {"{SSHA}Juui2NLnjaP14t68oeJaU70VexilRAEK", UTF8, PASSWORD_SSHA},
    {"{SSHA.HEX}ec245397c4ac6f35c3db191b9ef25cdcff826db2cef2182b", WORDS, PASSWORD_SSHA},
    {"{SSHA256}Fp8o1sJtmEhXq4kDmnxu15iBtbKTTaqihBGcY0vqZxxiGCKt", WORDS, PASSWORD_SSHA256},
    {"{SSHA256.HEX}e2904612c0e7d86e3b3c33cb48312f9f7a961c28bf36980d64f6172b8f9cf076ac9afff2", WORDS,
     PASSWORD_SSHA256},
    {"{SSHA512}67NEN9bc7OLbcL61T/dK6ZHDWnCGnrAHabb0WoRyKmYNOSp6CgM6HTaYzmKWMUquelUnuqU9nGG+QCe09VO2a+sNPu4=", WORDS,
     PASSWORD_SSHA512},
    {"{SSHA512.hex}839c2b03e91f85e23ad2c484529ddeca69615fd4b8ca0c7c0201abdd9732470450be1a4e9b8d07309cb940e6e9e28be365"
     "828c87a63d60a2d3c825a14bb784e02c46fd8c",
     WORDS, PASSWORD_SSHA512},
    {"{SHA}mN7MYuzjmaIu0w1JDvMzvn/ec4U=", WORDS, PASSWORD_SHA},
    {"{SHA1}mN7MYuzjmaIu0w1JDvMzvn/ec4U=", WORDS, PASSWORD_SHA},
    {"{SHA.HEX}98decc62ece399a22ed30d490ef333be7fde7385", WORDS, PASSWORD_SHA},
    {"{sha}98DECC62ece399a22ed30d490ef333be7fde7385", WORDS, PASSWORD_SHA},
    {"{SHA256}kCjqDRXeyqNbLaIcApCvOxpboKMKWRkG+JtQdOIJ6nI=", WORDS, PASSWORD_SHA256},
    {"{SHA256.B64}kCjqDRXeyqNbLaIcApCvOxpboKMKWRkG+JtQdOIJ6nI=", WORDS, PASSWORD_SHA256},
    {"{SHA256.HEX}2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881", "x", PASSWORD_SHA256},
    {"{SHA512}zvYeTk7ae6ii/qoSBhf896UTrZIEQjsl4kO30/VW+ShT6VsVatr/3Zon0OUHNq1qa7zFDOipvTUWL315nomlIQ==", WORDS,
     PASSWORD_SHA512},
    {"{SHA512.HEX}cef61e4e4eda7ba8a2feaa120617fcf7a513ad9204423b25e243b7d3f556f92853e95b156adaffdd9a27d0e50736ad6a6bb"
     "cc50ce8a9bd35162f7d799e89a521",
     WORDS, PASSWORD_SHA512},
    {"{SMD5}80TGjr9+bxeEbyF8xu7WGk5Nv4A=", UTF8, PASSWORD_SMD5},
    {"{PLAIN-MD5}fa2789784a7e3cb6541b6886421f856d", UTF8, PASSWORD_LDAP_MD5},
    {"{LDAP-MD5}iOTd0kAtktUOGHnW7Nn/1A==", WORDS, PASSWORD_LDAP_MD5},
    {"{MD5}$1$FnwJu0WZ$GlAiSzJ3bgEQFbN21PPW/1", UTF8, PASSWORD_MD5_CRYPT},
    {"$1$un7NNC8F$IfIz6N4.BZkET49i5WrUG.", "x", PASSWORD_MD5_CRYPT},
    {"{BLF-CRYPT}$2y$05$tHlMRbQkQPyICI4KUigln.PAF12G7isMBuqn1FdCzcv.UkCeD.Iw6", WORDS, PASSWORD_BCRYPT},
    {"{BLF-CRYPT}$2y$10$j8imTiHoWt9ThVaOiLJjfO6VjDsfr11XKf0JUwdSnFXfYDEcPfWM6", WORDS, PASSWORD_BCRYPT},
    {"$2b$05$UA/0R9081z6UyZv4lvV3QO45Ri5tSsvU8Zey6fHWqMhTWdzGVQcpy", WORDS, PASSWORD_BCRYPT},
    {"$2a$05$4FYPolTrNKrR1HQjt4uoQu73LQqodT06KJZ/1awq97Y/5d47aTS9C", WORDS, PASSWORD_BCRYPT},
    {"$2y$05$8YxPoKqOeeKFPi1TkiKUVO3T2OwcvQP0VbaDCUl2nkOHlSAXSmx.K", UTF8, PASSWORD_BCRYPT},
    {"$2b$05$XYLKAF6fQyyzCeXT1/fkiO9OU97yDgvtiJ2o7oEm48zbRGtwWC45C", LONG, PASSWORD_BCRYPT},
    {"{SHA512-CRYPT}$6$SWHttRCPQRDYLjfx$6z3WXczbv6Y4RPlWvY4Z9tn8LhhdUj9.9XkekMjZsANhFbNZyncDSO4oV4pD45koxq3R33HNdpSXF"
     "TGxpEv/4.",
     WORDS, PASSWORD_SHA512_CRYPT},
    {"$6$rounds=100000$VVmcQ7UJ/Syy78ii$sIH8bnIPsDToCyqffvbNSojK/rw1yTNWpZuosUJmc68pFuOujT0QGRBWEgIkalhY0hOBWt7wAkT68"
     "vrdco07c/",
     WORDS, PASSWORD_SHA512_CRYPT},
    {"$6$6P7afGx.bLT4va6S$0clZRlW4qoEzUW7UQ8xAmPnFtMCgevpgYnm2KxJYOxxjMneoY9ijtRRTSqJLG5oBBdJy7dk.2n4MR2Cc8.LH7.",
     LONG, PASSWORD_SHA512_CRYPT},
    {"{SHA256-CRYPT}$5$StRRzX76rz5RQZhI$k49nfQhNbrEXe2i1tMrYAYYD/g5sCkFSrAza9CIedP7", WORDS, PASSWORD_SHA256_CRYPT},
    {"$5$fJ/96ThaP5MrivFq$luiE4F5mhBtoz7bulalfr0pq2ASwV/x179IdUP24wv0", UTF8, PASSWORD_SHA256_CRYPT},
    {"{CRYPT}$y$j9T$JqbGI4t9JdrkWRHmYlh0B.$jx8gDh1D54Ntz3cooxZkK5hd8QsnbwF6JA5O.9/adk9", WORDS, PASSWORD_YESCRYPT},
    {"$y$j75$uS0GvVcY5.f//KijKz7B5.$L.N92zNo88E42gGI3sTKiuLpQxzTLJbKst/y886GHj3", UTF8, PASSWORD_YESCRYPT},
    {"$y$j75$tB5uDH42Pt9LbcRxQDC6m0$u2HwZLI.tzwMbcYidjr9gL5lgVIGQkFS1oNKzlKjkA3", LONG, PASSWORD_YESCRYPT},
    {"$apr1$Qz.pTweM$R/l61otOFqw49IGbl/Oj30", WORDS, PASSWORD_APR1},
    {"$apr1$HDAyoAvE$7aaqEsFySaZc.c1uu.O/F.", WORDS, PASSWORD_APR1},
    {"$apr1$OXs4DneG$4vyDweQccShjxLHgwyHpT0", "x", PASSWORD_APR1},
    {"$apr1$rkmxi9dF$BXLr1aMDoTabMT/6nPOPQ1", UTF8, PASSWORD_APR1},
    {"$apr1$dp6BffUx$xrwepRxl209b8MhvPWVZc0", LONG, PASSWORD_APR1},
    {"{ARGON2ID}$argon2id$v=19$m=65536,t=3,p=1$R18HUQDnUyrGtzF1WmnJ0w$XG2P5MV9Lt4BknKJIxCm8I38Gmfzr8yiQYfq9AHu7kk",
     WORDS, PASSWORD_ARGON2ID},
    {"$argon2id$v=19$m=19456,t=2,p=4$c29tZXNhbHRzb21lc2FsdA$qlEcnBD/yELbohXjw8u5Pj+v65UYbi2GsI1p2s41VK8", WORDS,
     PASSWORD_ARGON2ID},
};
enum { VECTORS = sizeof vectors / sizeof *vectors };

static const char *fault;

static enum password_import import(const char *field, const char *scheme, char *stored, size_t size,
                                   struct password_cost *cost) {
    struct buf b = buf_over(stored, size - 1);
    enum password_import kind = password_import(span_text(field), span_text(scheme), &b, cost, &fault);
    stored[b.n] = '\0';
    return kind;
}

TestSuite(password_foreign, .timeout = 120);

Test(password_foreign, vectors) {
    for (size_t i = 0; i < VECTORS; i++) {
        const struct vector *v = &vectors[i];
        struct password_cost cost, again;
        char stored[VERIFY_HASH_BYTES], wrong[300];
        cr_assert_eq(import(v->field, "CRYPT", stored, sizeof stored, &cost), PASSWORD_IMPORT_HASH, "%s: %s",
                     v->field, fault);
        cr_expect_eq(cost.scheme, v->scheme, "%s", v->field);
        cr_expect(cost.work > 0 && cost.work <= PASSWORD_WORK_MAX, "%s", v->field);
        cr_expect(password_format_read(span_text(stored), &again) && again.work == cost.work, "%s", stored);
        cr_expect(password_check(span_text(v->password), stored), "%s", stored);
        snprintf(wrong, sizeof wrong, "%s", v->password);
        wrong[strlen(wrong) / 3] ^= 1; /* bcrypt sees 72 octets */
        cr_expect_not(password_check(span_text(wrong), stored), "%s", stored);
        cr_expect_not(password_check(SPAN(""), stored), "%s", stored);
    }
}

/* Any octet of the hash changed, the password is no longer right. */
Test(password_foreign, every_octet_counts) {
    for (size_t i = 0; i < VECTORS; i++) {
        const struct vector *v = &vectors[i];
        struct password_cost cost;
        char stored[VERIFY_HASH_BYTES];
        cr_assert_eq(import(v->field, "CRYPT", stored, sizeof stored, &cost), PASSWORD_IMPORT_HASH);
        if (cost.work > 65536) continue; /* time */
        size_t n = strlen(stored);
        for (size_t at = n - (n > 40 ? 24 : 12); at < n; at += 5) {
            char kept = stored[at];
            stored[at] = kept == '0' ? '1' : '0';
            cr_expect_not(password_check(span_text(v->password), stored), "%s, octet %zu", stored, at);
            stored[at] = kept;
        }
        stored[n - 1] = '\0';
        cr_expect_not(password_check(span_text(v->password), stored), "%s, cut", stored);
    }
}

Test(password_foreign, password_with_a_nul_is_no_c_string) {
    cr_expect_not(password_check(SPAN("x\0y"), "$apr1$OXs4DneG$4vyDweQccShjxLHgwyHpT0"));
    cr_expect_not(password_check(SPAN("x\0y"), "$1$un7NNC8F$IfIz6N4.BZkET49i5WrUG."));
    cr_expect(password_check(SPAN("x"), "$1$un7NNC8F$IfIz6N4.BZkET49i5WrUG."));
}

#define SALT22 "tHlMRbQkQPyICI4KUigln."
#define HASH31 "PAF12G7isMBuqn1FdCzcv.UkCeD.Iw6"
#define HASH43 "jx8gDh1D54Ntz3cooxZkK5hd8QsnbwF6JA5O.9/adk9"
#define HASH86 HASH43 HASH43

/* Whatever costs is refused before there is any work: these would take minutes, or more memory than there is. */
Test(password_foreign, caps) {
    static const struct {
        const char *field, *why;
    } rows[] = {
        {"$2y$15$" SALT22 HASH31, "over 14"},
        {"$2y$31$" SALT22 HASH31, "over 14"},
        {"$6$rounds=1048577$salt$" HASH86, "over 1048576 rounds"},
        {"$6$rounds=999999999$salt$" HASH86, "over 1048576 rounds"},
        {"$5$rounds=699051$salt$" HASH43, "over 699050 rounds"},
        {"$y$jCT$JqbGI4t9JdrkWRHmYlh0B.$" HASH43, "64 MiB"},
        {"$y$jjj$JqbGI4t9JdrkWRHmYlh0B.$" HASH43, "64 MiB"},
        {"$y$jzT$JqbGI4t9JdrkWRHmYlh0B.$" HASH43, "64 MiB"},
        {"$y$j9z$JqbGI4t9JdrkWRHmYlh0B.$" HASH43, "64 MiB"},
        {"$y$/9T$JqbGI4t9JdrkWRHmYlh0B.$" HASH43, "unusual"},
        {"$y$j9T0$JqbGI4t9JdrkWRHmYlh0B.$" HASH43, "unusual"},
        {"{PBKDF2}$1$salt$2097152$c570d3bed7654c4fb2b2ca4aaefd6752a2c55a88", "over 2097151 rounds"},
        {"{ARGON2ID}$argon2id$v=19$m=1048576,t=5,p=1$DwF2+/jly/KGZY9h6oHD/"
         "w$nYcNcXzMg8Pzbov1STbZcvzVbMAn6N6MfGCpaBbrYV4",
         "64 MiB"},
        {"$argon2id$v=19$m=65536,t=17,p=1$c2FsdA$aGFzaA", "16 passes"},
        {"$argon2id$v=19$m=65536,t=1,p=17$c2FsdA$aGFzaA", "16 lanes"},
    };
    struct password_cost cost;
    char stored[VERIFY_HASH_BYTES];
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        cr_expect_eq(import(rows[i].field, "CRYPT", stored, sizeof stored, &cost), PASSWORD_IMPORT_FAULT, "%s",
                     rows[i].field);
        cr_expect(fault && strstr(fault, rows[i].why), "%s: %s", rows[i].field, fault);
        cr_expect_not(password_check(SPAN(WORDS), stored), "%s", rows[i].field);
    }
    cr_expect_eq(import("$6$rounds=656000$salt$" HASH86, "CRYPT", stored, sizeof stored, &cost), PASSWORD_IMPORT_HASH,
                 "what Python's passlib writes");
    cr_expect_eq(import("$y$jBT$JqbGI4t9JdrkWRHmYlh0B.$" HASH43, "CRYPT", stored, sizeof stored, &cost),
                 PASSWORD_IMPORT_HASH, "all of 64 MiB");
}

Test(password_foreign, malformed) {
    static const char *const rows[] = {
        "",
        "$",
        "x",
        "{",
        "{}",
        "{SSHA",
        "{NONE}x",
        "{SSHA.ROT13}+mBgPvbiHemKWQJs3UA+PTtLl6AwVFXE",
        "{SSHA}",
        "{SSHA}mN7MYuzjmaIu0w1JDvMzvn/ec4U=",    /* no salt */
        "{SHA}+mBgPvbiHemKWQJs3UA+PTtLl6AwVFXE", /* one octet too many */
        "{SHA}98decc62ece399a22ed30d490ef333be7fde738",
        "{SHA.HEX}98decc62ece399a22ed30d490ef333be7fde738g",
        "{SSHA}*mBgPvbiHemKWQJs3UA+PTtLl6AwVFXE",
        "$2y$3$" SALT22 HASH31,
        "$2y$03$" SALT22 HASH31,
        "$2x$05$" SALT22 HASH31, /* of the crypt_blowfish with a bug, CVE-2011-2483 */
        "$2y$05$" SALT22,
        "$2y$05$" SALT22 HASH31 "x",
        "$2y$05$" SALT22 "PAF12G7isMBuqn1FdCzcv.UkCeD.Iw:",
        "$6$rounds=999$salt$" HASH86,
        "$6$rounds=05000$salt$" HASH86,
        "$6$rounds=$salt$" HASH86,
        "$6$rounds=18446744073709551617$salt$" HASH86,
        "$6$saltsaltsaltsalts$" HASH86,
        "$6$salt$" HASH43,
        "$6$sa!t$" HASH86,
        "$5$salt$" HASH86,
        "$y$j9T$" HASH43,
        "$y$j9T$$" HASH43 "x",
        "$1$saltsalts$IfIz6N4.BZkET49i5WrUG.",
        "{PBKDF2}$2$dbbyaX6bbi7lqV2N$5000$c570d3bed7654c4fb2b2ca4aaefd6752a2c55a88",
        "{PBKDF2}$1$dbbyaX6bbi7lqV2N$0$c570d3bed7654c4fb2b2ca4aaefd6752a2c55a88",
        "{PBKDF2}$1$$5000$c570d3bed7654c4fb2b2ca4aaefd6752a2c55a88",
        "{PBKDF2}$1$dbbyaX6bbi7lqV2N$5000$c570d3bed7654c4fb2b2ca4aaefd6752a2c55a8",
        "$argon2id$v=19$m=65536,t=2,p=0$c2FsdA$aGFzaA",
        "l3oml4ki1PuZA", /* DES */
        "{DES-CRYPT}l3oml4ki1PuZA",
        "{CRAM-MD5}83b1f18da0d222b257057a021ab40d776e1efb2767611d85cc3f47dcb2d338d3",
        "{ARGON2I}$argon2i$v=19$m=32768,t=4,p=1$4dCbMD1evKu7VA0WqOOHLg$57bjDrXMe+puUp8RpkbNvyqvbQEXvzS3Xs83Mzdt36E",
        "$gy$j9T$63/GrZicKl3ArkctMxdub0$xxJpYKJATmbiBP4.wFirIpvvANjr2JcktUE/tYdpfi7",
        "$7$CU..../....MqIP/70ezJ7vgQdmHtLxW1$Qb9uDQHSlXSzlcOgqdzL2hVRR5vBvs4nv0RzJ5FjdX9",
    };
    struct password_cost cost;
    char stored[VERIFY_HASH_BYTES];
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        cr_expect_eq(import(rows[i], "CRYPT", stored, sizeof stored, &cost), PASSWORD_IMPORT_FAULT, "%s", rows[i]);
        cr_expect(fault && *fault, "%s", rows[i]);
        cr_expect_not(password_check(SPAN(WORDS), rows[i]), "%s", rows[i]);
    }
}

Test(password_foreign, schemes) {
    struct password_cost cost;
    char stored[VERIFY_HASH_BYTES];
    cr_expect_eq(import("mN7MYuzjmaIu0w1JDvMzvn/ec4U=", "SHA", stored, sizeof stored, &cost), PASSWORD_IMPORT_HASH);
    cr_expect_str_eq(stored, "{SHA}mN7MYuzjmaIu0w1JDvMzvn/ec4U=");
    cr_expect_eq(import("98decc62ece399a22ed30d490ef333be7fde7385", "sha1.hex", stored, sizeof stored, &cost),
                 PASSWORD_IMPORT_HASH);
    cr_expect_str_eq(stored, "{SHA}mN7MYuzjmaIu0w1JDvMzvn/ec4U=", "one form of each");
    cr_expect_eq(import("9dd4e461268c8034f5c8564e155c67a6", "MD5", stored, sizeof stored, &cost),
                 PASSWORD_IMPORT_HASH);
    cr_expect_str_eq(stored, "{LDAP-MD5}ndTkYSaMgDT1yFZOFVxnpg==");
    cr_expect_eq(import("{PLAIN}as it is", "CRYPT", stored, sizeof stored, &cost), PASSWORD_IMPORT_PLAIN);
    cr_expect_str_eq(stored, "as it is");
    cr_expect_eq(import("as it is", "CLEARTEXT", stored, sizeof stored, &cost), PASSWORD_IMPORT_PLAIN);
    cr_expect(password_import_scheme(SPAN("ssha512.hex")) && password_import_scheme(SPAN("CRYPT")));
    cr_expect_not(password_import_scheme(SPAN("SSHA3")) || password_import_scheme(SPAN("")));
    for (int i = PASSWORD_NONE + 1; i < PASSWORD_SCHEMES; i++) {
        const char *name = password_scheme_name((enum password_scheme)i);
        cr_expect_str_neq(name, "NONE", "%d", i);
    }
}

Test(password_foreign, as_dovecot_reads_it) {
    static const struct {
        const char *hash, *dovecot;
    } rows[] = {
        {"$argon2id$v=19$m=65536,t=2,p=1$c2FsdA$aGFzaA", "{ARGON2ID}$argon2id$v=19$m=65536,t=2,p=1$c2FsdA$aGFzaA"},
        {"$2y$05$" SALT22 HASH31, "{CRYPT}$2y$05$" SALT22 HASH31},
        {"{SHA}mN7MYuzjmaIu0w1JDvMzvn/ec4U=", "{SHA}mN7MYuzjmaIu0w1JDvMzvn/ec4U="},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[256];
        struct buf b = buf_over(text, sizeof text - 1);
        password_format_dovecot(span_text(rows[i].hash), &b);
        text[b.n] = '\0';
        cr_expect_str_eq(text, rows[i].dovecot);
    }
}
