/* test_notify.c - the service manager's protocols, with the test in its place.
 * Runs in: the test runner, and in its children. Trusts: nothing. Never: speaks to a real manager. */
#include "server/process/notify.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static int manager(const char *path) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    size_t n = strlen(path);
    memcpy(address.sun_path, path, n);
    if (path[0] == '@') address.sun_path[0] = 0;
    cr_assert_eq(bind(fd, (struct sockaddr *)&address, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n)), 0);
    setenv("NOTIFY_SOCKET", path, 1);
    return fd;
}

static void expect_heard(int fd, const char *wanted) {
    char text[64] = "";
    ssize_t n = recv(fd, text, sizeof text - 1, 0);
    cr_expect_eq(n, (ssize_t)strlen(wanted));
    cr_expect_str_eq(text, wanted);
}

Test(test_notify, a_path_and_an_abstract_name) {
    char path[64], name[64];
    snprintf(path, sizeof path, "/tmp/gatepost-test-notify-%d", (int)getpid());
    snprintf(name, sizeof name, "@gatepost-test-notify-%d", (int)getpid());
    int fd = manager(path);
    notify_send("READY=1");
    expect_heard(fd, "READY=1");
    unlink(path);
    notify_send("into the void");
    int other = manager(name);
    notify_send("STOPPING=1");
    expect_heard(other, "STOPPING=1");
    close(fd), close(other);
}

Test(test_notify, nobody_listens) {
    char path[300];
    memset(path, 'x', sizeof path);
    path[0] = '/', path[sizeof path - 1] = 0;
    unsetenv("NOTIFY_SOCKET");
    notify_send("READY=1");
    static const char *const paths[] = {"", "relative", "/nonexistent/socket", "@nobody-is-here", "vsock:2:1"};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        setenv("NOTIFY_SOCKET", paths[i], 1);
        notify_send("READY=1");
    }
    setenv("NOTIFY_SOCKET", path, 1);
    notify_send("READY=1");
}

Test(test_notify, passed_sockets) {
    static const struct {
        const char *count;
        int pid_offset, wanted;
    } rows[] = {{"2", 0, 2},  {"1", 0, 1}, {"0", 0, 0},  {"2", 1, 0},          {"", 0, 0},
                {"-1", 0, 0}, {"x", 0, 0}, {"65", 0, 0}, {"4294967298", 0, 0}, {"3", 0, 0} /* there are only two */};
    cr_expect_eq(notify_sockets(), 0);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int status;
        pid_t pid = fork();
        if (pid == 0) {
            char text[16];
            close_range(3, ~0U, 0);
            if (dup(2) != 3 || dup(2) != 4) _exit(99);
            snprintf(text, sizeof text, "%d", (int)getpid() + rows[i].pid_offset);
            setenv("LISTEN_PID", text, 1), setenv("LISTEN_FDS", rows[i].count, 1);
            int n = notify_sockets();
            if (n && !(fcntl(2 + n, F_GETFD) & FD_CLOEXEC)) _exit(98);
            _exit(n);
        }
        cr_assert(pid > 0 && waitpid(pid, &status, 0) == pid);
        cr_expect_eq(WEXITSTATUS(status), rows[i].wanted, "row %zu", i);
    }
    setenv("LISTEN_PID", "x", 1), setenv("LISTEN_FDS", "1", 1);
    cr_expect_eq(notify_sockets(), 0);
}

Test(test_notify, the_watchdog_is_fed_when_somebody_watches) {
    char name[64], own[16];
    snprintf(name, sizeof name, "@gatepost-test-watchdog-%d", (int)getpid());
    snprintf(own, sizeof own, "%d", (int)getpid());
    int fd = manager(name);
    static const char *const off[] = {NULL, "", "0", "-1", "soon"};
    for (size_t i = 0; i < sizeof off / sizeof *off; i++) {
        if (off[i])
            setenv("WATCHDOG_USEC", off[i], 1);
        else
            unsetenv("WATCHDOG_USEC");
        notify_watchdog_start();
        cr_expect_eq(notify_watchdog_due(), UINT64_MAX, "row %zu", i);
        notify_watchdog();
    }
    setenv("WATCHDOG_USEC", "3600000000", 1);
    setenv("WATCHDOG_PID", "1", 1);
    notify_watchdog_start();
    cr_expect_eq(notify_watchdog_due(), UINT64_MAX, "another process is watched");
    setenv("WATCHDOG_PID", own, 1);
    notify_watchdog_start();
    cr_expect_neq(notify_watchdog_due(), UINT64_MAX);
    notify_watchdog(), notify_watchdog();
    expect_heard(fd, "WATCHDOG=1");
    char more;
    cr_expect_eq(recv(fd, &more, 1, 0), -1, "once in half the time");
    close(fd);
}
