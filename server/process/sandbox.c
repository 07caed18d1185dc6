/* sandbox.c - one table: role, system call, reason. What is not listed ends the process (SIGSYS), but for harmless
 * look-ups that libraries make lazily, which get an error.
 * Runs in: master, before it starts a child. Trusts: nothing. Never: decides by what is convenient. */
#include "server/process/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <seccomp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define BIT(role) (1U << (role))
enum {
    ALL = ~0U,
    LISTENER = BIT(ROLE_LISTENER) | BIT(ROLE_POP3),
    AUTH = BIT(ROLE_AUTH),
    VERIFIER = BIT(ROLE_VERIFIER),
    KEYS = BIT(ROLE_KEYS),
    QUEUE = BIT(ROLE_QUEUE),
    DELIVERY = BIT(ROLE_DELIVERY),
    OUTBOUND = BIT(ROLE_OUTBOUND),
    RESOLVER = BIT(ROLE_RESOLVER),
    LOG = BIT(ROLE_LOG),
    POLICY = BIT(ROLE_POLICY),
    LOOPS = AUTH | VERIFIER | KEYS | QUEUE | DELIVERY | OUTBOUND | RESOLVER | LOG | POLICY,
    AGENTS = DELIVERY | OUTBOUND, /* which fork them */
    FORKS = LISTENER | AGENTS,
    FILES = AUTH | QUEUE | DELIVERY,
    HEAPS = LOOPS, /* the session allocates nothing */
};

enum when {
    ALWAYS = 0,
    NOT_EXECUTABLE,     /* argument 2 without PROT_EXEC */
    INTERNET,           /* argument 0: IPv4 or IPv6 */
    UNIX,               /* argument 0 */
    DUPLICATE,          /* fcntl: argument 1 is about descriptors or locks */
    COPY,               /* fcntl: argument 1 is F_DUPFD_CLOEXEC */
    OWN_DESCRIPTOR,     /* argument 0 is ROLE_OWN_FD or above: a session can have none there */
    REFUSED,            /* answered ENOENT */
    REFUSED_HARMLESSLY, /* answered EPERM */
    NOT_KNOWN,          /* answered ENOSYS, as by an older kernel */
    FORKING,            /* clone: argument 0 is SIGCHLD: neither thread nor namespace */
    ABORTING,           /* tgkill: argument 2 is SIGABRT */
    OWN_LIMIT,          /* prlimit64: argument 0 is 0 */
    SESSION_LIMIT       /* the same, and argument 1 is the number of descriptors or of processes */
};

/* The listener's filter is its sessions' too: one for each of them costs a tenth of a short session. So what is for
 * the listener alone is bound to descriptors that a session cannot have (RLIMIT_NOFILE), or useless to it: it can
 * make no process (RLIMIT_NPROC) and no further descriptor, and has no child. */
