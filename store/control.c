/* control.c - answering the command line.
 * Runs in: auth, queue, master. Trusts: peers whose uid the kernel vouches for. Never: blocks on a peer. */
#include "store/control.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

struct control_peer {
    struct control_server *server;
    struct loop_watch watch;
    struct frame_backlog backlog;
    void (*more)(void *context, struct control_peer *peer, void *state);
    void (*release)(void *context, void *state);
    void *state;
    bool busy; /* a request is being answered */
    bool lost; /* a part of the answer was: the rest must not look whole */
};

struct span control_argument(const struct control_request *request, const char *name) {
    for (size_t i = 0; i < request->n; i++)
        if (strcmp(request->arguments[i].name, name) == 0) return request->arguments[i].value;
    return (struct span){0};
}

bool control_given(const struct control_request *request, const char *name) {
    for (size_t i = 0; i < request->n; i++)
        if (strcmp(request->arguments[i].name, name) == 0) return true;
    return false;
}

uint32_t control_uid(const struct control_peer *peer) {
    struct ucred other;
    socklen_t n = sizeof other;
    return getsockopt(peer->watch.fd, SOL_SOCKET, SO_PEERCRED, &other, &n) == 0 ? other.uid : UINT32_MAX;
}

bool control_waits(const struct control_peer *peer) {
    return peer->lost || !frame_backlog_empty(&peer->backlog);
}

void control_row_open(struct control_row *row) {
    row->b = BUF_OVER(row->storage);
}

static void put_head(struct control_row *row, const char *name, enum control_kind kind) {
    wire_put_text(&row->b, name);
    wire_put_u8(&row->b, (uint8_t)kind);
}

void control_row_text(struct control_row *row, const char *name, struct span value) {
    put_head(row, name, CONTROL_TEXT);
    wire_put_span(&row->b, value);
}

void control_row_line(struct control_row *row, struct span value) {
    put_head(row, "line", CONTROL_LINE);
    wire_put_span(&row->b, value);
}

static void put_number(struct control_row *row, const char *name, enum control_kind kind, uint64_t value) {
    put_head(row, name, kind);
    wire_put_u64(&row->b, value);
}

void control_row_number(struct control_row *row, const char *name, uint64_t value) {
    put_number(row, name, CONTROL_NUMBER, value);
}

void control_row_time(struct control_row *row, const char *name, uint64_t wall_ms) {
    put_number(row, name, CONTROL_TIME, wall_ms);
}

void control_row_bool(struct control_row *row, const char *name, bool value) {
    put_number(row, name, CONTROL_BOOL, value);
}

/* A peer that cannot be told is dropped when its channel reports the end. */
static int send_or_wait(struct control_peer *peer, uint16_t type, struct span body) {
    if (peer->lost) return -1;
    if (frame_backlog_send(&peer->backlog, peer->watch.fd, type, body, -1) == 0) {
        if (frame_backlog_empty(&peer->backlog)) return 0;
        if (loop_change(peer->server->loop, &peer->watch, EPOLLIN | EPOLLOUT) == 0) return 0;
    }
    peer->lost = true;
    shutdown(peer->watch.fd, SHUT_RDWR);
    return -1;
}

bool control_row_send(struct control_row *row, struct control_peer *peer) {
    if (!buf_ok(&row->b)) abort();
    return send_or_wait(peer, CONTROL_ROW, buf_span(&row->b)) == 0;
}

static void forget_more(struct control_peer *peer) {
    void *state = peer->state;
    peer->state = NULL, peer->more = NULL;
    if (state) peer->release(peer->server->context, state);
}

void control_later(struct control_peer *peer, void (*more)(void *context, struct control_peer *peer, void *state),
                   void (*release)(void *context, void *state), void *state) {
    peer->more = more, peer->release = release, peer->state = state;
    if (loop_change(peer->server->loop, &peer->watch, EPOLLIN | EPOLLOUT) == 0) return;
    peer->lost = true;
    shutdown(peer->watch.fd, SHUT_RDWR);
}

void control_end(struct control_peer *peer, enum control_exit code, const char *message) {
    uint8_t storage[1024];
    struct buf b = BUF_OVER(storage);
    wire_put_u8(&b, (uint8_t)code);
    wire_put_span(&b, span_part(span_text(message), 0, sizeof storage - 8));
    peer->busy = false;
    forget_more(peer);
    (void)!send_or_wait(peer, CONTROL_END, buf_span(&b));
}

