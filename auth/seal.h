/* seal.h - the state of an exchange between two of its steps, as auth keeps it and cannot read it. */
#ifndef AUTH_SEAL_H
#define AUTH_SEAL_H

#include "store/buf.h"
#include "store/frames.h"

/* Which step it is for. */
struct seal_label {
    uint64_t exchange;
    uint8_t mechanism, step;
};

/* Octets that fit into a state. */
enum { SEAL_CLEAR_MAX = VERIFY_STATE_BYTES - 24 - 16 - 20 };

/* Seals what is for this step until the deadline (clock_ms). False when it does not fit. */
bool seal_close(const uint8_t key[32], struct seal_label label, uint64_t deadline_ms, struct span clear,
                uint8_t state_out[VERIFY_STATE_BYTES]) MUST_USE;

/* Appends to clear_out what was sealed; false when it is not ours, for another step, or too late. */
bool seal_open(const uint8_t key[32], struct seal_label label, uint64_t now_ms,
               const uint8_t state[VERIFY_STATE_BYTES], struct buf *clear_out) MUST_USE;

#endif
