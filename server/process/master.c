/* master.c - the parent of all processes: one loop over signals, the children's control channels and the clock.
 * Runs in: master. Trusts: its children for what they say of themselves, nothing else. Never: reads a byte from the network,
 * parses a certificate, opens the database or the queue. */
#include "server/process/master.h"

#include "server/process/directories.h"
#include "server/process/family.h"
#include "server/process/notify.h"
#include "server/process/version.h"
#include "store/clock.h"
#include "store/log.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum phase { PHASE_STARTING = 0, PHASE_SERVING, PHASE_LISTENERS_END, PHASE_OTHERS_END, PHASE_LOG_ENDS, PHASE_OVER };

enum { OTHERS_END_MS = 15000, LOG_ENDS_MS = 5000, START_MS = 60000 };

struct master {
    struct loop loop;
    struct family family;
    struct conf *conf;
    const char *path;
    struct master_options options;
    struct sockets sockets;
    struct control_server status;
    struct loop_watch signals;
    enum phase phase;
    uint64_t deadline_ms; /* of the phase */
    int background_fd;    /* told once ready; -1: none */
    int exit_status;
};

static struct master master; /* one per process: signal and loop callbacks find it here */

static void say(enum log_event event, const char *what) {
    struct log_line line;
    log_open(&line, event);
    if (what) log_text(&line, KEY_WHAT, what);
    log_send(&line);
}

static void to_phase(enum phase phase, uint64_t limit_ms) {
    master.phase = phase;
    master.deadline_ms = limit_ms == UINT64_MAX ? UINT64_MAX : clock_ms() + limit_ms;
}

static void kill_children(bool (*which)(const struct child *)) {
    for (size_t i = 0; i < CHILDREN_MAX; i++) {
        struct child *child = &master.family.children[i];
        if (child->pid && which(child)) kill(child->pid, SIGKILL);
    }
}

static bool is_listener(const struct child *child) { return child->role == ROLE_LISTENER; }
static bool is_other(const struct child *child) { return child->role != ROLE_LISTENER && child->role != ROLE_LOG; }
static bool is_any(const struct child *child) { return child->role != ROLE_NONE; }
static bool is_log(const struct child *child) { return child->role == ROLE_LOG; }

static size_t count(bool (*which)(const struct child *)) {
    size_t n = 0;
    for (size_t i = 0; i < CHILDREN_MAX; i++)
        if (master.family.children[i].pid && which(&master.family.children[i])) n++;
    return n;
}

static void drain_children(bool (*which)(const struct child *)) {
    for (size_t i = 0; i < CHILDREN_MAX; i++) {
        struct child *child = &master.family.children[i];
        if (!which(child)) continue;
        child->removed = child->draining = true;
        child_tell(child, MASTER_DRAIN, (struct span){0}, -1);
        if (child->pid == 0) child->role = ROLE_NONE;
    }
}

/* Ends phase after phase: listeners with their sessions, then all others, the log writer last. */
static void advance(void) {
    if (master.phase == PHASE_LISTENERS_END && count(is_listener) == 0) {
        drain_children(is_other);
        to_phase(PHASE_OTHERS_END, OTHERS_END_MS);
    }
    if (master.phase == PHASE_OTHERS_END && count(is_other) == 0) {
        say(LOG_STOPPED, NULL);
        struct child *log = child_find(&master.family, ROLE_LOG, 0);
        if (log) log->removed = true;
        if (frame_send_plain(master.family.log_fds[1], LOG_FLUSH, (struct span){0}) != 0) kill_children(is_log);
        to_phase(PHASE_LOG_ENDS, LOG_ENDS_MS);
    }
    if (master.phase == PHASE_LOG_ENDS && count(is_any) == 0) to_phase(PHASE_OVER, UINT64_MAX);
}

static void stop(const char *why) {
    if (master.phase >= PHASE_LISTENERS_END) return;
    say(LOG_STOPPING, why);
    notify_send("STOPPING=1");
    drain_children(is_listener); /* no new connections */
    drain_children(is_listener); /* said twice: and what runs ends within the limit */
    to_phase(PHASE_LISTENERS_END, master.conf->timeouts.shutdown_ms);
    advance();
}

