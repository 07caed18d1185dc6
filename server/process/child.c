/* child.c - starting the program of a role.
 * Runs in: master, and the command line when no server runs. Trusts: its own tables. Never: hands over a descriptor
 * that the role's row does not name. */
#include "server/process/child.h"

#include "server/process/directories.h"
#include "store/clock.h"
#include "store/log.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const programs[ROLE_COUNT] = {
    [ROLE_LISTENER] = "gatepost-session",  [ROLE_AUTH] = "gatepost-auth",
    [ROLE_VERIFIER] = "gatepost-verifier", [ROLE_KEYS] = "gatepost-keys",
    [ROLE_QUEUE] = "gatepost-queue",       [ROLE_DELIVERY] = "gatepost-delivery",
    [ROLE_OUTBOUND] = "gatepost-outbound", [ROLE_RESOLVER] = "gatepost-resolver",
    [ROLE_LOG] = "gatepost-log",           [ROLE_POLICY] = "gatepost-policy",
    [ROLE_POP3] = "gatepost-pop3",
};

/* Who speaks with whom. Sessions' own channels are made by auth. */
static const struct {
    enum role a, b;
} links[] = {
    {ROLE_AUTH, ROLE_QUEUE},     {ROLE_AUTH, ROLE_KEYS},      {ROLE_AUTH, ROLE_VERIFIER},
    {ROLE_AUTH, ROLE_LISTENER},  {ROLE_AUTH, ROLE_POP3},      {ROLE_AUTH, ROLE_DELIVERY},
    {ROLE_QUEUE, ROLE_DELIVERY}, {ROLE_QUEUE, ROLE_OUTBOUND}, {ROLE_OUTBOUND, ROLE_RESOLVER},
    {ROLE_AUTH, ROLE_POLICY},
};

struct child *child_add(struct family *family, enum role role, uint8_t index) {
    for (size_t i = 0; i < CHILDREN_MAX; i++) {
        struct child *child = &family->children[i];
        if (child->role != ROLE_NONE) continue;
        *child = (struct child){.role = role, .index = index, .watch.fd = -1, .family = family};
        return child;
    }
    return NULL;
}

struct child *child_find(struct family *family, enum role role, int index) {
    for (size_t i = 0; i < CHILDREN_MAX; i++) {
        struct child *child = &family->children[i];
        if (child->role == role && !child->draining && (index < 0 || child->index == index)) return child;
    }
    return NULL;
}

const char *child_programs(void) {
    static char directory[4096];
    static const char *const places[] = {"build", "../libexec/gatepost", "."};
    char own[2048];
    ssize_t n = readlink("/proc/self/exe", own, sizeof own - 1);
    if (directory[0] || n <= 0) return directory;
    while (n && own[n - 1] != '/') n--;
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        char probe[4200];
        struct buf b = buf_over(directory, sizeof directory - 1);
        buf_put(&b, own, (size_t)n);
        buf_put_text(&b, places[i]);
        directory[b.n] = 0;
        struct buf p = buf_over(probe, sizeof probe - 1);
        buf_put_format(&p, "%s/%s", directory, programs[ROLE_LISTENER]);
        if (access(probe, X_OK) == 0) return directory;
    }
    directory[0] = 0;
    return directory;
}

/* Listener and sessions, and the parents of agents with theirs. */
static bool meets_strangers(enum role role) {
    return role_listens(role) || role == ROLE_DELIVERY || role == ROLE_OUTBOUND || role == ROLE_RESOLVER ||
           role == ROLE_POLICY;
}

/* In the new process: descriptors 0 to 4 and nothing else, no signal blocked, no environment, away from the
 * terminal. */
_Noreturn static void become(const struct child *child, const char *program, int control) {
    static char *nothing[] = {NULL};
    char *arguments[] = {(char *)(uintptr_t)program, NULL};
    const struct family *family = child->family;
    char **environment = nothing;
    sigset_t none;
    int null = open("/dev/null", O_RDWR); /* stays open where it is one of 0 to 2 already */
    int log = meets_strangers(child->role) ? family->crowd_fds[1] : family->log_fds[1];
    int control_copy = fcntl(control, F_DUPFD, 64), log_copy = fcntl(log, F_DUPFD, 64);
    int error_copy = fcntl(2, F_DUPFD, 64);
    bool keeps_error = child->role == ROLE_LOG;
#ifdef GATEPOST_SANITIZED
    keeps_error = true;
    environment = environ;
#endif
    sigemptyset(&none);
    if (null < 0 || control_copy < 0 || log_copy < 0) _exit(126);
    if (dup2(null, 0) < 0 || dup2(null, 1) < 0 || dup2(keeps_error && error_copy >= 0 ? error_copy : null, 2) < 0 ||
        dup2(control_copy, ROLE_CONTROL_FD) < 0 || dup2(log_copy, LOG_FD) < 0)
        _exit(126);
    if (close_range(5, ~0U, 0) != 0) /* before Linux 5.9 */
        for (int fd = 5, end = (int)sysconf(_SC_OPEN_MAX); fd < end; fd++) close(fd);
    setsid();
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_IGN);
    umask(0077);
    execve(program, arguments, environment);
    _exit(127);
}

