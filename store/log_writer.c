/* log_writer.c - every process's log frames in, lines out.
 * Runs in: the log writer. Trusts: the master's and auth's registrations, known by the pid that the kernel names.
 * Never: believes a frame about who sent it, opens a file. */
#include "store/log_writer.h"

#include "store/clock.h"
#include "store/log_people.h"
#include "store/log_setup.h"
#include "store/log_sink.h"
#include "store/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

enum { FRAMES_PER_ROUND = 512, CROWD_PER_ROUND = 64, LAST_ROUNDS = 64 };
/* Between two rounds lines come together, so that one wake and one write serve many; but the sockets hold about 270.
 */
enum { GATHER_MS = 5, GATHER_FRAMES = 64 };

static struct {
    struct role_start *start;
    struct loop loop;
    struct loop_watch control, socket, crowd; /* crowd: sessions, agents and their parents; -1: none */
    struct log_sink sink;
    uint32_t master;
    bool json, warnings_only, done;
    size_t taken; /* frames in this round */
} writer = {.sink.socket = -1};

static int take_setup(void) {
    struct log_setup setup;
    if (log_setup_get(&setup, writer.start->payload) != 0) return -1;
    log_sink_flush(&writer.sink);
    log_sink_open(&writer.sink, setup.syslog, setup.socket);
    writer.json = setup.json;
    writer.warnings_only = setup.warnings_only;
    return 0;
}

static bool take_role(struct span body) {
    struct wire w = wire_over(body);
    uint32_t pid = wire_get_u32(&w);
    uint8_t role = wire_get_u8(&w);
    if (!wire_end(&w) || role >= ROLE_COUNT) return false;
    if (pid != writer.master) log_people_role(pid, (enum role)role);
    return true;
}

static bool take_session(struct span body) {
    struct wire w = wire_over(body);
    struct netaddr client;
    uint32_t pid = wire_get_u32(&w);
    struct span name = wire_get_span(&w, SESSION_NAME_MAX);
    wire_get_netaddr(&w, &client);
    if (!wire_end(&w) || pid == writer.master || pid == (uint32_t)getpid()) return false;
    log_people_session(pid, name, &client);
    return true;
}

static void write_line(const struct frame *frame) {
    static uint8_t storage[LOG_TEXT_MAX];
    struct buf line = BUF_OVER(storage);
    uint32_t pid = (uint32_t)frame->sender;
    struct log_speaker speaker = log_people_speaker(pid);
    enum log_level level = LOG_LEVEL_WARNING;
    uint64_t now = clock_wall_ms();
    bool last;
    if (frame->type != LOG_LINE || !log_format(&line, &speaker, frame->body, now, writer.json, &level))
        log_format_refused(&line, &speaker, "log", pid, now, writer.json);
    if (writer.warnings_only && level > LOG_LEVEL_WARNING) return;
    if (!log_people_spend(pid, line.n, clock_ms(), &last)) return;
    log_sink_line(&writer.sink, buf_span(&line), level, pid);
    if (!last) return;
    buf_clear(&line); /* its last word is ours */
    level = LOG_LEVEL_WARNING;
    log_format_refused(&line, &speaker, "too much to log", pid, now, writer.json);
    log_sink_line(&writer.sink, buf_span(&line), level, pid);
}

static void take_frame(const struct frame *frame);

/* Frames of one speaker, as if they had come one by one. */
static bool take_bundle(const struct frame *bundle) {
    struct wire w = wire_over(bundle->body);
    struct frame frame = {.sender = bundle->sender};
    while (frame_bundle_next(&w, &frame)) {
        if (frame.type == LOG_FLUSH) return false;
        take_frame(&frame);
    }
    return wire_end(&w);
}

static void take_frame(const struct frame *frame) {
    uint32_t pid = (uint32_t)frame->sender;
    bool master = pid == writer.master;
    if (frame->type == LOG_ROLE && master && take_role(frame->body)) return;
    if (frame->type == LOG_SESSION && log_people_role_of(pid) == ROLE_AUTH && take_session(frame->body)) return;
    if (frame->type == FRAME_BUNDLE && take_bundle(frame)) return;
    if (frame->type == LOG_FLUSH && master && frame->body.n == 0)
        writer.done = true;
    else
        write_line(frame);
}

/* Takes what is there, about `most` frames. */
static enum frame_status drain(int fd, size_t most) {
    static uint8_t storage[FRAMES_MAX][FRAME_MAX];
    struct frame frames[FRAMES_MAX];
    enum frame_status status = FRAME_RECEIVED;
    for (size_t taken = 0, n; taken < most; taken += n) {
        if (!(n = frames_receive(fd, storage, FRAMES_MAX, frames, &status))) break;
        writer.taken += n;
        for (size_t i = 0; i < n; i++) {
            take_frame(&frames[i]);
            if (writer.crowd.fd < 0) log_people_bury(); /* all is in one order then */
        }
        if (n < FRAMES_MAX) return FRAME_NONE;
    }
    return status;
}

