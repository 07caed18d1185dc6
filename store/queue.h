/* queue.h - the queue process. */
#ifndef STORE_QUEUE_H
#define STORE_QUEUE_H

#include "store/role.h"

/* Serves until the master says drain (0) or the directory cannot be used (1). `missing` goes into CHILD_READY. */
int queue_run(struct role_start *start, uint32_t missing);

#endif