static const struct row {
    unsigned roles;
    const char *call;
    enum when when;
    const char *reason;
} rows[] = {
    {ALL, "read", ALWAYS, "clients, pipes, files"},
    {ALL, "write", ALWAYS, "replies, files"},
    {ALL, "writev", ALWAYS, "frames, log lines"},
    {LISTENER | RESOLVER, "recvfrom", ALWAYS, "recv() from a client that is turned away; libunbound"},
    {ALL, "recvmsg", ALWAYS, "frames; descriptors that another process hands over"},
    {ALL, "poll", ALWAYS, "waiting with a deadline"},
    {ALL, "ppoll", ALWAYS, "poll() where the kernel has only this"},
    {ALL, "close", ALWAYS, "connections, descriptors that came"},
    {ALL, "clock_gettime", ALWAYS, "where the vDSO has no clock"},
    {ALL, "getpid", ALWAYS, "OpenSSL's and SQLite's fork check, log"},
    {ALL, "getrandom", ALWAYS, "names of transactions, TLS, salts"},
    {ALL, "futex", ALWAYS, "locks of the C library and OpenSSL, never contended"},
    {ALL, "exit_group", ALWAYS, "leaving"},
    {ALL, "rt_sigreturn", ALWAYS, "end of a signal handler"},
    {ALL, "restart_syscall", ALWAYS, "the kernel's own, after a stop"},
    {ALL, "shutdown", ALWAYS, "ending a connection in order"},
    {ALL, "rt_sigprocmask", ALWAYS, "abort() and fork() of the C library"},
    {ALL, "rt_sigaction", ALWAYS, "abort() restores the default action"},
    {ALL, "gettid", ALWAYS, "abort()"},
    {LOOPS, "tgkill", ALWAYS, "abort()"},
    {LISTENER, "tgkill", ABORTING, "abort(); of all signals the one that the listener, and a session, does not mind"},
    {LOOPS, "sendmsg", ALWAYS, "frames, with descriptors for those they belong to"},
    {LISTENER, "sendmsg", OWN_DESCRIPTOR, "a session's channel, to auth"},
    {LISTENER | RESOLVER, "sendto", ALWAYS, "send() of a last word to a client; libunbound"},
    {LOOPS, "epoll_wait", ALWAYS, "the loop"},
    {LOOPS, "epoll_pwait", ALWAYS, "the loop"},
    {LOOPS, "epoll_ctl", ALWAYS, "the loop"},
    {LOOPS, "epoll_create1", ALWAYS, "the loop, once"},
    {LOOPS, "fcntl", DUPLICATE, "a copy of a descriptor that waits to be sent; file locks; blocking mode"},
    {LISTENER, "fcntl", COPY, "descriptors get the numbers that they are known by"},
    {LOOPS, "mmap", NOT_EXECUTABLE, "memory; a new setup at reload"},
    {LOOPS, "munmap", ALWAYS, "memory"},
    {HEAPS, "mremap", ALWAYS, "realloc() of large arrays"},
    {HEAPS, "mprotect", NOT_EXECUTABLE, "guard pages of libsodium, growth of the heap"},
    {HEAPS, "madvise", ALWAYS, "free() of large blocks; libsodium"},
    {HEAPS, "brk", ALWAYS, "the heap"},
    {LOOPS, "newfstatat", ALWAYS, "size of what came as a descriptor (empty path)"},
    {LOOPS, "fstat", ALWAYS, "size of what came as a descriptor"},
    {AUTH | LISTENER | DELIVERY | OUTBOUND, "socketpair", UNIX, "the two ends of a channel that it hands out"},
    {AUTH | QUEUE | POLICY, "accept4", ALWAYS, "the command line; reports of logins"},
    {LISTENER, "accept4", OWN_DESCRIPTOR, "a client"},
    {AUTH | QUEUE, "getsockopt", ALWAYS, "the command line's uid (SO_PEERCRED)"},
    {LISTENER, "getsockopt", ALWAYS, "state of the client's connection"},
    {LISTENER | AUTH | OUTBOUND, "setsockopt", ALWAYS, "TCP_NODELAY; SO_PASSCRED on channels"},
    {LISTENER, "getsockname", ALWAYS, "the local address of a client's connection"},
    {AGENTS, "clone", ALWAYS, "an agent"},
    {LISTENER, "clone", FORKING, "a session"},
    {AGENTS, "set_robust_list", ALWAYS, "fork() of the C library"},
    {AGENTS, "rseq", ALWAYS, "fork() of the C library"},
    {FORKS, "wait4", ALWAYS, "how a child ended"},
    {AGENTS, "prlimit64", OWN_LIMIT, "a child takes itself the right to fork"},
    {AGENTS, "getrlimit", ALWAYS, "the same"},
    {AGENTS, "setrlimit", ALWAYS, "the same"},
    {LISTENER, "prlimit64", SESSION_LIMIT, "a child takes itself the right to fork, and to more descriptors"},
    {AGENTS, "seccomp", ALWAYS, "a child's filter on top of this one"},
    {FORKS, "close_range", ALWAYS, "a child drops what is not its own"},
    {AGENTS, "dup2", ALWAYS, "a child's fixed descriptors"},
    {FORKS, "dup3", ALWAYS, "a child's fixed descriptors"},
    {LISTENER, "pidfd_open", ALWAYS, "a session that overstays"},
    {LISTENER, "pidfd_send_signal", OWN_DESCRIPTOR, "its end, whatever it does"},
    {AGENTS, "pipe2", ALWAYS, "a pipe whose end tells children that the parent left"},
    {DELIVERY, "landlock_create_ruleset", ALWAYS, "an agent keeps one Maildir only"},
    {DELIVERY, "landlock_add_rule", ALWAYS, "the same"},
    {DELIVERY, "landlock_restrict_self", ALWAYS, "the same"},
    {FILES, "openat", ALWAYS, "its own files: Landlock and the root bound which"},
    {AUTH, "open", ALWAYS, "SQLite"},
    {AUTH, "umask", ALWAYS, "the directory that Dovecot may read"},
    {FILES, "unlink", ALWAYS, "its own files"},
    {FILES, "unlinkat", ALWAYS, "its own files"},
    {FILES, "fsync", ALWAYS, "durability"},
    {FILES, "fdatasync", ALWAYS, "durability"},
    {FILES | OUTBOUND | RESOLVER | KEYS, "pread64", ALWAYS,
     "its own files; a large message; resolv.conf and hosts; keys"},
    {FILES, "pwrite64", ALWAYS, "its own files"},
    {FILES, "pwritev", ALWAYS, "the queue's log"},
    {FILES, "lseek", ALWAYS, "its own files"},
    {AUTH, "ftruncate", ALWAYS, "SQLite's log"},
    {FILES, "getcwd", ALWAYS, "SQLite's name of the database"},
    {FILES, "stat", ALWAYS, "SQLite"},
    {FILES, "lstat", ALWAYS, "SQLite"},
    {FILES, "readlink", ALWAYS, "SQLite's name of the database"},
    {FILES, "readlinkat", ALWAYS, "the same"},
    {FILES, "access", ALWAYS, "SQLite"},
    {FILES, "faccessat", ALWAYS, "SQLite"},
    {FILES, "faccessat2", ALWAYS, "SQLite"},
    {FILES, "fchmod", ALWAYS, "SQLite's files"},
    {FILES, "fchown", ALWAYS, "SQLite's files"},
    {FILES, "geteuid", ALWAYS, "SQLite"},
    {FILES, "getuid", ALWAYS, "SQLite; whose the control socket is"},
    {FILES, "mkdir", ALWAYS, "its own directories"},
    {FILES, "mkdirat", ALWAYS, "its own directories"},
    {FILES, "rmdir", ALWAYS, "its own directories"},
    {FILES, "rename", ALWAYS, "its own files"},
    {FILES, "renameat", ALWAYS, "its own files"},
    {FILES, "renameat2", ALWAYS, "its own files"},
    {DELIVERY, "linkat", ALWAYS, "a new message under its name"},
    {FILES, "getdents64", ALWAYS, "recovery; looking for a message already delivered"},
    {QUEUE, "fallocate", ALWAYS, "a segment"},
    {QUEUE, "fstatfs", ALWAYS, "free space"},
    {AUTH | QUEUE | DELIVERY, "flock", ALWAYS, "the lock on its directory; on a mailbox that is open by POP3"},
    {AUTH | QUEUE, "clock_nanosleep", ALWAYS, "waiting for that lock"},
    {DELIVERY | QUEUE, "sync_file_range", ALWAYS, "large messages start on their way to the disk early"},
    {DELIVERY, "io_setup", ALWAYS, "the files of a batch are synced together"},
    {DELIVERY, "io_submit", ALWAYS, "the same"},
    {DELIVERY, "io_getevents", ALWAYS, "the same"},
    {FILES, "utimensat", ALWAYS, "SQLite"},
    {OUTBOUND | RESOLVER, "socket", INTERNET, "the next hop; name servers"},
    {OUTBOUND | RESOLVER, "connect", ALWAYS, "the same"},
    {LOG, "recvmmsg", ALWAYS, "log frames, many at once"},
    {LOG, "socket", UNIX, "syslog"},
    {LOG, "connect", ALWAYS, "syslog"},
    {LOG, "getppid", ALWAYS, "the master's pid: who may say which role a process has"},
    {AGENTS, "signalfd4", ALWAYS, "ends of children, in the loop"},
    {OUTBOUND, "getsockopt", ALWAYS, "how a connect ended"},
    {RESOLVER, "bind", ALWAYS, "a random source port"},
    {RESOLVER, "setsockopt", ALWAYS, "libunbound's sockets"},
    {RESOLVER, "getsockopt", ALWAYS, "libunbound's sockets"},
    {RESOLVER, "getsockname", ALWAYS, "libunbound's sockets"},
    {RESOLVER, "clone", ALWAYS, "libunbound's worker thread"},
    {RESOLVER, "clone3", NOT_KNOWN,
     "its flags lie in memory that a filter cannot read; the C library falls back to clone"},
    {RESOLVER, "set_robust_list", ALWAYS, "a thread"},
    {RESOLVER, "rseq", ALWAYS, "a thread"},
    {RESOLVER, "exit", ALWAYS, "a thread"},
    {RESOLVER, "pipe2", ALWAYS, "libunbound's worker"},
    {RESOLVER, "pipe", ALWAYS, "libunbound's worker"},
    {RESOLVER, "socketpair", UNIX, "libunbound's event base"},
    {RESOLVER, "eventfd2", ALWAYS, "libunbound's event base"},
    {RESOLVER, "prlimit64", OWN_LIMIT, "libunbound asks for its limits"},
    {RESOLVER, "sysinfo", ALWAYS, "libunbound"},
    {RESOLVER, "uname", ALWAYS, "libunbound"},
    {RESOLVER, "getuid", ALWAYS, "libunbound's OpenSSL asks whether it runs with another's rights"},
    {RESOLVER, "geteuid", ALWAYS, "the same"},
    {RESOLVER, "getgid", ALWAYS, "the same"},
    {RESOLVER, "getegid", ALWAYS, "the same"},
    {RESOLVER, "lseek", ALWAYS, "resolv.conf as a stream"},
    {RESOLVER, "sched_getaffinity", ALWAYS, "a thread"},
    {RESOLVER, "gettimeofday", ALWAYS, "libunbound's clock"},
    {ALL & ~(unsigned)FILES, "openat", REFUSED, "libraries look for files lazily; there are none"},
    {ALL & ~(unsigned)FILES, "readlink", REFUSED, "the same"},
    {ALL & ~(unsigned)FILES, "readlinkat", REFUSED, "the same"},
    {ALL & ~(unsigned)FILES, "access", REFUSED, "the same"},
    {ALL & ~(unsigned)FILES, "faccessat", REFUSED, "the same"},
    {ALL, "ioctl", REFUSED_HARMLESSLY, "isatty() of the C library"},
    {VERIFIER | KEYS, "mlock", ALWAYS, "libsodium keeps secrets out of swap"},
    {VERIFIER | KEYS, "munlock", ALWAYS, "the same"},
    {VERIFIER | QUEUE | KEYS, "prlimit64", OWN_LIMIT, "libsodium asks for its limits"},
    {VERIFIER, "sysinfo", ALWAYS, "libsodium"},
    {FILES | OUTBOUND, "sysinfo", ALWAYS,
     "qsort() of large arrays asks how much memory there is; OpenSSL sorts authorities"},
};