/* The same for the crowd. Who it is was said on the other socket before it could speak: that is read first. The dead
 * are buried when nothing of theirs can be left: whose end was known before the crowd was found silent. */
static enum frame_status drain_crowd(size_t most) {
    static uint8_t storage[FRAMES_MAX][FRAME_MAX];
    struct frame frames[FRAMES_MAX];
    enum frame_status status = FRAME_NONE;
    for (size_t taken = 0, n; taken < most && writer.crowd.fd >= 0; taken += n) {
        if (!(n = frames_receive(writer.crowd.fd, storage, FRAMES_MAX, frames, &status))) break;
        writer.taken += n;
        (void)drain(writer.socket.fd, FRAMES_PER_ROUND);
        for (size_t i = 0; i < n; i++) take_frame(&frames[i]);
    }
    if (status == FRAME_NONE) log_people_bury();
    return status;
}

static void end_if(enum frame_status status) {
    log_sink_flush(&writer.sink);
    if (status == FRAME_CLOSED || status == FRAME_ERROR) writer.done = true;
}

static void socket_ready(void *context, uint32_t events) {
    (void)context, (void)events;
    enum frame_status status = drain(writer.socket.fd, FRAMES_PER_ROUND);
    if (writer.crowd.fd >= 0) end_if(drain_crowd(CROWD_PER_ROUND));
    end_if(status);
}

static void crowd_ready(void *context, uint32_t events) {
    (void)context, (void)events;
    end_if(drain_crowd(CROWD_PER_ROUND));
}

/* At the end: what is still there. */
static void take_rest(void) {
    for (size_t i = 0; i < LAST_ROUNDS; i++) {
        enum frame_status crowd = drain_crowd(FRAMES_PER_ROUND), own = drain(writer.socket.fd, FRAMES_PER_ROUND);
        log_sink_flush(&writer.sink);
        if (crowd != FRAME_RECEIVED && own != FRAME_RECEIVED) return;
    }
}

static void control_ready(void *context, uint32_t events) {
    struct role_link link;
    int old;
    uint32_t number;
    (void)context, (void)events;
    switch (role_listen(writer.start, &link, &old, &number)) {
    case ROLE_EVENT_GONE:
        writer.done = true;
        break;
    case ROLE_EVENT_SETUP:
        if (take_setup() != 0) abort();
        break;
    case ROLE_EVENT_CHANNEL: /* the log socket stays the same for the server's life */
    case ROLE_EVENT_DESCRIPTOR:
    case ROLE_EVENT_DRAIN: /* LOG_FLUSH comes behind the last lines */
    case ROLE_EVENT_NONE:
    case ROLE_EVENT_LOG_NEW:
    case ROLE_EVENT_ACCEPT:
    case ROLE_EVENT_FORGET:
    case ROLE_EVENT_DIALED:
        break;
    }
}

static int set_nonblocking(int fd) {
    int flags = fcntl(fd, F_GETFL);
    return flags < 0 || ((flags & O_NONBLOCK) == 0 && fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0) ? -1 : 0;
}

static void gather(void) {
    if (!writer.done && writer.taken < GATHER_FRAMES) (void)poll(NULL, 0, GATHER_MS);
    writer.taken = 0;
}

int log_run(struct role_start *start, uint32_t missing) {
    writer.start = start;
    writer.master = (uint32_t)getppid();
    writer.control = (struct loop_watch){ROLE_CONTROL_FD, control_ready, NULL};
    writer.socket = (struct loop_watch){role_channel(start, ROLE_LOG, 0), socket_ready, NULL};
    writer.crowd = (struct loop_watch){role_channel(start, ROLE_LOG, 1), crowd_ready, NULL};
    log_people_role(writer.master, ROLE_MASTER);
    log_people_role((uint32_t)getpid(), ROLE_LOG);
    if (signal(SIGPIPE, SIG_IGN) == SIG_ERR || take_setup() != 0 || writer.socket.fd < 0 ||
        set_nonblocking(writer.socket.fd) != 0 || loop_open(&writer.loop) != 0 ||
        loop_add(&writer.loop, &writer.control, EPOLLIN) != 0 || loop_add(&writer.loop, &writer.socket, EPOLLIN) != 0)
        return 1;
    if (writer.crowd.fd >= 0 &&
        (set_nonblocking(writer.crowd.fd) != 0 || loop_add(&writer.loop, &writer.crowd, EPOLLIN) != 0))
        return 1;
    role_ready(missing);
    while (!writer.done && loop_round(&writer.loop, -1) == 0) gather();
    take_rest();
    return 0;
}
