/* pool.c - forking children, and a child's way to its one connection.
 * Runs in: listener, session. Trusts: the kernel for who said "I accepted". Never: lets a child keep what is the
 * listener's. */
#include "server/inbound/pool.h"

#include "server/inbound/session.h"
#include "server/inbound/tls.h"
#include "server/process/confine.h"
#include "store/clock.h"
#include "store/log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SPAWN_PAUSE_MS = 1000, OVERSTAY_MS = 3000 };

/* Where a session's descriptors lie: its client takes one of the first free numbers, the channels that auth hands out
 * have the rest. Above lies what the listener shares with children that wait, and above that what is its own: so a
 * child drops each with one call. With none above 63 the kernel copies no large table at each fork. */
enum {
    SESSION_AUTH_FD = ROLE_CONTROL_FD,
    SESSION_STOP_FD = LOG_FD + 1,
    SESSION_FREE_FD,
    SHARED_FROM_FD = 16,
    LISTENER_FROM_FD = SHARED_FROM_FD + SESSION_SOCKETS_MAX + 4
};

static int open_exits(void) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    if (sigprocmask(SIG_BLOCK, &set, NULL) != 0) return -1;
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static int move_up(int *fd, int from) {
    int moved = fcntl(*fd, F_DUPFD_CLOEXEC, from);
    if (moved < 0) return -1;
    close(*fd);
    *fd = moved;
    return 0;
}

static int share(struct pool *pool, struct role_start *start) {
    struct pool_wires *wires = &pool->wires;
    int *const shared[] = {&wires->accepted[1], &wires->idle[0], &wires->stop[0]};
    int *const ours[] = {&wires->accepted[0], &wires->idle[1], &wires->stop[1], &wires->exits};
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
        if (move_up(ours[i], LISTENER_FROM_FD) != 0) return -1;
    for (size_t i = 0; i < start->n_descriptors; i++)
        if ((start->descriptors[i].kind == DESCRIPTOR_SOCKET &&
             move_up(&start->descriptors[i].fd, SHARED_FROM_FD) != 0) ||
            (start->descriptors[i].kind == DESCRIPTOR_SUBMIT &&
             move_up(&start->descriptors[i].fd, LISTENER_FROM_FD) != 0))
            return -1;
    for (unsigned i = 0; i < pool->setup->n_sockets; i++)
        wires->sockets[i] = role_descriptor(start, DESCRIPTOR_SOCKET, i);
    wires->submit = role_descriptor(start, DESCRIPTOR_SUBMIT, 0);
    for (size_t i = 0; i < sizeof shared / sizeof *shared; i++)
        if (move_up(shared[i], SHARED_FROM_FD) != 0 || *shared[i] >= LISTENER_FROM_FD) return -1;
    return 0;
}

int pool_prepare(struct pool *pool, struct role_start *start, const struct session_setup *setup) {
    int one = 1;
    *pool = (struct pool){.start = start, .setup = setup};
    pool->children = calloc(setup->connections + SESSION_LOCAL_PLACES, sizeof *pool->children);
    pool->wires.exits = open_exits();
    if (!pool->children || pool->wires.exits < 0 || pipe2(pool->wires.idle, O_CLOEXEC) != 0 ||
        pipe2(pool->wires.stop, O_CLOEXEC) != 0 || frame_pair(pool->wires.accepted, false) != 0)
        return -1;
    if (share(pool, start) != 0) return -1;
    return setsockopt(pool->wires.accepted[0], SOL_SOCKET, SO_PASSCRED, &one, sizeof one);
}

/* ---- in the child */

/* A child that has no connection leaves when the listener, or auth, does. */
enum { TOKEN_LEAVE = UINT32_MAX };

static int watch(int epoll, int fd, uint32_t token) {
    /* One child wakes for a connection, not all. */
    struct epoll_event event = {token == TOKEN_LEAVE ? EPOLLIN : EPOLLIN | EPOLLEXCLUSIVE, {.u32 = token}};
    return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
}

