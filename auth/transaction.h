/* transaction.h - MAIL and RCPT of one session, and what the queue hears of them. */
#ifndef AUTH_TRANSACTION_H
#define AUTH_TRANSACTION_H

#include "auth/peer.h"

/* Handlers of SESSION_MAIL and SESSION_RCPT: 0, or -1 when the session is to be dropped. */
int transaction_mail(struct peer *peer, struct frame *frame) MUST_USE;
int transaction_rcpt(struct peer *peer, struct frame *frame) MUST_USE;

/* The open transaction, when there is one, is dead. */
void transaction_close(struct peer *peer);

/* Frames of the queue's; a malformed one is fatal. */
void transaction_queue_frame(struct auth *auth, struct frame *frame);

/* The queue is gone, and every transaction with it: all sessions end, and the pool that waits for a client. */
void transaction_queue_lost(struct auth *auth);

#endif