#ifdef GATEPOST_SANITIZED
/* The sanitizers' own calls: memory and its shadow, and what a report needs. */
static const struct row sanitizer_rows[] = {
    {ALL, "mmap", NOT_EXECUTABLE, "shadow memory"},
    {ALL, "munmap", ALWAYS, "shadow memory"},
    {ALL, "mremap", ALWAYS, "realloc()"},
    {ALL, "mprotect", NOT_EXECUTABLE, "shadow memory"},
    {ALL, "madvise", ALWAYS, "shadow memory"},
    {ALL, "brk", ALWAYS, "the heap"},
    {ALL, "prctl", ALWAYS, "names of mappings"},
    {ALL, "sigaltstack", ALWAYS, "reports"},
    {ALL, "sched_yield", ALWAYS, "its locks"},
    {ALL, "sysinfo", ALWAYS, "size of memory"},
    {ALL, "uname", ALWAYS, "size of memory"},
    {ALL, "prlimit64", OWN_LIMIT, "size of the stack"},
    {LISTENER, "clone", ALWAYS, "fork() of the C library, which tells the sanitizers"},
    {LISTENER, "set_robust_list", ALWAYS, "the same"},
    {LISTENER, "rseq", ALWAYS, "the same"},
    {ALL & ~(unsigned)AUTH, "open", REFUSED, "a report looks for the names of mappings"},
};
#endif

