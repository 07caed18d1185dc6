/* dialer.c - passing on who wants to be connected to a Unix socket.
 * Runs in: outbound and its agents. Trusts: the master; agents only to want their own destination. Never: has more
 * questions open than the master's channel holds. */
#include "server/outbound/dialer.h"

#include "store/clock.h"
#include "store/log.h"
#include "store/role.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

enum { OPEN_MAX = 16 /* a full channel would lose a question */ };

struct line {
    struct loop_watch watch;
    struct line *next;
    uint32_t wanted; /* the agent's number of its request; 0: it wants nothing */
    uint32_t asked;  /* ours, while the master is asked; 0: it is not */
    size_t path_n;
    uint8_t path[];
};

static struct {
    struct loop *loop;
    struct line *lines;
    uint32_t requests;
    unsigned n_open;
} room;

void dialer_open(struct loop *loop) {
    room.loop = loop;
}

static void ask(void) {
    uint8_t storage[512];
    for (struct line *line = room.lines; line && room.n_open < OPEN_MAX; line = line->next) {
        struct buf b = BUF_OVER(storage);
        if (!line->wanted || line->asked) continue;
        if (++room.requests == 0) room.requests = 1;
        line->asked = room.requests;
        room.n_open++;
        wire_put_u32(&b, line->asked);
        wire_put_span(&b, span_of(line->path, line->path_n));
        role_say(CHILD_DIAL, buf_span(&b));
    }
}

/* Its question may still be open: the answer finds nobody. */
static void drop(struct line *line) {
    struct line **at = &room.lines;
    while (*at != line) at = &(*at)->next;
    *at = line->next;
    loop_remove(room.loop, &line->watch);
    close(line->watch.fd);
    free(line);
}

static void line_ready(void *context, uint32_t events) {
    static uint8_t storage[FRAME_MAX];
    struct line *line = context;
    struct frame frame;
    (void)events;
    enum frame_status status = frame_receive(line->watch.fd, storage, false, &frame);
    if (status == FRAME_NONE) return;
    struct wire w = wire_over(status == FRAME_RECEIVED ? frame.body : (struct span){0});
    uint32_t wanted = wire_get_u32(&w);
    if (status != FRAME_RECEIVED || frame.type != DIAL_WANTED || !wire_end(&w)) {
        drop(line); /* the agent has left, or says what none should */
        return;
    }
    line->wanted = wanted; /* in place of one that it gave up */
    ask();
}

int dialer_add(struct span path) {
    int pair[2];
    struct line *line = calloc(1, sizeof *line + path.n);
    if (!line || frame_pair(pair, true) != 0) {
        free(line);
        return -1;
    }
    line->watch = (struct loop_watch){pair[0], line_ready, line};
    line->path_n = path.n;
    memcpy(line->path, path.p, path.n);
    if (loop_add(room.loop, &line->watch, EPOLLIN) != 0) {
        close(pair[0]), close(pair[1]);
        free(line);
        return -1;
    }
    line->next = room.lines;
    room.lines = line;
    return pair[1];
}

void dialer_take(uint32_t request, int fd, int error) {
    uint8_t storage[8];
    struct buf b = BUF_OVER(storage);
    struct line *line = room.lines;
    while (line && line->asked != request) line = line->next;
    if (room.n_open) room.n_open--;
    if (line) {
        wire_put_u32(&b, line->wanted);
        wire_put_u32(&b, (uint32_t)error);
        line->asked = line->wanted = 0;
        /* An agent that does not read has left, or asks again. */
        if (frame_send_fd(line->watch.fd, DIAL_RESULT, buf_span(&b), fd) != 0 && errno != EPIPE && errno != EAGAIN)
            log_fault("handing on a connection", errno);
    }
    if (fd >= 0) close(fd);
    ask();
}

/* The words for what kept the master from connecting. */
static const char *why(int error) {
    return error == EPERM ? "this socket is not in the configuration" : strerrordesc_np(error);
}

int dialer_dial(void *context, const char **why_out) {
    static uint8_t storage[FRAME_MAX];
    struct dialer_line *line = context;
    uint8_t question[4];
    struct buf b = BUF_OVER(question);
    struct frame frame;
    uint64_t until_ms = clock_ms() + line->limit_ms;
    *why_out = "the process that connects is gone";
    wire_put_u32(&b, ++line->requests);
    if (frame_send(line->fd, DIAL_WANTED, buf_span(&b)) != 0) return -1;
    for (uint64_t now; (now = clock_ms()) < until_ms;) {
        struct pollfd wait = {line->fd, POLLIN, 0};
        if (poll(&wait, 1, (int)(until_ms - now)) < 0 && errno != EINTR) return -1;
        enum frame_status status = frame_receive(line->fd, storage, true, &frame);
        if (status == FRAME_NONE) continue;
        if (status != FRAME_RECEIVED) return -1;
        struct wire w = wire_over(frame.body);
        uint32_t request = wire_get_u32(&w), error = wire_get_u32(&w);
        if (frame.type != DIAL_RESULT || !wire_end(&w)) log_bug("frame from outbound does not parse");
        if (request == line->requests) {
            if (frame.fd < 0) *why_out = why((int)error);
            return frame.fd;
        }
        if (frame.fd >= 0) close(frame.fd); /* the answer to a question that was given up */
    }
    *why_out = "timed out";
    return -1;
}
