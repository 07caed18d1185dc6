/* test_address_class.c - the classifier of recipients, and what holds of every path, over mutated ones.
 * Runs in: the test runner. Trusts: nothing. Never: talks to a socket. */
#include "auth/address.h"
#include "auth/utf8.h"

#include <criterion/criterion.h>
#include <stdlib.h>

#define CASE(argument) ((struct span){(const uint8_t *)("" argument), sizeof(argument) - 1})

static const struct span local_domains[] = {CASE("example.test"), CASE("mail.example.test"),
                                            CASE("xn--bcher-kva.example")};
static const struct span relay_domains[] = {CASE("backup.example")};
static const struct domain_set local_set = {local_domains, 3}, relay_set = {relay_domains, 1};

Test(test_address_class, classes) {
    static const struct {
        struct span argument;
        enum address_class class;
    } cases[] = {
        {CASE("<a@example.test>"), ADDRESS_CLASS_LOCAL},
        {CASE("<a@EXAMPLE.test.>"), ADDRESS_CLASS_LOCAL},
        {CASE("<@foreign.example:a@example.test>"), ADDRESS_CLASS_LOCAL},
        {CASE("<\"a@foreign.example\"@example.test>"), ADDRESS_CLASS_LOCAL},
        {CASE("<a%foreign.example@example.test>"), ADDRESS_CLASS_LOCAL},
        {CASE("<a@XN--bcher-kva.example>"), ADDRESS_CLASS_LOCAL},
        {CASE("<a@backup.EXAMPLE>"), ADDRESS_CLASS_RELAY},
        {CASE("<a@foreign.example>"), ADDRESS_CLASS_FOREIGN},
        {CASE("<a@example.test.foreign.example>"), ADDRESS_CLASS_FOREIGN},
        {CASE("<a@foreign.example.test>"), ADDRESS_CLASS_FOREIGN},
        {CASE("<a@xexample.test>"), ADDRESS_CLASS_FOREIGN},
        {CASE("<a@test>"), ADDRESS_CLASS_FOREIGN},
        {CASE("<a@example>"), ADDRESS_CLASS_FOREIGN},
        {CASE("<a@example.tes>"), ADDRESS_CLASS_FOREIGN},
        {CASE("<\"a@example.test\"@foreign.example>"), ADDRESS_CLASS_FOREIGN},
        {CASE("<a%example.test@foreign.example>"), ADDRESS_CLASS_FOREIGN},
        {CASE("<@example.test:a@foreign.example>"), ADDRESS_CLASS_FOREIGN},
        {CASE("<example.test!a@foreign.example>"), ADDRESS_CLASS_FOREIGN},
        {CASE("<\xc3\xa4@foreign.example>"), ADDRESS_CLASS_FOREIGN},
        {CASE("<a@127.0.0.1>"), ADDRESS_CLASS_FOREIGN},
        {CASE("<a@b\xc3\xbc"
              "cher.example>"),
         ADDRESS_CLASS_ASK},
        {CASE("<a@[127.0.0.1]>"), ADDRESS_CLASS_ASK},
        {CASE("<postmaster>"), ADDRESS_CLASS_ASK},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct address address;
        struct span rest;
        cr_assert(address_parse(&address, cases[i].argument, false, &rest), "%s", cases[i].argument.p);
        cr_expect_eq(address_classify(&address, &local_set, &relay_set), cases[i].class, "%s", cases[i].argument.p);
    }
    struct address zero = {0};
    cr_expect_eq(address_classify(&zero, &local_set, &relay_set), ADDRESS_CLASS_ASK);
}

Test(test_address_class, domain_sets) {
    static const struct span sorted[] = {CASE("a"), CASE("a.b"), CASE("aa"),
                                         CASE("b"), CASE("ba"),  CASE("c.example")};
    for (size_t n = 0; n <= 6; n++) {
        struct domain_set set = {sorted, n};
        for (size_t i = 0; i < 6; i++) cr_expect_eq(domain_set_holds(&set, sorted[i]), i < n, "%zu of %zu", i, n);
        cr_expect_not(domain_set_holds(&set, SPAN("")));
        cr_expect_not(domain_set_holds(&set, SPAN("a.")));
        cr_expect_not(domain_set_holds(&set, SPAN("aaa")));
        cr_expect_not(domain_set_holds(&set, SPAN("zz")));
    }
}

/* A hand-made address that no parse gives: refused or asked about, never classed by a part of its domain. */
Test(test_address_class, addresses_beyond_the_limits) {
    uint8_t octets[ADDRESS_MAX], storage[ADDRESS_MAX];
    struct buf out = BUF_OVER(storage);
    memset(octets, 'a', sizeof octets);
    struct address address = {.local = span_of(octets, ADDRESS_LOCAL_MAX + 1),
                              .domain = span_of(octets, ADDRESS_DOMAIN_MAX + 1)};
    cr_expect_not(address_local_normal(&address, &out));
    cr_expect_eq(address_classify(&address, &local_set, &relay_set), ADDRESS_CLASS_ASK);
}

static uint64_t random_next(uint64_t *state) {
    *state ^= *state << 13, *state ^= *state >> 7, *state ^= *state << 17;
    return *state;
}

