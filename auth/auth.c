/* auth.c - the auth process: who is connected to it, and whose frame goes where.
 * Runs in: auth. Trusts: master, queue, verifiers, keys. Never: waits on a peer, opens what is not in its
 * directory. */
#include "auth/auth.h"

#include "auth/account.h"
#include "auth/account_control.h"
#include "auth/credential.h"
#include "auth/guessing.h"
#include "auth/login.h"
#include "auth/peer.h"
#include "auth/transaction.h"
#include "auth/transaction_grant.h"
#include "store/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { BACKLOG_BYTES = 32 << 20, LOCK_WAIT_MS = 10000, EXPIRE_EVERY_MS = 1000, TURN_AWAY_MS = 1000 };

/* ---- links */

struct auth_link *auth_find_link(struct auth *auth, enum role role, unsigned index) {
    for (size_t i = 0; i < auth->n_links; i++)
        if (auth->links[i].kind == role && auth->links[i].index == index)
            return auth->links[i].alive ? &auth->links[i] : NULL;
    return NULL;
}

static uint32_t wanted_events(const struct auth_link *link) {
    return frame_backlog_empty(&link->backlog) ? EPOLLIN : EPOLLIN | EPOLLOUT;
}

bool auth_tell(struct auth_link *link, enum frame_type type, struct span body, int passed) {
    bool waited = !frame_backlog_empty(&link->backlog);
    if (frame_backlog_send(&link->backlog, link->watch.fd, (uint16_t)type, body, passed) != 0) return false;
    if (waited || frame_backlog_empty(&link->backlog)) return true;
    return loop_change(&link->auth->loop, &link->watch, wanted_events(link)) == 0;
}

/* The descriptor stays with role.c, which closes it when the master sends another. */
static void link_lost(struct auth_link *link) {
    if (!link->alive) return;
    link->alive = false;
    loop_remove(&link->auth->loop, &link->watch);
    frame_backlog_free(&link->backlog);
    if (link->kind == ROLE_QUEUE) transaction_queue_lost(link->auth);
    if (link->kind == ROLE_VERIFIER) login_verifier_lost(link);
}

/* ---- listeners */

static int pool_child(void *context, struct frame *frame) {
    struct auth_link *link = context;
    struct wire w = wire_over(frame->body);
    uint32_t pid = wire_get_u32(&w);
    if (!wire_end(&w) || pid == 0 || frame->fd < 0) return -1;
    int fd = frame->fd;
    frame->fd = -1;
    peer_add(link->auth, (enum role)link->kind, (pid_t)pid, fd);
    return 0;
}

static int take_ends(struct auth *auth, struct wire *w) {
    while (w->rest.n) {
        uint32_t pid = wire_get_u32(w);
        unsigned how = wire_get_u8(w);
        struct log_line line;
        if (w->bad) return -1;
        peer_ended(auth, (pid_t)pid);
        if (how != SESSION_EXIT_CRASH) continue;
        log_open(&line, LOG_SESSION_CRASHED);
        log_number(&line, KEY_PID, pid);
        log_send(&line);
    }
    return 0;
}

static int pool_exit(void *context, struct frame *frame) {
    const struct auth_link *link = context;
    struct wire w = wire_over(frame->body);
    return take_ends(link->auth, &w);
}

static int pool_local(void *context, struct frame *frame) {
    struct auth_link *link = context;
    struct wire w = wire_over(frame->body);
    uint32_t pid = wire_get_u32(&w), uid = wire_get_u32(&w);
    if (!wire_end(&w) || pid == 0 || frame->fd < 0 || link->kind != ROLE_LISTENER) return -1;
    int fd = frame->fd;
    frame->fd = -1;
    peer_add_local(link->auth, (pid_t)pid, uid, fd);
    return 0;
}

/* Who comes again within the second, or goes on, is refused by the listener, without a child. Short, so that the
 * refusals of whoever does not hammer are logged one by one, and who is let off is let in. */
static void turn_away(struct auth_link *listener, const struct netaddr *client, enum reason reason) {
    const struct throttle_limits *limits = &listener->auth->setup.throttle;
    struct network network = network_of(client, limits->network_ipv4_bits, limits->network_ipv6_bits);
    uint8_t storage[32];
    struct buf b = BUF_OVER(storage);
    wire_put_network(&b, &network);
    wire_put_u8(&b, (uint8_t)reason);
    wire_put_u32(&b, TURN_AWAY_MS);
    if (!auth_tell(listener, POOL_TURN_AWAY, buf_span(&b), -1)) (void)0; /* it is gone, or is told the next time */
}

