/* policy.c - clients on loopback, one request after the other.
 * Runs in: policy. Trusts: the master for its setup; who shows the secret, that a login failed. Never: answers
 * anything that Dovecot would act upon, keeps a client that is slow. */
#include "server/inbound/policy.h"

#include "server/inbound/policy_http.h"
#include "server/inbound/policy_report.h"
#include "store/clock.h"
#include "store/log.h"
#include "store/loop.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

/* Dovecot keeps a connection for its next request; who is silent for longer makes room for others. */
enum { REQUEST_MS = 5000, IDLE_MS = 60000, SAY_EVERY_MS = 1000, SOCKETS = 32, BACKLOG_BYTES = 1 << 20 };

struct client {
    struct loop_watch watch; /* fd -1: the place is free */
    size_t n;
    uint64_t until_ms; /* clock_ms */
    uint8_t octets[POLICY_REQUEST_MAX];
};

static struct {
    struct role_start *start;
    struct policy_setup setup;
    struct loop loop;
    struct loop_watch control, auth, sockets[SOCKETS];
    struct frame_backlog backlog;
    struct client clients[POLICY_CLIENTS];
    uint64_t said_ms;
    uint32_t unsaid;
    bool done;
} room;

/* ---- setup */

void policy_setup_put(struct buf *b, const struct policy_setup *setup) {
    wire_put_span(b, secret_span(&setup->secret));
}

int policy_setup_get(struct policy_setup *setup, struct span payload) {
    struct wire w = wire_over(payload);
    bool fits = secret_set(&setup->secret, wire_get_span(&w, POLICY_SECRET_MAX));
    return fits && wire_end(&w) ? 0 : -1;
}

bool policy_secret_ok(struct span secret) {
    for (size_t i = 0; i < secret.n; i++) {
        uint8_t c = octet_lower(secret.p[i]);
        if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9')) return false;
    }
    return secret.n >= POLICY_SECRET_MIN && secret.n <= POLICY_SECRET_MAX;
}

/* In the same time whatever was shown of this length. */
static bool shows_secret(struct span shown) {
    struct span secret = secret_span(&room.setup.secret);
    unsigned differs = 0;
    if (!policy_secret_ok(secret) || shown.n != secret.n) return false;
    for (size_t i = 0; i < secret.n; i++) differs |= (unsigned)(shown.p[i] ^ secret.p[i]);
    return differs == 0;
}

/* ---- what is told */

static void say(const char *why) {
    uint64_t now = clock_ms();
    struct log_line line;
    if (room.said_ms && now - room.said_ms < SAY_EVERY_MS) {
        room.unsaid++;
        return;
    }
    log_open(&line, LOG_POLICY);
    log_text(&line, KEY_WHY, why);
    if (room.unsaid) log_number(&line, KEY_COUNT, room.unsaid);
    log_send(&line);
    room.said_ms = now, room.unsaid = 0;
}

/* False: auth cannot be told now. */
static bool tell_auth(const struct policy_report *report, enum policy_failure what, const struct netaddr *client) {
    uint8_t storage[2048];
    struct buf b = BUF_OVER(storage);
    if (room.auth.fd < 0) return false;
    wire_put_u8(&b, (uint8_t)what);
    wire_put_netaddr(&b, client);
    wire_put_span(&b, span_of(report->login.octets, report->login.n));
    wire_put_span(&b, span_part(span_of(report->pwhash.octets, report->pwhash.n), 0, POLICY_HASH_MAX));
    wire_put_span(&b, span_part(span_of(report->protocol.octets, report->protocol.n), 0, POLICY_SERVICE_MAX));
    if (frame_backlog_send(&room.backlog, room.auth.fd, POLICY_FAILURE, buf_span(&b), -1) != 0) return false;
    return loop_change(&room.loop, &room.auth, EPOLLIN | (frame_backlog_empty(&room.backlog) ? 0 : EPOLLOUT)) == 0;
}

/* The status of the answer. */
static unsigned take_request(const struct http_request *request) {
    struct policy_report report;
    struct netaddr client;
    enum policy_failure what;
    if (!shows_secret(request->secret)) {
        say("a request without the secret");
        return 401;
    }
    if (!span_equal(request->method, SPAN("POST"))) return 405;
    if (!http_query(request->target, SPAN("command"), SPAN("report"))) return 200; /* "allow" asks: go on */
    if (!policy_report_read(request->body, &report) || report.login.n > SESSION_USER_MAX) {
        say("a report that cannot be read");
        return 400;
    }
    if (!policy_report_counts(&report, &what, &client)) return 200;
    return tell_auth(&report, what, &client) ? 200 : 503;
}

/* ---- clients */

static void leave(struct client *client) {
    loop_remove(&room.loop, &client->watch);
    close(client->watch.fd);
    explicit_bzero(client->octets, client->n);
    client->watch.fd = -1;
    client->n = 0;
}

