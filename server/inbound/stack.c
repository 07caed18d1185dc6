/* stack.c - the listener's stack and its children's.
 * Runs in: listener. Trusts: nothing. Never: hands a child an octet of the listener's stack. */
#include "server/inbound/stack.h"

#include "store/buf.h"
#include "store/log.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

static CHILD_STACK uint8_t childs[CHILD_STACK_BYTES];

void *stack_memory(void) {
    return childs;
}

enum { GUARD_BYTES = 64 << 10, OWN_BYTES = 512 << 10 };

#ifdef GATEPOST_SANITIZED /* which knows one stack a thread */
int stack_leave(int (*run)(void *context), void *context) {
    return run(context);
}

void stack_guard(void) {}

pid_t stack_fork(int (*run)(void *context), void *context) {
    pid_t pid = _Fork();
    if (pid == 0) _exit(run(context)); /* it does not return */
    return pid;
}
#else
static struct {
    int (*run)(void *context);
    void *context;
    int result;
    ucontext_t before, own;
} errand;

static void begin(void) {
    errand.result = errand.run(errand.context);
}

int stack_leave(int (*run)(void *context), void *context) {
    uint8_t *memory = mmap(NULL, GUARD_BYTES + OWN_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED || mprotect(memory + GUARD_BYTES, OWN_BYTES, PROT_READ | PROT_WRITE) != 0 ||
        madvise(memory, GUARD_BYTES + OWN_BYTES, MADV_DONTFORK) != 0 || getcontext(&errand.own) != 0) {
        log_fault("a stack", errno);
        return -1;
    }
    errand.run = run, errand.context = context;
    errand.own.uc_stack = (stack_t){.ss_sp = memory + GUARD_BYTES, .ss_size = OWN_BYTES};
    errand.own.uc_link = &errand.before;
    makecontext(&errand.own, begin, 0);
    return swapcontext(&errand.before, &errand.own) == 0 ? errand.result : -1;
}

void stack_guard(void) {
    /* Where it cannot be had all goes on: it is there for a fault of ours alone. */
    (void)munmap(childs, GUARD_BYTES);
}

pid_t stack_fork(int (*run)(void *context), void *context) {
    return clone(run, childs + sizeof childs, SIGCHLD, context);
}
#endif
