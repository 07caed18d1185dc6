/* message.c - the layouts of messages and marks, and names.
 * Runs in: queue. Trusts: nothing in the lengths. Never: interprets an address. */
#include "store/message.h"

static const char alphabet[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

void message_name(uint64_t number, char name_out[MESSAGE_NAME_SIZE]) {
    for (int i = MESSAGE_NAME_CHARS - 1; i >= 0; i--, number >>= 5) name_out[i] = alphabet[number & 31];
    name_out[MESSAGE_NAME_CHARS] = 0;
}

bool message_number(struct span name, uint64_t *number_out) {
    uint64_t number = 0;
    if (name.n != MESSAGE_NAME_CHARS) return false;
    for (size_t i = 0; i < name.n; i++) {
        uint8_t c = octet_lower(name.p[i]);
        size_t digit = 0;
        while (digit < 32 && octet_lower((uint8_t)alphabet[digit]) != c) digit++;
        if (digit == 32 || (i == 0 && digit > 15)) return false; /* 13 digits hold 65 bits */
        number = number << 5 | digit;
    }
    *number_out = number;
    return true;
}

/* u64 number, u64 arrival, u64 body bytes, u8 flags, u32 recipients, envelope (envelope_put), span of the recipients
 * (recipient_put, one after another), span of marks (likewise); then the body, unless it has a file of its own. */
void message_put(struct buf *b, const struct message *message) {
    wire_put_u64(b, message->number);
    wire_put_u64(b, message->arrival_ms);
    wire_put_u64(b, message->body_bytes);
    wire_put_u8(b, message->flags);
    wire_put_u32(b, message->n_recipients);
    envelope_put(b, &message->envelope);
    wire_put_span(b, message->recipients);
    wire_put_span(b, message->marks);
}

size_t message_bytes(const struct message *message) {
    const struct envelope *e = &message->envelope;
    return 256 + e->session_name.n + e->helo.n + e->tls.n + e->principal.n + e->sender.n + e->envid.n +
           message->recipients.n + message->marks.n;
}

bool message_get_head(struct wire *w, struct message *out) {
    out->number = wire_get_u64(w);
    out->arrival_ms = wire_get_u64(w);
    out->body_bytes = wire_get_u64(w);
    out->flags = wire_get_u8(w);
    out->n_recipients = wire_get_u32(w);
    envelope_get(w, &out->envelope);
    out->recipients = wire_get_span(w, SIZE_MAX);
    out->marks = wire_get_span(w, SIZE_MAX);
    return !w->bad && out->n_recipients <= MESSAGE_RECIPIENTS_MAX;
}

bool message_get(struct span payload, struct message *out, size_t *body_at_out) {
    struct wire w = wire_over(payload);
    bool whole = message_get_head(&w, out);
    *body_at_out = payload.n - w.rest.n;
    if (!whole) return false;
    return out->flags & MESSAGE_OWN_FILE ? w.rest.n == 0 : w.rest.n == out->body_bytes;
}

void mark_put(struct buf *b, const struct mark *mark) {
    wire_put_u64(b, mark->number);
    wire_put_u32(b, mark->index);
    wire_put_u8(b, mark->state);
    wire_put_u8(b, mark->again);
    wire_put_u16(b, mark->attempts);
    wire_put_u64(b, mark->next_ms);
    wire_put_span(b, span_part(mark->status, 0, MARK_STATUS_MAX));
    wire_put_span(b, span_part(mark->diagnostic, 0, MARK_TEXT_MAX));
    wire_put_span(b, span_part(mark->remote, 0, MARK_TEXT_MAX));
}

void mark_get(struct wire *w, struct mark *out) {
    out->number = wire_get_u64(w);
    out->index = wire_get_u32(w);
    out->state = wire_get_u8(w);
    out->again = wire_get_u8(w);
    out->attempts = wire_get_u16(w);
    out->next_ms = wire_get_u64(w);
    out->status = wire_get_span(w, MARK_STATUS_MAX);
    out->diagnostic = wire_get_span(w, MARK_TEXT_MAX);
    out->remote = wire_get_span(w, MARK_TEXT_MAX);
    if (out->state >= RECIPIENT_STATES) w->bad = true;
}
