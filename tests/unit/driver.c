/* driver.c - the test as a master.
 * Runs in: tests. Trusts: the test. Never: waits for a child without a limit. */
#include "tests/unit/driver.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PATIENCE_MS = 30000 };

bool driver_receive(int fd, uint8_t *storage, struct frame *out) {
    for (;;) {
        struct pollfd wait = {fd, POLLIN, 0};
        cr_assert(poll(&wait, 1, PATIENCE_MS) == 1, "no frame came in time");
        enum frame_status status = frame_receive(fd, storage, true, out);
        if (status == FRAME_NONE) continue;
        return status == FRAME_RECEIVED;
    }
}

void driver_link(const struct driver *driver, struct driver_link link) {
    uint8_t octets[2] = {link.link.kind, link.link.index};
    cr_assert_eq(frame_send_fd(driver->control, link.channel ? MASTER_CHANNEL : MASTER_DESCRIPTOR, span_of(octets, 2),
                               link.link.fd),
                 0);
}

static int setup_memory(enum role role, struct span payload) {
    static uint8_t storage[1 << 16];
    struct role_start start = {.common.role = (uint8_t)role, .payload = payload};
    struct buf b = BUF_OVER(storage);
    int fd = memfd_create("setup", MFD_CLOEXEC);
    role_setup_put(&b, &start);
    cr_assert(fd >= 0 && buf_ok(&b) && write(fd, b.p, b.n) == (ssize_t)b.n);
    return fd;
}

static _Noreturn void be_child(int control, int log, int (*run)(struct role_start *, uint32_t)) {
    static struct role_start start;
    control = fcntl(control, F_DUPFD, 100), log = fcntl(log, F_DUPFD, 100);
    dup2(control, ROLE_CONTROL_FD), dup2(log, 4);
    close_range(5, ~0U, 0);
    if (role_receive(&start) != 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) _exit(99);
    _exit(run(&start, 0));
}

struct driver driver_start(int (*run)(struct role_start *, uint32_t), enum role role, struct span payload,
                           const struct driver_link *links, size_t n) {
    static uint8_t storage[FRAME_MAX];
    struct driver driver;
    struct frame frame;
    int control[2], log[2], on = 1, memory = setup_memory(role, payload);
    cr_assert(frame_pair(control, true) == 0 && frame_pair(log, true) == 0);
    cr_assert_eq(setsockopt(log[0], SOL_SOCKET, SO_PASSCRED, &on, sizeof on), 0);
    driver = (struct driver){fork(), control[0], log[0]};
    if (driver.pid == 0) be_child(control[1], log[1], run);
    close(control[1]), close(log[1]);
    cr_assert_eq(frame_send_fd(driver.control, MASTER_SETUP, (struct span){0}, memory), 0);
    close(memory);
    for (size_t i = 0; i < n; i++) driver_link(&driver, links[i]);
    cr_assert_eq(frame_send(driver.control, MASTER_START, (struct span){0}), 0);
    do cr_assert(driver_receive(driver.control, storage, &frame));
    while (frame.type != CHILD_READY); /* keys and listeners say first which keys they hold and need */
    return driver;
}

size_t driver_stride(void) {
    const char *text = getenv("GATEPOST_THIN");
    size_t n = text ? strtoul(text, NULL, 10) : 1;
    return n ? n : 1;
}

int driver_stop(struct driver *driver) {
    int status = -1;
    close(driver->control);
    for (int i = 0; i < PATIENCE_MS / 10; i++) {
        if (waitpid(driver->pid, &status, WNOHANG) == driver->pid) return close(driver->log), status;
        (void)poll(NULL, 0, 10);
    }
    kill(driver->pid, SIGKILL);
    cr_assert_fail("the program did not end");
    return status;
}
