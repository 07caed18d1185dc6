/* domain_idn.h - the one form in which domains are compared: A-labels, lower case, no trailing dot. */
#ifndef AUTH_DOMAIN_IDN_H
#define AUTH_DOMAIN_IDN_H

#include "store/buf.h"

enum { DOMAIN_IDN_MAX = 253 }; /* of the normal form: what fits the DNS, RFC 1035 2.3.4 */

/* Writes the normal form of a domain that may hold UTF-8 and a trailing dot (RFC 5891 5, UTS 46 non-transitional: the
 * sharp s stays one). A name in ASCII is only checked and brought to lower case; an A-label in it is believed. False,
 * with nothing written, when it is no domain name (address literals too) or does not fit. Calls malloc. */
bool domain_idn_normal(struct span domain, struct buf *out) MUST_USE;

#endif
