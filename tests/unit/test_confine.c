/* test_confine.c - what a process can no longer do once it is confined, tried in processes of their own.
 * Runs in: the test runner, and confined in its children. Trusts: nothing. Never: confines the runner itself. */
#include "server/process/confine.h"

#include "server/process/sandbox.h"
#include "store/log.h"
#include "tests/unit/conf_fixture.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SOME_UID = 54321, SOME_GID = 54322 };

static struct role_start start;
static uint32_t missing;
static char outside[128];
static bool landlock; /* of this kernel */

static void begin(void) {
    char path[128];
    fixture_begin();
    landlock = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION) > 0;
    cr_assert_eq(chmod(fixture_directory, 0755), 0);
    log_use(open("/dev/null", O_WRONLY));
    snprintf(outside, sizeof outside, "%s/certificate.pem", fixture_directory);
    snprintf(path, sizeof path, "%s/own", fixture_directory);
    cr_assert(mkdir(path, 0777) == 0 && chmod(path, 0777) == 0);
    fixture_write("own/inside", "inside", 6);
    memset(&start, 0, sizeof start);
    start.common.files_max = start.common.file_bytes_max = start.common.memory_bytes_max = ROLE_LIMIT_NONE;
    start.descriptors[0] =
        (struct role_link){DESCRIPTOR_DIRECTORY, 0, open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
    start.n_descriptors = 1;
}

TestSuite(test_confine, .init = begin, .fini = fixture_end);

static void failed(int line, const char *what) {
    fprintf(stderr, "test_confine.c:%d: %s (%m)\n", line, what);
    _exit(1);
}
#define must(condition) ((condition) ? (void)0 : failed(__LINE__, #condition))

/* The wait status of a process that is confined and then does this. */
static int confined(void (*then)(void)) {
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        must(role_confine(&start, &missing) == 0);
        then();
        _exit(0);
    }
    cr_assert(pid > 0 && waitpid(pid, &status, 0) == pid);
    return status;
}

static bool opens(const char *path, int flags) {
    int fd = open(path, flags | O_CLOEXEC, 0600);
    if (fd >= 0) close(fd);
    return fd >= 0;
}

static void files(void) {
    must(opens("inside", O_RDWR));
    must(opens("new", O_WRONLY | O_CREAT));
    must(mkdir("below", 0700) == 0 && opens("below/new", O_WRONLY | O_CREAT));
    must(rename("new", "below/moved") == 0 && unlink("below/moved") == 0);
    if (!landlock) return;
    must(!opens(outside, O_RDONLY) && (errno == EACCES || errno == ENOENT));
    must(!opens("../certificate.pem", O_RDONLY));
    must(!opens("/etc/passwd", O_RDONLY));
    must(!opens("/proc/self/maps", O_RDONLY));
    must(!opens("/tmp/gatepost-test-confine", O_WRONLY | O_CREAT));
    must(symlink(outside, "link") != 0 || !opens("link", O_RDONLY));
    must(chmod("inside", 0700) == 0 && execl("inside", "inside", NULL) != 0 && errno == EACCES);
}

Test(test_confine, only_its_own_directory) {
    cr_expect_eq(confined(files), 0);
}

static void nothing_to_open(void) {
    must(!landlock || !opens("inside", O_RDONLY));
    must(!landlock || !opens("new", O_WRONLY | O_CREAT));
}

Test(test_confine, an_empty_directory_gives_no_right) {
    start.common.directory_is_empty = 1;
    cr_expect_eq(confined(nothing_to_open), 0);
}

static void tree(void) {
    int own = role_descriptor(&start, DESCRIPTOR_DIRECTORY, 0);
    must(confine_directory(own) != 0 || fchdir(own) == 0);
    must(opens("inside", O_RDONLY));
    must(!landlock || !opens(outside, O_RDONLY));
}

Test(test_confine, one_tree_for_an_agent) {
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
        tree();
        _exit(0);
    }
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    cr_expect_eq(status, 0);
}

static uint64_t limit_of(int resource) {
    struct rlimit limit;
    must(getrlimit((__rlimit_resource_t)resource, &limit) == 0 && limit.rlim_cur == limit.rlim_max);
    return limit.rlim_max;
}

static void limits(void) {
    must(limit_of(RLIMIT_NOFILE) == 20 && limit_of(RLIMIT_FSIZE) == 1000 && limit_of(RLIMIT_CORE) == 0);
    must(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0 && prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1);
    int fd = -1;
    for (int next; (next = dup(2)) >= 0;) fd = next;
    must(errno == EMFILE && fd == 19);
}

Test(test_confine, limits_for_good) {
    start.common.files_max = 20;
    start.common.file_bytes_max = 1000;
    cr_expect_eq(confined(limits), 0);
}

static void as_it_is(void) {
    must(missing == (MISSING_USER | MISSING_ROOT | MISSING_SECCOMP | (landlock ? 0 : MISSING_LANDLOCK)));
}

Test(test_confine, what_is_missing_is_said) {
    cr_expect_eq(confined(as_it_is), 0);
}

