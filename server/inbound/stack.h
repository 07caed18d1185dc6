/* stack.h - stacks of a process that forks a child for each client: where parent and child each have their own, none
 * writes to a page of the other's, and no page of a stack is copied. */
#ifndef SERVER_INBOUND_STACK_H
#define SERVER_INBOUND_STACK_H

#include "store/span.h"

#include <sys/types.h>

/* Calls run(context) on a stack that no child gets, and returns what it returns; where there is none, -1. Before
 * confinement, once. */
int stack_leave(int (*run)(void *context), void *context) MUST_USE;

/* Forks a child that runs run(context), which ends the process, on a stack of its own: what `context` points to must
 * not lie on the caller's. No lock is held, no other thread is there. The child's pid, or -1 with errno. */
pid_t stack_fork(int (*run)(void *context), void *context) MUST_USE;

/* Leaves a hole below the child's stack, so that one too deep ends it. When nothing more will be mapped, which could
 * come to lie there. */
void stack_guard(void);

/* Where the child's stack begins, and with it all that children write to (store/buf.h). */
void *stack_memory(void);

#endif
