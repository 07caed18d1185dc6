/* route.h - answering the queue, which asks where a report or a notice goes. */
#ifndef AUTH_ROUTE_H
#define AUTH_ROUTE_H

#include "auth/auth.h"

/* Room that one recipient takes in a frame, at most. */
enum { ROUTE_RECIPIENT_MAX = 4 * ADDRESS_MAX + ENVELOPE_TEXT_MAX + 64 };

/* Handler of ROUTE_REQUEST: 0, or -1 when it is malformed. */
int route_request(struct auth *auth, struct frame *frame) MUST_USE;

#endif
