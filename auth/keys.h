/* keys.h - the process that holds the private keys, and signs TLS transcripts with them and nothing else. */
#ifndef AUTH_KEYS_H
#define AUTH_KEYS_H

#include "store/role.h"

/* Before confinement: OpenSSL, without a configuration file. 0 or -1. */
int keys_prepare(struct role_start *start) MUST_USE;

/* The process. Returns an exit status. */
int keys_run(struct role_start *start, uint32_t missing);

#endif
