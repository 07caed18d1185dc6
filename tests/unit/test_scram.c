/* test_scram.c - SCRAM-SHA-256: published exchanges, and what is refused of RFC 5802's grammar.
 * Runs in: the test runner. Trusts: nothing. Never: draws a nonce. */
#include "auth/scram.h"

#include "store/base64.h"

#include <criterion/criterion.h>

enum { STATE_BYTES = 1024 };

#define NONCE "rOprNGfwEbeRWgbNEkqO"
#define OURS "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"

/* RFC 7677 3; the two with channel binding are of the same exchange, by others: ongres scram-client's (a binding of
 * 64 octets) and one of 8 octets, 0 to 7; both were reckoned again with another HMAC. */
static const struct exchange {
    const char *first, *final, *outcome, *exporter, *end_point; /* bindings in base64 */
    bool plus;
} exchanges[] = {
    {"n,,n=user,r=" NONCE, "c=biws,r=" NONCE OURS ",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
     "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=", "", "", false},
    {"p=tls-server-end-point,,n=user,r=" NONCE,
     "c=cD10bHMtc2VydmVyLWVuZC1wb2ludCwsDv4abLuK1TiHcq3tJXrHODILGFQuC1M4kfP4w7dyRvjadaqGq8D/"
     "Po1XeJZpzUqal+mAKXNGytneo5KPOsJnYA==,r=" NONCE OURS ",p=WIBtRXGH4I4R2CU1/tHa2YREwrJjLFa3/pKJQH/0Ofo=",
     "v=9k31qsYXd74d6BnbFf9jE+r9un6a8ou85FYeNxDAdqc=", "",
     "Dv4abLuK1TiHcq3tJXrHODILGFQuC1M4kfP4w7dyRvjadaqGq8D/Po1XeJZpzUqal+mAKXNGytneo5KPOsJnYA==", true},
    {"p=tls-exporter,,n=user,r=" NONCE,
     "c=cD10bHMtZXhwb3J0ZXIsLAABAgMEBQYH,r=" NONCE OURS ",p=QAd7eifevIt6X/f2Cv9W4HLXcFLw7OayX8dQ2scckyI=",
     "v=8dbpxwe4DaC4ESpY8u6aAvFeP2ks9+LClF/ADCxyWOE=", "AAECAwQFBgc=", "", true},
};

static struct span decoded(const char *text, struct buf *b) {
    cr_assert(base64_decode(span_text(text), b), "%s", text);
    return buf_span(b);
}

Test(scram, published_exchanges) {
    for (size_t i = 0; i < sizeof exchanges / sizeof *exchanges; i++) {
        const struct exchange *row = &exchanges[i];
        uint8_t salt_octets[16], exporter_octets[64], end_point_octets[66], kept[STATE_BYTES], text[512];
        struct buf salt = BUF_OVER(salt_octets), exporter = BUF_OVER(exporter_octets),
                   end_point = BUF_OVER(end_point_octets), b = BUF_OVER(text), between = BUF_OVER(kept);
        struct scram_bindings bindings = {.exporter = decoded(row->exporter, &exporter),
                                          .end_point = decoded(row->end_point, &end_point)};
        struct scram_first first, again;
        struct scram_state state, later;
        struct scram_final final;
        struct scram_keys keys[3];
        cr_assert(scram_first_read(span_text(row->first), &first), "%zu", i);
        cr_expect(span_equal(span_of(first.name, first.name_n), SPAN("user")));
        cr_expect_eq(first.authorization_n, 0);
        cr_expect(scram_first_binds(&first, row->plus, &bindings), "%zu", i);
        cr_expect_not(scram_first_binds(&first, !row->plus, &bindings), "%zu: the other mechanism", i);
        cr_assert(scram_state_make(&state, span_text(row->first), span_text(OURS),
                                   decoded("W22ZaJ0SNY7soEsUEjb6gQ==", &salt), 4096));
        scram_put_challenge(&state, &first, &b);
        cr_expect(span_equal(buf_span(&b), SPAN("r=" NONCE OURS ",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096")), "%zu", i);
        scram_state_put(&between, &state);
        cr_assert(buf_ok(&between) && scram_state_get(&later, buf_span(&between)));
        cr_assert(scram_first_read(span_of(later.first, later.first_n), &again));
        cr_assert(scram_final_read(span_text(row->final), &final), "%zu", i);
        cr_expect(scram_final_fits(&final, &later, &again, &bindings), "%zu", i);
        scram_keys_make(SPAN("pencil"), buf_span(&salt), 4096, &keys[1]);
        scram_keys_make(SPAN("pencils"), buf_span(&salt), 4096, &keys[0]);
        keys[2] = keys[1];
        buf_clear(&b);
        cr_expect_eq(scram_prove(&final, &later, &again, keys, 3, &b), 1, "%zu", i);
        cr_expect(span_equal(buf_span(&b), span_text(row->outcome)), "%zu", i);
        buf_clear(&b);
        cr_expect_eq(scram_prove(&final, &later, &again, keys, 1, &b), 1, "%zu: none", i);
        cr_expect_eq(scram_prove(&final, &later, &again, keys, 0, &b), 0, "%zu: none of none", i);
        cr_expect_eq(b.n, 0);
    }
}