static void drop_peer(struct control_peer *peer) {
    struct control_server *server = peer->server;
    for (size_t i = 0; i < CONTROL_PEERS; i++)
        if (server->peers[i] == peer) server->peers[i] = NULL;
    if (server->copier == peer) {
        server->copier = NULL;
        if (server->copied) server->copied(server->context);
    }
    loop_remove(server->loop, &peer->watch);
    close(peer->watch.fd);
    frame_backlog_free(&peer->backlog);
    forget_more(peer);
    free(peer);
}

static bool parse_request(const struct frame *frame, struct control_request *out) {
    struct wire w = wire_over(frame->body);
    out->n = 0;
    wire_get_text(&w, out->verb, sizeof out->verb);
    while (w.rest.n && !w.bad) {
        if (out->n == CONTROL_ARGUMENTS) return false;
        wire_get_text(&w, out->arguments[out->n].name, sizeof out->arguments[out->n].name);
        out->arguments[out->n++].value = wire_get_span(&w, FRAME_BODY_MAX);
    }
    return wire_end(&w) && frame->type == CONTROL_REQUEST;
}

static void peer_ready(void *context, uint32_t events) {
    static uint8_t storage[FRAME_MAX];
    struct control_peer *peer = context;
    struct control_request request;
    struct frame frame;
    if (frame_backlog_flush(&peer->backlog, peer->watch.fd) != 0) {
        drop_peer(peer);
        return;
    }
    if (frame_backlog_empty(&peer->backlog) && (events & EPOLLOUT)) {
        if (peer->more && !peer->lost)
            peer->more(peer->server->context, peer, peer->state);
        else if (loop_change(peer->server->loop, &peer->watch, EPOLLIN) != 0) {
            drop_peer(peer);
            return;
        }
    }
    if (!(events & (EPOLLIN | EPOLLHUP | EPOLLERR))) return;
    enum frame_status status = frame_receive(peer->watch.fd, storage, false, &frame);
    if (status == FRAME_NONE) return;
    if (status != FRAME_RECEIVED || peer->busy || !parse_request(&frame, &request)) {
        drop_peer(peer);
        return;
    }
    peer->busy = true;
    peer->server->handle(peer->server->context, peer, &request);
    explicit_bzero(storage, sizeof storage);
}

static int add_peer(struct control_server *server, int fd) {
    size_t slot = 0;
    while (slot < CONTROL_PEERS && server->peers[slot]) slot++;
    struct control_peer *peer = slot < CONTROL_PEERS ? malloc(sizeof *peer) : NULL;
    if (!peer) return -1;
    *peer = (struct control_peer){.server = server, .watch = {fd, peer_ready, peer}};
    peer->backlog.cap_bytes = CONTROL_BACKLOG_BYTES;
    if (loop_add(server->loop, &peer->watch, EPOLLIN) != 0) {
        free(peer);
        return -1;
    }
    server->peers[slot] = peer;
    return 0;
}

static void accept_peer(void *context, uint32_t events) {
    struct control_server *server = context;
    struct ucred peer;
    socklen_t n = sizeof peer;
    (void)events;
    int fd = accept4(server->watch.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0) return;
    bool known =
        getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &n) == 0 && (peer.uid == 0 || peer.uid == server->owner_uid);
    if (!known || add_peer(server, fd) != 0) close(fd);
}

int control_serve(struct control_server *server, int fd) {
    server->watch = (struct loop_watch){fd, accept_peer, server};
    return loop_add(server->loop, &server->watch, EPOLLIN);
}

int control_serve_peer(struct control_server *server, int fd) {
    return add_peer(server, fd);
}

void control_drop_copier(struct control_server *server) {
    for (size_t i = 0; i < CONTROL_PEERS; i++)
        if (server->peers[i] && server->peers[i] == server->copier) drop_peer(server->peers[i]);
}

void control_close(struct control_server *server) {
    for (size_t i = 0; i < CONTROL_PEERS; i++)
        if (server->peers[i]) drop_peer(server->peers[i]);
}