static void user(void) {
    gid_t groups[8];
    uid_t real, effective, saved;
    must(missing == (MISSING_SECCOMP | (landlock ? 0 : MISSING_LANDLOCK)));
    must(getresuid(&real, &effective, &saved) == 0 && real == SOME_UID && effective == SOME_UID && saved == SOME_UID);
    must(getresgid(&real, &effective, &saved) == 0 && real == SOME_GID && effective == SOME_GID && saved == SOME_GID);
    must(getgroups(8, groups) == 0);
    must(setuid(0) != 0 && setreuid(0, 0) != 0 && setresuid(-1U, 0, -1U) != 0 && setgid(0) != 0);
    must(chroot(".") != 0 && errno == EPERM);
    must(opens("/inside", O_RDONLY) && opens("../../inside", O_RDONLY));
    must(!opens("/etc/passwd", O_RDONLY) && errno == ENOENT);
    must(kill(getppid(), 0) != 0 && errno == EPERM);
}

Test(test_confine, as_root_user_and_root_are_left_for_good) {
    if (geteuid() != 0) return;
    start.common.as_root = 1;
    start.common.uid = SOME_UID;
    start.common.gid = SOME_GID;
    cr_expect_eq(confined(user), 0);
}

static void nothing(void) {}

static bool refuses(void) {
    int status;
    pid_t pid = fork();
    if (pid == 0) _exit(role_confine(&start, &missing) == -1 ? 0 : 1);
    cr_assert(pid > 0 && waitpid(pid, &status, 0) == pid);
    return status == 0;
}

Test(test_confine, what_cannot_be_done_is_an_error) {
    static uint8_t filter[8193];
    struct role_start good = start;
    start.n_descriptors = 0;
    cr_expect(refuses(), "no directory");
    start = good;
    start.common.filter = span_of(filter, 7);
    cr_expect(refuses(), "half a filter");
    start.common.filter = span_of(filter, 8200);
    cr_expect(refuses(), "a filter that is too long");
    start.common.filter = span_of(filter, 8);
    memset(filter, 0xff, sizeof filter);
    cr_expect(refuses(), "a filter that the kernel refuses");
    start = good;
    start.common.as_root = 1, start.common.uid = 0, start.common.gid = SOME_GID;
    cr_expect(refuses(), "root is no role's user; and who is not root cannot chroot");
    start = good;
    cr_expect_eq(confined(nothing), 0);
}

static void forbidden(void) {
    syscall(SYS_kill, 0, 0);
}

static void in_a_child(void) {
    must(missing == (MISSING_USER | MISSING_ROOT | (landlock ? 0 : MISSING_LANDLOCK)));
    pid_t pid = fork();
    must(pid >= 0);
    if (pid == 0) {
        must(confine_agent(&start) == 0);
        must(write(2, "", 0) == 0);
        fork(); /* the end of it */
        _exit(0);
    }
    int status;
    must(wait4(pid, &status, 0, NULL) == pid);
    must(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS);
}

Test(test_confine, the_filter_holds_and_an_agents_on_top) {
    static uint8_t filter[8192], child_filter[2048];
    struct buf b = BUF_OVER(filter), c = BUF_OVER(child_filter);
    cr_assert(sandbox_filter(ROLE_OUTBOUND, &b) == 0 && sandbox_child_filter(ROLE_OUTBOUND, &c) == 0);
    start.common.filter = buf_span(&b);
    start.common.child_filter = buf_span(&c);
    int status = confined(forbidden);
    cr_expect(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS);
    status = confined(in_a_child);
    cr_expect_eq(status, 0, "%x", (unsigned)status);
}

/* The filter lets a session clone, and its limits do not: here as nobody, since root is above them. */
static void in_a_session(void) {
    int pair[2];
    must(setresgid(SOME_GID, SOME_GID, SOME_GID) == 0 || geteuid() != 0);
    must(setresuid(SOME_UID, SOME_UID, SOME_UID) == 0 || geteuid() != 0);
    must(confine_session(ROLE_OWN_FD + 1) == -1 && errno == EINVAL);
    must(confine_session(5) == 0);
    must(syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0) == -1 && errno == EAGAIN);
    must(syscall(SYS_clone, CLONE_VM | CLONE_THREAD | CLONE_SIGHAND | CLONE_FS | CLONE_FILES, 0, 0, 0, 0) == -1 &&
         errno == EAGAIN);
    must(fcntl(2, F_DUPFD_CLOEXEC, ROLE_OWN_FD) == -1 && errno == EINVAL);
    must(dup3(2, ROLE_OWN_FD, O_CLOEXEC) == -1 && errno == EBADF);
    while (dup(2) >= 0) continue;
    must(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) == -1 && errno == EMFILE);
    must(setrlimit(RLIMIT_NPROC, &(struct rlimit){1, 1}) == -1 && errno == EPERM);
    must(setrlimit(RLIMIT_NOFILE, &(struct rlimit){20, 20}) == -1 && errno == EPERM);
}

Test(test_confine, a_session_makes_neither_process_nor_descriptor) {
    int status = confined(in_a_session);
    cr_expect_eq(status, 0, "%x", (unsigned)status);
}

Test(test_confine, which_landlock_serves) {
    static const struct {
        long abi;
        size_t directories;
        bool serves;
    } rows[] = {{-1, 0, false}, {-1, 1, false}, {0, 1, false}, {1, 0, true}, {1, 1, false},
                {1, 2, false},  {2, 1, true},   {2, 0, true},  {6, 2, true}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        cr_expect_eq(confine_landlock_serves(rows[i].abi, rows[i].directories), rows[i].serves, "row %zu", i);
}