static int watch_all(const struct pool *pool, int auth_fd) {
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    if (epoll < 0 || watch(epoll, auth_fd, TOKEN_LEAVE) != 0 || watch(epoll, pool->wires.idle[0], TOKEN_LEAVE) != 0)
        return -1;
    for (uint32_t i = 0; i < pool->setup->n_sockets; i++)
        if (watch(epoll, pool->wires.sockets[i], i) != 0) return -1;
    return epoll;
}

/* A child waits no longer for a connection than one may last. */
static int idle_ms(const struct pool *pool) {
    return pool->setup->session_ms < INT_MAX ? (int)pool->setup->session_ms : INT_MAX;
}

/* The kernel ends a session that does not keep its own deadline, because it was taken over, say: once confined it
 * cannot call this off. */
static void end_without_fail(const struct pool *pool) {
    uint64_t most_ms = (uint64_t)idle_ms(pool) + pool->setup->session_ms + OVERSTAY_MS;
    alarm(most_ms / 1000 < UINT_MAX ? (unsigned)(most_ms / 1000) : UINT_MAX);
}

/* The connected socket, with *socket_out where it came in, or -1: leave. */
static int wait_for_connection(const struct pool *pool, int epoll, unsigned *socket_out, struct netaddr *client_out) {
    for (;;) {
        struct epoll_event events[4];
        struct sockaddr_storage address;
        socklen_t n_address = sizeof address;
        int n = epoll_wait(epoll, events, 4, idle_ms(pool)), chosen = -1;
        if (n == 0 || (n < 0 && errno != EINTR)) return -1;
        for (int i = 0; i < n; i++) {
            if (events[i].data.u32 == (uint32_t)TOKEN_LEAVE) return -1;
            chosen = (int)events[i].data.u32;
        }
        if (chosen < 0) continue;
        int fd = accept4(pool->wires.sockets[chosen], (struct sockaddr *)&address, &n_address,
                         SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == EBADF)) return -1;
        if (fd < 0) continue;
        *socket_out = (unsigned)chosen;
        if (netaddr_from_socket(client_out, &address)) return fd;
        close(fd);
    }
}

static void say_accepted(const struct pool *pool) {
    ssize_t n;
    do n = write(pool->wires.accepted[1], "A", 1);
    while (n < 0 && errno == EINTR);
}

static int keep_session_only(int epoll) {
    close(epoll);
    return close_range(SHARED_FROM_FD, ~0U, 0);
}

static int drop_listeners_ends(const struct pool *pool) {
    for (size_t i = 0; i < pool->start->n_channels; i++) close(pool->start->channels[i].fd);
    return close_range(LISTENER_FROM_FD, ~0U, 0);
}

/* Leaves room for the client, the queue's channel, and where there is TLS the keys' channel: no other descriptor can
 * ever come in. */
static int limit_descriptors(void) {
    rlim_t n = SESSION_FREE_FD + 2 + (tls_available() ? 1 : 0);
    return setrlimit(RLIMIT_NOFILE, &(struct rlimit){n, n});
}

static bool take_place(int fd, int number) {
    if (fd == number) return true;
    return dup3(fd, number, O_CLOEXEC) == number && close(fd) == 0;
}

/* Where the client's descriptor lies, and a way to be confined that leaves no descriptor that is not the session's.
 */
static enum session_exit local_child(const struct pool *pool, int auth_fd, int client_fd) {
    struct session_place place = {.setup = pool->setup,
                                  .local_user = true,
                                  .fd = SESSION_FREE_FD,
                                  .auth_fd = SESSION_AUTH_FD,
                                  .stop_fd = SESSION_STOP_FD};
    /* The connection may have the number that another is to take. */
    if (drop_listeners_ends(pool) != 0 || !take_place(auth_fd, SESSION_AUTH_FD) ||
        !take_place(client_fd, SESSION_FREE_FD) || !take_place(pool->wires.stop[0], SESSION_STOP_FD) ||
        close_range(SHARED_FROM_FD, ~0U, 0) != 0)
        return SESSION_EXIT_FAULT;
    end_without_fail(pool);
    if (limit_descriptors() != 0 || confine_child(pool->start) != 0) return SESSION_EXIT_FAULT;
    return session_run(&place);
}

