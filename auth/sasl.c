/* sasl.c - the grammar of SASL messages.
 * Runs in: verifier. Trusts: nothing in the octets. Never: copies a password. */
#include "auth/sasl.h"

#include "auth/utf8.h"

bool sasl_name(struct span name) {
    return name.n > 0 && name.n <= SASL_PART_MAX && utf8_clean(name);
}

bool sasl_password(struct span password) {
    if (password.n == 0 || password.n > SASL_PART_MAX) return false;
    for (size_t at = 0; at < password.n;) {
        size_t step = utf8_step(span_from(password, at));
        if (step == 0 || password.p[at] == 0) return false;
        at += step;
    }
    return true;
}

bool sasl_plain(struct span message, struct sasl_plain *out) {
    size_t first = span_find(message, 0);
    struct span rest = span_from(message, first + 1);
    size_t second = span_find(rest, 0);
    *out = (struct sasl_plain){span_part(message, 0, first), span_part(rest, 0, second), span_from(rest, second + 1)};
    if (first == message.n || second == rest.n) return false;
    if (out->authorization.n && !sasl_name(out->authorization)) return false;
    return sasl_name(out->name) && sasl_password(out->password);
}
