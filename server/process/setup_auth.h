/* setup_auth.h - the part of server/process/setup.h about auth. For setup.c alone. */
#ifndef SERVER_PROCESS_SETUP_AUTH_H
#define SERVER_PROCESS_SETUP_AUTH_H

#include "server/process/setup.h"

/* 0, or -1 when a role user is not there. */
int setup_put_auth(const struct conf *conf, const struct setup_facts *facts, struct buf *b) MUST_USE;

#endif
