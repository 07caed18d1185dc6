/* login_exchange.h - what the files of a login (login*.c) share, and nobody else uses. */
#ifndef AUTH_LOGIN_EXCHANGE_H
#define AUTH_LOGIN_EXCHANGE_H

#include "auth/identity.h"
#include "auth/login.h"

/* ---- login.c: answers to the session */

/* 0, or -1 when the session is to be dropped. */
int login_answer(struct peer *peer, enum auth_outcome outcome, struct span challenge, struct span login) MUST_USE;

/* A failure, at once: logged, and counted unless it is ours. 0, or -1 when the session is to be dropped. */
int login_refuse(struct peer *peer, enum auth_outcome outcome, const char *why) MUST_USE;

/* The same outside of the session's own handlers. */
void login_refuse_or_drop(struct peer *peer, enum auth_outcome outcome, const char *why);

/* The client is who exchange->user_id says, by exchange->credential_id. 0, or -1 when the session is to be dropped.
 */
int login_accept(struct peer *peer) MUST_USE;

/* ---- login_schedule.c: who waits, and when something is answered */

/* Lets the exchange wait for a verifier with this message. 0, or -1 when the session is to be dropped. */
int login_submit(struct peer *peer, struct span message) MUST_USE;

/* Its network has failed too often: 454, after a while, and one more failure that the session may not have. */
void login_hold(struct peer *peer);

/* A failure whose cause nobody is to read off the clock: answered at a fixed time after the message came. */
void login_delay_failure(struct peer *peer, const char *why);

/* An imported hash was replaced: it may have been the dearest. */
void login_renewed(struct auth *auth);

/* A challenge to somebody or nobody, likewise. */
void login_delay_challenge(struct peer *peer, struct span challenge);

/* ---- login_verifier.c: what is said to a verifier */

/* The message of an exchange that has waited. */
void login_give(struct auth_link *link, struct peer *peer);

/* Nothing more is wanted of a verifier that works on this. */
void login_leave_verifier(struct peer *peer);

/* ---- login_identity.c: whose credentials */

/* Finds whose name it is: in peer->exchange the user's id (0: nobody who may log in now), for the log his login and
 * what is known against it, for the throttle what the attempt is; in `out` what a verifier may try. Whoever it is,
 * the same work is to be done. False: the accounts could not be read. */
bool login_identify(struct peer *peer, struct span name, struct span authorization, struct identity *out) MUST_USE;

/* Whether exchange->tag was right lately, by a credential that the name opens now: exchange->credential_id. */
bool login_remembered(struct peer *peer, const struct identity *identity) MUST_USE;

/* Tells a verifier that holds the message of this name. */
bool login_tell_credentials(struct auth_link *link, const struct peer *peer, struct span name,
                            const struct identity *identity) MUST_USE;

/* The id of a credential that a verifier was told, should it have been written anew since. */
int64_t login_credential_now(int64_t id) MUST_USE;

/* After a login was answered: the credential is written anew where there is something newer, the login is remembered,
 * and when it was. */
void login_settle(struct peer *peer, struct span new_hash, struct span new_scram);

#endif
