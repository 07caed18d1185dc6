/* master.c - the parent of all processes: one loop over signals, the children's control channels and the clock.
 * Runs in: master. Trusts: its children for what they say of themselves, nothing else. Never: reads a byte from the
 * network, parses a certificate, opens the database or the queue. */
#include "server/process/master_state.h"

#include "server/process/directories.h"
#include "server/process/files.h"
#include "server/process/judge.h"
#include "server/process/notify.h"
#include "server/process/system_users.h"
#include "server/process/version.h"
#include "store/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { START_MS = 60000 };

struct master master;

void master_say(enum log_event event, const char *what) {
    struct log_line line;
    log_open(&line, event);
    if (what) log_text(&line, KEY_WHAT, what);
    log_send(&line);
}

static void announce(void) {
    char text[8192];
    int fd = master.options.announce_file ? open(master.options.announce_file, O_RDONLY | O_CLOEXEC) : -1;
    ssize_t n = fd >= 0 ? read(fd, text, sizeof text) : 0;
    if (fd >= 0) close(fd);
    if (n > 0) fwrite(text, 1, (size_t)n, stdout);
    fflush(stdout);
}

void master_ready(void) {
    struct log_line line;
    uint8_t text[64];
    struct buf lacking = BUF_OVER(text);
    uint32_t missing = 0;
    for (size_t i = 0; i < CHILDREN_MAX; i++)
        if (master.family.children[i].pid) missing |= master.family.children[i].missing;
    if (missing) buf_put_text(&lacking, "missing: ");
    family_put_missing(&lacking, missing);
    master_to_phase(PHASE_SERVING, UINT64_MAX);
    log_open(&line, LOG_READY);
    log_text(&line, KEY_VERSION, version_gatepost());
    if (missing) log_span(&line, KEY_WHY, buf_span(&lacking));
    log_send(&line);
    notify_send("READY=1");
    announce();
    if (master.background_fd >= 0) {
        uint8_t octet = 0;
        if (write(master.background_fd, &octet, 1) != 1) master_say(LOG_FAULT, "telling the shell");
        close(master.background_fd);
        master.background_fd = -1;
    }
}

/* What does not fit is said on `errors` too. */
static int fit_files(struct conf *conf, FILE *errors) {
    char text[FILES_TEXT_MAX];
    int result = files_fit(conf, text);
    if (*text) fprintf(errors, "gatepost: %s\n", text);
    if (*text && result == 0) master_say(LOG_LIMIT_LOWERED, text);
    return result;
}

/* The log says so once the log is open. */
static bool fit_to_kernel(struct conf *conf) {
    return !sockets_have_ipv6() && sockets_drop_ipv6(conf) > 0;
}

static void say_no_ipv6(void) {
    master_say(LOG_FAULT, "this kernel has no IPv6: \"*\" in listen stands for IPv4 alone");
}

/* What a new configuration needs, all of it or nothing. NULL: mistakes are printed. */
static struct conf *read_again(struct sockets *sockets_out, struct material *material_out, FILE *errors) {
    bool as_root = master.family.facts.as_root;
    struct conf *conf = conf_read(master.path, errors);
    if (!conf) return NULL;
    if (fit_to_kernel(conf)) say_no_ipv6();
    if (!faults_allowed(conf, master.options.faults, errors) || !family_same_place(master.conf, conf, errors) ||
        (as_root && family_check_users(conf, errors) != 0) || directories_make(conf, as_root, errors) != 0 ||
        fit_files(conf, errors) != 0 || material_read(material_out, conf, ++master.family.generation, errors) != 0)
        goto bad;
    if (sockets_open(sockets_out, conf, &master.sockets, errors) == 0) return conf;
    material_close(material_out);
bad:
    conf_free(conf);
    return NULL;
}

/* One line of the log for what was printed; nothing for nothing. */
static void say_printed(enum log_event event, char *text, size_t size) {
    if (size && text[size - 1] == '\n') text[size - 1] = 0;
    if (size) master_say(event, text);
    free(text);
}

/* With certificates that cannot be used, those before stay; all else is taken. */
static bool judge_again(const struct conf *conf, struct material *material, FILE *errors) {
    char *warning = NULL;
    size_t size = 0;
    FILE *warnings = open_memstream(&warning, &size);
    if (!warnings) return true;
    bool good = judge_material(conf, master.path, material, errors, warnings) == 0;
    fclose(warnings);
    say_printed(LOG_CERTIFICATE, warning, size);
    if (good) return true;
    fputs("the certificates before stay in service; the rest of the new configuration is taken", errors);
    material_close(material);
    return false;
}

static void reload(void) {
    char *mistakes = NULL;
    size_t size = 0;
    struct sockets sockets;
    struct material material;
    FILE *errors = open_memstream(&mistakes, &size);
    master.reload_wanted = false;
    if (!errors) return;
    notify_send("RELOADING=1");
    struct conf *conf = read_again(&sockets, &material, errors);
    bool good = conf && judge_again(conf, &material, errors) &&
                faults_open(&master.family, master.options.faults, errors) == 0;
    fclose(errors);
    if (conf) {
        sockets_close(&master.sockets);
        master.sockets = sockets;
        family_reconfigure(&master.family, conf, &material);
        conf_free(master.conf);
        master.conf = conf;
    }
    if (good) master_say(LOG_RELOADED, master.path);
    say_printed(LOG_RELOAD_FAILED, mistakes, good ? 0 : size);
    notify_send("READY=1");
}

