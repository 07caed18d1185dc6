/* envelope.c - the envelope in frames and in the queue's log.
 * Runs in: auth, queue. Trusts: auth for what it wrote; lengths are checked all the same. Never: interprets an
 * address. */
#include "store/envelope.h"

void envelope_put(struct buf *b, const struct envelope *envelope) {
    wire_put_u64(b, envelope->session_number);
    wire_put_span(b, envelope->session_name);
    wire_put_netaddr(b, &envelope->client);
    wire_put_netaddr(b, &envelope->local);
    wire_put_u8(b, envelope->role);
    wire_put_u8(b, envelope->flags);
    wire_put_span(b, envelope->helo);
    wire_put_span(b, envelope->tls);
    wire_put_span(b, envelope->principal);
    wire_put_span(b, envelope->sender);
    wire_put_u64(b, envelope->declared_bytes);
    wire_put_u64(b, envelope->limit_bytes);
    wire_put_u32(b, envelope->recipients_max);
    wire_put_u8(b, envelope->dsn_return);
    wire_put_span(b, envelope->envid);
}

void envelope_get(struct wire *w, struct envelope *out) {
    out->session_number = wire_get_u64(w);
    out->session_name = wire_get_span(w, SESSION_NAME_MAX);
    wire_get_netaddr(w, &out->client);
    wire_get_netaddr(w, &out->local);
    out->role = wire_get_u8(w);
    out->flags = wire_get_u8(w);
    out->helo = wire_get_span(w, ENVELOPE_TEXT_MAX);
    out->tls = wire_get_span(w, ENVELOPE_TEXT_MAX);
    out->principal = wire_get_span(w, ENVELOPE_TEXT_MAX);
    out->sender = wire_get_span(w, ENVELOPE_TEXT_MAX);
    out->declared_bytes = wire_get_u64(w);
    out->limit_bytes = wire_get_u64(w);
    out->recipients_max = wire_get_u32(w);
    out->dsn_return = wire_get_u8(w);
    out->envid = wire_get_span(w, ENVELOPE_TEXT_MAX);
}

/* In the octet of the kind: a sender follows. Without one the layout is that of the first version of the log. */
enum { KIND_WITH_SENDER = 0x80 };

void recipient_put(struct buf *b, const struct recipient *recipient) {
    wire_put_u8(b, (uint8_t)(recipient->kind | (recipient->sender.n ? KIND_WITH_SENDER : 0)));
    wire_put_span(b, recipient->destination);
    wire_put_span(b, recipient->address);
    wire_put_span(b, recipient->original);
    wire_put_u8(b, recipient->notify);
    wire_put_span(b, recipient->orcpt);
    if (recipient->sender.n) wire_put_span(b, recipient->sender);
}

void recipient_get(struct wire *w, struct recipient *out) {
    uint8_t kind = wire_get_u8(w);
    out->kind = kind & (uint8_t)~KIND_WITH_SENDER;
    out->destination = wire_get_span(w, ENVELOPE_TEXT_MAX);
    out->address = wire_get_span(w, ENVELOPE_TEXT_MAX);
    out->original = wire_get_span(w, ENVELOPE_TEXT_MAX);
    out->notify = wire_get_u8(w);
    out->orcpt = wire_get_span(w, ENVELOPE_TEXT_MAX);
    out->sender = kind & KIND_WITH_SENDER ? wire_get_span(w, ENVELOPE_TEXT_MAX) : (struct span){0};
}