#define LONG_127                                                                                                     \
    "12345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890" \
    "12345678901234567"

static const struct {
    const char *message, *name, *authorization; /* name NULL: refused */
} firsts[] = {
    {"n,,n=user,r=abc", "user", ""},
    {"y,,n=user,r=abc", "user", ""},
    {"p=tls-unique,,n=user,r=abc", "user", ""},
    {"p=a.b-C9,,n=user,r=abc", "user", ""},
    {"n,a=other,n=user,r=abc", "user", "other"},
    {"n,a=o=2Cther=3D,n=us=3Der=2C,r=abc", "us=er,", "o,ther="},
    {"n,,n=J\u00f6rg,r=abc", "J\u00f6rg", ""},
    {"n,,n=user,r=!#~+=", "user", ""},
    {"n,,n=user,r=abc,x=y", "user", ""},
    {"n,,n=user,r=abc,x=y=,Z=\u00f6 ,x=y", "user", ""},
    {"n,,n=user,r=" LONG_127 "8", "user", ""},
    {"n,,n=" LONG_127 LONG_127 "8,r=abc", LONG_127 LONG_127 "8", ""},
    /* gs2-header */
    {"", NULL, ""},
    {"n", NULL, ""},
    {"n,", NULL, ""},
    {"n,,", NULL, ""},
    {",,n=user,r=abc", NULL, ""},
    {"N,,n=user,r=abc", NULL, ""},
    {"x,,n=user,r=abc", NULL, ""},
    {"F,n,,n=user,r=abc", NULL, ""},
    {"nn,,n=user,r=abc", NULL, ""},
    {"p,,n=user,r=abc", NULL, ""},
    {"p=,,n=user,r=abc", NULL, ""},
    {"p=tls_unique,,n=user,r=abc", NULL, ""},
    {"p=t\u00f6,,n=user,r=abc", NULL, ""},
    {"n,a=,n=user,r=abc", NULL, ""},
    {"n,other,n=user,r=abc", NULL, ""},
    {"n,b=other,n=user,r=abc", NULL, ""},
    {"n,n=user,r=abc", NULL, ""},
    {"n,A=other,n=user,r=abc", NULL, ""},
    /* names */
    {"n,,n=,r=abc", NULL, ""},
    {"n,,N=user,r=abc", NULL, ""},
    {"n,,user,r=abc", NULL, ""},
    {"n,,r=abc", NULL, ""},
    {"n,,n=us=er,r=abc", NULL, ""},
    {"n,,n=user=,r=abc", NULL, ""},
    {"n,,n=user=2,r=abc", NULL, ""},
    {"n,,n=user=2c,r=abc", NULL, ""},
    {"n,,n=user=3d,r=abc", NULL, ""},
    {"n,a=o=ther,n=user,r=abc", NULL, ""},
    {"n,,n=us\x01"
     "er,r=abc",
     NULL, ""},
    {"n,,n=us\xff"
     "er,r=abc",
     NULL, ""},
    {"n,,n=" LONG_127 LONG_127 "89,r=abc", NULL, ""},
    {"n,a=" LONG_127 LONG_127 "89,n=user,r=abc", NULL, ""},
    /* nonce */
    {"n,,n=user", NULL, ""},
    {"n,,n=user,", NULL, ""},
    {"n,,n=user,r=", NULL, ""},
    {"n,,n=user,r=a c", NULL, ""},
    {"n,,n=user,r=a\x7f", NULL, ""},
    {"n,,n=user,r=a\u00f6", NULL, ""},
    {"n,,n=user,R=abc", NULL, ""},
    {"n,,r=abc,n=user", NULL, ""},
    {"n,,n=user,r=" LONG_127 "89", NULL, ""},
    /* extensions */
    {"n,,m=x,n=user,r=abc", NULL, ""},
    {"n,,n=user,r=abc,m=x", NULL, ""},
    {"n,,n=user,r=abc,", NULL, ""},
    {"n,,n=user,r=abc,x", NULL, ""},
    {"n,,n=user,r=abc,x=", NULL, ""},
    {"n,,n=user,r=abc,xy=z", NULL, ""},
    {"n,,n=user,r=abc,1=z", NULL, ""},
    {"n,,n=user,r=abc,,x=y", NULL, ""},
    {"n,,n=user,r=abc,r=def", NULL, ""},
    {"n,,n=user,r=abc,n=root", NULL, ""},
    {"n,,n=user,r=abc,a=root", NULL, ""},
    {"n,,n=user,r=abc,x=\xff", NULL, ""},
};

