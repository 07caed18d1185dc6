/* record.c - sealing and opening records.
 * Runs in: queue. Trusts: the key. Never: takes a length or a type from bytes whose MAC does not fit. */
#include "store/record.h"

#include <sodium.h>

/* The head, little-endian, 8-octet aligned in its segment:
 *
 *    0  u32 magic          24  u64 sequence, grows by one with each record
 *    4  u32 payload octets 32  u32 type
 *    8  u64 segment        36  u32 zero
 *   16  u64 offset         40  MAC, 16 octets
 *   56  payload, then zeros up to the next multiple of 8
 *
 * The MAC covers octets 0 to 39 and the payload. So bytes that were copied from another place of the log, or that a
 * sender put into a body, are not a record, whatever they look like. */
enum { MAC_AT = 40 };
static const uint32_t magic = 0x52505447; /* "GTPR" */

void record_mac(const uint8_t key[RECORD_KEY_BYTES], struct span a, struct span b,
                uint8_t mac_out[RECORD_MAC_BYTES]) {
    crypto_generichash_state state;
    (void)crypto_generichash_init(&state, key, RECORD_KEY_BYTES, RECORD_MAC_BYTES);
    (void)crypto_generichash_update(&state, a.p, a.n);
    if (b.n) (void)crypto_generichash_update(&state, b.p, b.n);
    (void)crypto_generichash_final(&state, mac_out, RECORD_MAC_BYTES);
}

void record_seal(const uint8_t key[RECORD_KEY_BYTES], const struct record *record,
                 uint8_t head_out[RECORD_HEAD_BYTES]) {
    struct buf b = buf_over(head_out, RECORD_HEAD_BYTES);
    wire_put_u32(&b, magic);
    wire_put_u32(&b, (uint32_t)record->payload.n);
    wire_put_u64(&b, record->place.segment);
    wire_put_u64(&b, record->place.offset);
    wire_put_u64(&b, record->sequence);
    wire_put_u32(&b, (uint32_t)record->type);
    wire_put_u32(&b, 0);
    record_mac(key, span_of(head_out, MAC_AT), record->payload, head_out + MAC_AT);
}

bool record_open(const uint8_t key[RECORD_KEY_BYTES], struct span s, struct record_place place, struct record *out) {
    uint8_t mac[RECORD_MAC_BYTES];
    struct wire w = wire_over(span_part(s, 0, RECORD_HEAD_BYTES));
    if (wire_get_u32(&w) != magic) return false;
    uint32_t n = wire_get_u32(&w);
    out->place.segment = wire_get_u64(&w);
    out->place.offset = wire_get_u64(&w);
    out->sequence = wire_get_u64(&w);
    uint32_t type = wire_get_u32(&w);
    (void)wire_get_u32(&w);
    if (w.bad || s.n < RECORD_HEAD_BYTES || n > RECORD_PAYLOAD_MAX || n > s.n - RECORD_HEAD_BYTES) return false;
    if (out->place.segment != place.segment || out->place.offset != place.offset) return false;
    out->payload = span_part(s, RECORD_HEAD_BYTES, n);
    record_mac(key, span_part(s, 0, MAC_AT), out->payload, mac);
    if (sodium_memcmp(mac, s.p + MAC_AT, sizeof mac) != 0) return false;
    out->type = type < RECORD_TYPES ? (enum record_type)type : RECORD_NONE;
    return true;
}

bool record_peek(struct span s, struct record_place place, size_t payload_bytes) {
    struct wire w = wire_over(span_part(s, 0, RECORD_HEAD_BYTES));
    bool same = wire_get_u32(&w) == magic;
    same &= wire_get_u32(&w) == payload_bytes;
    same &= wire_get_u64(&w) == place.segment;
    same &= wire_get_u64(&w) == place.offset;
    return same && s.n >= RECORD_HEAD_BYTES;
}
