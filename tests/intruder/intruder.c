/* intruder.c - stands in the place of gatepost-session or gatepost-pop3: gets the listener's setup and channels from
 * the real master, confines itself as the listener does, and runs each attack in a pool child of its own. Results go
 * to the pipe intruder.out beside the program. Runs in: the listener's place, in tests. Trusts: the master. Never:
 * serves a client. */
#include "tests/intruder/intruder.h"

#include "server/process/confine.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static struct role_start start;
static int results;

static void report(const char *name, const char *why) {
    char line[512];
    struct buf b = BUF_OVER(line);
    buf_put_format(&b, why ? "not ok %s: %.300s\n" : "ok %s\n", name, why);
    if (write(results, line, b.n) != (ssize_t)b.n) abort();
}

/* Opened before confinement: the file beside the executable. */
static int open_results(void) {
    char path[4096];
    ssize_t n = readlink("/proc/self/exe", path, sizeof path - 64);
    if (n <= 0) return -1;
    while (n && path[n - 1] != '/') n--;
    memcpy(path + n, "intruder.out", sizeof "intruder.out");
    return open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
}

struct running {
    pid_t pid;
    int why; /* read end: the attack's words */
};

enum { CELL_FD = 6, CELL_END_FD = 10 };

/* Where a session's own descriptors are: below the listener's, and nothing else is left. */
static void take_places(struct cell *cell, int *why_fd) {
    int *places[] = {&cell->auth, why_fd, &cell->out, &cell->in};
    int n = cell->in >= 0 ? 4 : 2; /* only a pair has pipes */
    for (int i = 0; i < n; i++) *places[i] = fcntl(*places[i], F_DUPFD_CLOEXEC, 40);
    for (int i = 0; i < n; i++) {
        if (dup3(*places[i], CELL_FD + i, O_CLOEXEC) < 0) _exit(3);
        *places[i] = CELL_FD + i;
    }
    if (close_range(CELL_END_FD, ~0U, 0) != 0) _exit(3);
}

static void in_cell(const struct attack *attack, struct cell *cell, int why_fd) {
    take_places(cell, &why_fd);
    if (!attack->unconfined && confine_session(ROLE_OWN_FD) != 0) _exit(3);
    /* As if its filter had a hole: by a number of the listener's it may send what it likes. */
    if (attack->unconfined) cell->auth = fcntl(cell->auth, F_DUPFD_CLOEXEC, ROLE_OWN_FD);
    const char *why = attack->run(cell);
    if (why && write(why_fd, why, strlen(why)) < 0) _exit(4);
    _exit(why ? 1 : 0);
}

/* In a pipe's place, which the listener's filter does not let it make; [0] is read. */
static int wire_pair(int ends[2]) {
    return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends);
}

static struct running start_cell(const struct attack *attack, int out, int in) {
    int pair[2], why[2];
    uint8_t octets[4];
    struct buf b = BUF_OVER(octets);
    int auth = fcntl(role_channel(&start, ROLE_AUTH, 0), F_DUPFD_CLOEXEC, ROLE_OWN_FD);
    int one = 1;
    pid_t listener = getpid();
    if (frame_pair(pair, false) != 0 || wire_pair(why) != 0) abort();
    /* Before the first frame, as the listener does: the kernel names only senders that it was asked about. */
    if (setsockopt(pair[0], SOL_SOCKET, SO_PASSCRED, &one, sizeof one) != 0) abort();
    pid_t pid = (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0); /* no more than the listener may */
    if (pid == 0) {
        close(pair[0]); /* or its own copy would keep the channel open */
        struct cell cell = {
            .auth = pair[1], .queue = -1, .keys = -1, .out = out, .in = in, .start = &start, .listener = listener};
        in_cell(attack, &cell, why[1]);
    }
    wire_put_u32(&b, (uint32_t)pid);
    if (pid < 0 || frame_send_fd(auth, POOL_CHILD, buf_span(&b), pair[0]) != 0) abort();
    close(pair[0]), close(pair[1]), close(why[1]), close(auth);
    return (struct running){pid, why[0]};
}

static void finish_cell(const struct attack *attack, struct running running) {
    char why[300] = "";
    int status;
    ssize_t n = read(running.why, why, sizeof why - 1);
    if (n > 0) why[n] = 0;
    close(running.why);
    if (waitpid(running.pid, &status, 0) != running.pid) abort();
    if (WIFSIGNALED(status)) {
        bool expected = attack->expected_signal && WTERMSIG(status) == attack->expected_signal;
        report(attack->name, expected ? NULL : "ended by a signal");
    } else if (attack->expected_signal && WEXITSTATUS(status) == 0) {
        report(attack->name, NULL); /* refused with an error: as good */
    } else {
        report(attack->name, WEXITSTATUS(status) == 0 ? NULL : why[0] ? why : "failed");
    }
}

static void run_pair(void) {
    int forth[2], back[2];
    if (wire_pair(forth) != 0 || wire_pair(back) != 0) abort();
    struct running owner = start_cell(&pairs[0], forth[1], back[0]);
    struct running thief = start_cell(&pairs[1], back[1], forth[0]);
    finish_cell(&pairs[0], owner);
    finish_cell(&pairs[1], thief);
}

static void run_all(const struct attack *all, size_t n) {
    for (size_t i = 0; i < n; i++) finish_cell(&all[i], start_cell(&all[i], (int)i, -1));
}

int main(void) {
    uint32_t missing;
    struct role_link link;
    int old;
    uint32_t number;
    signal(SIGABRT, SIG_IGN); /* as the listener does */
    results = open_results();
    if (results < 0 || role_receive(&start) != 0 || role_confine(&start, &missing) != 0) return 1;
    role_ready(missing);
    if (start.common.role == ROLE_POP3) {
        run_all(mailboxes, mailboxes_n);
    } else {
        run_all(attacks, attacks_n);
        run_pair();
    }
    run_all(escapes, escapes_n);
    report("end", NULL);
    for (;;) {
        enum role_event event = role_listen(&start, &link, &old, &number);
        if (event == ROLE_EVENT_GONE || event == ROLE_EVENT_DRAIN) return 0;
        if (event != ROLE_EVENT_NONE) continue;
        if (poll(NULL, 0, 50) < 0) return 1;
    }
}
