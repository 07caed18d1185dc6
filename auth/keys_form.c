/* keys_form.c - telling a TLS transcript from everything else, by every octet whose value is known.
 * Runs in: keys. Trusts: nothing in the octets. Never: accepts a form of which a part is free that need not be. */
#include "auth/keys_form.h"

enum { RANDOMS_BYTES = 64, PADDING_BYTES = 64, NAMED_CURVE = 3 };

static enum keys_form tls13(struct span octets) {
    static const char context[] = "TLS 1.3, server CertificateVerify"; /* signed with its NUL */
    size_t hash = PADDING_BYTES + sizeof context;
    if (octets.n != hash + 32 && octets.n != hash + 48) return KEYS_FORM_NONE;
    for (size_t i = 0; i < PADDING_BYTES; i++)
        if (octets.p[i] != ' ') return KEYS_FORM_NONE;
    return memcmp(octets.p + PADDING_BYTES, context, sizeof context) == 0 ? KEYS_FORM_TLS13 : KEYS_FORM_NONE;
}

/* client random, server random, ECParameters, ECPoint; uncompressed points, RFC 8422 5.4.1. */
static enum keys_form tls12(struct span octets) {
    static const struct {
        uint16_t curve;
        uint8_t point_bytes;
        bool uncompressed;
    } curves[] = {{23, 65, true}, {24, 97, true}, {25, 133, true}, {29, 32, false}, {30, 56, false}};
    struct span parameters = span_from(octets, RANDOMS_BYTES);
    if (parameters.n < 5 || parameters.p[0] != NAMED_CURVE) return KEYS_FORM_NONE;
    unsigned curve = (unsigned)parameters.p[1] << 8 | parameters.p[2];
    for (size_t i = 0; i < sizeof curves / sizeof *curves; i++) {
        if (curves[i].curve != curve) continue;
        bool fits = parameters.p[3] == curves[i].point_bytes && parameters.n == 4U + curves[i].point_bytes;
        bool marked = !curves[i].uncompressed || parameters.p[4] == 4;
        return fits && marked ? KEYS_FORM_TLS12 : KEYS_FORM_NONE;
    }
    return KEYS_FORM_NONE;
}

enum keys_form keys_form_of(struct span octets) {
    enum keys_form form = tls13(octets);
    return form == KEYS_FORM_NONE ? tls12(octets) : form;
}

static bool rsa_scheme(uint16_t scheme, enum keys_form form, struct keys_scheme *out) {
    out->pss = scheme >= 0x0804;
    switch (scheme) {
    case 0x0804:
        out->digest = "SHA256";
        return true;
    case 0x0805:
        out->digest = "SHA384";
        return true;
    case 0x0806:
        out->digest = "SHA512";
        return true;
    case 0x0401:
        out->digest = "SHA256";
        break;
    case 0x0501:
        out->digest = "SHA384";
        break;
    case 0x0601:
        out->digest = "SHA512";
        break;
    default:
        return false;
    }
    return form == KEYS_FORM_TLS12; /* RFC 8446 4.4.3: no PKCS #1 v1.5 in CertificateVerify */
}

bool keys_form_scheme(enum keys_kind kind, enum keys_form form, uint16_t scheme, struct keys_scheme *out) {
    *out = (struct keys_scheme){0};
    if (form != KEYS_FORM_TLS12 && form != KEYS_FORM_TLS13) return false;
    switch (kind) {
    case KEYS_KIND_RSA:
        return rsa_scheme(scheme, form, out);
    case KEYS_KIND_P256:
    case KEYS_KIND_P384:
        out->digest = scheme == 0x0403 ? "SHA256" : "SHA384";
        /* TLS 1.3 ties the hash to the curve, TLS 1.2 does not. */
        if (form == KEYS_FORM_TLS13) return scheme == (kind == KEYS_KIND_P256 ? 0x0403 : 0x0503);
        return scheme == 0x0403 || scheme == 0x0503;
    case KEYS_KIND_NONE:
        break;
    }
    return false;
}
