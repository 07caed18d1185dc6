/* dial.h - connecting, for a process without paths, to the Unix sockets of LMTP servers. */
#ifndef SERVER_PROCESS_DIAL_H
#define SERVER_PROCESS_DIAL_H

#include "conf/conf.h"

/* A connected non-blocking socket, or -1 with errno; EPERM: the configuration has no such path. Never waits: EAGAIN
 * when that server has too many clients waiting. */
int dial_local(const struct conf *conf, struct span path) MUST_USE;

#endif
