/* guessing.h - the throttle in the auth process: opened with what was saved, saved now and then, told of changes. */
#ifndef AUTH_GUESSING_H
#define AUTH_GUESSING_H

#include "auth/auth.h"

/* Opens auth->throttle by setup and database. 0, or -1 (logged). */
int guessing_open(struct auth *auth) MUST_USE;

/* The setup is another. */
void guessing_limit(struct auth *auth);

/* Saves what is to be saved, when it is time; returns ms until it is again, or -1. */
int guessing_round(struct auth *auth);

/* Saves all of it. */
void guessing_close(struct auth *auth);

/* Which counter a name has that a client gave: the same for each way to write it. */
uint64_t guessing_account(const struct auth *auth, struct span name);
/* The same of one that is known to be a separate login name: a word is no local part then. */
uint64_t guessing_login(const struct auth *auth, struct span name);

#endif
