/* record.h - one record of the queue's log: bytes that are valid only where they were written, by whoever holds the
 * key. */
#ifndef STORE_RECORD_H
#define STORE_RECORD_H

#include "store/wire.h"

enum { RECORD_KEY_BYTES = 32, RECORD_MAC_BYTES = 16, RECORD_HEAD_BYTES = 56, RECORD_ALIGN = 8 };

/* The longest payload: a body kept in the log, its envelope and recipients. */
#define RECORD_PAYLOAD_MAX ((size_t)32 << 20)

enum record_type {
    RECORD_NONE = 0,
    RECORD_MESSAGE,  /* an accepted message: store/message.h */
    RECORD_MARKS,    /* what has become of messages: store/message.h */
    RECORD_MOVED,    /* u64 numbers of messages that lie in files of their own from now on */
    RECORD_DEFERRED, /* such a file: states, then the message's record */
    RECORD_TYPES
};

/* Where a record lies. Files of `deferred/` have RECORD_FILE as segment and the message's number as offset. */
struct record_place {
    uint64_t segment, offset;
};
#define RECORD_FILE UINT64_MAX

struct record {
    struct record_place place;
    uint64_t sequence;
    enum record_type type;
    struct span payload;
};

/* Writes the head that goes before record->payload. */
void record_seal(const uint8_t key[RECORD_KEY_BYTES], const struct record *record,
                 uint8_t head_out[RECORD_HEAD_BYTES]);

/* Reads the record that begins at s, if it is one and was written at `place` with this key; its payload is a view
 * into s. */
bool record_open(const uint8_t key[RECORD_KEY_BYTES], struct span s, struct record_place place,
                 struct record *out) MUST_USE;

/* Whether s begins like a record that was written at `place` with that many octets of payload. No proof: the MAC is
 * not looked at. For who needs a few octets of a long record and acts on none of them. */
bool record_peek(struct span s, struct record_place place, size_t payload_bytes) MUST_USE;

/* What a record with a payload of n octets takes, its padding included. */
static inline size_t record_bytes(size_t n) {
    return RECORD_HEAD_BYTES + (n + RECORD_ALIGN - 1) / RECORD_ALIGN * RECORD_ALIGN;
}

/* BLAKE2b-128 under the key over two spans; for the segments' headers too. */
void record_mac(const uint8_t key[RECORD_KEY_BYTES], struct span a, struct span b, uint8_t mac_out[RECORD_MAC_BYTES]);

#endif
