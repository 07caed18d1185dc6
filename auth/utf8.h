/* utf8.h - well-formed UTF-8, RFC 3629 4. */
#ifndef AUTH_UTF8_H
#define AUTH_UTF8_H

#include "store/span.h"

/* Octets of the character at the start of `s` (1 to 4); 0 at the end, or where no well-formed one begins: overlong
 * forms, surrogates and numbers above U+10FFFF are not well formed. */
size_t utf8_step(struct span s);

/* Whether all of `s` is well-formed UTF-8 without control characters, C0 or C1 (RFC 5198 2). */
bool utf8_clean(struct span s);

#endif
