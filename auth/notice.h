/* notice.h - what the postmaster is to be told by mail: kept in the database until the queue has it. It comes at
 * least once; twice only where auth ended before it heard that it is queued. */
#ifndef AUTH_NOTICE_H
#define AUTH_NOTICE_H

#include "store/database.h"
#include "store/frame.h"
#include "store/frames.h"

struct auth;

struct notices {
    bool none;       /* none waits; at the start that is not known */
    int64_t sent;    /* the one that the queue has not answered yet; 0: none */
    uint64_t due_ms; /* not before */
};

/* Within the caller's change of the database. `about`: a login, and what else names it; `why`: the rest of a
 * sentence. Control octets in them are not told. -1: it could not be written. */
int notice_put(struct auth *auth, enum notice_kind kind, struct span about, struct span why) MUST_USE;

/* Sends what waits; returns when to come again (ms from now), or -1. */
int notice_round(struct auth *auth);

/* Handler of NOTICE_RESULT: 0, or -1 when it is malformed. */
int notice_result(struct auth *auth, struct frame *frame) MUST_USE;

/* The queue is gone: what it has not answered is sent to the next. */
void notice_queue_lost(struct auth *auth);

#endif
