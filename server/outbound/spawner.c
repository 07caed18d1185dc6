/* spawner.c - forking agents, reaping them, passing on their channels.
 * Runs in: delivery, outbound. Trusts: master and queue. Never: reads mail, or anything that an agent says. */
#include "server/outbound/spawner.h"

#include "server/process/confine.h"
#include "store/log.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    BACKLOG_BYTES = 1 << 20,
    AGENT_CHANNEL_FD = 3,
    AGENT_LIFELINE_FD = 5,
    AGENT_KEEP_FD = 6,
    AGENT_SPARE_FD = 32,
    ENDING_MS = 500
};

static void drop_queue(struct spawner *spawner) {
    if (spawner->queue.fd < 0) return;
    loop_remove(&spawner->loop, &spawner->queue);
    spawner->queue.fd = -1;
    frame_backlog_free(&spawner->backlog);
}

static void say(struct spawner *spawner, uint16_t type, const struct buf *body, int passed) {
    if (spawner->queue.fd < 0) return;
    if (frame_backlog_send(&spawner->backlog, spawner->queue.fd, type, buf_span(body), passed) != 0)
        drop_queue(spawner);
    else if (!frame_backlog_empty(&spawner->backlog) &&
             loop_change(&spawner->loop, &spawner->queue, EPOLLIN | EPOLLOUT) != 0)
        drop_queue(spawner);
}

void spawner_refuse(struct spawner *spawner, const struct spawner_order *order, const char *why) {
    uint8_t storage[512];
    struct buf b = BUF_OVER(storage);
    wire_put_u32(&b, order->agent);
    wire_put_text(&b, why);
    say(spawner, AGENT_FAILED, &b, -1);
}

/* The agent keeps three descriptors and the log socket; the rest of its parent's, the master's channel too, are
 * closed. */
static int keep_descriptors(int channel, int lifeline, int keep) {
    int moved[3] = {channel, lifeline, keep};
    static const int places[3] = {AGENT_CHANNEL_FD, AGENT_LIFELINE_FD, AGENT_KEEP_FD};
    for (int i = 0; i < 3; i++)
        if (moved[i] >= 0 && (moved[i] = fcntl(moved[i], F_DUPFD_CLOEXEC, AGENT_SPARE_FD)) < 0) return -1;
    for (int i = 0; i < 3; i++) {
        if (moved[i] >= 0 && dup3(moved[i], places[i], O_CLOEXEC) < 0) return -1;
        if (moved[i] < 0) close(places[i]);
    }
    return close_range(AGENT_KEEP_FD + 1, ~0U, 0);
}

static _Noreturn void be_agent(struct spawner *spawner, const struct spawner_order *order, int channel, int keep) {
    static struct job_inbox inbox = {.channel = AGENT_CHANNEL_FD, .lifeline = AGENT_LIFELINE_FD};
    sigset_t none;
    sigemptyset(&none);
    if (keep_descriptors(channel, spawner->lifeline[0], keep) != 0 || sigprocmask(SIG_SETMASK, &none, NULL) != 0) {
        log_fault("preparing an agent", errno);
        _exit(1);
    }
    _exit(spawner->agent(order, &inbox, keep < 0 ? -1 : AGENT_KEEP_FD));
}

static void log_end(pid_t pid, int status) {
    struct log_line line;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return;
    log_open(&line, LOG_CHILD_EXITED);
    log_text(&line, KEY_PROCESS, "agent");
    log_exit(&line, (uint64_t)pid, status);
    log_send(&line);
}

static void children_ready(void *context, uint32_t events) {
    struct spawner *spawner = context;
    struct signalfd_siginfo info;
    int status;
    (void)events;
    if (read(spawner->children.fd, &info, sizeof info) < 0 && errno != EAGAIN) log_bug("signal descriptor");
    for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
        log_end(pid, status);
        for (size_t i = 0; i < spawner->n_agents; i++) {
            if (spawner->agents[i].pid != pid) continue;
            spawner->n_mailboxes -= spawner->agents[i].mailbox;
            spawner->agents[i] = spawner->agents[--spawner->n_agents];
            break;
        }
    }
}

