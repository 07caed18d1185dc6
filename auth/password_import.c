/* password_import.c - {SCHEME}, its other names and encodings.
 * Runs in: command line. Trusts: nothing in the octets. Never: checks a password. */
#include "auth/password_import.h"

#include "store/base64.h"
#include "store/frames.h"

enum kind { KIND_NONE = 0, KIND_CRYPT, KIND_PBKDF2, KIND_DIGEST, KIND_PLAIN, KIND_DES, KIND_ELSE };
enum encoding { ENCODING_USUAL = 0, ENCODING_HEX, ENCODING_BASE64, ENCODING_UNKNOWN };

static const struct name {
    const char *name;
    enum kind kind;
    enum password_scheme scheme; /* of a digest */
} names[] = {
    {"CRYPT", KIND_CRYPT, PASSWORD_NONE},         {"BLF-CRYPT", KIND_CRYPT, PASSWORD_NONE},
    {"SHA512-CRYPT", KIND_CRYPT, PASSWORD_NONE},  {"SHA256-CRYPT", KIND_CRYPT, PASSWORD_NONE},
    {"MD5-CRYPT", KIND_CRYPT, PASSWORD_NONE},     {"MD5", KIND_CRYPT, PASSWORD_NONE},
    {"ARGON2ID", KIND_CRYPT, PASSWORD_NONE},      {"PBKDF2", KIND_PBKDF2, PASSWORD_NONE},
    {"SSHA512", KIND_DIGEST, PASSWORD_SSHA512},   {"SSHA256", KIND_DIGEST, PASSWORD_SSHA256},
    {"SSHA", KIND_DIGEST, PASSWORD_SSHA},         {"SMD5", KIND_DIGEST, PASSWORD_SMD5},
    {"SHA512", KIND_DIGEST, PASSWORD_SHA512},     {"SHA256", KIND_DIGEST, PASSWORD_SHA256},
    {"SHA1", KIND_DIGEST, PASSWORD_SHA},          {"SHA", KIND_DIGEST, PASSWORD_SHA},
    {"LDAP-MD5", KIND_DIGEST, PASSWORD_LDAP_MD5}, {"PLAIN-MD5", KIND_DIGEST, PASSWORD_LDAP_MD5},
    {"PLAIN", KIND_PLAIN, PASSWORD_NONE},         {"CLEARTEXT", KIND_PLAIN, PASSWORD_NONE},
    {"CLEAR", KIND_PLAIN, PASSWORD_NONE},         {"DES-CRYPT", KIND_DES, PASSWORD_NONE},
    {"CRAM-MD5", KIND_ELSE, PASSWORD_NONE},       {"HMAC-MD5", KIND_ELSE, PASSWORD_NONE},
    {"DIGEST-MD5", KIND_ELSE, PASSWORD_NONE},     {"SCRAM-SHA-1", KIND_ELSE, PASSWORD_NONE},
    {"SCRAM-SHA-256", KIND_ELSE, PASSWORD_NONE},  {"OTP", KIND_ELSE, PASSWORD_NONE},
    {"PLAIN-MD4", KIND_ELSE, PASSWORD_NONE},      {"PLAIN-TRUNC", KIND_ELSE, PASSWORD_NONE},
    {"ARGON2I", KIND_ELSE, PASSWORD_NONE},
};
static const struct name unknown = {"", KIND_NONE, PASSWORD_NONE};

/* "SSHA.HEX": a name, and an encoding behind a dot. */
static const struct name *find_name(struct span scheme, enum encoding *encoding_out) {
    size_t dot = span_find(scheme, '.');
    struct span encoding = span_from(scheme, dot + 1);
    *encoding_out = dot == scheme.n                               ? ENCODING_USUAL
                    : span_equal_nocase(encoding, SPAN("HEX"))    ? ENCODING_HEX
                    : span_equal_nocase(encoding, SPAN("B64"))    ? ENCODING_BASE64
                    : span_equal_nocase(encoding, SPAN("BASE64")) ? ENCODING_BASE64
                                                                  : ENCODING_UNKNOWN;
    for (size_t i = 0; i < sizeof names / sizeof *names && *encoding_out != ENCODING_UNKNOWN; i++)
        if (span_equal_nocase(span_part(scheme, 0, dot), span_text(names[i].name))) return &names[i];
    return &unknown;
}

