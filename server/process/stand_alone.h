/* stand_alone.h - auth or queue for one command, when no server runs. */
#ifndef SERVER_PROCESS_STAND_ALONE_H
#define SERVER_PROCESS_STAND_ALONE_H

#include "conf/conf.h"
#include "store/role.h"

/* Where no server runs: starts the program of `role` (ROLE_AUTH or ROLE_QUEUE) alone, as its user and under its lock.
 * Returns the control channel to it, or -1 after printing why. Its warnings go to standard error. */
int stand_alone_start(const struct conf *conf, enum role role) MUST_USE;

/* Closes the channel. The process, if there is one, ends then and is waited for, so that it has said what it has to
 * say. */
void stand_alone_end(int channel);

#endif
