/* test_sandbox.c - the filters of system calls, tried in processes of their own: what is listed works, what is not
 * ends them.
 * Runs in: the test runner, and in its children under the filters. Trusts: nothing. Never: filters the runner
 * itself. */
#include "server/process/sandbox.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifdef GATEPOST_SANITIZED
enum { WIDENED = 1 }; /* by what the sanitizers need */
#else
enum { WIDENED = 0 };
#endif
enum { ENDS = -1000 }; /* in tables: the call ends the process */

static const enum role roles[] = {ROLE_LISTENER, ROLE_AUTH,     ROLE_VERIFIER, ROLE_KEYS, ROLE_QUEUE,
                                  ROLE_DELIVERY, ROLE_OUTBOUND, ROLE_RESOLVER, ROLE_LOG,  ROLE_POLICY};

static void install(struct span filter) {
    static struct sock_filter program[1024];
    memcpy(program, filter.p, filter.n);
    struct sock_fprog all = {(unsigned short)(filter.n / sizeof *program), program};
    if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &all) != 0) _exit(99);
}

/* Runs the call in a process with the role's filter (and its child's). Its result, or ENDS; -errno for errors.
 * Its exit status says too little, so the result comes through a pipe that was there before. */
static long try(enum role role, bool child, long (*call)(void)) {
    static uint8_t filter[8192], child_filter[2048];
    struct buf b = BUF_OVER(filter), c = BUF_OVER(child_filter);
    long result = ENDS;
    int ends[2], status;
    cr_assert_eq(sandbox_filter(role, &b), 0);
    cr_assert_eq(sandbox_child_filter(role, &c), 0);
    cr_assert_eq(pipe(ends), 0);
    pid_t pid = fork();
    cr_assert_geq(pid, 0);
    if (pid == 0) {
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) _exit(97);
        install(buf_span(&b));
        if (child && c.n) install(buf_span(&c));
        long got = call();
        if (got < 0) got = -errno;
        if (write(ends[1], &got, sizeof got) != (ssize_t)sizeof got) _exit(98);
        syscall(SYS_exit_group, 0);
    }
    close(ends[1]);
    ssize_t n = read(ends[0], &result, sizeof result);
    close(ends[0]);
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    if (n == (ssize_t)sizeof result) {
        cr_expect_eq(status, 0);
        return result;
    }
    cr_expect(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS, "ended otherwise: %x", (unsigned)status);
    return ENDS;
}

