/* domain_idn.c - the normal form of domains; the only file that uses libidn2.
 * Runs in: auth, command line. Trusts: libidn2 to map, not to check: its result is judged again.
 * Never: resolves a name. */
#include "auth/domain_idn.h"

#include "auth/address.h"
#include "auth/utf8.h"

#include <idn2.h>

static bool put_ascii(struct span domain, struct buf *out) {
    if (domain.n > DOMAIN_IDN_MAX || domain.n > out->cap - out->n) return false;
    if (!span_is_ascii(domain) || !address_domain_valid(domain)) return false;
    for (size_t i = 0; i < domain.n; i++) buf_put_octet(out, octet_lower(domain.p[i]));
    return buf_ok(out);
}

bool domain_idn_normal(struct span domain, struct buf *out) {
    uint8_t text[ADDRESS_DOMAIN_MAX + 1];
    uint8_t *mapped = NULL;
    if (domain.n && domain.p[domain.n - 1] == '.') domain.n--;
    if (!address_domain_valid(domain) || !utf8_clean(domain)) return false;
    if (span_is_ascii(domain)) return put_ascii(domain, out);
    memcpy(text, domain.p, domain.n);
    text[domain.n] = 0;
    if (idn2_lookup_u8(text, &mapped, IDN2_NONTRANSITIONAL | IDN2_NFC_INPUT) != IDN2_OK) return false;
    bool written = put_ascii(span_text((const char *)mapped), out);
    idn2_free(mapped);
    return written;
}
