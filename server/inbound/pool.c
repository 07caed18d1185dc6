/* pool.c - forking children, and a child's way to its one connection.
 * Runs in: listener, session. Trusts: the kernel for who said "I accepted". Never: lets a child keep what is the
 * listener's. */
#include "server/inbound/pool.h"

#include "server/inbound/overflow.h"
#include "server/inbound/stack.h"
#include "server/inbound/tls.h"
#include "server/process/confine.h"
#include "store/clock.h"
#include "store/log.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SPAWN_PAUSE_MS = 1000, OVERSTAY_MS = 3000, POOL_FRAME_BYTES = 64 };

/* Where a session's descriptors lie: what the listener shares with every child and has there already, then the first
 * two free numbers, which are the connection's and the child's end of its channel. Above lies what is the listener's
 * own: a child drops it with one call, and with none above 63 the kernel copies no large table at each fork. */
enum { SESSION_STOP_FD = LOG_FD + 1, SESSION_CLIENT_FD, SESSION_AUTH_FD, SESSION_FREE_FD };

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

static int move_links_up(struct role_link *links, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (links[i].fd < ROLE_OWN_FD && move_up(&links[i].fd, ROLE_OWN_FD) != 0) return -1;
    return 0;
}

static int order_descriptors(struct pool *pool, struct role_start *start) {
    struct pool_wires *wires = &pool->wires;
    if (move_up(&wires->stop[1], ROLE_OWN_FD) != 0 || move_up(&wires->exits, ROLE_OWN_FD) != 0 ||
        move_up(&wires->stop[0], ROLE_OWN_FD) != 0 || move_links_up(start->descriptors, start->n_descriptors) != 0 ||
        move_links_up(start->channels, start->n_channels) != 0)
        return -1;
    for (unsigned i = 0; i < pool->setup->n_sockets; i++)
        wires->sockets[i] = role_descriptor(start, DESCRIPTOR_SOCKET, i);
    wires->submit = role_descriptor(start, DESCRIPTOR_SUBMIT, 0);
    if (dup3(wires->stop[0], SESSION_STOP_FD, O_CLOEXEC) < 0) return -1;
    close(wires->stop[0]);
    wires->stop[0] = SESSION_STOP_FD;
    return 0;
}

int pool_find_auth(struct pool *pool) {
    pool->auth_number++;
    buf_clear(&pool->ended); /* the new one never heard of them */
    if (move_links_up(pool->start->channels, pool->start->n_channels) != 0) return -1;
    return role_channel(pool->start, ROLE_AUTH, 0);
}

/* No child gets these pages: what the listener notes in them between two forks costs it no copy, and is nobody else's
 * to see. */
static struct pool *allocate(uint32_t children) {
    size_t n = sizeof(struct pool) + children * sizeof(struct pool_child);
    struct pool *pool = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pool == MAP_FAILED) return NULL;
    return madvise(pool, n, MADV_DONTFORK) == 0 ? pool : NULL;
}

struct pool *pool_open(struct role_start *start, const struct session_setup *setup,
                       const struct session_protocol *protocol) {
    struct pool *pool = allocate(setup->connections + SESSION_LOCAL_PLACES);
    if (!pool) return NULL;
    pool->start = start;
    pool->setup = setup;
    pool->protocol = protocol;
    pool->ended = BUF_OVER(pool->ended_storage);
    pool->door = door_open(setup, setup->connections + SESSION_LOCAL_PLACES);
    if (!pool->door) return NULL;
    pool->wires.exits = open_exits();
    if (pool->wires.exits < 0 || pipe2(pool->wires.stop, O_CLOEXEC) != 0 || order_descriptors(pool, start) != 0)
        return NULL;
    return pool;
}

/* ---- in the child */

/* Leaves room for the queue's channel, which takes the control channel's number, and where there is TLS the keys'
 * channel: no other descriptor can ever come in. */
static unsigned most_descriptors(void) {
    return SESSION_FREE_FD + (tls_available() ? 1 : 0);
}

/* The numbers that both have as a rule; where one was taken, by way of numbers that nobody looks for. */
static int take_places(struct session_place *place) {
    if (place->fd == SESSION_CLIENT_FD && place->auth_fd == SESSION_AUTH_FD) return 0;
    int client = fcntl(place->fd, F_DUPFD_CLOEXEC, ROLE_OWN_FD),
        auth = fcntl(place->auth_fd, F_DUPFD_CLOEXEC, ROLE_OWN_FD);
    if (client < 0 || auth < 0 || dup3(client, SESSION_CLIENT_FD, O_CLOEXEC) < 0 ||
        dup3(auth, SESSION_AUTH_FD, O_CLOEXEC) < 0)
        return -1;
    place->fd = SESSION_CLIENT_FD, place->auth_fd = SESSION_AUTH_FD;
    return 0;
}