static int pool_client(void *context, struct frame *frame) {
    struct auth_link *link = context;
    struct netaddr client, here;
    struct wire w = wire_over(frame->body);
    uint32_t pid = wire_get_u32(&w);
    unsigned role = wire_get_u8(&w);
    wire_get_netaddr(&w, &client);
    wire_get_netaddr(&w, &here);
    if (w.bad || pid == 0 || frame->fd < 0 || !peer_role_fits((enum role)link->kind, role)) return -1;
    if (take_ends(link->auth, &w) != 0) return -1;
    int fd = frame->fd;
    frame->fd = -1;
    enum reason reason =
        peer_add_client(link->auth, (enum role)link->kind, (pid_t)pid, (enum relay_role)role, &client, &here, fd);
    bool logs_in = role == RELAY_ROLE_SUBMISSION || role == RELAY_ROLE_SUBMISSIONS || role == RELAY_ROLE_POP3 ||
                   role == RELAY_ROLE_POP3S;
    if (logs_in && reason != REASON_COUNT && reason != REASON_NOT_DECIDED) turn_away(link, &client, reason);
    return 0;
}

static const struct frame_row listener_rows[] = {{POOL_CHILD, 1, pool_child},
                                                 {POOL_EXIT, 1, pool_exit},
                                                 {POOL_LOCAL, 1, pool_local},
                                                 {POOL_CLIENT, 1, pool_client}};

/* ---- frames */

static void take_frame(struct auth_link *link, struct frame *frame) {
    switch (link->kind) {
    case ROLE_LISTENER:
    case ROLE_POP3:
        if (frame_dispatch(listener_rows, sizeof listener_rows / sizeof *listener_rows, 1, link, frame) != 0)
            log_bug("bad frame from a listener");
        break;
    case ROLE_QUEUE:
        transaction_queue_frame(link->auth, frame);
        break;
    case ROLE_VERIFIER:
        login_verifier_frame(link, frame);
        break;
    case ROLE_POLICY: /* meets strangers: what is no report is the end of that process, not of this */
        if (hook_policy_frame(link->auth, frame) == 0) break;
        log_fault("bad frame from the policy process", 0);
        link_lost(link);
        shutdown(link->watch.fd, SHUT_RDWR);
        break;
    default:
        log_bug("a frame from a process that says nothing");
    }
}

/* Reads one frame; false when there is none. */
static bool read_link(struct auth_link *link) {
    static uint8_t storage[FRAME_MAX];
    struct frame frame;
    switch (frame_receive(link->watch.fd, storage, role_listens((enum role)link->kind), &frame)) {
    case FRAME_RECEIVED:
        take_frame(link, &frame);
        return true;
    case FRAME_NONE:
        return false;
    case FRAME_MALFORMED:
        if (link->kind != ROLE_POLICY) log_bug("malformed frame from another process of ours");
        log_fault("malformed frame from the policy process", 0);
        shutdown(link->watch.fd, SHUT_RDWR);
        break;
    case FRAME_CLOSED:
    case FRAME_ERROR:
        break;
    }
    link_lost(link);
    return false;
}

static void link_ready(void *context, uint32_t events) {
    struct auth_link *link = context;
    if (!link->alive) return;
    if (events & EPOLLOUT) {
        if (frame_backlog_flush(&link->backlog, link->watch.fd) != 0) {
            link_lost(link);
            return;
        }
        if (frame_backlog_empty(&link->backlog)) {
            if (loop_change(&link->auth->loop, &link->watch, EPOLLIN) != 0) log_fault("epoll_ctl", errno);
            if (link->kind == ROLE_QUEUE) peer_unpark_all(link->auth);
        }
    }
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
        for (int i = 0; i < 16 && link->alive && read_link(link); i++) continue;
}

static struct auth_link *link_slot(struct auth *auth, const struct role_link *from) {
    for (size_t i = 0; i < auth->n_links; i++)
        if (auth->links[i].kind == from->kind && auth->links[i].index == from->index) return &auth->links[i];
    if (auth->n_links == ROLE_CHANNELS) log_bug("too many channels");
    struct auth_link *link = &auth->links[auth->n_links++];
    *link = (struct auth_link){.auth = auth, .kind = from->kind, .index = from->index};
    return link;
}

