/* setup_auth.h - the setup of auth, a part of setup.c. */
#ifndef SERVER_PROCESS_SETUP_AUTH_H
#define SERVER_PROCESS_SETUP_AUTH_H

#include "server/process/setup.h"

/* 0, or -1: delivery's user is not there. */
int setup_put_auth(const struct conf *conf, const struct setup_facts *facts, struct buf *b) MUST_USE;

/* Spans by their octets, for qsort. */
int setup_span_order(const void *a, const void *b);

#endif