/* What is there, request by request. False: the connection ends. */
static bool serve(struct client *client) {
    for (;;) {
        uint8_t storage[512];
        struct buf answer = BUF_OVER(storage);
        struct http_request request;
        enum http_found found = http_read(span_of(client->octets, client->n), &request);
        if (found == HTTP_MORE) return client->n < sizeof client->octets;
        if (found == HTTP_BAD) say("a request that cannot be read");
        unsigned status = found == HTTP_BAD ? 400 : take_request(&request);
        bool closes = status != 200 || request.closes;
        http_put_answer(&answer, status, "{\"status\":0,\"msg\":\"\"}", closes);
        if (write(client->watch.fd, answer.p, answer.n) != (ssize_t)answer.n || closes) return false;
        client->n -= request.n_octets;
        memmove(client->octets, client->octets + request.n_octets, client->n);
        client->until_ms = clock_ms() + (client->n ? REQUEST_MS : IDLE_MS);
        if (client->n == 0) return true;
    }
}

static void client_ready(void *context, uint32_t events) {
    struct client *client = context;
    (void)events;
    if (client->n == 0) client->until_ms = clock_ms() + REQUEST_MS;
    ssize_t n = read(client->watch.fd, client->octets + client->n, sizeof client->octets - client->n);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (n > 0) client->n += (size_t)n;
    if (n <= 0 || !serve(client)) leave(client);
}

/* A free place; else that of who has been silent for longest. */
static struct client *place(void) {
    struct client *oldest = &room.clients[0];
    for (size_t i = 0; i < POLICY_CLIENTS; i++) {
        if (room.clients[i].watch.fd < 0) return &room.clients[i];
        if (room.clients[i].until_ms < oldest->until_ms) oldest = &room.clients[i];
    }
    leave(oldest);
    return oldest;
}

static void accept_client(void *context, uint32_t events) {
    const struct loop_watch *socket = context;
    (void)events;
    int fd = accept4(socket->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0) return;
    struct client *client = place();
    client->watch = (struct loop_watch){fd, client_ready, client};
    client->n = 0;
    client->until_ms = clock_ms() + REQUEST_MS;
    if (loop_add(&room.loop, &client->watch, EPOLLIN) == 0) return;
    client->watch.fd = -1;
    close(fd);
}

/* How long the next round may wait. */
static int expire(void) {
    uint64_t now = clock_ms();
    int wait_ms = -1;
    for (size_t i = 0; i < POLICY_CLIENTS; i++) {
        if (room.clients[i].watch.fd < 0) continue;
        if (now >= room.clients[i].until_ms)
            leave(&room.clients[i]);
        else
            wait_ms = 1000;
    }
    return wait_ms;
}

/* ---- the other processes */

/* It has nothing to say: what comes is its end, or ours. */
static void auth_ready(void *context, uint32_t events) {
    (void)context;
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
        room.done = true;
        return;
    }
    if (frame_backlog_flush(&room.backlog, room.auth.fd) != 0 ||
        loop_change(&room.loop, &room.auth, EPOLLIN | (frame_backlog_empty(&room.backlog) ? 0 : EPOLLOUT)) != 0)
        room.done = true;
}

static void watch_auth(int fd) {
    if (room.auth.fd >= 0) loop_remove(&room.loop, &room.auth);
    frame_backlog_free(&room.backlog);
    room.auth.fd = fd;
    if (fd >= 0 && loop_add(&room.loop, &room.auth, EPOLLIN) != 0) log_bug("watching auth");
}

static void take_setup(void) {
    if (policy_setup_get(&room.setup, room.start->payload) != 0) log_bug("setup does not parse");
}

static void control_ready(void *context, uint32_t events) {
    struct role_link link;
    uint32_t number;
    int old;
    (void)context, (void)events;
    switch (role_listen(room.start, &link, &old, &number)) {
    case ROLE_EVENT_GONE:
        _exit(0);
    case ROLE_EVENT_DRAIN:
        room.done = true;
        break;
    case ROLE_EVENT_SETUP:
        take_setup();
        break;
    case ROLE_EVENT_CHANNEL:
        if (link.kind == ROLE_AUTH) watch_auth(link.fd);
        break;
    case ROLE_EVENT_DESCRIPTOR:
    case ROLE_EVENT_NONE:
    case ROLE_EVENT_LOG_NEW:
    case ROLE_EVENT_ACCEPT:
    case ROLE_EVENT_FORGET:
    case ROLE_EVENT_DIALED:
        break;
    }
}

int policy_run(struct role_start *start, uint32_t missing) {
    room.start = start;
    room.backlog.cap_bytes = BACKLOG_BYTES;
    room.control = (struct loop_watch){ROLE_CONTROL_FD, control_ready, NULL};
    room.auth = (struct loop_watch){-1, auth_ready, NULL};
    for (size_t i = 0; i < POLICY_CLIENTS; i++) room.clients[i].watch.fd = -1;
    take_setup();
    if (loop_open(&room.loop) != 0 || loop_add(&room.loop, &room.control, EPOLLIN) != 0) return 1;
    for (unsigned i = 0; i < SOCKETS; i++) {
        struct loop_watch *socket = &room.sockets[i];
        *socket = (struct loop_watch){role_descriptor(start, DESCRIPTOR_SOCKET, i), accept_client, socket};
        if (socket->fd >= 0 && loop_add(&room.loop, socket, EPOLLIN) != 0) return 1;
    }
    watch_auth(role_channel(start, ROLE_AUTH, 0));
    role_ready(missing);
    while (!room.done)
        if (loop_round(&room.loop, expire()) != 0) return 1;
    return 0;
}
