/* frame.c - sending, receiving and dispatching typed frames.
 * Runs in: every process. Trusts: nothing it receives. Never: keeps a descriptor that was not asked for. */
#include "store/frame.h"

#include "store/frames.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

int frame_pair(int fds_out[2], bool nonblocking) {
    return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | (nonblocking ? SOCK_NONBLOCK : 0), 0, fds_out);
}

int frame_send(int fd, uint16_t type, struct span body) {
    return frame_send_fd(fd, type, body, -1);
}

int frame_send_fd(int fd, uint16_t type, struct span body, int passed) {
    uint8_t head[2] = {(uint8_t)type, (uint8_t)(type >> 8)};
    struct iovec parts[2] = {{head, sizeof head}, {(void *)(uintptr_t)body.p, body.n}};
    union {
        struct cmsghdr header;
        uint8_t space[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
    if (body.n > FRAME_BODY_MAX) {
        errno = EMSGSIZE;
        return -1;
    }
    if (passed >= 0) {
        message.msg_control = &control;
        message.msg_controllen = sizeof control;
        struct cmsghdr *c = CMSG_FIRSTHDR(&message);
        c->cmsg_level = SOL_SOCKET, c->cmsg_type = SCM_RIGHTS, c->cmsg_len = CMSG_LEN(sizeof passed);
        memcpy(CMSG_DATA(c), &passed, sizeof passed);
    }
    ssize_t n;
    do n = sendmsg(fd, &message, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -1 : 0;
}

/* Takes what came beside the bytes; returns how many descriptors there were, keeping the first. */
static size_t take_control(struct msghdr *message, struct frame *out) {
    size_t count = 0;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
        if (c->cmsg_level != SOL_SOCKET) continue;
        if (c->cmsg_type == SCM_CREDENTIALS) {
            struct ucred credentials;
            memcpy(&credentials, CMSG_DATA(c), sizeof credentials);
            out->sender = credentials.pid;
        } else if (c->cmsg_type == SCM_RIGHTS) {
            size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
            for (size_t i = 0; i < n; i++) {
                int fd;
                memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
                if (count++ == 0)
                    out->fd = fd;
                else
                    close(fd);
            }
        }
    }
    return count;
}

static enum frame_status judge(struct frame *out, uint8_t *storage, ssize_t n, bool whole) {
    if (n < 0) return errno == EAGAIN ? FRAME_NONE : errno == ECONNRESET ? FRAME_CLOSED : FRAME_ERROR;
    if (n == 0 && whole) return FRAME_CLOSED; /* no frame of ours is empty */
    if (n < 2 || !whole) return FRAME_MALFORMED;
    out->type = (uint16_t)(storage[0] | storage[1] << 8);
    out->body = span_of(storage + 2, (size_t)n - 2);
    return FRAME_RECEIVED;
}

union control_space {
    struct cmsghdr header;
    uint8_t space[CMSG_SPACE(4 * sizeof(int)) + CMSG_SPACE(sizeof(struct ucred))];
};

/* What recvmsg filled in, `n` its result. */
static enum frame_status take(struct msghdr *message, ssize_t n, uint8_t *storage, bool fd_wanted,
                              struct frame *out) {
    *out = (struct frame){.fd = -1};
    size_t descriptors = n < 0 ? 0 : take_control(message, out);
    bool whole = n < 0 || !(message->msg_flags & (MSG_TRUNC | MSG_CTRUNC));
    if (descriptors > (fd_wanted ? 1U : 0U)) whole = false;
    if (n == 0 && out->sender) whole = false; /* a packet without an octet; the end has no sender */
    enum frame_status status = judge(out, storage, n, whole);
    if (status != FRAME_RECEIVED && out->fd >= 0) {
        close(out->fd);
        out->fd = -1;
    }
    return status;
}

enum frame_status frame_receive(int fd, uint8_t *storage, bool fd_wanted, struct frame *out) {
    struct iovec part = {storage, FRAME_MAX};
    union control_space control;
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    ssize_t n;
    do n = recvmsg(fd, &message, MSG_CMSG_CLOEXEC);
    while (n < 0 && errno == EINTR);
    return take(&message, n, storage, fd_wanted, out);
}

size_t frames_receive(int fd, uint8_t (*storage)[FRAME_MAX], size_t n, struct frame *out,
                      enum frame_status *status_out) {
    struct mmsghdr messages[FRAMES_MAX] = {0};
    struct iovec parts[FRAMES_MAX];
    union control_space controls[FRAMES_MAX];
    if (n > FRAMES_MAX) n = FRAMES_MAX;
    for (size_t i = 0; i < n; i++) {
        parts[i] = (struct iovec){storage[i], FRAME_MAX};
        messages[i].msg_hdr = (struct msghdr){
            .msg_iov = &parts[i], .msg_iovlen = 1, .msg_control = &controls[i], .msg_controllen = sizeof controls[i]};
    }
    int came;
    do came = recvmmsg(fd, messages, (unsigned)n, MSG_CMSG_CLOEXEC | MSG_DONTWAIT, NULL);
    while (came < 0 && errno == EINTR);
    *status_out = came < 0 ? judge(out, NULL, -1, true) : FRAME_RECEIVED;
    for (size_t i = 0; i < (size_t)(came < 0 ? 0 : came); i++) {
        enum frame_status status =
            take(&messages[i].msg_hdr, (ssize_t)messages[i].msg_len, storage[i], false, &out[i]);
        if (status == FRAME_RECEIVED) continue;
        if (status == FRAME_CLOSED) {
            if (i == 0) *status_out = FRAME_CLOSED;
            return i;
        }
        out[i].type = 0, out[i].body = (struct span){0};
    }
    return came < 0 ? 0 : (size_t)came;
}

int frame_send_plain(int fd, uint16_t type, struct span body) {
    uint8_t head[2] = {(uint8_t)type, (uint8_t)(type >> 8)};
    struct iovec parts[2] = {{head, sizeof head}, {(void *)(uintptr_t)body.p, body.n}};
    ssize_t n;
    do n = writev(fd, parts, 2);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -1 : 0;
}

bool frame_bundle_add(struct frame_bundle *bundle, uint16_t type, struct span body) {
    if (bundle->b.cap - bundle->b.n < FRAME_BUNDLE_HEAD + body.n) return false;
    wire_put_u16(&bundle->b, type);
    wire_put_span(&bundle->b, body);
    bundle->frames++;
    return true;
}

uint16_t frame_bundle_type(const struct frame_bundle *bundle, struct span *body_out) {
    struct wire w = wire_over(buf_span(&bundle->b));
    *body_out = w.rest;
    if (bundle->frames != 1) return FRAME_BUNDLE;
    uint16_t type = wire_get_u16(&w);
    *body_out = wire_get_span(&w, FRAME_BODY_MAX);
    return type;
}

bool frame_bundle_next(struct wire *w, struct frame *out) {
    if (!w->rest.n) return false;
    out->fd = -1;
    out->type = wire_get_u16(w);
    out->body = wire_get_span(w, FRAME_BODY_MAX);
    if (out->type == FRAME_BUNDLE) w->bad = true;
    return !w->bad;
}

static int dispatch_bundle(const struct frame_row *rows, size_t n, uint32_t state, void *peer,
                           const struct frame *bundle) {
    struct wire w = wire_over(bundle->body);
    struct frame frame = {.sender = bundle->sender};
    while (frame_bundle_next(&w, &frame))
        if (frame_dispatch(rows, n, state, peer, &frame) != 0) return -1;
    return wire_end(&w) ? 0 : -1;
}

int frame_dispatch(const struct frame_row *rows, size_t n, uint32_t state, void *peer, struct frame *frame) {
    int result = -1;
    for (size_t i = 0; i < n; i++) {
        if (rows[i].type != frame->type) continue;
        if (rows[i].states & state)
            result = rows[i].handle ? rows[i].handle(peer, frame) : dispatch_bundle(rows, n, state, peer, frame);
        break;
    }
    if (frame->fd >= 0) {
        close(frame->fd);
        frame->fd = -1;
    }
    return result;
}

struct frame_waiting {
    struct frame_waiting *next;
    uint16_t type;
    int fd;
    size_t n;
    uint8_t octets[];
};

static int queue_frame(struct frame_backlog *backlog, uint16_t type, struct span body, int passed) {
    struct frame_waiting *waiting = NULL;
    size_t cost = sizeof *waiting + body.n; /* an empty frame costs too */
    if (cost > backlog->cap_bytes - backlog->bytes) {
        errno = ENOBUFS;
        return -1;
    }
    if (!(waiting = malloc(cost))) return -1;
    *waiting = (struct frame_waiting){.type = type, .fd = -1, .n = body.n};
    if (passed >= 0 && (waiting->fd = fcntl(passed, F_DUPFD_CLOEXEC, 0)) < 0) {
        free(waiting);
        return -1;
    }
    if (body.n) memcpy(waiting->octets, body.p, body.n);
    if (backlog->last)
        backlog->last->next = waiting;
    else
        backlog->first = waiting;
    backlog->last = waiting;
    backlog->bytes += cost;
    return 0;
}

int frame_backlog_send(struct frame_backlog *backlog, int fd, uint16_t type, struct span body, int passed) {
    if (!backlog->first) {
        if (frame_send_fd(fd, type, body, passed) == 0) return 0;
        if (errno != EAGAIN) return -1;
    }
    return queue_frame(backlog, type, body, passed);
}

static void drop_first(struct frame_backlog *backlog) {
    struct frame_waiting *first = backlog->first;
    backlog->first = first->next;
    if (!backlog->first) backlog->last = NULL;
    backlog->bytes -= sizeof *first + first->n;
    if (first->fd >= 0) close(first->fd);
    explicit_bzero(first->octets, first->n);
    free(first);
}

int frame_backlog_flush(struct frame_backlog *backlog, int fd) {
    while (backlog->first) {
        struct frame_waiting *first = backlog->first;
        if (frame_send_fd(fd, first->type, span_of(first->octets, first->n), first->fd) < 0)
            return errno == EAGAIN ? 0 : -1;
        drop_first(backlog);
    }
    return 0;
}

void frame_backlog_free(struct frame_backlog *backlog) {
    while (backlog->first) drop_first(backlog);
}
