/* fuzz_address.c - paths, and the classifier held against a second statement of it.
 * Runs in: fuzzing. Trusts: nothing. Never: uses the parser's own idea of where the domain is. */
#include "auth/address.h"
#include "auth/domain_idn.h"
#include "tests/fuzz/fuzz.h"

static const struct span local_domains[] = {{(const uint8_t *)"example.test", 12},
                                            {(const uint8_t *)"xn--mnchen-3ya.test", 19}};
static const struct domain_set ours = {local_domains, 2}, none = {NULL, 0};

/* The octets after the last @ outside of quotes, without a trailing dot, in lower case. */
static struct span last_domain(struct span path, struct buf *out) {
    bool quoted = false;
    size_t at = path.n;
    for (size_t i = 0; i < path.n; i++) {
        if (quoted && path.p[i] == '\\')
            i++;
        else if (path.p[i] == '"')
            quoted = !quoted;
        else if (!quoted && path.p[i] == '@')
            at = i;
    }
    struct span domain = span_from(path, at + 1);
    if (domain.n && domain.p[domain.n - 1] == '.') domain.n--;
    for (size_t i = 0; i < domain.n; i++) buf_put_octet(out, octet_lower(domain.p[i]));
    return buf_span(out);
}

static void check(struct span argument, bool null_allowed) {
    static uint8_t storage[1 << 16], normal_storage[1024], idn_storage[1024];
    struct buf lower = BUF_OVER(storage), normal = BUF_OVER(normal_storage), idn = BUF_OVER(idn_storage);
    struct address address;
    struct span rest;
    if (!address_parse(&address, argument, null_allowed, &rest)) return;
    struct span trimmed = span_trim(argument);
    HOLDS(trimmed.n && trimmed.p[0] == '<' && address.whole.n <= ADDRESS_WHOLE_MAX);
    for (size_t i = 0; i < argument.n; i++) HOLDS(argument.p[i] >= ' ' && argument.p[i] != 0x7f);
    if (address.empty) {
        HOLDS(null_allowed);
        return;
    }
    HOLDS(address.local.n && address.local.n <= ADDRESS_LOCAL_MAX);
    struct span path =
        span_part(trimmed, 1, (size_t)(rest.n ? rest.p - trimmed.p : trimmed.p + trimmed.n - trimmed.p) - 1);
    while (path.n && path.p[path.n - 1] == ' ') path.n--;
    HOLDS(path.n && path.p[path.n - 1] == '>');
    path.n--;
    enum address_class class = address_classify(&address, &ours, &none);
    struct span domain = last_domain(path, &lower);
    bool local = span_equal(domain, local_domains[0]) || span_equal(domain, local_domains[1]);
    HOLDS(!buf_ok(&lower) || (class == ADDRESS_CLASS_LOCAL) == (local && !address.postmaster));
    HOLDS(address_local_normal(&address, &normal));
    if (address.domain.n && !address.literal && domain_idn_normal(address.domain, &idn)) {
        struct span name = buf_span(&idn);
        HOLDS(name.n <= DOMAIN_IDN_MAX);
        for (size_t i = 0; i < name.n; i++)
            HOLDS(name.p[i] > ' ' && name.p[i] < 0x7f && octet_lower(name.p[i]) == name.p[i]);
    }
    if (address_second_routing(&address)) HOLDS(address.local.n > 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n) {
    struct address address;
    uint8_t storage[1024];
    struct buf b = BUF_OVER(storage);
    struct span in = span_of(p, n);
    check(in, false);
    check(in, true);
    if (address_parse_plain(&address, in)) HOLDS(address.whole.n && address.whole.n <= n);
    (void)domain_idn_normal(in, &b);
    return 0;
}