/* Changes a few octets of a path: the ones that matter to the grammar, or any. */
static size_t mutate(uint8_t *text, size_t n, size_t cap, uint64_t *state) {
    static const char telling[] = "<>@@\"\\:,.[]%! a1-\0\r\n\t\x7f\x80\xc3\xa4\xe4";
    for (uint64_t times = random_next(state) % 4; times > 0 && n > 0; times--) {
        size_t at = random_next(state) % n;
        uint64_t any = random_next(state);
        uint8_t octet = any % 5 ? (uint8_t)telling[any / 8 % (sizeof telling - 1)] : (uint8_t)(any >> 32);
        switch (any >> 48 & 3) {
        case 0:
            text[at] = octet;
            break;
        case 1:
            memmove(text + at, text + at + 1, n - at - 1);
            n--;
            break;
        default:
            if (n == cap) break;
            memmove(text + at + 1, text + at, n - at);
            text[at] = octet;
            n++;
        }
    }
    return n;
}

static bool inside(struct span part, struct span whole) {
    return part.n == 0 || (part.p >= whole.p && part.n <= whole.n && (size_t)(part.p - whole.p) <= whole.n - part.n);
}

/* What follows the last @ that is in no quoted string, up to the closing bracket: found by its own reading. */
static struct span after_last_at(struct span argument) {
    size_t from = 0, i = span_find(argument, '<') + 1;
    bool quoted = false;
    for (; i < argument.n && (quoted || argument.p[i] != '>'); i++) {
        if (quoted && argument.p[i] == '\\')
            i++;
        else if (argument.p[i] == '"')
            quoted = !quoted;
        else if (!quoted && argument.p[i] == '@')
            from = i + 1;
    }
    return from ? span_part(argument, from, i - from) : (struct span){NULL, 0};
}

static void judge(struct span argument, bool null_allowed, size_t *parsed) {
    struct address address;
    struct span rest;
    if (!address_parse(&address, argument, null_allowed, &rest)) return;
    ++*parsed;
    cr_assert(inside(address.local, argument) && inside(address.domain, argument));
    cr_assert(inside(address.whole, argument) && inside(rest, argument));
    cr_assert(utf8_clean(argument));
    cr_assert_eq(span_find(address.domain, '@'), address.domain.n);
    cr_assert(address.local.n <= ADDRESS_LOCAL_MAX && address.whole.n <= ADDRESS_WHOLE_MAX);
    cr_assert_eq(address.empty, address.whole.n == 0);
    cr_assert(!address.empty || null_allowed);
    cr_assert(!address.postmaster || !null_allowed);
    struct span domain = after_last_at(argument);
    if (domain.n && domain.p[domain.n - 1] == '.') domain.n--;
    cr_assert(span_equal(domain, address.domain));
    bool ours = false;
    for (size_t i = 0; i < local_set.n; i++) ours = ours || span_equal_nocase(domain, local_domains[i]);
    enum address_class class = address_classify(&address, &local_set, &relay_set);
    cr_assert_eq(class == ADDRESS_CLASS_LOCAL, ours);
    uint8_t storage[ADDRESS_MAX];
    struct buf again = BUF_OVER(storage);
    struct address same;
    if (address.domain.n == 0) return;
    cr_assert(address_local_normal(&address, &again));
    buf_put_octet(&again, '@');
    address_domain_lower(&address, &again);
    cr_assert(buf_ok(&again) && address_parse_plain(&same, buf_span(&again)));
    cr_assert_eq(address_classify(&same, &local_set, &relay_set), class);
    cr_assert_eq(address_second_routing(&same), address_second_routing(&address));
}

static const struct span seeds[] = {
    CASE("<alice@example.test>"),
    CASE(" <ALICE@Example.Test.> SIZE=1"),
    CASE("<a@foreign.example>"),
    CASE("<a%foreign.example@example.test>"),
    CASE("<foreign.example!a@example.test>"),
    CASE("<>"),
    CASE("<\"a@foreign.example\"@example.test>"),
    CASE("<\"a@example.test\"@foreign.example>"),
    CASE("<@foreign.example:a@example.test>"),
    CASE("<@example.test,@[192.0.2.1]:a@foreign.example>"),
    CASE("<\"a\\\"b\\@>\"@example.test>"),
    CASE("<\xc3\xa4@example.test>"),
    CASE("<a@[127.0.0.1]>"),
    CASE("<a@[IPv6:::1]>"),
    CASE("<a@b\xc3\xbc"
         "cher.example>"),
    CASE("<postmaster> NOTIFY=NEVER"),
    CASE("<a@mail.example.test>"),
    CASE("<a@xn--bcher-kva.example>"),
    CASE("<a@backup.example>"),
};

/* Each input lies in storage of just its size, so that a sanitizer sees a read beyond it. */
Test(test_address_class, invariants_over_mutated_paths) {
    size_t parsed = 0;
    for (uint64_t round = 0, state = 88172645463325252u; round < 400000; round++) {
        uint8_t text[512];
        struct span seed = seeds[round % (sizeof seeds / sizeof *seeds)];
        memcpy(text, seed.p, seed.n);
        size_t n = mutate(text, seed.n, sizeof text, &state);
        uint8_t *exact = malloc(n ? n : 1);
        cr_assert_not_null(exact);
        memcpy(exact, text, n);
        judge(span_of(exact, n), round & 64, &parsed);
        free(exact);
    }
    cr_expect_gt(parsed, (size_t)50000);
}