static void announce(void) {
    char text[8192];
    int fd = master.options.announce_file ? open(master.options.announce_file, O_RDONLY | O_CLOEXEC) : -1;
    ssize_t n = fd >= 0 ? read(fd, text, sizeof text) : 0;
    if (fd >= 0) close(fd);
    if (n > 0) fwrite(text, 1, (size_t)n, stdout);
    fflush(stdout);
}

static void all_ready(void) {
    struct log_line line;
    to_phase(PHASE_SERVING, UINT64_MAX);
    log_open(&line, LOG_READY);
    log_text(&line, KEY_VERSION, version_gatepost());
    log_send(&line);
    notify_send("READY=1");
    announce();
    if (master.background_fd >= 0) {
        uint8_t octet = 0;
        if (write(master.background_fd, &octet, 1) != 1) say(LOG_FAULT, "telling the shell");
        close(master.background_fd);
        master.background_fd = -1;
    }
}

static void served(struct child *child) {
    child->ready = true;
    if (child->role == ROLE_LISTENER) family_retire_listeners(&master.family, child);
    if (master.phase == PHASE_STARTING && family_ready(&master.family)) all_ready();
}

/* A certificate's key is not held: the new listener goes, and the one before stays in service; without one before, it serves
 * what needs no TLS. */
static void broken_pair(struct child *listener, size_t wrong) {
    uint8_t text[LOG_VALUE_MAX];
    const struct conf *conf = master.family.conf;
    struct buf b = BUF_OVER(text);
    buf_put_format(&b, "the certificate %s and its key do not belong together, or the key cannot be used",
                   wrong < conf->n_certificates ? conf->certificates[wrong].certificate_file : "");
    struct log_line line;
    log_open(&line, master.phase == PHASE_STARTING ? LOG_FAULT : LOG_RELOAD_FAILED);
    log_span(&line, KEY_WHAT, buf_span(&b));
    log_send(&line);
    if (master.phase == PHASE_STARTING) {
        fprintf(stderr, "gatepost: %.*s\n", (int)b.n, (const char *)text);
        master.exit_status = 1;
        stop("a certificate without its key");
    } else if (family_other_listener(&master.family, listener)) {
        listener->draining = listener->removed = true;
        child_tell(listener, MASTER_DRAIN, (struct span){0}, -1);
    } else {
        served(listener);
    }
}

static void listener_ready(struct child *listener) {
    size_t wrong;
    if (!listener->said_ready || listener->ready || listener->draining) return;
    switch (family_pairs(listener, &wrong)) {
    case FAMILY_PAIRS_UNKNOWN: return; /* until the keys process has said */
    case FAMILY_PAIRS_WHOLE: served(listener); return;
    case FAMILY_PAIRS_BROKEN: broken_pair(listener, wrong); return;
    }
}

/* New keys: listeners that waited for them may serve. After a restart of the keys process the files may be others than those
 * that the listener began with: then a new one follows. */
static void keys_heard(const struct child *keys) {
    bool again = false;
    for (size_t i = 0; i < CHILDREN_MAX; i++) {
        struct child *listener = &master.family.children[i];
        size_t wrong;
        if (listener->role != ROLE_LISTENER || !listener->pid || listener->draining) continue;
        listener_ready(listener);
        if (listener->ready && !keys->said_ready && family_pairs(listener, &wrong) != FAMILY_PAIRS_WHOLE) again = true;
    }
    if (again && master.phase == PHASE_SERVING) family_start_listener(&master.family);
}

static void child_ready(struct child *child, uint32_t missing) {
    child->said_ready = true;
    child->missing = missing;
    if (missing & (MISSING_LANDLOCK | MISSING_SECCOMP)) {
        struct log_line line;
        log_open(&line, LOG_HARDENING_MISSING);
        log_text(&line, KEY_PROCESS, role_name(child->role));
        log_text(&line, KEY_WHAT, missing & MISSING_SECCOMP ? "no filter for system calls" : "no Landlock");
        log_send(&line);
    }
    if (child->role == ROLE_LISTENER) listener_ready(child);
    else served(child);
}

static void bad_frame(const struct child *child) {
    say(LOG_BAD_FRAME, role_name(child->role));
    kill(child->pid, SIGKILL);
}