void child_tell(struct child *child, enum frame_type type, struct span body, int passed) {
    if (child->pid == 0 || frame_send_fd(child->watch.fd, (uint16_t)type, body, passed) == 0) return;
    if (errno == EPIPE) return; /* it has left, and will be waited for */
    log_fault("telling a child", errno);
    kill(child->pid, SIGKILL);
}

static void tell_link(struct child *child, enum frame_type type, uint8_t kind, uint8_t index, int fd) {
    uint8_t body[2] = {kind, index};
    child_tell(child, type, span_of(body, sizeof body), fd);
}

/* Opens a file for the role and hands it over. */
static void tell_file(struct child *child, enum role_descriptor kind, uint8_t index, const char *path) {
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0) {
        if (path) log_fault(path, errno);
        return;
    }
    tell_link(child, MASTER_DESCRIPTOR, (uint8_t)kind, index, fd);
    close(fd);
}

/* The listening sockets that are this listener's, in the order of its setup (setup.c). */
static void tell_sockets(struct child *child) {
    const struct family *family = child->family;
    uint8_t index = 0;
    for (size_t i = 0; family->sockets && i < family->sockets->n; i++)
        if (family->sockets->roles[i] == child->role)
            tell_link(child, MASTER_DESCRIPTOR, DESCRIPTOR_SOCKET, index++, family->sockets->fds[i]);
}

/* What all sessions share that play faults; in other builds there is none. */
static void tell_faults(struct child *child) {
    if (child->family->faults >= 0) tell_link(child, MASTER_DESCRIPTOR, DESCRIPTOR_FAULTS, 0, child->family->faults);
}

/* What a role keeps for its life, and would lose if it came a second time: a new one closes the one before. */
static void tell_lasting_descriptors(struct child *child) {
    const struct family *family = child->family;
    bool oneshot = family->facts.judge || family->facts.zone;
    for (unsigned i = 0; i < 2; i++) {
        int fd = directories_open(family->conf, child->role, i);
        /* The empty one is made with the first start; who answers one question has no right in any other. */
        if (fd < 0 && i == 0 && oneshot) fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0) continue;
        tell_link(child, MASTER_DESCRIPTOR, DESCRIPTOR_DIRECTORY, (uint8_t)i, fd);
        close(fd);
    }
    switch (child->role) {
    case ROLE_LISTENER:
        tell_sockets(child);
        tell_faults(child);
        if (family->submit >= 0) tell_link(child, MASTER_DESCRIPTOR, DESCRIPTOR_SUBMIT, 0, family->submit);
        break;
    case ROLE_POP3:
        tell_sockets(child);
        tell_faults(child);
        break;
    case ROLE_AUTH:
        if (family->auth_control >= 0)
            tell_link(child, MASTER_DESCRIPTOR, DESCRIPTOR_CONTROL, 0, family->auth_control);
        if (family->login >= 0) tell_link(child, MASTER_DESCRIPTOR, DESCRIPTOR_LOGIN, 0, family->login);
        break;
    case ROLE_POLICY:
        for (size_t i = 0; i < family->policy.n; i++)
            tell_link(child, MASTER_DESCRIPTOR, DESCRIPTOR_SOCKET, (uint8_t)i, family->policy.fds[i]);
        break;
    case ROLE_QUEUE:
        if (family->queue_control >= 0)
            tell_link(child, MASTER_DESCRIPTOR, DESCRIPTOR_CONTROL, 0, family->queue_control);
        break;
    case ROLE_LOG:
        tell_link(child, MASTER_CHANNEL, ROLE_LOG, 0, family->log_fds[0]);
        tell_link(child, MASTER_CHANNEL, ROLE_LOG, 1, family->crowd_fds[0]);
        break;
    default:
        break;
    }
}

/* What is read again at each setup. */
static void tell_files(struct child *child) {
    const struct conf *conf = child->family->conf;
    const struct material *material = child->family->facts.material;
    switch (child->role) {
    case ROLE_KEYS:
        for (size_t i = 0; i < material->n; i++) {
            tell_link(child, MASTER_DESCRIPTOR, DESCRIPTOR_KEY, (uint8_t)i, material->pairs[i].key);
            if (child->family->facts.judge)
                tell_link(child, MASTER_DESCRIPTOR, DESCRIPTOR_CERTIFICATE, (uint8_t)i,
                          material->pairs[i].certificate);
        }
        break;
    case ROLE_OUTBOUND:
        if (conf->delivery.foreign == CONF_FOREIGN_SMARTHOST &&
            conf->delivery.smarthost.tls != CONF_SMARTHOST_TLS_NONE)
            tell_file(child, DESCRIPTOR_CA, 0, conf->delivery.smarthost.ca_file);
        break;
    case ROLE_RESOLVER:
        tell_file(child, DESCRIPTOR_RESOLV, 0, conf->delivery.resolv_file);
        tell_file(child, DESCRIPTOR_HOSTS, 0, "/etc/hosts");
        break;
    default:
        break;
    }
}

