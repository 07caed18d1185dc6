/* verifier.h - a worker that reads SASL messages and hashes passwords, for one user at a time. */
#ifndef AUTH_VERIFIER_H
#define AUTH_VERIFIER_H

#include "store/role.h"

/* The process. Returns an exit status. */
int verifier_run(struct role_start *start, uint32_t missing);

#endif