/* What an agent no longer needs of its parent's calls. */
static const char *const parent_only[] = {
    "clone",     "wait4", "socketpair", "setrlimit", "seccomp", "dup2", "dup3", "pipe2", "getrlimit",
#ifndef GATEPOST_SANITIZED
    "prlimit64",
#endif
};

/* All that is left to a mailbox agent, as far as delivery's filter allows it; nothing that is its parent's only. */
/* clang-format off */
static const char *const mailbox_calls[] = {
    "recvmsg", "sendmsg", "poll", "ppoll", "close", "read", "write", "writev", "pread64", "pwritev", "openat",
    "fstat", "newfstatat", "getdents64", "unlinkat", "rename", "renameat", "fsync", "clock_gettime", "brk", "mmap",
    "munmap", "mremap", "mprotect", "madvise", "futex", "sysinfo", "fcntl", "exit_group", "rt_sigreturn",
    "restart_syscall", "rt_sigprocmask", "rt_sigaction", "getpid", "gettid", "tgkill", "lseek", "getrandom",
#ifdef GATEPOST_SANITIZED
    "prctl", "sigaltstack", "sched_yield", "uname", "prlimit64", "readlink", "open", "ioctl",
#endif
};
/* clang-format on */

/* Bit by bit: the kernel looks at the lower half of the argument alone, so a comparison of all of it would take any
 * descriptor for a large one. Numbers beyond the end, and with them what the kernel calls by negative ones, are none.
 */
