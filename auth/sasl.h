/* sasl.h - what is in the messages of PLAIN (RFC 4616) and LOGIN. */
#ifndef AUTH_SASL_H
#define AUTH_SASL_H

#include "store/span.h"

enum { SASL_PART_MAX = 255 };

/* A message of PLAIN: authzid NUL authcid NUL password; the authzid (who the client wants to act as) may be empty.
 * False when malformed: a part over 255 octets, an empty name or password, a further NUL, octets that are not UTF-8.
 * Views into the message. */
struct sasl_plain {
    struct span authorization, name, password;
};
bool sasl_plain(struct span message, struct sasl_plain *out) MUST_USE;

/* Whether it may be a name, or a password: 1 to 255 octets of UTF-8 without NUL; a name has no other control
 * octets. */
bool sasl_name(struct span name) MUST_USE;
bool sasl_password(struct span password) MUST_USE;

#endif
