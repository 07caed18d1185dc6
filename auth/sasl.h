/* sasl.h - what is in the messages of PLAIN (RFC 4616) and LOGIN. */
#ifndef AUTH_SASL_H
#define AUTH_SASL_H

#include "store/span.h"

enum { SASL_PART_MAX = 255 };

/* Name and password in a message of PLAIN: authzid NUL authcid NUL password, where authzid is empty or the same as
 * authcid (nobody acts for another here). False when malformed: a part over 255 octets, an empty name or password, a
 * further NUL, octets that are not UTF-8. Views into the message. */
bool sasl_plain(struct span message, struct span *name_out, struct span *password_out) MUST_USE;

/* Whether it may be a name, or a password: 1 to 255 octets of UTF-8 without NUL; a name has no other control octets.
 */
bool sasl_name(struct span name) MUST_USE;
bool sasl_password(struct span password) MUST_USE;

#endif