static bool is_full(const struct spawner *spawner, bool mailbox) {
    size_t most = spawner->agents_max < SPAWNER_AGENTS_MAX ? spawner->agents_max : SPAWNER_AGENTS_MAX;
    size_t most_mailboxes =
        spawner->mailboxes_max < SPAWNER_MAILBOXES_MAX ? spawner->mailboxes_max : SPAWNER_MAILBOXES_MAX;
    return mailbox ? spawner->n_mailboxes >= most_mailboxes : spawner->n_agents - spawner->n_mailboxes >= most;
}

/* An agent whose channel the queue has closed may still be on its way out: its place is waited for, shortly. */
static bool has_place(struct spawner *spawner) {
    struct pollfd wait = {spawner->children.fd, POLLIN, 0};
    if (is_full(spawner, false) && poll(&wait, 1, ENDING_MS) > 0) children_ready(spawner, POLLIN);
    return !is_full(spawner, false);
}

static bool fork_agent(struct spawner *spawner, const struct spawner_order *order, int channel, int keep) {
    pid_t pid = fork();
    if (pid == 0) be_agent(spawner, order, channel, keep);
    if (pid < 0) {
        log_fault("forking an agent", errno);
        return false;
    }
    spawner->agents[spawner->n_agents++] = (struct spawner_agent){pid, order->mailbox};
    spawner->n_mailboxes += order->mailbox;
    return true;
}

bool spawner_fork_mailbox(struct spawner *spawner, const struct spawner_order *order, int channel, int keep) {
    bool full = is_full(spawner, true);
    if (full) log_fault("too many mailbox agents", 0);
    bool forked = !full && fork_agent(spawner, order, channel, keep);
    close(channel);
    return forked;
}

void spawner_fork(struct spawner *spawner, const struct spawner_order *order, int keep) {
    uint8_t storage[8];
    struct buf b = BUF_OVER(storage);
    int pair[2];
    if (!has_place(spawner)) {
        spawner_refuse(spawner, order, "too many agents");
        return;
    }
    if (frame_pair(pair, true) != 0) {
        log_fault("making an agent's channel", errno);
        spawner_refuse(spawner, order, "no channel");
        return;
    }
    if (fork_agent(spawner, order, pair[0], keep)) {
        wire_put_u32(&b, order->agent);
        say(spawner, AGENT_READY, &b, pair[1]);
    } else {
        spawner_refuse(spawner, order, "no process");
    }
    close(pair[0]);
    close(pair[1]);
}

void spawner_retire(struct spawner *spawner) {
    int fresh[2];
    if (pipe2(fresh, O_CLOEXEC) != 0) {
        log_fault("retiring agents", errno);
        return;
    }
    close(spawner->lifeline[0]);
    close(spawner->lifeline[1]);
    memcpy(spawner->lifeline, fresh, sizeof fresh);
}

static void take_order(struct spawner *spawner, const struct frame *frame) {
    struct spawner_order order = {0};
    struct wire w = wire_over(frame->body);
    order.agent = wire_get_u32(&w);
    order.kind = wire_get_u8(&w);
    struct span destination = wire_get_span(&w, SPAWNER_DESTINATION_MAX);
    if (frame->type != AGENT_WANTED || !wire_end(&w)) log_bug("frame from the queue does not parse");
    order.destination_bytes = (uint16_t)destination.n;
    if (destination.n) memcpy(order.destination, destination.p, destination.n);
    if (spawner->draining)
        spawner_refuse(spawner, &order, "stopping");
    else
        spawner->wanted(&order);
}