static int add_own(scmp_filter_ctx filter, int call) {
    const scmp_datum_t beyond = 0xffffffff & ~(scmp_datum_t)(ROLE_OWN_FD_END - 1);
    int error = 0;
    for (scmp_datum_t bit = ROLE_OWN_FD; !error && bit < ROLE_OWN_FD_END; bit *= 2)
        error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, call, 1, SCMP_A0(SCMP_CMP_MASKED_EQ, beyond | bit, bit));
    return error;
}

static int add_session_limits(scmp_filter_ctx filter, int call) {
    int error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, call, 2, SCMP_A0(SCMP_CMP_EQ, 0, 0),
                                 SCMP_A1(SCMP_CMP_EQ, RLIMIT_NOFILE, 0));
    return error ? error
                 : seccomp_rule_add(filter, SCMP_ACT_ALLOW, call, 2, SCMP_A0(SCMP_CMP_EQ, 0, 0),
                                    SCMP_A1(SCMP_CMP_EQ, RLIMIT_NPROC, 0));
}

static int add(scmp_filter_ctx filter, const struct row *row) {
    int call = seccomp_syscall_resolve_name(row->call);
    if (call == __NR_SCMP_ERROR) return -ENOSYS;
    if (call < 0) return 0; /* another architecture's: poll, open and others are not everywhere */
    switch (row->when) {
    case NOT_EXECUTABLE:
        return seccomp_rule_add(filter, SCMP_ACT_ALLOW, call, 1, SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
    case UNIX:
        return seccomp_rule_add(filter, SCMP_ACT_ALLOW, call, 1, SCMP_A0(SCMP_CMP_EQ, AF_UNIX, 0));
    case INTERNET: {
        int error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, call, 1, SCMP_A0(SCMP_CMP_EQ, AF_INET, 0));
        return error ? error : seccomp_rule_add(filter, SCMP_ACT_ALLOW, call, 1, SCMP_A0(SCMP_CMP_EQ, AF_INET6, 0));
    }
    case DUPLICATE: {
        static const unsigned long commands[] = {F_DUPFD_CLOEXEC, F_GETFL, F_SETFL, F_GETFD,
                                                 F_SETFD,         F_SETLK, F_GETLK};
        for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
            int error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, call, 1, SCMP_A1(SCMP_CMP_EQ, commands[i], 0));
            if (error) return error;
        }
        return 0;
    }
    case COPY:
        return seccomp_rule_add(filter, SCMP_ACT_ALLOW, call, 1, SCMP_A1(SCMP_CMP_EQ, F_DUPFD_CLOEXEC, 0));
    case OWN_DESCRIPTOR:
        return add_own(filter, call);
    case FORKING:
        return seccomp_rule_add(filter, SCMP_ACT_ALLOW, call, 1, SCMP_A0(SCMP_CMP_EQ, SIGCHLD, 0));
    case ABORTING:
        return seccomp_rule_add(filter, SCMP_ACT_ALLOW, call, 1, SCMP_A2(SCMP_CMP_EQ, SIGABRT, 0));
    case SESSION_LIMIT:
        return add_session_limits(filter, call);
    case OWN_LIMIT:
        return seccomp_rule_add(filter, SCMP_ACT_ALLOW, call, 1, SCMP_A0(SCMP_CMP_EQ, 0, 0));
    case REFUSED:
        return seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOENT), call, 0);
    case REFUSED_HARMLESSLY:
        return seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), call, 0);
    case NOT_KNOWN:
        return seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), call, 0);
    case ALWAYS:
        break;
    }
    return seccomp_rule_add(filter, SCMP_ACT_ALLOW, call, 0);
}