static void heard(struct child *child, const struct frame *frame) {
    struct wire w = wire_over(frame->body);
    switch (frame->type) {
    case CHILD_READY: {
        uint32_t missing = wire_get_u32(&w);
        if (!wire_end(&w) || child->said_ready) bad_frame(child);
        else if (!child->draining) child_ready(child, missing);
        return;
    }
    case CHILD_RENEW:
        if (!child->draining && child->role == ROLE_LISTENER && master.phase == PHASE_SERVING)
            family_start_listener(&master.family);
        return;
    case CHILD_STATUS:
        child->idle = wire_get_u32(&w);
        child->busy = wire_get_u32(&w);
        child->accepted = wire_get_u64(&w);
        child->crashed = wire_get_u64(&w);
        if (!wire_end(&w)) bad_frame(child);
        return;
    case CHILD_KEYS:
        if (family_hear_keys(child, frame->body) != 0) bad_frame(child);
        else keys_heard(child);
        return;
    case CHILD_CERTIFICATES:
        if (family_hear_certificates(child, frame->body) != 0) bad_frame(child);
        return;
    default: bad_frame(child);
    }
}

static void reload(void) {
    char *mistakes = NULL;
    size_t size = 0;
    struct sockets sockets;
    FILE *errors = open_memstream(&mistakes, &size);
    if (!errors) return;
    notify_send("RELOADING=1");
    struct conf *conf = conf_read(master.path, errors);
    if (conf && !family_same_place(master.conf, conf, errors)) {
        conf_free(conf);
        conf = NULL;
    }
    bool as_root = master.family.facts.as_root;
    if (conf && ((as_root && family_check_users(conf, errors) != 0) || directories_make(conf, as_root, errors) != 0)) {
        conf_free(conf);
        conf = NULL;
    }
    if (conf && sockets_open(&sockets, conf, &master.sockets, errors) != 0) {
        conf_free(conf);
        conf = NULL;
    }
    fclose(errors);
    if (conf) {
        sockets_close(&master.sockets);
        master.sockets = sockets;
        family_reconfigure(&master.family, conf);
        conf_free(master.conf);
        master.conf = conf;
        say(LOG_RELOADED, master.path);
    } else {
        say(LOG_RELOAD_FAILED, mistakes);
    }
    free(mistakes);
    notify_send("READY=1");
}

/* A child of ours has ended. */
static void bury(pid_t pid, int status) {
    struct child *child = family_by_pid(&master.family, pid);
    if (!child) return;
    bool expected = child->removed || child->draining;
    if (!expected || status != 0) family_log_end(child, status, expected);
    bool listener_failed = child->role == ROLE_LISTENER && !child->ready && !expected;
    child_gone(child);
    if (expected) {
        family_forget(&master.family, child);
    } else if (master.phase == PHASE_STARTING) {
        fprintf(stderr, "gatepost: the %s process ended while it started (%s %d)\n", role_name(child->role),
                WIFSIGNALED(status) ? "signal" : "status", WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
        child->role = ROLE_NONE;
        master.exit_status = 1;
        stop("a process could not be started");
    } else if (listener_failed && family_other_listener(&master.family, child)) {
        say(LOG_RELOAD_FAILED, "the new listener did not start; the one before goes on");
        child->role = ROLE_NONE;
    } else if (master.phase == PHASE_SERVING) {
        family_plan_restart(child);
    } else {
        child->role = ROLE_NONE;
    }
    advance();
}

static void signalled(void *context, uint32_t events) {
    struct signalfd_siginfo signal;
    (void)context, (void)events;
    while (read(master.signals.fd, &signal, sizeof signal) == (ssize_t)sizeof signal) {
        switch (signal.ssi_signo) {
        case SIGTERM:
        case SIGINT: stop(signal.ssi_signo == SIGINT ? "interrupt" : "terminate"); break;
        case SIGHUP:
            if (master.phase == PHASE_SERVING) reload();
            break;
        default: break;
        }
    }
    int status;
    for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) bury(pid, status);
}

/* The phase took too long: what still runs is killed. */
static void overdue(void) {
    if (master.deadline_ms == UINT64_MAX || clock_ms() < master.deadline_ms) return;
    switch (master.phase) {
    case PHASE_STARTING: master.exit_status = 1, stop("the start took too long"); break;
    case PHASE_LISTENERS_END: kill_children(is_listener); break;
    case PHASE_OTHERS_END: kill_children(is_other); break;
    case PHASE_LOG_ENDS: kill_children(is_any); break;
    default: break;
    }
    if (master.phase != PHASE_OVER) master.deadline_ms = clock_ms() + 1000;
}