/* Leaves no descriptor that is not the session's. */
static int child(void *context) {
    struct session_place *place = context;
    enum session_exit result = SESSION_EXIT_FAULT;
    place->stop_fd = SESSION_STOP_FD;
    if (take_places(place) == 0 && close(ROLE_CONTROL_FD) == 0 && close_range(SESSION_FREE_FD, ~0U, 0) == 0 &&
        confine_session(most_descriptors()) == 0)
        result = place->protocol->run(place);
    _exit((int)result);
}

/* ---- in the listener */

/* It does not keep its own deadline, because it was taken over, say. It cannot see this descriptor, or call it off.
 */
static void end_by_force(pid_t pid) {
    int fd = pidfd_open(pid, 0);
    int own = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, ROLE_OWN_FD);
    if (own < 0 || pidfd_send_signal(own, SIGKILL, NULL, 0) != 0) log_fault("ending a session", errno);
    if (fd >= 0) close(fd);
    if (own >= 0) close(own);
}

void pool_end_overdue(struct pool *pool) {
    uint64_t now = clock_ms();
    for (uint32_t i = 0; i < pool->n; i++) {
        if (now < pool->children[i].until_ms) continue;
        end_by_force(pool->children[i].pid);
        pool->children[i].until_ms = now + OVERSTAY_MS; /* again, should it not have ended */
    }
}

/* Auth reads its channels always; a wait is short or auth is ill. */
static bool tell_auth(int channel, enum frame_type type, struct span body, int fd) {
    for (int tries = 0; channel >= 0 && tries < 2; tries++) {
        if (frame_send_fd(channel, (uint16_t)type, body, fd) == 0) return true;
        struct pollfd wait = {channel, POLLOUT, 0};
        if (errno != EAGAIN || poll(&wait, 1, 5000) <= 0) return false;
    }
    return false;
}

void pool_end_all(struct pool *pool) {
    for (uint32_t i = 0; i < pool->n; i++) end_by_force(pool->children[i].pid);
}

/* Tells auth who has ended, by themselves or behind what else it is told. */
static void put_ended(struct pool *pool, struct buf *b) {
    buf_put_span(b, buf_span(&pool->ended));
    buf_clear(&pool->ended);
}

void pool_tell_ended(struct pool *pool, int auth_channel) {
    if (pool->ended.n == 0) return;
    if (!tell_auth(auth_channel, POOL_EXIT, buf_span(&pool->ended), -1)) (void)0; /* auth is gone: so are its peers */
    buf_clear(&pool->ended);
}

/* Who it serves: by the listener's own word, but where a proxy is to say it. */
static bool introduce(struct pool *pool, pid_t pid, const struct session_place *place, const uid_t *uid,
                      int auth_channel, int auths_end) {
    uint8_t storage[POOL_FRAME_BYTES + sizeof pool->ended_storage];
    struct buf b = BUF_OVER(storage);
    enum frame_type type = uid ? POOL_LOCAL : place->by_proxy ? POOL_CHILD : POOL_CLIENT;
    /* Before it hears of another process of the same number. */
    if (type != POOL_CLIENT) pool_tell_ended(pool, auth_channel);
    wire_put_u32(&b, (uint32_t)pid);
    if (type == POOL_LOCAL) wire_put_u32(&b, (uint32_t)*uid);
    if (type == POOL_CLIENT) {
        wire_put_u8(&b, pool->setup->sockets[place->socket].role);
        wire_put_netaddr(&b, &place->client);
        wire_put_netaddr(&b, &place->local);
        put_ended(pool, &b);
    }
    return tell_auth(auth_channel, type, buf_span(&b), auths_end);
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
    door_leave(pool->door, &one->network);
    *place_of(pool, one->pid) = one->next;
    if (one != last) {
        *place_of(pool, last->pid) = (uint32_t)(one - pool->children) + 1;
        *one = *last;
    }
    pool->n--;
}

