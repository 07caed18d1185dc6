/* utf16.h - UTF-8 to UTF-16 in little-endian octets and back, without a byte order mark. Strict: overlong forms, lone
 * surrogates (RFC 3629 3, RFC 2781 2.2) and half a unit are refused. On false what was written is not to be used. */
#ifndef AUTH_UTF16_H
#define AUTH_UTF16_H

#include "store/buf.h"

/* At most twice as many octets as there were. */
bool utf16_from_utf8(struct span utf8, struct buf *out) MUST_USE;

/* At most one and a half times as many octets as there were. */
bool utf16_to_utf8(struct span utf16, struct buf *out) MUST_USE;

/* Appends well-formed UTF-16 in upper case as MS-NLMP means it (RtlUpcaseUnicodeString): unit by unit, by Unicode's
 * simple mapping, in no locale; a letter that would become several, or is beyond the first plane, stays. */
void utf16_upper(struct span utf16, struct buf *out);

#endif