static int hex_digit(uint8_t c) {
    uint8_t lower = octet_lower(c);
    if (c >= '0' && c <= '9') return c - '0';
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

static bool decode_hex(struct span text, struct buf *out) {
    for (size_t i = 0; i + 1 < text.n; i += 2) {
        int high = hex_digit(text.p[i]), low = hex_digit(text.p[i + 1]);
        if (high < 0 || low < 0) return false;
        buf_put_octet(out, (uint8_t)(high << 4 | low));
    }
    return text.n % 2 == 0 && buf_ok(out);
}

/* Appends "{SCHEME}" and base64, whatever the encoding was: the shortest. As Dovecot does, twice as many octets as an
 * unsalted digest has are hex. */
static bool put_digest(struct span text, enum password_scheme scheme, enum encoding encoding, struct buf *out) {
    uint8_t octets[VERIFY_HASH_BYTES];
    struct buf decoded = BUF_OVER(octets);
    size_t n = password_digest_bytes(scheme);
    bool hex = encoding == ENCODING_HEX ||
               (encoding == ENCODING_USUAL && !password_digest_salted(scheme) && text.n == 2 * n);
    if (!(hex ? decode_hex(text, &decoded) : base64_decode(text, &decoded))) return false;
    buf_put_octet(out, '{');
    buf_put_text(out, password_scheme_name(scheme));
    buf_put_octet(out, '}');
    base64_encode(buf_span(&decoded), out);
    explicit_bzero(octets, sizeof octets);
    return buf_ok(out);
}

static const char *put_hash(const struct name *name, enum encoding encoding, struct span text, struct buf *out) {
    bool modular = text.n > 0 && text.p[0] == '$';
    switch (name->kind) {
    case KIND_NONE:
        return "is of a scheme that is not known";
    case KIND_DES:
        return "is of the old DES crypt, which sees the first 8 characters of a password";
    case KIND_ELSE:
        return "is of a scheme that is not checked here";
    case KIND_CRYPT:
        if (!modular && strcmp(name->name, "MD5") == 0 && put_digest(text, PASSWORD_LDAP_MD5, encoding, out))
            return NULL;
        if (!modular && text.n == 13 && strcmp(name->name, "CRYPT") == 0)
            return "is of the old DES crypt, which sees the first 8 characters of a password";
        if (!modular) return "is none of crypt(3)";
        buf_put_span(out, text);
        return NULL;
    case KIND_PBKDF2:
        buf_put_text(out, "{PBKDF2}");
        buf_put_span(out, text);
        return NULL;
    case KIND_DIGEST:
        return put_digest(text, name->scheme, encoding, out) ? NULL : "is malformed, or cut short";
    case KIND_PLAIN:
        buf_put_span(out, text);
        return NULL;
    }
    return "is of a scheme that is not known";
}

enum password_import password_import(struct span field, struct span scheme, struct buf *out,
                                     struct password_cost *cost, const char **why_out) {
    enum encoding encoding;
    size_t close = field.n > 0 && field.p[0] == '{' ? span_find(field, '}') : field.n;
    if (close < field.n) {
        scheme = span_part(field, 1, close - 1);
        field = span_from(field, close + 1);
    }
    const struct name *name = find_name(scheme, &encoding);
    size_t began = out->n;
    *cost = (struct password_cost){0};
    *why_out = put_hash(name, encoding, field, out);
    if (!*why_out && !buf_ok(out)) *why_out = "is longer than any that is checked here";
    if (!*why_out && name->kind != KIND_PLAIN)
        *why_out = password_format_fault(span_from(buf_span(out), began), cost);
    if (*why_out) return PASSWORD_IMPORT_FAULT;
    return name->kind == KIND_PLAIN ? PASSWORD_IMPORT_PLAIN : PASSWORD_IMPORT_HASH;
}

bool password_import_scheme(struct span scheme) {
    enum encoding encoding;
    return find_name(scheme, &encoding)->kind != KIND_NONE;
}