static int wait_ms(void) {
    uint64_t now = clock_ms(), next = UINT64_MAX;
    if (master.phase == PHASE_SERVING) next = family_next_restart(&master.family); /* otherwise nobody is restarted */
    if (master.deadline_ms < next) next = master.deadline_ms;
    if (next == UINT64_MAX) return -1;
    return next <= now ? 0 : next - now > 60000 ? 60000 : (int)(next - now);
}

static int watch_signals(void) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM), sigaddset(&set, SIGINT), sigaddset(&set, SIGHUP), sigaddset(&set, SIGCHLD);
    signal(SIGPIPE, SIG_IGN);
    /* What whoever started us ignores (nohup, a shell's &) would not come at all, and children would go unseen. */
    signal(SIGTERM, SIG_DFL), signal(SIGINT, SIG_DFL), signal(SIGHUP, SIG_DFL), signal(SIGCHLD, SIG_DFL);
    if (sigprocmask(SIG_BLOCK, &set, NULL) != 0) return -1;
    master.signals = (struct loop_watch){signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK), signalled, NULL};
    return master.signals.fd < 0 ? -1 : loop_add(&master.loop, &master.signals, EPOLLIN);
}

/* For --background: the parent waits here until the server is ready and takes its verdict; the child goes on. */
static bool in_background(int *parent_status_out) {
    int ends[2];
    uint8_t octet;
    if (pipe2(ends, O_CLOEXEC) != 0) return false;
    pid_t pid = fork();
    if (pid != 0) {
        close(ends[1]);
        *parent_status_out = pid > 0 && read(ends[0], &octet, 1) == 1 ? 0 : 1;
        return false;
    }
    close(ends[0]);
    setsid();
    master.background_fd = ends[1];
    return true;
}

static int write_pid_file(void) {
    if (!master.options.pid_file) return 0;
    FILE *file = fopen(master.options.pid_file, "we");
    if (!file || fprintf(file, "%d\n", (int)getpid()) < 0 || fclose(file) != 0) {
        fprintf(stderr, "gatepost: cannot write %s: %s\n", master.options.pid_file, strerrordesc_np(errno));
        return -1;
    }
    return 0;
}

static int prepare(void) {
    bool as_root = geteuid() == 0;
    master.family.facts.as_root = as_root;
    master.family.facts.log_json = master.options.log_json;
    if (child_programs()[0] == 0) {
        fprintf(stderr, "gatepost: the programs of its processes (gatepost-session and others) are not installed\n");
        return -1;
    }
    if (as_root && family_check_users(master.conf, stderr) != 0) return -1;
    if (directories_make(master.conf, as_root, stderr) != 0) return -1;
    if (sockets_open(&master.sockets, master.conf, NULL, stderr) != 0) return -1;
    if (family_open(&master.family, master.conf, &master.sockets, &master.loop, heard) != 0) return -1;
    if (family_serve_status(&master.family, &master.status) != 0) return -1;
    return write_pid_file();
}

int master_serve(struct conf *conf, const char *path, const struct master_options *options) {
    int status = 0;
    master = (struct master){.conf = conf, .path = path, .options = *options, .background_fd = -1};
    master.signals.fd = -1;
    if (options->background && !in_background(&status)) return status;
    if (loop_open(&master.loop) != 0 || watch_signals() != 0 || prepare() != 0) return 1;
    say(LOG_STARTED, path);
    to_phase(PHASE_STARTING, START_MS);
    if (family_start(&master.family) != 0) {
        fprintf(stderr, "gatepost: a process could not be started\n");
        master.exit_status = 1;
        stop("a process could not be started");
    }
    while (master.phase != PHASE_OVER) {
        if (loop_round(&master.loop, wait_ms()) != 0) abort();
        if (master.phase == PHASE_SERVING) family_restart_due(&master.family);
        overdue();
    }
    control_close(&master.status);
    family_close(&master.family);
    sockets_close(&master.sockets);
    if (options->pid_file) unlink(options->pid_file);
    conf_free(master.conf);
    return master.exit_status;
}