static int export_filter(scmp_filter_ctx filter, struct buf *out) {
    uint8_t chunk[4096];
    ssize_t n = -1;
    int fd = memfd_create("filter", MFD_CLOEXEC);
    if (fd < 0 || seccomp_export_bpf(filter, fd) < 0 || lseek(fd, 0, SEEK_SET) != 0) goto out;
    while ((n = read(fd, chunk, sizeof chunk)) > 0) buf_put(out, chunk, (size_t)n);
out:
    if (fd >= 0) close(fd);
    return n == 0 && buf_ok(out) ? 0 : -1;
}

static int add_all(scmp_filter_ctx filter, enum role role, const struct row *some, size_t n) {
    for (size_t i = 0; i < n; i++) {
        if (!(some[i].roles & BIT(role))) continue;
        int error = add(filter, &some[i]);
        if (error == 0) continue;
        errno = -error;
        return -1;
    }
    return 0;
}

/* An empty filter for this machine, or for another architecture. */
static scmp_filter_ctx empty_filter(uint32_t action, const char *architecture) {
    scmp_filter_ctx filter = seccomp_init(action);
    if (!filter) return NULL;
    /* Calls by another architecture's numbers end the process too, not only the thread. */
    bool ends = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS) == 0;
    if (ends && !architecture) return filter;
    if (ends && seccomp_arch_add(filter, seccomp_arch_resolve_name(architecture)) == 0 &&
        seccomp_arch_remove(filter, SCMP_ARCH_NATIVE) == 0)
        return filter;
    seccomp_release(filter);
    return NULL;
}

int sandbox_filter_on(const char *architecture, enum role role, struct buf *out) {
    int result = -1;
    scmp_filter_ctx filter = empty_filter(SCMP_ACT_KILL_PROCESS, architecture);
    if (!filter) return -1;
    if (add_all(filter, role, rows, sizeof rows / sizeof *rows) != 0) goto out;
#ifdef GATEPOST_SANITIZED
    if (add_all(filter, role, sanitizer_rows, sizeof sanitizer_rows / sizeof *sanitizer_rows) != 0) goto out;
#endif
    result = export_filter(filter, out);
out:
    seccomp_release(filter);
    return result;
}

int sandbox_filter(enum role role, struct buf *out) {
    return sandbox_filter_on(NULL, role, out);
}

/* One action for the calls of that list, another for all others. */
static int list_filter(const char *const *calls, size_t n, uint32_t action, uint32_t others, struct buf *out) {
    int result = -1;
    scmp_filter_ctx filter = empty_filter(others, NULL);
    if (!filter) return -1;
    for (size_t i = 0; i < n; i++) {
        int call = seccomp_syscall_resolve_name(calls[i]);
        if (call < 0 && call != __NR_SCMP_ERROR) continue; /* another architecture's */
        int error = call < 0 ? -ENOSYS : seccomp_rule_add(filter, action, call, 0);
        if (error == 0) continue;
        errno = -error;
        goto out;
    }
    result = export_filter(filter, out);
out:
    seccomp_release(filter);
    return result;
}

int sandbox_child_filter(enum role role, struct buf *out) {
    if (!(AGENTS & BIT(role))) return 0;
    return list_filter(parent_only, sizeof parent_only / sizeof *parent_only, SCMP_ACT_KILL_PROCESS, SCMP_ACT_ALLOW,
                       out);
}

int sandbox_mailbox_filter(struct buf *out) {
    return list_filter(mailbox_calls, sizeof mailbox_calls / sizeof *mailbox_calls, SCMP_ACT_ALLOW,
                       SCMP_ACT_KILL_PROCESS, out);
}
