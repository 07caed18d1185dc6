/* siphash.h - SipHash-2-4 (Aumasson and Bernstein, 2012): a short keyed hash, for tables whose keys strangers choose.
 * Who does not know the key can neither find two that collide nor aim at a place. Not for passwords. */
#ifndef AUTH_SIPHASH_H
#define AUTH_SIPHASH_H

#include "store/span.h"

enum { SIPHASH_KEY_BYTES = 16 };

uint64_t siphash(const uint8_t key[SIPHASH_KEY_BYTES], struct span text) MUST_USE;

#endif