static void add_link(struct auth *auth, const struct role_link *from) {
    if (from->kind == ROLE_COMMAND) return;
    struct auth_link *link = link_slot(auth, from);
    if (link->alive) {
        link->watch.fd = -1; /* role.c has closed it: its number may be another's by now */
        link_lost(link);
    }
    link->watch = (struct loop_watch){from->fd, link_ready, link};
    link->backlog.cap_bytes = BACKLOG_BYTES;
    link->alive = loop_add(&auth->loop, &link->watch, EPOLLIN) == 0;
    if (!link->alive)
        log_fault("a channel to another process", errno);
    else if (link->kind == ROLE_VERIFIER)
        login_verifier_found(link);
}

/* ---- the postmaster */

void auth_say_postmaster(struct auth *auth) {
    uint8_t storage[POSTMASTER_WARNING_MAX];
    struct buf b = BUF_OVER(storage);
    struct log_line line;
    bool warn = postmaster_warning(&auth->house, &auth->ends, &b);
    if (!warn) buf_clear(&b);
    if (warn && !span_equal(buf_span(&b), span_of(auth->postmaster_told, auth->postmaster_told_n))) {
        log_open(&line, LOG_POSTMASTER);
        log_span(&line, KEY_WHY, buf_span(&b));
        log_send(&line);
    }
    auth->postmaster_told_n = b.n;
    memcpy(auth->postmaster_told, storage, b.n);
}

/* ---- the master */

/* Hashes from before a change of the configured cost stay until their users log in. */
void auth_find_dearest(struct auth *auth) {
    auth->dearest_due_ms = 0;
    if (credential_dearest(auth->house.db, &auth->dearest_work) != ACCOUNT_FOUND)
        log_fault("the costs of the stored hashes are not known", 0);
}

static void take_setup(struct auth *auth) {
    auth_setup_free(&auth->setup);
    if (auth_setup_get(&auth->setup, auth->start->payload) != 0) log_bug("setup does not parse");
    peer_count_renew(auth);
    guessing_limit(auth);
    /* With limits that are not in force old grants could outlive them. */
    if (grant_limit(&auth->grants) != 0) auth->setup.grant.enabled = false;
    auth_find_dearest(auth);
}

static void read_listeners(struct auth *auth) {
    /* What a listener said before it was replaced would be lost with its channel. */
    for (size_t i = 0; i < auth->n_links; i++)
        while (role_listens((enum role)auth->links[i].kind) && auth->links[i].alive && read_link(&auth->links[i]))
            continue;
}

static void close_all(struct auth *auth) {
    guessing_close(auth);
    quota_close(&auth->quota);
    database_close(auth->house.db);
    dovecot_export_close(&auth->dovecot);
}

static void master_ready(void *context, uint32_t events) {
    struct auth *auth = context;
    struct role_link link;
    uint32_t number;
    int old;
    (void)events;
    read_listeners(auth);
    switch (role_listen(auth->start, &link, &old, &number)) {
    case ROLE_EVENT_GONE:
        guessing_close(auth);
        _exit(0);
    case ROLE_EVENT_SETUP:
        take_setup(auth);
        if (dovecot_export_reconcile(&auth->dovecot) != 0) log_fault("dovecot.db was not brought up to date", 0);
        auth_say_postmaster(auth);
        break;
    case ROLE_EVENT_CHANNEL:
        add_link(auth, &link);
        break;
    case ROLE_EVENT_DRAIN:
        close_all(auth);
        _exit(0);
    case ROLE_EVENT_LOG_NEW:
        peer_name_all(auth);
        break;
    case ROLE_EVENT_NONE:
    case ROLE_EVENT_DESCRIPTOR:
    case ROLE_EVENT_ACCEPT:
    case ROLE_EVENT_FORGET:
    case ROLE_EVENT_DIALED:
        break;
    }
}

/* ---- start */

/* One process at a time works on the directory; the one before may still be leaving. */
static int lock_directory(void) {
    int fd = open("lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    uint64_t deadline = clock_ms() + LOCK_WAIT_MS;
    if (fd < 0) return -1;
    while (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK || clock_ms() >= deadline) return -1;
        nanosleep(&(struct timespec){.tv_nsec = 20 * 1000 * 1000}, NULL);
    }
    return 0; /* held until the process ends */
}

