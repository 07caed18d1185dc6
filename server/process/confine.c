/* confine.c - dropping everything that a role does not need, for good.
 * Runs in: every process but the master, once after exec, and in what those fork. Trusts: the master's setup. Never:
 * continues when a step failed that this kernel and user could have taken. */
#include "server/process/confine.h"

#include "store/log.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef LANDLOCK_ACCESS_FS_REFER
#define LANDLOCK_ACCESS_FS_REFER (1ULL << 13)
#endif
#define LANDLOCK_ACCESS_FS_TRUNCATE_BIT (1ULL << 14)

static int fault(const char *what) {
    log_fault(what, errno);
    return -1;
}

/* All rights on files that the running kernel's Landlock knows of. */
static uint64_t landlock_rights(long abi) {
    uint64_t rights = (1ULL << 13) - 1;
    if (abi >= 2) rights |= LANDLOCK_ACCESS_FS_REFER;
    if (abi >= 3) rights |= LANDLOCK_ACCESS_FS_TRUNCATE_BIT;
    return rights;
}

bool confine_landlock_serves(long abi, size_t directories) {
    return abi >= (directories ? 2 : 1);
}

/* Only what lies below the n directories stays reachable, without the right to execute. 1: this kernel cannot. */
static int restrict_files(const int *directories, size_t n) {
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    if (!confine_landlock_serves(abi, n)) return 1;
    struct landlock_ruleset_attr attributes = {.handled_access_fs = landlock_rights(abi)};
    int result = -1;
    int ruleset = (int)syscall(SYS_landlock_create_ruleset, &attributes, sizeof attributes, 0);
    if (ruleset < 0) return fault("landlock_create_ruleset");
    for (size_t i = 0; i < n; i++) {
        struct landlock_path_beneath_attr beneath = {
            .allowed_access = attributes.handled_access_fs & ~(uint64_t)LANDLOCK_ACCESS_FS_EXECUTE,
            .parent_fd = directories[i],
        };
        if (syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &beneath, 0) != 0) {
            fault("landlock_add_rule");
            goto out;
        }
    }
    if (syscall(SYS_landlock_restrict_self, ruleset, 0) != 0) {
        fault("landlock_restrict_self");
        goto out;
    }
    result = 0;
out:
    close(ruleset);
    return result;
}

int confine_directory(int directory) {
    return restrict_files(&directory, 1) < 0 ? -1 : 0;
}

static int limit(int resource, uint64_t value) {
    struct rlimit both = {(rlim_t)value, (rlim_t)value};
    if (value == ROLE_LIMIT_NONE) return 0;
    struct rlimit now;
    if (getrlimit((__rlimit_resource_t)resource, &now) == 0 && now.rlim_max < both.rlim_max)
        both.rlim_cur = both.rlim_max = now.rlim_max;
    return setrlimit((__rlimit_resource_t)resource, &both);
}

static int drop_user(uint32_t uid, uint32_t gid) {
    if (setgroups(0, NULL) != 0 || setresgid(gid, gid, gid) != 0 || setresuid(uid, uid, uid) != 0)
        return fault("dropping to the role's user");
    if (setresuid(0, 0, 0) == 0 || setresgid(0, 0, 0) == 0 || getuid() != uid || geteuid() != uid) {
        errno = EPERM;
        return fault("the role's user could be left again");
    }
    return 0;
}

static int install_filter(struct span filter) {
    struct sock_fprog all = {(unsigned short)(filter.n / sizeof *all.filter), (void *)(uintptr_t)filter.p};
    if (filter.n % sizeof *all.filter || filter.n / sizeof *all.filter > BPF_MAXINSNS) {
        errno = EINVAL;
        return -1;
    }
    return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &all);
}

/* The role's directories, index 0 and up; the empty one is a root only and gives no right. */
static size_t own_directories(const struct role_start *start, int directories_out[8]) {
    size_t n = 0;
    if (start->common.directory_is_empty) return 0;
    for (unsigned i = 0; i < 8; i++) {
        int fd = role_descriptor(start, DESCRIPTOR_DIRECTORY, i);
        if (fd >= 0) directories_out[n++] = fd;
    }
    return n;
}

/* What a stack may grow to, for good: no child can have more either. */
static int limit_stack(void) {
    const rlim_t most = 8 << 20;
    struct rlimit now;
    if (getrlimit(RLIMIT_STACK, &now) != 0) return -1;
    if (now.rlim_cur > most) now.rlim_cur = most;
    now.rlim_max = now.rlim_cur;
    return setrlimit(RLIMIT_STACK, &now);
}

int role_confine(const struct role_start *start, uint32_t *missing_out) {
    int directories[8];
    size_t n = own_directories(start, directories);
    int root = role_descriptor(start, DESCRIPTOR_DIRECTORY, 0);
    *missing_out = 0;
    if (root < 0 || fchdir(root) != 0) return fault("entering the role's directory");
    if (start->common.as_root && chroot(".") != 0) return fault("chroot");
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return fault("no_new_privs");
    int landlock = restrict_files(directories, n);
    if (landlock < 0) return -1;
    if (landlock > 0) *missing_out |= MISSING_LANDLOCK;
    if (limit(RLIMIT_CORE, 0) != 0 || limit(RLIMIT_NOFILE, start->common.files_max) != 0 ||
        limit(RLIMIT_FSIZE, start->common.file_bytes_max) != 0 ||
        limit(RLIMIT_AS, start->common.memory_bytes_max) != 0 || limit_stack() != 0)
        return fault("setrlimit");
    if (start->common.as_root && drop_user(start->common.uid, start->common.gid) != 0) return -1;
    if (!start->common.as_root) *missing_out |= MISSING_USER | MISSING_ROOT;
    if (prctl(PR_SET_DUMPABLE, start->common.dumpable ? 1 : 0, 0, 0, 0) != 0) return fault("dumpable");
    if (start->common.filter.n == 0)
        *missing_out |= MISSING_SECCOMP;
    else if (install_filter(start->common.filter) != 0)
        return fault("seccomp");
    return 0;
}

static int make_no_process(void) {
    return setrlimit(RLIMIT_NPROC, &(struct rlimit){0, 0}) == 0 ? 0 : fault("setrlimit");
}

int confine_agent_to(struct span filter) {
    if (make_no_process() != 0) return -1;
    return filter.n && install_filter(filter) != 0 ? fault("seccomp") : 0;
}

int confine_agent(const struct role_start *start) {
    return confine_agent_to(start->common.child_filter);
}

int confine_session(unsigned descriptors) {
    struct rlimit most = {descriptors, descriptors};
    if (descriptors > ROLE_OWN_FD) errno = EINVAL;
    if (descriptors > ROLE_OWN_FD || setrlimit(RLIMIT_NOFILE, &most) != 0) return fault("setrlimit");
    return make_no_process();
}