/* Forks one child for the connection; `place` lies where the child finds it too. */
static bool add(struct pool *pool, int auth_channel, struct session_place *place, const uid_t *uid) {
    int ends[2], one = 1;
    pid_t pid = -1;
    if (frame_pair(ends, true) != 0) return false;
    /* Before the child can speak: the kernel names a sender only to a socket that asked for it by then. */
    place->auth_fd = ends[0];
    if (!place->by_proxy || setsockopt(ends[1], SOL_SOCKET, SO_PASSCRED, &one, sizeof one) == 0)
        pid = stack_fork(child, place); /* the pool is not there */
    int error = errno;
    close(ends[0]);
    bool known = pid > 0 && introduce(pool, pid, place, uid, auth_channel, ends[1]);
    close(ends[1]); /* where auth got none, the child sees the end and leaves */
    if (pid < 0) {
        log_fault("forking a child", error);
        return false;
    }
    uint64_t until_ms = clock_ms() + pool->setup->session_ms + OVERSTAY_MS;
    struct network network = {0};
    if (!uid && !place->by_proxy) network = door_enter(pool->door, &place->client);
    pool->children[pool->n++] = (struct pool_child){pid, known ? pool->auth_number : 0, 0, until_ms, network};
    link_last(pool);
    pool->accepted++;
    return known;
}

static bool from_proxy(const struct session_setup *setup, const struct netaddr *peer) {
    for (uint32_t i = 0; i < setup->n_proxy_from; i++)
        if (network_holds(&setup->proxy_from[i], peer)) return true;
    return false;
}

/* The connection's two ends. */
static bool find_ends(const struct pool *pool, struct session_place *place, const struct sockaddr_storage *client) {
    struct sockaddr_storage local;
    socklen_t n = sizeof local;
    if (!netaddr_from_socket(&place->client, client) || getsockname(place->fd, (struct sockaddr *)&local, &n) != 0 ||
        !netaddr_from_socket(&place->local, &local))
        return false;
    place->by_proxy = from_proxy(pool->setup, &place->client);
    return true;
}

static CHILD_PARENT struct session_place place; /* of the connection at hand */

/* Whose client a proxy is only auth hears. */
static enum reason judge(const struct pool *pool) {
    if (place.by_proxy) return REASON_COUNT;
    return door_judge(pool->door, pool->setup->sockets[place.socket].role, &place.client, pool->n, clock_ms());
}

/* Closes the connection where nobody serves it. */
static void serve(struct pool *pool, int auth_channel) {
    enum reason refusal = judge(pool);
    if (refusal != REASON_COUNT) {
        overflow_turn_away(pool, place.socket, place.fd, &place.client, refusal);
        return;
    }
    if (!add(pool, auth_channel, &place, NULL))
        pool->wait_until_ms = clock_ms() + SPAWN_PAUSE_MS; /* its client sees the end, and comes again */
    close(place.fd);
}

bool pool_serve(struct pool *pool, unsigned socket, int auth_channel) {
    struct sockaddr_storage client;
    socklen_t n = sizeof client;
    place = (struct session_place){.protocol = pool->protocol, .setup = pool->setup, .socket = socket};
    place.fd = accept4(pool->wires.sockets[socket], (struct sockaddr *)&client, &n, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (place.fd < 0) return false;
    if (find_ends(pool, &place, &client))
        serve(pool, auth_channel);
    else
        close(place.fd);
    return true;
}

void pool_serve_local(struct pool *pool, int auth_channel) {
    struct ucred peer;
    socklen_t n = sizeof peer;
    place = (struct session_place){.protocol = pool->protocol, .setup = pool->setup, .local_user = true};
    place.fd = accept4(pool->wires.submit, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (place.fd < 0) return;
    if (getsockopt(place.fd, SOL_SOCKET, SO_PEERCRED, &peer, &n) != 0 || n != sizeof peer)
        log_fault("asking who connected to the local socket", errno);
    else if (!add(pool, auth_channel, &place, &peer.uid))
        pool->wait_until_ms = clock_ms() + SPAWN_PAUSE_MS; /* its client sees the end, and comes again */
    close(place.fd);
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

static void note_end(struct pool *pool, const struct pool_child *one, enum session_exit how, int auth_channel) {
    if (one->auth == 0 || one->auth != pool->auth_number) return; /* this auth never heard of it */
    if (pool->ended.cap - pool->ended.n < POOL_END_BYTES) pool_tell_ended(pool, auth_channel);
    wire_put_u32(&pool->ended, (uint32_t)one->pid);
    wire_put_u8(&pool->ended, (uint8_t)how);
}

enum pool_end pool_bury(struct pool *pool, int auth_channel) {
    int status;
    pid_t pid = waitpid(-1, &status, WNOHANG);
    if (pid <= 0) return POOL_END_NONE;
    struct pool_child *one = find(pool, pid);
    enum session_exit how = verdict(status);
    if (how == SESSION_EXIT_CRASH) log_crash(pid, status), pool->crashed++;
    if (!one) return POOL_END_FINE;
    note_end(pool, one, how, auth_channel);
    take_out(pool, one);
    return how == SESSION_EXIT_CRASH ? POOL_END_CRASH : POOL_END_FINE;
}
