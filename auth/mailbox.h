/* mailbox.h - handing out the channel between a POP3 session and the agent of its user's mailbox. */
#ifndef AUTH_MAILBOX_H
#define AUTH_MAILBOX_H

#include "auth/peer.h"

/* SESSION_MAILBOX, in the table of sessions that may have a mailbox: delivery gets one end and the name of the user
 * who logged in, the session the other end. Once, and not before the login: -1 otherwise. */
int mailbox_wanted(struct peer *peer, struct frame *frame);

#endif
