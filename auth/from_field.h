/* from_field.h - whether a message may say that it is from these addresses, where its domain's owner asks for that:
 * each is to be one that the principal may use as a sender. The session takes them out of the message and asks: one
 * that was taken over need not, so this keeps users honest and proves nothing. */
#ifndef AUTH_FROM_FIELD_H
#define AUTH_FROM_FIELD_H

#include "auth/peer.h"

/* At MAIL: whether the session is to ask. The domain is that of the principal's login. */
bool from_field_wanted(const struct house *house, const struct facts_sender *sender);

/* Handler of SESSION_FROM: 0, or -1 when the session is to be dropped. */
int from_field(struct peer *peer, struct frame *frame) MUST_USE;

#endif