static long call_getpid(void) {
    return syscall(SYS_getpid) > 0 ? 0 : -1;
}
static long call_execve(void) {
    return syscall(SYS_execve, "/bin/true", NULL, NULL);
}
static long call_ptrace(void) {
    return syscall(SYS_ptrace, PTRACE_TRACEME, 0, 0, 0);
}
static long call_kill(void) {
    return syscall(SYS_kill, syscall(SYS_getpid), 0);
}
static long call_open(void) {
    return syscall(SYS_openat, AT_FDCWD, "/nonexistent", O_RDONLY, 0);
}
static long call_openat2(void) {
    return syscall(SYS_openat2, AT_FDCWD, "/nonexistent", NULL, 0);
}
static long call_inet(void) {
    return syscall(SYS_socket, AF_INET, SOCK_STREAM, 0) >= 0 ? 0 : -1;
}
static long call_inet6(void) {
    return syscall(SYS_socket, AF_INET6, SOCK_STREAM, 0) >= 0 || errno == EAFNOSUPPORT ? 0 : -1;
}
static long call_unix(void) {
    return syscall(SYS_socket, AF_UNIX, SOCK_STREAM, 0) >= 0 ? 0 : -1;
}
static long call_netlink(void) {
    return syscall(SYS_socket, AF_NETLINK, SOCK_RAW, 0) >= 0 ? 0 : -1;
}
static long call_connect(void) {
    return syscall(SYS_connect, -1, NULL, 0);
}
static long call_sendmsg(void) {
    return syscall(SYS_sendmsg, -1, NULL, 0);
}
static long call_sendmmsg(void) {
    return syscall(SYS_sendmmsg, -1, NULL, 0, 0);
}
static long call_recvmsg(void) {
    return syscall(SYS_recvmsg, -1, NULL, 0);
}
static long call_accept(void) {
    return syscall(SYS_accept4, -1, NULL, NULL, 0);
}
static long call_clone(void) {
    long pid = syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
    if (pid == 0) syscall(SYS_exit_group, 0);
    return pid > 0 ? 0 : -1;
}
static long call_clone3(void) {
    return syscall(SYS_clone3, NULL, 0);
}
static long call_vfork(void) {
    return syscall(SYS_vfork);
}
static long call_setuid(void) {
    return syscall(SYS_setresuid, 0, 0, 0);
}
static long call_prctl(void) {
    return syscall(SYS_prctl, PR_SET_DUMPABLE, 1, 0, 0, 0);
}
static long call_io_uring(void) {
    return syscall(SYS_io_uring_setup, 1, NULL);
}
static long call_bpf(void) {
    return syscall(SYS_bpf, 0, NULL, 0);
}
static long call_userfaultfd(void) {
    return syscall(SYS_userfaultfd, 0);
}
static long call_unshare(void) {
    return syscall(SYS_unshare, 0);
}
static long call_mount(void) {
    return syscall(SYS_mount, NULL, NULL, NULL, 0, NULL);
}
static long call_chroot(void) {
    return syscall(SYS_chroot, "/");
}
static long call_readv_other(void) {
    return syscall(SYS_process_vm_readv, 1, NULL, 0, NULL, 0, 0);
}
static long call_pidfd_getfd(void) {
    return syscall(SYS_pidfd_getfd, -1, 0, 0);
}
static long call_ioctl(void) {
    return syscall(SYS_ioctl, 0, 0x5401, NULL);
}
static long call_tiocsti(void) {
    return syscall(SYS_ioctl, 0, 0x5412, "x");
}
static long map(int protection) {
    return syscall(SYS_mmap, NULL, 4096, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) > 0 ? 0 : -1;
}
static long call_mmap(void) {
    return map(PROT_READ | PROT_WRITE);
}
static long call_mmap_exec(void) {
    return map(PROT_READ | PROT_EXEC);
}
static long call_mmap_wx(void) {
    return map(PROT_READ | PROT_WRITE | PROT_EXEC);
}
static uint8_t page[8192];
static void *aligned(void) {
    return (void *)(((uintptr_t)page + 4095) & ~(uintptr_t)4095);
}
static long call_mprotect(void) {
    return syscall(SYS_mprotect, aligned(), 4096, PROT_READ | PROT_WRITE);
}
static long call_mprotect_exec(void) {
    return syscall(SYS_mprotect, aligned(), 4096, PROT_READ | PROT_EXEC);
}
static long call_pkey_mprotect(void) {
    return syscall(SYS_pkey_mprotect, aligned(), 4096, PROT_EXEC, -1);
}
static long call_fsync(void) {
    return syscall(SYS_fsync, -1);
}
static long call_unlink(void) {
    return syscall(SYS_unlinkat, -1, "x", 0);
}
static long call_linkat(void) {
    return syscall(SYS_linkat, -1, "x", -1, "y", 0);
}
static long call_sendto(void) {
    return syscall(SYS_sendto, -1, "x", 1, 0, NULL, 0);
}
static long call_recvfrom(void) {
    return syscall(SYS_recvfrom, -1, NULL, 0, 0, NULL, NULL);
}
static long call_ftruncate(void) {
    return syscall(SYS_ftruncate, -1, 0);
}
static long call_memfd(void) {
    return syscall(SYS_memfd_create, "x", 0);
}
static long call_recvmmsg(void) {
    return syscall(SYS_recvmmsg, -1, NULL, 0, 0, NULL);
}
static long call_getpeername(void) {
    return syscall(SYS_getpeername, -1, NULL, NULL);
}
static long call_symlink(void) {
    return syscall(SYS_symlinkat, "x", -1, "y");
}
static long call_chown(void) {
    return syscall(SYS_fchownat, -1, "x", 0, 0, 0);
}
static long call_fcntl_dup(void) {
    return syscall(SYS_fcntl, -1, F_DUPFD_CLOEXEC, 0);
}
static long call_fcntl_owner(void) {
    return syscall(SYS_fcntl, -1, F_SETOWN, 1);
}
static long call_own_limit(void) {
    return syscall(SYS_prlimit64, 0, 7, NULL, NULL);
}
static long call_stack_limit(void) {
    return WIDENED ? call_kill() : syscall(SYS_prlimit64, 0, RLIMIT_STACK, NULL, NULL);
}
static long call_stop(void) {
    return syscall(SYS_tgkill, syscall(SYS_getpid), syscall(SYS_getpid), SIGCONT);
}
static long call_namespace(void) {
    return WIDENED ? call_kill() : syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0);
}
static long call_others_limit(void) {
    return syscall(SYS_prlimit64, 1, 7, NULL, NULL);
}
static long call_socketpair(void) {
    return syscall(SYS_socketpair, AF_UNIX, SOCK_SEQPACKET, 0, NULL);
}
static long call_dup2(void) {
    return syscall(SYS_dup2, -1, 5);
}
static long call_epoll_ctl(void) {
    return syscall(SYS_epoll_ctl, -1, 1, 0, NULL);
}
static long call_epoll_wait(void) {
    return syscall(SYS_epoll_wait, -1, NULL, 0, 0);
}
static long call_seccomp(void) {
    return syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &(uint32_t){SECCOMP_RET_ALLOW});
}
static long call_alarm(void) {
    return syscall(SYS_alarm, 0);
}
static long call_pipe(void) {
    return syscall(SYS_pipe2, NULL, 0);
}
static long call_fcntl_mode(void) {
    return syscall(SYS_fcntl, 2, F_SETFL, 0);
}
static long call_brk(void) {
    return syscall(SYS_brk, 0) > 0 ? 0 : -1;
}

