/* from_field.c - judging the From field's addresses.
 * Runs in: auth. Trusts: nothing in the addresses. Never: takes the session's word for whose they are. */
#include "auth/from_field.h"

bool from_field_wanted(const struct house *house, const struct facts_sender *sender) {
    struct key login;
    if (sender->facts.identity != FACT_YES && sender->facts.granted != FACT_YES) return false;
    if (!key_parse(&login, span_of(sender->login, sender->login_n))) return false;
    const struct auth_domain *domain = house_local_domain(house, key_domain(&login));
    return domain && domain->header_from;
}

static enum reason judge(const struct peer *peer, struct span address) {
    struct key key;
    if (!key_parse(&key, address)) return REASON_FROM_MALFORMED;
    switch (facts_may_use(&peer->auth->house, &peer->client, &peer->transaction.payer, &key)) {
    case FACT_YES:
        return REASON_SENDER_ACCEPTED;
    case FACT_NO:
        return REASON_FROM_NOT_YOURS;
    case FACT_UNKNOWN:
        break;
    }
    return REASON_NOT_DECIDED;
}

int from_field(struct peer *peer, struct frame *frame) {
    uint8_t storage[2];
    struct buf b = BUF_OVER(storage);
    struct wire w = wire_over(frame->body);
    unsigned n = wire_get_u16(&w);
    for (unsigned i = 0; i < n && !w.bad; i++) (void)wire_get_span(&w, FRAME_BODY_MAX);
    bool ended = peer->transaction.grant_ended; /* since the session was told to ask */
    if (!wire_end(&w) || n == 0 || n > FROM_ADDRESSES_MAX || !(peer->transaction.header_from || ended)) return -1;
    enum reason reason = ended ? REASON_AUTH_REQUIRED : REASON_SENDER_ACCEPTED;
    w = wire_over(span_from(frame->body, 2));
    for (unsigned i = 0; i < n && reason == REASON_SENDER_ACCEPTED; i++) {
        struct span address = wire_get_span(&w, FRAME_BODY_MAX);
        reason = judge(peer, address);
        if (reason != REASON_SENDER_ACCEPTED)
            peer_log_reason(peer, LOG_MAIL_REFUSED, reason, KEY_FROM, span_part(address, 0, ADDRESS_MAX), NULL);
    }
    if (reason_reply(reason)->code / 100 == 5) (void)peer_failed(peer);
    wire_put_u16(&b, (uint16_t)reason);
    return peer_answer(peer, SESSION_FROM_RESULT, buf_span(&b), -1) ? 0 : -1;
}
