/* transaction_grant.h - the part of a grant in MAIL and RCPT. */
#ifndef AUTH_TRANSACTION_GRANT_H
#define AUTH_TRANSACTION_GRANT_H

#include "auth/transaction.h"

/* Once, before grants are opened: with a grant that is ended the transactions die that rest on it. */
void transaction_grant_watch(struct auth *auth);

/* At each MAIL: what the log says of its grant. */
void transaction_grant_note(struct peer *peer, const struct facts_sender *sender);

/* MAIL was accepted: who has a grant waits for no login any more. */
void transaction_grant_accepted(struct peer *peer);

/* At RCPT: what MAIL would be answered now, as far as grants go. */
enum reason transaction_grant_judge(struct peer *peer) MUST_USE;

/* Takes of the grant's budget: a message with its first recipient, and each recipient elsewhere. YES also without a
 * grant. */
enum fact transaction_grant_take(struct peer *peer, bool relayed) MUST_USE;

#endif