Test(test_sandbox, every_role_has_a_filter_that_fits) {
    for (size_t i = 0; i < sizeof roles / sizeof *roles; i++) {
        uint8_t filter[8192], child[2048];
        struct buf b = BUF_OVER(filter), c = BUF_OVER(child);
        cr_expect_eq(sandbox_filter(roles[i], &b), 0, "%s", role_name(roles[i]));
        cr_expect(b.n > 0 && b.n % sizeof(struct sock_filter) == 0);
        cr_expect_eq(sandbox_child_filter(roles[i], &c), 0);
        bool agents = roles[i] == ROLE_DELIVERY || roles[i] == ROLE_OUTBOUND;
        cr_expect_eq(c.n > 0, agents, "%s", role_name(roles[i]));
        cr_expect_eq(try(roles[i], false, call_getpid), 0, "%s", role_name(roles[i]));
        cr_expect_eq(try(roles[i], true, call_getpid), 0, "%s", role_name(roles[i]));
    }
    uint8_t little[64];
    struct buf b = BUF_OVER(little);
    cr_expect_eq(sandbox_filter(ROLE_AUTH, &b), -1, "a filter that does not fit is none");
}

/* No role may do any of these, in no circumstances. */
Test(test_sandbox, what_nobody_may) {
    static const struct {
        const char *name;
        long (*call)(void);
    } calls[] = {{"execve", call_execve},
                 {"ptrace", call_ptrace},
                 {"kill", call_kill},
                 {"openat2", call_openat2},
                 {"netlink", call_netlink},
                 {"sendmmsg", call_sendmmsg},
                 {"vfork", call_vfork},
                 {"setresuid", call_setuid},
                 {"io_uring", call_io_uring},
                 {"bpf", call_bpf},
                 {"userfaultfd", call_userfaultfd},
                 {"unshare", call_unshare},
                 {"mount", call_mount},
                 {"chroot", call_chroot},
                 {"readv", call_readv_other},
                 {"getfd", call_pidfd_getfd},
                 {"exec", call_mmap_exec},
                 {"write and exec", call_mmap_wx},
                 {"mprotect", call_mprotect_exec},
                 {"pkey", call_pkey_mprotect},
                 {"symlink", call_symlink},
                 {"memfd_create", call_memfd},
                 {"getpeername", call_getpeername},
                 {"chown", call_chown},
                 {"owner", call_fcntl_owner},
                 {"limit of another", call_others_limit},
                 {"prctl", WIDENED ? call_execve : call_prctl}};
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
        for (size_t j = 0; j < sizeof roles / sizeof *roles; j++)
            cr_expect_eq(try(roles[j], false, calls[i].call), ENDS, "%s in %s", calls[i].name, role_name(roles[j]));
}