Test(scram, client_first) {
    for (size_t i = 0; i < sizeof firsts / sizeof *firsts; i++) {
        struct scram_first first;
        struct span message = span_text(firsts[i].message);
        bool ok = scram_first_read(message, &first);
        cr_expect_eq(ok, firsts[i].name != NULL, "%zu: %s", i, firsts[i].message);
        if (!ok || !firsts[i].name) continue;
        cr_expect(span_equal(span_of(first.name, first.name_n), span_text(firsts[i].name)), "%zu", i);
        cr_expect(span_equal(span_of(first.authorization, first.authorization_n), span_text(firsts[i].authorization)),
                  "%zu", i);
        cr_expect_eq(first.header.n + first.bare.n, message.n, "%zu", i);
        cr_expect_eq(first.bare.p[0], 'n', "%zu", i);
    }
    struct scram_first first;
    cr_expect_not(scram_first_read(span_of("n,,n=us\0er,r=abc", 16), &first));
    cr_expect_not(scram_first_read(span_of("n,,n=user,r=abc\0", 16), &first));
    uint8_t large[SCRAM_FIRST_MAX + 1];
    memset(large, 'x', sizeof large);
    memcpy(large, "n,,n=user,r=abc,x=", 18);
    cr_expect(scram_first_read(span_of(large, SCRAM_FIRST_MAX), &first));
    cr_expect_not(scram_first_read(span_of(large, SCRAM_FIRST_MAX + 1), &first));
}

