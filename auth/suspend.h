/* suspend.h - who goes on over the quota is stopped for good, and the owner is told: in the log, and the postmaster
 * by a notice. What contains a stolen password is the quota; this ends it. Only `user enable` lifts it. */
#ifndef AUTH_SUSPEND_H
#define AUTH_SUSPEND_H

#include "auth/peer.h"

/* The session's principal was refused over quota once more; at the second limit whoever's quota that is (the
 * user, its credential or the system user) is suspended. Where that cannot be written the next refusal tries again.
 */
void suspend_consider(struct peer *peer, const struct quota_principal *payer, enum quota_what what);

#endif