/* A new keys process first gets what is in service: there may be nothing but broken files behind it. */
static const struct material *material_for(const struct child *child) {
    const struct family *family = child->family;
    bool in_service = child->role == ROLE_KEYS && !child->begun && family->good.generation;
    return family->fresh.generation && !in_service ? &family->fresh : &family->good;
}

int child_setup(struct child *child) {
    child->family->facts.material = material_for(child);
    int fd = setup_make(child->family->conf, &child->family->facts, child->role);
    if (fd < 0) return -1;
    tell_files(child);
    child_tell(child, MASTER_SETUP, (struct span){0}, fd);
    child->generation = child->family->facts.material->generation;
    close(fd);
    return 0;
}

/* One frame of the child's; the loop calls again while there are more. */
static void hear(void *context, uint32_t events) {
    static uint8_t storage[FRAME_MAX];
    struct child *child = context;
    struct frame frame;
    (void)events;
    enum frame_status status = frame_receive(child->watch.fd, storage, false, &frame);
    if (status == FRAME_RECEIVED) {
        child->family->heard(child, &frame);
    } else if (status != FRAME_NONE) {
        loop_remove(child->family->loop, &child->watch); /* its end is known when it is waited for */
        kill(child->pid, SIGKILL); /* nothing to one that is leaving; the end of one that only closed its channel */
    }
}

/* A new log writer knows nobody. Auth names the sessions, behind its own name. */
static void name_all_in_log(struct family *family) {
    for (size_t i = 0; i < CHILDREN_MAX; i++)
        if (family->children[i].pid) log_role((uint32_t)family->children[i].pid, family->children[i].role);
    struct child *auth = child_find(family, ROLE_AUTH, 0);
    if (auth) child_tell(auth, MASTER_LOG_NEW, (struct span){0}, -1);
}

int child_spawn(struct child *child) {
    char program[4300];
    int pair[2];
    struct buf path = buf_over(program, sizeof program - 1);
    buf_put_format(&path, "%s/%s", child_programs(), programs[child->role]);
    if (frame_pair(pair, true) != 0) {
        log_fault("making a channel", errno);
        return -1;
    }
    child->pid = fork();
    if (child->pid == 0) become(child, program, pair[1]);
    close(pair[1]);
    if (child->pid < 0) {
        log_fault("starting a process", errno);
        child->pid = 0;
        close(pair[0]);
        return -1;
    }
    child->watch = (struct loop_watch){pair[0], hear, child};
    child->started_wall_ms = clock_wall_ms();
    child->ready = child->said_ready = child->begun = false;
    child->n_certificates = 0;
    if (child->role == ROLE_LOG)
        name_all_in_log(child->family);
    else
        log_role((uint32_t)child->pid, child->role);
    if (child->family->loop && loop_add(child->family->loop, &child->watch, EPOLLIN) != 0) abort();
    tell_lasting_descriptors(child);
    if (child_setup(child) == 0) return 0;
    kill(child->pid, SIGKILL);
    return -1;
}

static void join(struct child *a, struct child *b) {
    int pair[2];
    if (frame_pair(pair, true) != 0) {
        log_fault("making a channel", errno);
        return;
    }
    tell_link(a, MASTER_CHANNEL, (uint8_t)b->role, b->index, pair[0]);
    tell_link(b, MASTER_CHANNEL, (uint8_t)a->role, a->index, pair[1]);
    close(pair[0]);
    close(pair[1]);
}

void child_link(struct child *child) {
    for (size_t i = 0; i < sizeof links / sizeof *links; i++) {
        if (links[i].a != child->role && links[i].b != child->role) continue;
        enum role other = links[i].a == child->role ? links[i].b : links[i].a;
        for (size_t j = 0; j < CHILDREN_MAX; j++) {
            struct child *peer = &child->family->children[j];
            if (peer->role == other && peer->pid && !peer->draining) join(child, peer);
        }
    }
}

void child_begin(struct child *child) {
    const struct family *family = child->family;
    child_tell(child, MASTER_START, (struct span){0}, -1);
    child->begun = true;
    if (child->role != ROLE_KEYS || !family->good.generation || !family->fresh.generation) return;
    if (child_setup(child) != 0) kill(child->pid, SIGKILL);
}

void child_gone(struct child *child) {
    if (child->watch.fd >= 0) {
        if (child->family->loop) loop_remove(child->family->loop, &child->watch);
        close(child->watch.fd);
    }
    child->watch.fd = -1;
    if (child->pid) log_role((uint32_t)child->pid, ROLE_NONE); /* its pid may become anybody's */
    if (child->role == ROLE_KEYS) child->family->n_keys = child->family->keys_generation = 0;
    child->pid = 0;
    child->ready = child->said_ready = false;
    child->busy = 0;
}
