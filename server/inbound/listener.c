/* listener.c - keeps the pool filled, and does what the master says.
 * Runs in: listener. Trusts: the master; auth. Never: reads a client's octet, serves a connection. */
#include "server/inbound/listener.h"

#include "server/inbound/overflow.h"
#include "server/inbound/pool.h"
#include "server/inbound/settle.h"
#include "server/inbound/tls.h"
#include "server/inbound/tls_arena.h"
#include "store/clock.h"
#include "store/log.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

enum { RENEW_AFTER = 10000, STATUS_MS = 1000, EXIT_GRACE_MS = 1000 };

static struct session_setup setup;

static struct {
    struct pool pool;
    int auth_channel;                   /* -1: broken, a new one will come */
    bool accepting, draining, renewing; /* accepting: the master has found the certificates good */
    uint64_t stop_deadline_ms;          /* 0: sessions may take their time */
    uint64_t status_at_ms;
    uint32_t status_idle, status_busy;
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

/* The master speaks over its channel; what a terminal or a service manager sends to all is not meant for sessions. */
static void leave_signals_to_the_master(void) {
    static const int ignored[] = {SIGPIPE, SIGINT, SIGTERM, SIGHUP};
    for (size_t i = 0; i < sizeof ignored / sizeof *ignored; i++) signal(ignored[i], SIG_IGN);
}

int listener_prepare(struct role_start *start) {
    leave_signals_to_the_master();
    if (session_setup_get(&setup, start->payload) != 0) log_bug("session setup does not parse");
    if (setup.connections == 0) setup.connections = 1;
    if (setup.pool == 0) setup.pool = 1;
    if (prepare_sockets(start) != 0 || pool_prepare(&listener.pool, start, &setup) != 0) {
        log_fault("preparing the listener", errno);
        return -1;
    }
    if (tls_prepare(&setup) != 0) return -1;
    tls_arena_seal();
    settle_relocations();
    settle_constants();
    return 0;
}

static void find_auth(const struct role_start *start) {
    listener.auth_channel = role_channel(start, ROLE_AUTH, 0);
    listener.pool.auth_number++;
}

static void refill(void) {
    struct pool *pool = &listener.pool;
    while (listener.accepting && !listener.draining && listener.auth_channel >= 0 && pool->idle < setup.pool &&
           pool->n < setup.connections && clock_ms() >= pool->wait_until_ms) {
        if (pool_add(pool, listener.auth_channel)) continue;
        pool->wait_until_ms = clock_ms() + STATUS_MS;
        break;
    }
}

static void ask_for_renewal(void) {
    if (listener.renewing || listener.draining) return;
    listener.renewing = true;
    role_say(CHILD_RENEW, span_of(NULL, 0));
}

static void tell_status(void) {
    const struct pool *pool = &listener.pool;
    uint8_t storage[24];
    struct buf b = BUF_OVER(storage);
    uint32_t busy = pool->n - pool->idle;
    bool same = pool->idle == listener.status_idle && busy == listener.status_busy &&
                pool->accepted == listener.status_accepted && pool->crashed == listener.status_crashed;
    if (same || clock_ms() < listener.status_at_ms) return;
    listener.status_idle = pool->idle;
    listener.status_busy = busy;
    listener.status_accepted = pool->accepted;
    listener.status_crashed = pool->crashed;
    listener.status_at_ms = clock_ms() + STATUS_MS;
    wire_put_u32(&b, pool->idle);
    wire_put_u32(&b, busy);
    wire_put_u64(&b, pool->accepted);
    wire_put_u64(&b, pool->crashed);
    role_say(CHILD_STATUS, buf_span(&b));
}

static void bury(void) {
    struct signalfd_siginfo ignored;
    enum pool_end end;
    while (read(listener.pool.wires.exits, &ignored, sizeof ignored) > 0) continue;
    while ((end = pool_bury(&listener.pool, listener.auth_channel)) != POOL_END_NONE)
        if (end == POOL_END_CRASH) ask_for_renewal();
}

/* First time: no more connections; who has one finishes. Second time: within shutdown_ms. */
static void drain(void) {
    struct pool_wires *wires = &listener.pool.wires;
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
    close(wires->idle[1]);
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
            if (link.kind == ROLE_AUTH) find_auth(start);
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
    if (listener.stop_deadline_ms > now && listener.stop_deadline_ms - now < STATUS_MS)
        return (int)(listener.stop_deadline_ms - now);
    return STATUS_MS;
}

/* As many as may be, and none of them waits for a client: who comes now is turned away here. */
static bool is_full(void) {
    return !listener.draining && listener.pool.n >= setup.connections && listener.pool.idle == 0;
}

/* The local socket, as long as there is a place for who connects. */
static int local_socket(void) {
    const struct pool *pool = &listener.pool;
    bool serves = listener.accepting && !listener.draining && listener.auth_channel >= 0 &&
                  pool->n < setup.connections + SESSION_LOCAL_PLACES && clock_ms() >= pool->wait_until_ms;
    return serves ? pool->wires.submit : -1;
}

/* One round; false: the master is gone. */
static bool serve_round(struct role_start *start) {
    enum { OWN = 5 };
    struct pollfd waits[OWN + SESSION_SOCKETS_MAX] = {
        {ROLE_CONTROL_FD, POLLIN, 0},
        {listener.auth_channel, 0, 0}, /* its end only: auth says nothing here */
        {listener.pool.wires.accepted[0], POLLIN, 0},
        {listener.pool.wires.exits, POLLIN, 0},
        {local_socket(), POLLIN, 0}};
    unsigned n_refusing = is_full() && overflow_may_refuse() ? setup.n_sockets : 0;
    for (unsigned i = 0; i < n_refusing; i++)
        waits[OWN + i] = (struct pollfd){listener.pool.wires.sockets[i], POLLIN, 0};
    if (poll(waits, OWN + n_refusing, patience()) < 0 && errno != EINTR) log_bug("poll in the listener");
    if (waits[2].revents) pool_hear(&listener.pool);
    if (waits[3].revents) bury();
    if (waits[1].revents) listener.auth_channel = -1;
    if (waits[0].revents && !hear_master(start)) return false;
    if (listener.pool.accepted >= RENEW_AFTER) ask_for_renewal();
    if (waits[4].revents && local_socket() >= 0) pool_serve_local(&listener.pool, listener.auth_channel);
    refill();
    for (unsigned i = 0; i < n_refusing && is_full(); i++)
        if (waits[OWN + i].revents) overflow_refuse(&setup.sockets[i], waits[OWN + i].fd);
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
    find_auth(start);
    tell_certificates();
    role_ready(missing);
    for (;;) {
        if (!serve_round(start)) _exit(0);
        bool overdue = listener.stop_deadline_ms && clock_ms() >= listener.stop_deadline_ms;
        if (listener.draining && (listener.pool.n == 0 || overdue)) return 0;
    }
}