/* A child of ours has ended. */
static void bury(pid_t pid, int status) {
    struct child *child = family_by_pid(&master.family, pid);
    if (!child) return;
    bool expected = child->removed || child->draining;
    if (!expected || status != 0) family_log_end(child, status, expected);
    bool listener_failed = role_listens(child->role) && !child->ready && !expected;
    child_gone(child);
    if (expected) {
        family_forget(&master.family, child);
    } else if (master.phase == PHASE_STARTING) {
        fprintf(stderr, "gatepost: the %s process ended while it started (%s %d)\n", role_name(child->role),
                WIFSIGNALED(status) ? "signal" : "status",
                WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
        child->role = ROLE_NONE;
        master.exit_status = 1;
        master_stop("a process could not be started");
    } else if (listener_failed && family_refuse_material(&master.family, child)) {
        master_say(LOG_RELOAD_FAILED, "the listener with the new certificates did not start; those before stay");
        child->role = ROLE_NONE;
        family_want_listeners(&master.family);
    } else if (listener_failed && family_other_listener(&master.family, child)) {
        master_say(LOG_RELOAD_FAILED, "the new listener did not start; the one before goes on");
        child->role = ROLE_NONE; /* it is tried again */
    } else if (master.phase == PHASE_SERVING) {
        family_plan_restart(child);
    } else {
        child->role = ROLE_NONE;
    }
    master_advance();
}

static void signalled(void *context, uint32_t events) {
    struct signalfd_siginfo signal;
    (void)context, (void)events;
    while (read(master.signals.fd, &signal, sizeof signal) == (ssize_t)sizeof signal) {
        switch (signal.ssi_signo) {
        case SIGTERM:
        case SIGINT:
            master_stop(signal.ssi_signo == SIGINT ? "interrupt" : "terminate");
            break;
        case SIGHUP:
            master.reload_wanted = true; /* while it starts: when it serves */
            break;
        default:
            break;
        }
    }
    int status;
    for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) bury(pid, status);
}

static int wait_ms(void) {
    uint64_t now = clock_ms(), next = UINT64_MAX;
    if (master.phase == PHASE_SERVING) next = family_next_restart(&master.family); /* otherwise nobody is restarted */
    if (master.deadline_ms < next) next = master.deadline_ms;
    if (notify_watchdog_due() < next) next = notify_watchdog_due();
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
    *parent_status_out = 1;
    if (pipe2(ends, O_CLOEXEC) != 0) {
        fprintf(stderr, "gatepost: cannot go to the background: %s\n", strerrordesc_np(errno));
        return false;
    }
    pid_t pid = fork();
    if (pid < 0) fprintf(stderr, "gatepost: cannot go to the background: %s\n", strerrordesc_np(errno));
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

/* Auth is to know of a new user of this host before it sends its first mail. */
static void system_users_changed(void) {
    struct child *auth = child_find(&master.family, ROLE_AUTH, 0);
    if (auth && auth->pid && child_setup(auth) != 0) log_fault("telling auth of the system's users", errno);
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
    if (!faults_allowed(master.conf, master.options.faults, stderr)) return -1;
    if (as_root && family_check_users(master.conf, stderr) != 0) return -1;
    if (directories_make(master.conf, as_root, stderr) != 0) return -1;
    /* Kept open until the end, for nobody else. */
    if (directories_lock(master.conf, stderr) < 0) return -1;
    if (material_read(&master.family.fresh, master.conf, ++master.family.generation, stderr) != 0) return -1;
    if (judge_material(master.conf, master.path, &master.family.fresh, stderr, stderr) != 0) return -1;
    if (sockets_open(&master.sockets, master.conf, NULL, stderr) != 0) return -1;
    if (family_open(&master.family, master.conf, &master.sockets, &master.loop, master_hear) != 0) return -1;
    if (faults_open(&master.family, master.options.faults, stderr) != 0) return -1;
    if (fit_files(master.conf, stderr) != 0) return -1; /* its log line needs the family's socket */
    if (family_serve_status(&master.family, &master.status) != 0) return -1;
    if (!system_users_watch(&master.loop, &master.passwd, SYSTEM_USERS_FILE, system_users_changed))
        log_fault("watching /etc/passwd", errno);
    return write_pid_file();
}

/* For all processes, which inherit it: one that is woken does not interrupt the one that woke it, so that a round
 * takes many sessions' frames where it would take one. A quarter of a message's work is saved; nothing depends on
 * it. */
static void let_rounds_grow(void) {
    (void)sched_setscheduler(0, SCHED_BATCH, &(struct sched_param){0});
}

int master_serve(struct conf *conf, const char *path, const struct master_options *options) {
    int status = 0;
    master = (struct master){.conf = conf, .path = path, .options = *options, .background_fd = -1};
    master.signals.fd = -1;
    if (options->background && !in_background(&status)) return status;
    notify_watchdog_start();
    let_rounds_grow();
    bool no_ipv6 = fit_to_kernel(conf);
    if (loop_open(&master.loop) != 0 || watch_signals() != 0 || prepare() != 0) return 1;
    master_say(LOG_STARTED, path);
    if (no_ipv6) say_no_ipv6();
    master_to_phase(PHASE_STARTING, START_MS);
    if (family_start(&master.family) != 0) {
        fprintf(stderr, "gatepost: a process could not be started\n");
        master.exit_status = 1;
        master_stop("a process could not be started");
    }
    while (master.phase != PHASE_OVER) {
        if (loop_round(&master.loop, wait_ms()) != 0) abort();
        if (master.phase == PHASE_SERVING && master.reload_wanted) reload();
        if (master.phase == PHASE_SERVING) family_restart_due(&master.family);
        notify_watchdog();
        master_overdue();
    }
    control_close(&master.status);
    family_close(&master.family);
    sockets_close(&master.sockets);
    if (options->pid_file) unlink(options->pid_file);
    conf_free(master.conf);
    return master.exit_status;
}