static enum session_exit child(const struct pool *pool, int auth_fd) {
    struct session_place place = {.setup = pool->setup, .auth_fd = SESSION_AUTH_FD, .stop_fd = SESSION_STOP_FD};
    struct sockaddr_storage address;
    socklen_t n_address = sizeof address;
    if (drop_listeners_ends(pool) != 0 || !take_place(auth_fd, SESSION_AUTH_FD) ||
        !take_place(pool->wires.stop[0], SESSION_STOP_FD))
        return SESSION_EXIT_FAULT;
    int epoll = watch_all(pool, SESSION_AUTH_FD);
    end_without_fail(pool);
    if (epoll < 0 || limit_descriptors() != 0 || confine_child(pool->start) != 0) return SESSION_EXIT_FAULT;
    place.fd = wait_for_connection(pool, epoll, &place.socket, &place.client);
    if (place.fd < 0) return SESSION_EXIT_FINE;
    say_accepted(pool);
    if (keep_session_only(epoll) != 0 || getsockname(place.fd, (struct sockaddr *)&address, &n_address) != 0 ||
        !netaddr_from_socket(&place.local, &address))
        return SESSION_EXIT_FAULT;
    return session_run(&place);
}

/* ---- in the listener */

/* Auth reads its channels always; a wait is short or auth is ill. */
static bool tell_auth(int channel, enum frame_type type, struct span body, int fd) {
    for (int tries = 0; channel >= 0 && tries < 2; tries++) {
        if (frame_send_fd(channel, (uint16_t)type, body, fd) == 0) return true;
        struct pollfd wait = {channel, POLLOUT, 0};
        if (errno != EAGAIN || poll(&wait, 1, 5000) <= 0) return false;
    }
    return false;
}

/* uid: of who connected to the local socket; NULL: a child of the pool. */
static bool introduce(pid_t pid, const uid_t *uid, int auth_channel, int auths_end) {
    uint8_t storage[8];
    struct buf b = BUF_OVER(storage);
    wire_put_u32(&b, (uint32_t)pid);
    if (uid) wire_put_u32(&b, (uint32_t)*uid);
    return tell_auth(auth_channel, uid ? POOL_LOCAL : POOL_CHILD, buf_span(&b), auths_end);
}

/* Where what leads to a child is noted: in its bucket, or in the child before it there. */
static uint32_t *place_of(struct pool *pool, pid_t pid) {
    uint32_t *at = &pool->by_pid[(uint32_t)pid % POOL_BUCKETS];
    while (*at && pool->children[*at - 1].pid != pid) at = &pool->children[*at - 1].next;
    return at;
}

static struct pool_child *find(struct pool *pool, pid_t pid) {
    uint32_t at = *place_of(pool, pid);
    return at ? &pool->children[at - 1] : NULL;
}

/* The last child gets its place among those with its hash. */
static void link_last(struct pool *pool) {
    struct pool_child *last = &pool->children[pool->n - 1];
    uint32_t *bucket = &pool->by_pid[(uint32_t)last->pid % POOL_BUCKETS];
    last->next = *bucket;
    *bucket = pool->n;
}

/* The last takes the place of one that has ended. */
static void take_out(struct pool *pool, struct pool_child *one) {
    const struct pool_child *last = &pool->children[pool->n - 1];
    *place_of(pool, one->pid) = one->next;
    if (one != last) {
        *place_of(pool, last->pid) = (uint32_t)(one - pool->children) + 1;
        *one = *last;
    }
    pool->n--;
}

/* Forks one child; with a client it is a session at once, else it waits for one. */
static bool add(struct pool *pool, int auth_channel, int client_fd, const uid_t *uid) {
    int ends[2], one = 1;
    pid_t pid = -1;
    if (frame_pair(ends, true) != 0) return false;
    /* Before the child can speak: the kernel names a sender only to a socket that asked for it by then. */
    if (setsockopt(ends[0], SOL_SOCKET, SO_PASSCRED, &one, sizeof one) == 0)
        pid = _Fork(); /* no thread, no lock held */
    if (pid == 0) {
        close(ends[0]);
        _exit((int)(uid ? local_child(pool, ends[1], client_fd) : child(pool, ends[1])));
    }
    int error = errno;
    close(ends[1]);
    bool known = pid > 0 && introduce(pid, uid, auth_channel, ends[0]);
    close(ends[0]); /* where auth got none, the child sees the end and leaves */
    if (pid < 0) {
        log_fault("forking a child", error);
        return false;
    }
    pool->children[pool->n++] = (struct pool_child){pid, uid != NULL, known ? pool->auth_number : 0, 0};
    link_last(pool);
    if (uid)
        pool->accepted++;
    else
        pool->idle++;
    return known;
}