static void queue_ready(void *context, uint32_t events) {
    static uint8_t storage[FRAME_MAX];
    struct spawner *spawner = context;
    struct frame frame;
    if (events & EPOLLOUT) {
        if (frame_backlog_flush(&spawner->backlog, spawner->queue.fd) != 0) {
            drop_queue(spawner);
            return;
        }
        if (frame_backlog_empty(&spawner->backlog) && loop_change(&spawner->loop, &spawner->queue, EPOLLIN) != 0)
            log_bug("watching the queue");
    }
    switch (frame_receive(spawner->queue.fd, storage, false, &frame)) {
    case FRAME_RECEIVED:
        take_order(spawner, &frame);
        break;
    case FRAME_NONE:
        break;
    case FRAME_MALFORMED:
        log_bug("malformed frame from the queue");
    case FRAME_CLOSED:
    case FRAME_ERROR:
        drop_queue(spawner);
        break;
    }
}

static void watch_queue(struct spawner *spawner, int fd) {
    drop_queue(spawner);
    spawner->queue.fd = fd;
    if (fd >= 0 && loop_add(&spawner->loop, &spawner->queue, EPOLLIN) != 0) log_bug("watching the queue");
}

static void control_ready(void *context, uint32_t events) {
    struct spawner *spawner = context;
    struct role_link link = {0};
    int old;
    uint32_t number;
    (void)events;
    enum role_event event = role_listen(spawner->start, &link, &old, &number);
    switch (event) {
    case ROLE_EVENT_GONE:
        _exit(0);
    case ROLE_EVENT_DRAIN:
        spawner->draining = true;
        break;
    case ROLE_EVENT_CHANNEL:
    case ROLE_EVENT_SETUP:
    case ROLE_EVENT_DESCRIPTOR:
        if (event == ROLE_EVENT_CHANNEL && link.kind == ROLE_QUEUE)
            watch_queue(spawner, link.fd);
        else if (spawner->changed)
            spawner->changed(event, &link, old);
        break;
    case ROLE_EVENT_DIALED:
        if (!spawner->dialed) log_bug("a connection that nobody asked for");
        spawner->dialed(number, link.fd, old);
        break;
    case ROLE_EVENT_NONE:
    case ROLE_EVENT_LOG_NEW:
    case ROLE_EVENT_ACCEPT:
    case ROLE_EVENT_FORGET:
        break;
    }
}

int spawner_open(struct spawner *spawner) {
    sigset_t children;
    sigemptyset(&children);
    sigaddset(&children, SIGCHLD);
    spawner->backlog.cap_bytes = BACKLOG_BYTES;
    spawner->control = (struct loop_watch){ROLE_CONTROL_FD, control_ready, spawner};
    spawner->queue = (struct loop_watch){-1, queue_ready, spawner};
    if (signal(SIGPIPE, SIG_IGN) == SIG_ERR || signal(SIGXFSZ, SIG_IGN) == SIG_ERR) return -1;
    if (sigprocmask(SIG_BLOCK, &children, NULL) != 0 || pipe2(spawner->lifeline, O_CLOEXEC) != 0) return -1;
    spawner->children =
        (struct loop_watch){signalfd(-1, &children, SFD_CLOEXEC | SFD_NONBLOCK), children_ready, spawner};
    if (spawner->children.fd < 0 || loop_open(&spawner->loop) != 0) return -1;
    watch_queue(spawner, role_channel(spawner->start, ROLE_QUEUE, 0));
    if (loop_add(&spawner->loop, &spawner->children, EPOLLIN) != 0) return -1;
    return loop_add(&spawner->loop, &spawner->control, EPOLLIN);
}

int spawner_run(struct spawner *spawner, int (*tick)(void)) {
    while (!spawner->draining || spawner->n_agents) {
        int wait_ms = tick ? tick() : -1;
        if (loop_round(&spawner->loop, wait_ms) != 0) {
            log_fault("waiting", errno);
            return 1;
        }
    }
    return 0;
}