/* RFC 5802 6: what the flag says against what the channel has. */
Test(scram, channel_bindings) {
    enum { PLAIN = 1, PLUS = 2 };
    const struct span some = SPAN("\0\1\2");
    const struct scram_bindings channels[] = {{.exporter = {NULL, 0}},
                                              {.exporter = some},
                                              {.unique = some},
                                              {.end_point = some},
                                              {.exporter = some, .unique = some, .end_point = some}};
    static const struct {
        const char *first;
        unsigned wanted[5]; /* the mechanisms by which it goes, on each of these channels */
    } rows[] = {
        {"n,,n=u,r=a", {PLAIN, PLAIN, PLAIN, PLAIN, PLAIN}},
        {"y,,n=u,r=a", {PLAIN, 0, 0, 0, 0}},
        {"p=tls-exporter,,n=u,r=a", {0, PLUS, 0, 0, PLUS}},
        {"p=tls-unique,,n=u,r=a", {0, 0, PLUS, 0, PLUS}},
        {"p=tls-server-end-point,,n=u,r=a", {0, 0, 0, PLUS, PLUS}},
        {"p=TLS-EXPORTER,,n=u,r=a", {0, 0, 0, 0, 0}},
        {"p=tls-exporter2,,n=u,r=a", {0, 0, 0, 0, 0}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct scram_first first;
        cr_assert(scram_first_read(span_text(rows[i].first), &first));
        for (size_t k = 0; k < 5; k++) {
            unsigned found = (scram_first_binds(&first, false, &channels[k]) ? PLAIN : 0U) |
                             (scram_first_binds(&first, true, &channels[k]) ? PLUS : 0U);
            cr_expect_eq(found, rows[i].wanted[k], "%s, channel %zu", rows[i].first, k);
        }
    }
    cr_expect_not(scram_first_binds(&(struct scram_first){0}, false, &channels[0]));
}

#define PROOF "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="

static const struct {
    const char *message;
    bool ok, fits;
} finals[] = {
    {"c=biws,r=abcdef,p=" PROOF, true, true},
    {"c=biws,r=abcdef,x=y,Z==,p=" PROOF, true, true},
    {"c=biw=,r=abcdef,p=" PROOF, true, false},
    {"c=eSws,r=abcdef,p=" PROOF, true, false}, /* y,, */
    {"c=biwsAA==,r=abcdef,p=" PROOF, true, false},
    {"c=biws,r=abc,p=" PROOF, true, false},
    {"c=biws,r=def,p=" PROOF, true, false},
    {"c=biws,r=abcdefg,p=" PROOF, true, false},
    {"c=biws,r=abcdeg,p=" PROOF, true, false},
    {"c=biws,r=abddef,p=" PROOF, true, false},
    {"", false, false},
    {"c=biws", false, false},
    {"c=biws,r=abcdef", false, false},
    {"c=,r=abcdef,p=" PROOF, false, false},
    {"c=biws,r=,p=" PROOF, false, false},
    {"r=abcdef,c=biws,p=" PROOF, false, false},
    {"m=x,c=biws,r=abcdef,p=" PROOF, false, false},
    {"c=biws,r=abcdef,m=x,p=" PROOF, false, false},
    {"c=biws,r=abcdef,p=" PROOF ",x=y", false, false},
    {"c=biws,r=abcdef,p=" PROOF ",p=" PROOF, false, false},
    {"c=biws,r=abcdef,p=" PROOF ",", false, false},
    {"c=biws,r=abcdef,x=y", false, false},
    {"c=biws,r=abcdef,,p=" PROOF, false, false},
    {"c=biws,r=abcdef,p=", false, false},
    {"c=biws,r=abcdef,p=AAAA", false, false},
    {"c=biws,r=abcdef,p=" PROOF "AAAA", false, false},
    {"c=biws,r=abcdef,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ", false, false},
    {"c=biws,r=abcdef,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVR=", false, false}, /* stray bits */
    {"c=biws,r=abcdef,P=" PROOF, false, false},
    {"c=biws,r=abc\xff"
     "def,p=" PROOF,
     false, false},
};

Test(scram, client_final) {
    struct scram_first first;
    struct scram_state state;
    struct scram_final final;
    cr_assert(scram_first_read(SPAN("n,,n=user,r=abc"), &first));
    cr_assert(scram_state_make(&state, SPAN("n,,n=user,r=abc"), SPAN("def"), SPAN("salt"), 4096));
    for (size_t i = 0; i < sizeof finals / sizeof *finals; i++) {
        struct span message = span_text(finals[i].message);
        bool ok = scram_final_read(message, &final);
        cr_expect_eq(ok, finals[i].ok, "%zu: %s", i, finals[i].message);
        if (!ok) continue;
        cr_expect_eq(final.without_proof.n + 3 + strlen(PROOF), message.n, "%zu", i);
        cr_expect_eq(scram_final_fits(&final, &state, &first, &(struct scram_bindings){0}), finals[i].fits, "%zu: %s",
                     i, finals[i].message);
    }
    uint8_t large[SCRAM_FINAL_MAX + 1];
    struct buf b = BUF_OVER(large);
    buf_put_text(&b, "c=biws,r=abcdef,x=");
    while (b.n < SCRAM_FINAL_MAX - 47) buf_put_octet(&b, 'x');
    buf_put_text(&b, ",p=" PROOF);
    cr_assert_eq(b.n, SCRAM_FINAL_MAX);
    cr_expect(scram_final_read(buf_span(&b), &final));
    large[18] = '\0';
    cr_expect_not(scram_final_read(buf_span(&b), &final));
    large[18] = 'x';
    memmove(large + 19, large + 18, SCRAM_FINAL_MAX - 18);
    cr_expect_not(scram_final_read(span_of(large, SCRAM_FINAL_MAX + 1), &final));
}

/* The header counts with its authorization identity, and the binding with each of its octets. */
Test(scram, channel_is_compared_whole) {
    static const char message[] = "p=tls-exporter,a=al=2Cice,n=user,r=abc";
    static const uint8_t one[32] = {1, 2, 3}, other[32] = {1, 2, 4};
    uint8_t text[256], in[128];
    struct buf b = BUF_OVER(text), channel = BUF_OVER(in);
    struct scram_first first;
    struct scram_state state;
    struct scram_final final;
    struct scram_bindings bindings = {.exporter = {one, 32}, .end_point = {other, 32}};
    buf_put_text(&channel, "p=tls-exporter,a=al=2Cice,");
    buf_put(&channel, one, sizeof one);
    buf_put_text(&b, "c=");
    base64_encode(buf_span(&channel), &b);
    buf_put_text(&b, ",r=abcdef,p=" PROOF);
    cr_assert(scram_first_read(span_text(message), &first));
    cr_assert(scram_state_make(&state, span_text(message), SPAN("def"), SPAN("salt"), 4096));
    cr_assert(scram_final_read(buf_span(&b), &final));
    cr_expect(scram_final_fits(&final, &state, &first, &bindings));
    bindings.exporter.p = other;
    cr_expect_not(scram_final_fits(&final, &state, &first, &bindings));
    bindings.exporter = (struct span){one, 31};
    cr_expect_not(scram_final_fits(&final, &state, &first, &bindings));
    bindings.exporter = (struct span){NULL, 0};
    cr_expect_not(scram_final_fits(&final, &state, &first, &bindings));
}

Test(scram, state) {
    uint8_t octets[STATE_BYTES], large[SCRAM_FIRST_MAX + 1], text[SCRAM_CHALLENGE_MAX];
    struct buf b = BUF_OVER(octets), challenge = BUF_OVER(text);
    struct scram_state state, again;
    const struct span message = SPAN("n,,n=user,r=abc");
    memset(large, 'x', sizeof large);
    cr_expect_not(scram_state_make(&state, span_of(large, sizeof large), SPAN("def"), SPAN("salt"), 1));
    cr_expect_not(scram_state_make(&state, message, span_of(large, SCRAM_OUR_NONCE_MAX + 1), SPAN("salt"), 1));
    cr_expect_not(scram_state_make(&state, message, SPAN("def"), span_of(large, SCRAM_SALT_BYTES + 1), 1));
    cr_expect_not(scram_state_make(&state, span_of(NULL, 0), SPAN("def"), SPAN("salt"), 1));
    cr_expect_not(scram_state_make(&state, message, span_of(NULL, 0), SPAN("salt"), 1));
    cr_expect_not(scram_state_make(&state, message, SPAN("d,f"), SPAN("salt"), 1));
    cr_expect_not(scram_state_make(&state, message, SPAN("def"), span_of(NULL, 0), 1));
    cr_expect_not(scram_state_make(&state, message, SPAN("def"), SPAN("salt"), 0));
    cr_expect(scram_state_make(&state, span_of(large, SCRAM_FIRST_MAX), span_of(large, SCRAM_OUR_NONCE_MAX),
                               span_of(large, SCRAM_SALT_BYTES), UINT32_MAX));
    scram_state_put(&b, &state);
    cr_assert(buf_ok(&b));
    cr_expect_leq(b.n, STATE_BYTES - 24 - 16 - 16, "what a seal takes, auth/seal.h");
    cr_assert(scram_state_get(&again, buf_span(&b)));
    cr_expect_eq(again.first_n, SCRAM_FIRST_MAX);
    cr_expect_eq(again.iterations, UINT32_MAX);
    for (size_t n = 0; n < b.n; n++) cr_expect_not(scram_state_get(&again, span_of(octets, n)), "%zu", n);
    octets[b.n] = 0;
    cr_expect_not(scram_state_get(&again, span_of(octets, b.n + 1)));
    /* The longest challenge. */
    struct scram_first first = {.nonce = span_of(large, SCRAM_NONCE_MAX)};
    scram_put_challenge(&state, &first, &challenge);
    cr_expect(buf_ok(&challenge));
}

Test(scram, nonce_and_false_salt) {
    uint8_t text[SCRAM_OUR_NONCE_MAX], one[SCRAM_SALT_BYTES], two[SCRAM_SALT_BYTES];
    static const uint8_t dice[SCRAM_OUR_NONCE_BYTES] = {0xff, 0xef, 0xbf}, key[32] = {1}, other_key[32] = {2};
    struct buf b = BUF_OVER(text);
    scram_put_nonce(dice, &b);
    cr_expect(span_equal(buf_span(&b), SPAN("/++/AAAAAAAAAAAAAAAAAAAAAAAAAAAA")));
    scram_false_salt(key, SPAN("nobody@example.test"), one);
    scram_false_salt(key, SPAN("nobody@example.test"), two);
    cr_expect_arr_eq(one, two, sizeof one);
    scram_false_salt(key, SPAN("nobody@example.tes"), two);
    cr_expect_arr_neq(one, two, sizeof one);
    scram_false_salt(other_key, SPAN("nobody@example.test"), two);
    cr_expect_arr_neq(one, two, sizeof one);
    scram_false_salt(key, span_of(NULL, 0), two);
    cr_expect_arr_neq(one, two, sizeof one);
}

Test(scram, keys_depend_on_all) {
    struct scram_keys keys, other;
    scram_keys_make(SPAN("pencil"), SPAN("salt"), 2, &keys);
    scram_keys_make(SPAN("pencil"), SPAN("salt"), 3, &other);
    cr_expect_arr_neq(keys.stored, other.stored, sizeof keys.stored);
    scram_keys_make(SPAN("pencil"), SPAN("salu"), 2, &other);
    cr_expect_arr_neq(keys.stored, other.stored, sizeof keys.stored);
    scram_keys_make(SPAN("pencim"), SPAN("salt"), 2, &other);
    cr_expect_arr_neq(keys.stored, other.stored, sizeof keys.stored);
    cr_expect_arr_neq(keys.stored, keys.server, sizeof keys.stored);
    scram_keys_make(SPAN("pencil"), SPAN("salt"), 2, &other);
    cr_expect_arr_eq(&keys, &other, sizeof keys);
}