bool pool_add(struct pool *pool, int auth_channel) {
    return add(pool, auth_channel, -1, NULL);
}

void pool_serve_local(struct pool *pool, int auth_channel) {
    struct ucred peer;
    socklen_t n = sizeof peer;
    int fd = accept4(pool->wires.submit, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) return;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &n) != 0 || n != sizeof peer)
        log_fault("asking who connected to the local socket", errno);
    else if (!add(pool, auth_channel, fd, &peer.uid))
        pool->wait_until_ms = clock_ms() + SPAWN_PAUSE_MS; /* its client sees the end, and comes again */
    close(fd);
}

static pid_t next_accepted(int fd) {
    uint8_t octet;
    struct iovec part = {&octet, 1};
    union {
        struct cmsghdr header;
        uint8_t space[CMSG_SPACE(sizeof(struct ucred))];
    } control;
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    struct ucred credentials = {0};
    ssize_t n = recvmsg(fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    struct cmsghdr *c = n > 0 ? CMSG_FIRSTHDR(&message) : NULL;
    if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_CREDENTIALS)
        memcpy(&credentials, CMSG_DATA(c), sizeof credentials);
    return n > 0 ? credentials.pid : -1;
}

void pool_hear(struct pool *pool) {
    for (pid_t pid = next_accepted(pool->wires.accepted[0]); pid >= 0; pid = next_accepted(pool->wires.accepted[0])) {
        struct pool_child *one = find(pool, pid);
        if (!one || one->busy) continue;
        one->busy = true;
        pool->idle--;
        pool->accepted++;
    }
}

static void log_crash(pid_t pid, int status) {
    struct log_line line;
    log_open(&line, LOG_SESSION_CRASHED);
    log_exit(&line, (uint64_t)pid, status);
    log_send(&line);
}

static enum session_exit verdict(int status) {
    int code = WIFEXITED(status) ? WEXITSTATUS(status) : SESSION_EXIT_CRASH;
    return code >= SESSION_EXIT_FINE && code <= SESSION_EXIT_FAULT ? (enum session_exit)code : SESSION_EXIT_CRASH;
}

static void tell_end(const struct pool *pool, const struct pool_child *one, enum session_exit how, int auth_channel) {
    uint8_t storage[5];
    struct buf b = BUF_OVER(storage);
    wire_put_u32(&b, (uint32_t)one->pid);
    wire_put_u8(&b, (uint8_t)how);
    if (one->auth == 0 || one->auth != pool->auth_number) return;      /* this auth never heard of it */
    if (!tell_auth(auth_channel, POOL_EXIT, buf_span(&b), -1)) return; /* its end is noticed elsewhere */
}

enum pool_end pool_bury(struct pool *pool, int auth_channel) {
    int status;
    pid_t pid = waitpid(-1, &status, WNOHANG);
    if (pid <= 0) return POOL_END_NONE;
    pool_hear(pool); /* what it said before it ended */
    struct pool_child *one = find(pool, pid);
    enum session_exit how = verdict(status);
    if (how == SESSION_EXIT_CRASH) log_crash(pid, status), pool->crashed++;
    if (!one) return POOL_END_FINE;
    tell_end(pool, one, how, auth_channel);
    if (!one->busy) {
        pool->idle--;
        if (how != SESSION_EXIT_FINE) pool->wait_until_ms = clock_ms() + SPAWN_PAUSE_MS;
    }
    take_out(pool, one);
    return how == SESSION_EXIT_CRASH ? POOL_END_CRASH : POOL_END_FINE;
}
