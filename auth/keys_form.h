/* keys_form.h - what the keys process signs: octets that only a TLS server handshake has. Anything else would make it
 * a general oracle for whoever took a session over. */
#ifndef AUTH_KEYS_FORM_H
#define AUTH_KEYS_FORM_H

#include "store/span.h"

enum keys_form {
    KEYS_FORM_NONE = 0,
    KEYS_FORM_TLS12, /* ServerKeyExchange with a named curve: RFC 8422 5.4 */
    KEYS_FORM_TLS13  /* CertificateVerify of a server: RFC 8446 4.4.3 */
};

enum keys_kind { KEYS_KIND_NONE = 0, KEYS_KIND_RSA, KEYS_KIND_P256, KEYS_KIND_P384 };

/* A signature scheme, RFC 8446 4.2.3. */
struct keys_scheme {
    const char *digest; /* NULL: the scheme's own */
    bool pss;
};

enum keys_form keys_form_of(struct span octets);

/* Whether a key of this kind signs this form by this scheme; *out says how. */
bool keys_form_scheme(enum keys_kind kind, enum keys_form form, uint16_t scheme, struct keys_scheme *out) MUST_USE;

#endif
