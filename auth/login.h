/* login.h - AUTH exchanges between sessions and verifiers. */
#ifndef AUTH_LOGIN_H
#define AUTH_LOGIN_H

#include "auth/peer.h"

/* Handlers of SESSION_AUTH and SESSION_AUTH_NEXT: 0, or -1 when the session is to be dropped. */
int login_start(struct peer *peer, struct frame *frame) MUST_USE;
int login_next(struct peer *peer, struct frame *frame) MUST_USE;

/* The session refused a login that was none (SESSION_FAILURE_LOGIN). */
void login_failed_before(struct peer *peer);

/* Once, when the database is open: logins hear of changes of users. */
void login_prepare(struct auth *auth);

/* The session is gone: its exchange is forgotten. */
void login_forget(struct peer *peer);

/* The channel to a verifier is new: it is told what it needs. */
void login_verifier_found(struct auth_link *link);

/* Frames of a verifier's; a malformed one is fatal. */
void login_verifier_frame(struct auth_link *link, struct frame *frame);

/* The verifier died: its exchange fails temporarily. */
void login_verifier_lost(struct auth_link *link);

/* Gives idle verifiers work, answers what is due; returns ms until the next is due, or -1. */
int login_round(struct auth *auth);

#endif
