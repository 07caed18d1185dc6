/* seal.h - the state of an exchange between two of its steps, as auth keeps it and cannot read it. */
#ifndef AUTH_SEAL_H
#define AUTH_SEAL_H

#include "store/frames.h"
#include "store/span.h"

/* Seals the name of this exchange until the deadline (clock_ms). False when it does not fit. */
bool seal_close(const uint8_t key[32], uint64_t exchange, uint64_t deadline_ms, struct span name,
                uint8_t state_out[VERIFY_STATE_BYTES]) MUST_USE;

/* Opens it; false when it is not ours, of another exchange, or too late. `name_out` holds VERIFY_NAME_BYTES, NUL
 * padded. */
bool seal_open(const uint8_t key[32], uint64_t exchange, uint64_t now_ms, const uint8_t state[VERIFY_STATE_BYTES],
               uint8_t name_out[VERIFY_NAME_BYTES]) MUST_USE;

#endif