static int open_all(struct auth *auth) {
    int flags = fcntl(ROLE_CONTROL_FD, F_GETFL);
    umask(0077);
    if (flags < 0 || fcntl(ROLE_CONTROL_FD, F_SETFL, flags | O_NONBLOCK) != 0 || loop_open(&auth->loop) != 0)
        return -1;
    if (lock_directory() != 0) {
        log_fault("the lock of the directory", errno);
        return -1;
    }
    struct database *db = database_open("gatepost.db", DATABASE_ACCOUNTS);
    auth->house = (struct house){db, &auth->setup, &auth->quota, &auth->grants};
    if (!auth->house.db || account_salt_key(auth->house.db, auth->salt_key) != ACCOUNT_FOUND) return -1;
    if (guessing_open(auth) != 0) return -1;
    login_prepare(auth);
    if (quota_open(&auth->quota, auth->house.db, &auth->setup.quota) != 0) return -1;
    transaction_grant_watch(auth);
    /* A full disk keeps nobody from starting: it grants nothing. */
    if (grant_open(&auth->grants, auth->house.db, &auth->setup.grant) != 0) auth->setup.grant.enabled = false;
    auth_find_dearest(auth);
    dovecot_export_open(&auth->dovecot, auth->house.db, &auth->setup);
    if (dovecot_export_reconcile(&auth->dovecot) != 0) log_fault("dovecot.db was not brought up to date", 0);
    peer_watch_accounts(auth);
    auth->master = (struct loop_watch){ROLE_CONTROL_FD, master_ready, auth};
    return loop_add(&auth->loop, &auth->master, EPOLLIN);
}

static int open_control(struct auth *auth) {
    auth->control = (struct control_server){.loop = &auth->loop,
                                            .owner_uid = getuid(),
                                            .handle = account_control,
                                            .copied = account_control_copied,
                                            .context = auth};
    int fd = role_descriptor(auth->start, DESCRIPTOR_CONTROL, 0);
    if (!auth->setup.stand_alone) return fd < 0 ? 0 : control_serve(&auth->control, fd);
    fd = role_channel(auth->start, ROLE_COMMAND, 0);
    int flags = fd < 0 ? -1 : fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0) return -1;
    return control_serve_peer(&auth->control, fd);
}

static bool command_gone(const struct auth *auth) {
    if (!auth->setup.stand_alone) return false;
    for (size_t i = 0; i < CONTROL_PEERS; i++)
        if (auth->control.peers[i]) return false;
    return true;
}

static int earlier(int a, int b) {
    return a < 0 ? b : b < 0 ? a : a < b ? a : b;
}

int auth_run(struct role_start *start, uint32_t missing) {
    static struct auth auth;
    uint64_t expire_at = 0;
    auth.start = start;
    if (auth_setup_get(&auth.setup, start->payload) != 0) log_bug("setup does not parse");
    if (open_all(&auth) != 0 || open_control(&auth) != 0) return 1;
    if (hook_open(&auth, role_descriptor(start, DESCRIPTOR_LOGIN, 0)) != 0) return 1;
    for (size_t i = 0; i < start->n_channels; i++) add_link(&auth, &start->channels[i]);
    if (!auth.setup.stand_alone) auth_say_postmaster(&auth);
    role_ready(missing);
    log_gather();
    while (!command_gone(&auth)) {
        int wait = login_round(&auth);
        uint64_t now = clock_ms();
        if (auth.n_peers && now >= expire_at) {
            (void)peer_expire(&auth);
            expire_at = now + EXPIRE_EVERY_MS;
        }
        if (auth.n_peers) wait = earlier(wait, EXPIRE_EVERY_MS);
        wait = earlier(wait, guessing_round(&auth));
        wait = earlier(wait, grant_round(&auth.grants));
        quota_round(&auth.quota);
        wait = earlier(wait, notice_round(&auth));
        wait = earlier(wait, hook_round(&auth));
        log_flush(); /* nothing waits while we do */
        if (loop_round(&auth.loop, wait) != 0) {
            log_fault("epoll_wait", errno);
            return 1;
        }
    }
    log_flush();
    close_all(&auth);
    return 0;
}