Test(test_sandbox, what_some_may) {
    static const struct {
        const char *name;
        long (*call)(void);
        long where_allowed, elsewhere;
        unsigned roles;
    } rows[] = {
        {"openat", call_open, -ENOENT, -ENOENT, 0},
        {"terminal", call_ioctl, -EPERM, -EPERM, 0},
        {"TIOCSTI", call_tiocsti, -EPERM, -EPERM, 0},
        {"recvmsg", call_recvmsg, -EBADF, -EBADF, 0},
        {"sendmsg", call_sendmsg, -EBADF, ENDS, ~(1U << ROLE_LISTENER)},
        {"mmap", call_mmap, 0, WIDENED ? 0 : ENDS, ~(1U << ROLE_LISTENER)},
        {"fcntl", call_fcntl_dup, -EBADF, -EBADF, 0},
        {"internet", call_inet, 0, ENDS, 1U << ROLE_OUTBOUND | 1U << ROLE_RESOLVER},
        {"internet 6", call_inet6, 0, ENDS, 1U << ROLE_OUTBOUND | 1U << ROLE_RESOLVER},
        {"unix", call_unix, 0, ENDS, 1U << ROLE_LOG},
        {"recvmmsg", call_recvmmsg, -EBADF, ENDS, 1U << ROLE_LOG},
        {"connect", call_connect, -EBADF, ENDS, 1U << ROLE_OUTBOUND | 1U << ROLE_RESOLVER | 1U << ROLE_LOG},
        {"accept", call_accept, -EBADF, ENDS, 1U << ROLE_AUTH | 1U << ROLE_QUEUE | 1U << ROLE_POLICY},
        {"fsync", call_fsync, -EBADF, ENDS, 1U << ROLE_AUTH | 1U << ROLE_QUEUE | 1U << ROLE_DELIVERY},
        {"unlink", call_unlink, -EBADF, ENDS, 1U << ROLE_AUTH | 1U << ROLE_QUEUE | 1U << ROLE_DELIVERY},
        {"link", call_linkat, -EBADF, ENDS, 1U << ROLE_DELIVERY},
        {"sendto", call_sendto, -EBADF, ENDS, 1U << ROLE_LISTENER | 1U << ROLE_RESOLVER},
        {"recvfrom", call_recvfrom, -EBADF, ENDS, 1U << ROLE_LISTENER | 1U << ROLE_RESOLVER},
        {"ftruncate", call_ftruncate, -EBADF, ENDS, 1U << ROLE_AUTH},
        {"mprotect", call_mprotect, 0, WIDENED ? 0 : ENDS, ~(1U << ROLE_LISTENER)},
        {"clone", call_clone, 0, ENDS,
         1U << ROLE_LISTENER | 1U << ROLE_DELIVERY | 1U << ROLE_OUTBOUND | 1U << ROLE_RESOLVER},
        {"clone3", call_clone3, -ENOSYS, ENDS, 1U << ROLE_RESOLVER},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (size_t j = 0; j < sizeof roles / sizeof *roles; j++)
            cr_expect_eq(try(roles[j], false, rows[i].call),
                         rows[i].roles & 1U << roles[j] ? rows[i].where_allowed : rows[i].elsewhere, "%s in %s",
                         rows[i].name, role_name(roles[j]));
}

/* The agents: less than who forked them. */
Test(test_sandbox, what_an_agent_no_longer_may) {
    static long (*const agents[])(void) = {call_clone, call_socketpair, call_dup2, call_seccomp};
    for (size_t i = 0; i < sizeof agents / sizeof *agents; i++) {
        cr_expect_eq(try(ROLE_DELIVERY, true, agents[i]), ENDS, "row %zu", i);
        cr_expect_eq(try(ROLE_OUTBOUND, true, agents[i]), ENDS, "row %zu", i);
    }
    cr_expect_eq(try(ROLE_DELIVERY, true, call_sendmsg), -EBADF);
    cr_expect_eq(try(ROLE_DELIVERY, true, call_linkat), -EBADF);
    cr_expect_eq(try(ROLE_OUTBOUND, true, call_inet), 0);
}

/* A session has the listener's filter: what is the listener's is told by the descriptor's number, whatever stands in
 * the upper half of the argument, which the kernel does not look at. */
static long at; /* the descriptor */

static long at_sendmsg(void) {
    return syscall(SYS_sendmsg, at, NULL, 0);
}
static long at_accept(void) {
    return syscall(SYS_accept4, at, NULL, NULL, 0);
}
static long at_signal(void) {
    return syscall(SYS_pidfd_send_signal, at, 0, NULL, 0);
}

Test(test_sandbox, a_listeners_calls_are_bound_to_its_descriptors) {
    static long (*const calls[])(void) = {at_sendmsg, at_accept, at_signal};
    static const long own[] = {ROLE_OWN_FD, 63, 100, ROLE_OWN_FD_END - 1}, others[] = {0, 5, ROLE_OWN_FD - 1, -10000};
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
        for (size_t j = 0; j < 4; j++) {
            at = own[j];
            cr_expect_eq(try(ROLE_LISTENER, false, calls[i]), -EBADF, "row %zu, %ld", i, at);
            at = others[j];
            cr_expect_eq(try(ROLE_LISTENER, false, calls[i]), ENDS, "row %zu, %ld", i, at);
            at = (long)(1ULL << 32 ^ (unsigned long)others[j]);
            cr_expect_eq(try(ROLE_LISTENER, false, calls[i]), ENDS, "row %zu, %lx", i, (unsigned long)at);
        }
}

Test(test_sandbox, what_a_session_may_not_for_want_of_use_to_the_listener) {
    static const struct {
        const char *name;
        long (*call)(void);
        long wanted;
    } rows[] = {
        {"seccomp", call_seccomp, ENDS},
        {"dup2", call_dup2, ENDS},
        {"epoll_ctl", call_epoll_ctl, ENDS},
        {"epoll_wait", call_epoll_wait, ENDS},
        {"alarm", call_alarm, ENDS},
        {"pipe2", call_pipe, ENDS},
        {"mmap", call_mmap, WIDENED ? 0 : ENDS},
        {"brk", call_brk, WIDENED ? 0 : ENDS},
        {"copy", call_fcntl_dup, -EBADF},
        {"blocking mode of what is shared", call_fcntl_mode, ENDS},
        {"limit of descriptors", call_own_limit, 0},
        {"limit of the stack", call_stack_limit, ENDS},
        {"signal", call_stop, ENDS},
        {"namespace", call_namespace, ENDS},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        cr_expect_eq(try(ROLE_LISTENER, false, rows[i].call), rows[i].wanted, "%s", rows[i].name);
}

/* The C library's qsort() looks at the size of memory when the array is large: the queue's recovery sorts
 * segments. */
static int by_octet(const void *a, const void *b) {
    return *(const uint8_t *)a - *(const uint8_t *)b;
}

static long call_qsort(void) {
    static uint8_t many[100000];
    many[0] = 1;
    qsort(many, sizeof many, 1, by_octet);
    return many[sizeof many - 1] == 1 ? 0 : -1;
}

Test(test_sandbox, large_arrays_can_be_sorted) {
    cr_expect_eq(try(ROLE_AUTH, false, call_qsort), 0);
    cr_expect_eq(try(ROLE_QUEUE, false, call_qsort), 0);
    cr_expect_eq(try(ROLE_DELIVERY, true, call_qsort), 0);
}

/* abort() must end as an abort, not as a forbidden call: it is how a bug is told from an attack. */
static long call_abort(void) {
    abort();
}

Test(test_sandbox, an_abort_is_seen_as_one) {
    for (size_t i = 0; i < sizeof roles / sizeof *roles; i++)
        for (int child = 0; child < 2; child++) {
            uint8_t filter[8192], child_filter[2048];
            struct buf b = BUF_OVER(filter), c = BUF_OVER(child_filter);
            int status;
            cr_assert(sandbox_filter(roles[i], &b) == 0 && sandbox_child_filter(roles[i], &c) == 0);
            pid_t pid = fork();
            if (pid == 0) {
                signal(SIGABRT, SIG_DFL);
                if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) _exit(97);
                install(buf_span(&b));
                if (child && c.n) install(buf_span(&c));
                call_abort();
            }
            cr_assert_eq(waitpid(pid, &status, 0), pid);
            cr_expect(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT, "%s: %x", role_name(roles[i]),
                      (unsigned)status);
        }
}

/* ---- another architecture: it has fewer system calls, and other ones in their place */

/* What the filter answers to a call of this number; arguments are 0. */
static uint32_t judge(const struct sock_filter *program, size_t n, uint32_t architecture, uint32_t number) {
    struct seccomp_data data = {.nr = (int)number, .arch = architecture};
    uint32_t a = 0;
    for (size_t i = 0; i < n; i++) {
        const struct sock_filter *step = &program[i];
        bool yes = false;
        switch (step->code) {
        case BPF_LD | BPF_W | BPF_ABS:
            memcpy(&a, (const uint8_t *)&data + step->k, sizeof a);
            continue;
        case BPF_ALU | BPF_AND | BPF_K:
            a &= step->k;
            continue;
        case BPF_JMP | BPF_JA:
            i += step->k;
            continue;
        case BPF_JMP | BPF_JEQ | BPF_K:
            yes = a == step->k;
            break;
        case BPF_JMP | BPF_JGT | BPF_K:
            yes = a > step->k;
            break;
        case BPF_JMP | BPF_JGE | BPF_K:
            yes = a >= step->k;
            break;
        case BPF_JMP | BPF_JSET | BPF_K:
            yes = a & step->k;
            break;
        case BPF_RET | BPF_K:
            return step->k;
        default:
            cr_assert_fail("step %zu: code %x", i, step->code);
        }
        i += yes ? step->jt : step->jf;
    }
    cr_assert_fail("the filter has no end");
    return 0;
}

Test(test_sandbox, aarch64_has_what_its_c_library_calls) {
    enum { ALLOW = 0x7fff0000, KILL = (int)0x80000000, ERROR = 0x00050000 | 2 };
    static const struct {
        const char *name;
        uint32_t number, elsewhere; /* of the generic table; the answer to those that are not in `roles` */
        unsigned roles;
    } rows[] = {
        {"ppoll", 73, 0, ~0U},
        {"epoll_pwait", 22, (uint32_t)KILL, ~(1U << ROLE_LISTENER)},
        {"newfstatat", 79, (uint32_t)KILL, ~(1U << ROLE_LISTENER)},
        {"read", 63, 0, ~0U},
        {"openat", 56, ERROR, 1U << ROLE_AUTH | 1U << ROLE_QUEUE | 1U << ROLE_DELIVERY},
        {"readlinkat", 78, ERROR, 1U << ROLE_AUTH | 1U << ROLE_QUEUE | 1U << ROLE_DELIVERY},
        {"faccessat", 48, ERROR, 1U << ROLE_AUTH | 1U << ROLE_QUEUE | 1U << ROLE_DELIVERY},
        {"unlinkat", 35, (uint32_t)KILL, 1U << ROLE_AUTH | 1U << ROLE_QUEUE | 1U << ROLE_DELIVERY},
        {"mkdirat", 34, (uint32_t)KILL, 1U << ROLE_AUTH | 1U << ROLE_QUEUE | 1U << ROLE_DELIVERY},
        {"renameat", 38, (uint32_t)KILL, 1U << ROLE_AUTH | 1U << ROLE_QUEUE | 1U << ROLE_DELIVERY},
        {"dup3", 24, (uint32_t)KILL, 1U << ROLE_LISTENER | 1U << ROLE_DELIVERY | 1U << ROLE_OUTBOUND},
        {"execve", 221, (uint32_t)KILL, 0},
        {"kill", 129, (uint32_t)KILL, 0},
    };
    const uint32_t aarch64 = 0xc00000b7, x86 = 0x40000003;
    for (size_t i = 0; i < sizeof roles / sizeof *roles; i++) {
        static uint8_t octets[16384];
        static struct sock_filter program[2048];
        struct buf b = BUF_OVER(octets);
        cr_assert_eq(sandbox_filter_on("aarch64", roles[i], &b), 0, "%s", role_name(roles[i]));
        memcpy(program, octets, b.n);
        size_t n = b.n / sizeof *program;
        for (size_t j = 0; j < sizeof rows / sizeof *rows; j++)
            cr_expect_eq(judge(program, n, aarch64, rows[j].number),
                         rows[j].roles & 1U << roles[i] ? (uint32_t)ALLOW : rows[j].elsewhere, "%s in %s",
                         rows[j].name, role_name(roles[i]));
        cr_expect_eq(judge(program, n, x86, 3), (uint32_t)KILL, "another architecture's calls");
    }
}
