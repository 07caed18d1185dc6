/* listener.c - accepts, forks a child for each connection, and does what the master says.
 * Runs in: listener. Trusts: the master; auth. Never: reads a client's octet. */
#include "server/inbound/listener.h"

#include "server/inbound/overflow.h"
#include "server/inbound/pool.h"
#include "server/inbound/session.h"
#include "server/inbound/settle.h"
#include "server/inbound/stack.h"
#include "server/inbound/tls.h"
#include "server/inbound/tls_arena.h"
#include "server/lab/fault.h"
#include "store/clock.h"
#include "store/frame.h"
#include "store/log.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

enum { RENEW_AFTER = 10000, STATUS_MS = 1000, EXIT_GRACE_MS = 1000, ACCEPTS_A_ROUND = 8, ENDED_MS = 100 };

static struct session_setup setup;

static CHILD_PARENT struct {
    struct pool *pool;
    int auth_channel;                   /* -1: broken, a new one will come */
    bool accepting, draining, renewing; /* accepting: the master has found the certificates good */
    uint64_t stop_deadline_ms;          /* 0: sessions may take their time */
    uint64_t overdue_at_ms;             /* when to look for sessions that are */
    uint64_t status_at_ms;
    uint32_t status_busy;
    uint64_t status_accepted, status_crashed;
} listener;

/* Accepted connections inherit it: replies are not held back (RFC 1122 4.2.3.4 would cost 40 ms with TLS). */
static int prepare_sockets(const struct role_start *start) {
    int one = 1;
    for (unsigned i = 0; i < setup.n_sockets; i++) {
        int fd = role_descriptor(start, DESCRIPTOR_SOCKET, i);
        int flags = fd < 0 ? -1 : fcntl(fd, F_GETFL);
        if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0) return -1;
        if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) != 0) return -1;
    }
    return 0;
}

/* The master speaks over its channel; what a terminal or a service manager sends to all is not meant for sessions.
 * And a session can send SIGABRT to whom it likes; who calls abort() ends all the same. */
static void leave_signals_to_the_master(void) {
    static const int ignored[] = {SIGPIPE, SIGINT, SIGTERM, SIGHUP, SIGABRT};
    for (size_t i = 0; i < sizeof ignored / sizeof *ignored; i++) signal(ignored[i], SIG_IGN);
}

int listener_prepare(struct role_start *start, const struct session_protocol *protocol) {
    leave_signals_to_the_master();
    settle_setup(start->memory);
    if (session_setup_get(&setup, start->payload) != 0) log_bug("session setup does not parse");
    if (setup.connections == 0) setup.connections = 1;
    if (prepare_sockets(start) != 0 || !(listener.pool = pool_open(start, &setup, protocol))) {
        log_fault("preparing the listener", errno);
        return -1;
    }
    if (fault_prepare(start) != 0 || tls_prepare(&setup) != 0) return -1;
    tls_arena_seal();
    settle_relocations();
    settle_data(stack_memory());
    settle_thread();
    settle_constants();
    settle_head();
    stack_guard();
    return 0;
}

static void ask_for_renewal(void) {
    if (listener.renewing || listener.draining) return;
    listener.renewing = true;
    role_say(CHILD_RENEW, span_of(NULL, 0));
}

static void tell_status(void) {
    const struct pool *pool = listener.pool;
    uint8_t storage[20];
    struct buf b = BUF_OVER(storage);
    bool same = pool->n == listener.status_busy && pool->accepted == listener.status_accepted &&
                pool->crashed == listener.status_crashed;
    if (same || clock_ms() < listener.status_at_ms) return;
    listener.status_busy = pool->n;
    listener.status_accepted = pool->accepted;
    listener.status_crashed = pool->crashed;
    listener.status_at_ms = clock_ms() + STATUS_MS;
    wire_put_u32(&b, pool->n);
    wire_put_u64(&b, pool->accepted);
    wire_put_u64(&b, pool->crashed);
    role_say(CHILD_STATUS, buf_span(&b));
}

static void end_overdue(void) {
    uint64_t now = clock_ms();
    if (now < listener.overdue_at_ms) return;
    listener.overdue_at_ms = now + STATUS_MS;
    pool_end_overdue(listener.pool);
}

static void bury(void) {
    struct signalfd_siginfo ignored;
    enum pool_end end;
    if (read(listener.pool->wires.exits, &ignored, sizeof ignored) < 0) return; /* one stands for all of them */
    while ((end = pool_bury(listener.pool, listener.auth_channel)) != POOL_END_NONE)
        if (end == POOL_END_CRASH) ask_for_renewal();
}

/* First time: no more connections; who has one finishes. Second time: within shutdown_ms. */
static void drain(void) {
    struct pool_wires *wires = &listener.pool->wires;
    if (listener.draining) {
        if (listener.stop_deadline_ms) return;
        close(wires->stop[1]);
        listener.stop_deadline_ms = clock_ms() + setup.shutdown_ms + EXIT_GRACE_MS;
        return;
    }
    listener.draining = true;
    for (unsigned i = 0; i < setup.n_sockets; i++) close(wires->sockets[i]);
    if (wires->submit >= 0) close(wires->submit);
    wires->submit = -1;
}

static int turn_away(void *context, struct frame *frame) {
    struct pool *pool = context;
    struct network network;
    struct wire w = wire_over(frame->body);
    wire_get_network(&w, &network);
    unsigned reason = wire_get_u8(&w);
    uint32_t ms = wire_get_u32(&w);
    if (!wire_end(&w) || reason >= REASON_COUNT) return -1;
    door_mark(pool->door, &network, (enum reason)reason, clock_ms(), ms);
    return 0;
}

static void hear_auth(void) {
    static BUF_LARGE uint8_t storage[FRAME_MAX];
    static const struct frame_row rows[] = {{POOL_TURN_AWAY, 1, turn_away}};
    struct frame frame;
    enum frame_status status;
    while ((status = frame_receive(listener.auth_channel, storage, false, &frame)) == FRAME_RECEIVED)
        if (frame_dispatch(rows, sizeof rows / sizeof *rows, 1, listener.pool, &frame) != 0)
            log_bug("bad frame from auth");
    if (status != FRAME_NONE) listener.auth_channel = -1;
}

/* False: the master is gone. */
static bool hear_master(struct role_start *start) {
    struct role_link link;
    uint32_t number;
    int old;
    for (;;) {
        switch (role_listen(start, &link, &old, &number)) {
        case ROLE_EVENT_GONE:
            return false;
        case ROLE_EVENT_NONE:
            return true;
        case ROLE_EVENT_CHANNEL:
            if (link.kind == ROLE_AUTH) listener.auth_channel = pool_find_auth(listener.pool);
            break;
        case ROLE_EVENT_DRAIN:
            drain();
            break;
        case ROLE_EVENT_ACCEPT:
            listener.accepting = true;
            break;
        case ROLE_EVENT_SETUP:
            log_bug("a listener is replaced, not reconfigured");
        case ROLE_EVENT_DESCRIPTOR:
        case ROLE_EVENT_LOG_NEW:
        case ROLE_EVENT_FORGET:
        case ROLE_EVENT_DIALED:
            break;
        }
    }
}

static int patience(void) {
    uint64_t now = clock_ms();
    int most = listener.pool->ended.n ? ENDED_MS : STATUS_MS;
    if (listener.stop_deadline_ms > now && listener.stop_deadline_ms - now < (uint64_t)most)
        return (int)(listener.stop_deadline_ms - now);
    return most;
}

static bool serves(void) {
    return listener.accepting && !listener.draining && listener.auth_channel >= 0 &&
           clock_ms() >= listener.pool->wait_until_ms;
}

/* As many sessions as may be: who comes now is turned away here. */
static bool is_full(void) {
    return listener.pool->n >= setup.connections;
}

/* The local socket, as long as there is a place for who connects. */
static int local_socket(void) {
    bool place = listener.pool->n < setup.connections + SESSION_LOCAL_PLACES;
    return serves() && place ? listener.pool->wires.submit : -1;
}

static void accept_from(unsigned socket) {
    for (int i = 0; i < ACCEPTS_A_ROUND && serves() && !is_full(); i++)
        if (!pool_serve(listener.pool, socket, listener.auth_channel)) return;
    if (serves() && is_full()) overflow_refuse(listener.pool, socket);
}

/* One round; false: the master is gone. */
static bool serve_round(struct role_start *start) {
    enum { OWN = 4 };
    struct pollfd waits[OWN + SESSION_SOCKETS_MAX] = {{ROLE_CONTROL_FD, POLLIN, 0},
                                                      {listener.auth_channel, POLLIN, 0},
                                                      {listener.pool->wires.exits, POLLIN, 0},
                                                      {local_socket(), POLLIN, 0}};
    unsigned n_serving = serves() && (!is_full() || overflow_may_refuse()) ? setup.n_sockets : 0;
    for (unsigned i = 0; i < n_serving; i++)
        waits[OWN + i] = (struct pollfd){listener.pool->wires.sockets[i], POLLIN, 0};
    int n = poll(waits, OWN + n_serving, patience());
    if (n < 0 && errno != EINTR) log_bug("poll in the listener");
    if (waits[2].revents) bury();
    if (waits[1].revents) hear_auth();
    if (waits[0].revents && !hear_master(start)) return false;
    if (listener.pool->accepted >= RENEW_AFTER) ask_for_renewal();
    if (waits[3].revents && local_socket() >= 0) pool_serve_local(listener.pool, listener.auth_channel);
    for (unsigned i = 0; i < n_serving; i++)
        if (waits[OWN + i].revents) accept_from(i);
    if (n == 0) pool_tell_ended(listener.pool, listener.auth_channel); /* no client came to tell of them with */
    end_overdue();
    overflow_log();
    tell_status();
    return true;
}

/* The master holds them against what the keys process has. */
static void tell_certificates(void) {
    uint8_t storage[SESSION_CERTIFICATES_MAX * KEY_NAME_BYTES];
    struct buf b = BUF_OVER(storage);
    tls_put_key_names(&b);
    role_say(CHILD_CERTIFICATES, buf_span(&b));
}

int listener_run(struct role_start *start, uint32_t missing) {
    int directory = role_descriptor(start, DESCRIPTOR_DIRECTORY, 0);
    if (directory >= 0) close(directory);
    listener.auth_channel = pool_find_auth(listener.pool);
    tell_certificates();
    role_ready(missing);
    for (;;) {
        if (!serve_round(start)) _exit(0);
        bool overdue = listener.stop_deadline_ms && clock_ms() >= listener.stop_deadline_ms;
        if (!listener.draining || (listener.pool->n > 0 && !overdue)) continue;
        pool_end_all(listener.pool);
        pool_tell_ended(listener.pool, listener.auth_channel);
        return 0;
    }
}
