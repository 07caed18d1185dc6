/* family.c - starting, restarting and renewing the children.
 * Runs in: master. Trusts: its own tables. Never: starts a second process of a role that must be alone. */
#include "server/process/family.h"

#include "server/process/directories.h"
#include "store/clock.h"
#include "store/endpoint.h"
#include "store/log.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

enum { LOG_BUFFER_BYTES = 4 << 20, RESTART_PAUSE_MS = 1000, DEATHS_WINDOW_MS = 1000 };

int family_check_users(const struct conf *conf, FILE *errors) {
    static const enum role roles[] = {ROLE_LISTENER, ROLE_AUTH,     ROLE_VERIFIER, ROLE_KEYS,   ROLE_QUEUE,
                                      ROLE_DELIVERY, ROLE_RESOLVER, ROLE_LOG,      ROLE_POLICY, ROLE_POP3};
    int result = 0;
    for (size_t i = 0; i < sizeof roles / sizeof *roles; i++) {
        uint32_t uid, gid;
        const char *name;
        if (roles[i] == ROLE_POLICY && !conf->hooks.n_policy) continue;
        if (roles[i] == ROLE_POP3 && !family_wants_pop3(conf)) continue;
        if (setup_user(conf, roles[i], &uid, &gid, &name) == 0) continue;
        fprintf(
            errors,
            "gatepost: there is no user \"%s\" for the %s process; as root, this makes it:\n"
            "  useradd --system --user-group --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin %s\n",
            name, role_name(roles[i]), name);
        result = -1;
    }
    if (result != 0) fprintf(errors, "gatepost: `make install` makes all of them\n");
    return result;
}

static int open_log_pair(int fds_out[2]) {
    int size = LOG_BUFFER_BYTES, one = 1;
    if (frame_pair(fds_out, true) != 0) return -1;
    if (setsockopt(fds_out[0], SOL_SOCKET, SO_PASSCRED, &one, sizeof one) != 0) return -1;
    /* A larger buffer is a help, not a need. */
    if (setsockopt(fds_out[1], SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size) == 0) return 0;
    return setsockopt(fds_out[1], SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
}

static int open_log(struct family *family) {
    if (open_log_pair(family->log_fds) != 0 || open_log_pair(family->crowd_fds) != 0) return -1;
    log_use(family->log_fds[1]);
    return 0;
}

static int open_hooks(struct family *family, const struct conf *conf) {
    if (sockets_policy(&family->policy, conf, stderr) != 0) return -1;
    if (!conf->hooks.users.n) return 0;
    family->login = sockets_login(conf->run_directory, conf->hooks.group, stderr);
    return family->login < 0 ? -1 : 0;
}

int family_open(struct family *family, const struct conf *conf, const struct sockets *sockets, struct loop *loop,
                void (*heard)(struct child *, const struct frame *)) {
    family->conf = conf, family->sockets = sockets, family->loop = loop, family->heard = heard;
    family->auth_control = family->queue_control = family->submit = family->login = family->faults = -1;
    if (getrandom(&family->facts.verifier_keys, sizeof(struct verifier_keys), 0) != sizeof(struct verifier_keys))
        return -1;
    if (open_log(family) != 0) {
        fprintf(stderr, "gatepost: cannot make the log's socket: %s\n", strerrordesc_np(errno));
        return -1;
    }
    if (!sockets) return 0;
    family->auth_control = sockets_control(conf->run_directory, "auth.sock");
    family->queue_control = sockets_control(conf->run_directory, "queue.sock");
    if (conf->local.submit) family->submit = sockets_submit(conf->run_directory);
    bool submits = family->submit >= 0 || !conf->local.submit;
    if (family->auth_control >= 0 && family->queue_control >= 0 && submits) return open_hooks(family, conf);
    fprintf(stderr, "gatepost: cannot make a socket in %s: %s\n", conf->run_directory, strerrordesc_np(errno));
    return -1;
}

void family_close(struct family *family) {
    for (int i = 0; i < 2; i++) close(family->log_fds[i]), close(family->crowd_fds[i]);
    if (family->auth_control >= 0) close(family->auth_control);
    if (family->queue_control >= 0) close(family->queue_control);
    if (family->submit >= 0) close(family->submit);
    if (family->login >= 0) close(family->login);
    if (family->faults >= 0) close(family->faults);
    sockets_close(&family->policy);
    material_close(&family->good);
    material_close(&family->fresh);
    explicit_bzero(&family->facts, sizeof family->facts);
}

static int start_one(struct family *family, enum role role, uint8_t index) {
    struct child *child = child_add(family, role, index);
    if (!child || child_spawn(child) != 0) return -1;
    child_link(child);
    return 0;
}

/* What LMTP servers need: bits. */
enum { WANTS_OUTBOUND = 1, WANTS_RESOLVER = 2 };
static unsigned wants_for(const char *delivery) {
    struct endpoint endpoint;
    if (!endpoint_parse(&endpoint, conf_delivery_server(delivery))) return 0;
    return WANTS_OUTBOUND | (endpoint.path.n || endpoint.literal ? 0U : (unsigned)WANTS_RESOLVER);
}

static unsigned wants(const struct conf *conf) {
    struct netaddr address;
    unsigned found = wants_for(conf->delivery.local);
    for (size_t i = 0; i < conf->n_local_domains; i++) found |= wants_for(conf->local_domains[i].delivery);
    if (conf->delivery.foreign != CONF_FOREIGN_SMARTHOST) return found;
    if (!netaddr_parse(&address, span_text(conf->delivery.smarthost.host))) found |= WANTS_RESOLVER;
    return found | WANTS_OUTBOUND;
}

static bool wants_outbound(const struct conf *conf) {
    return wants(conf) & WANTS_OUTBOUND;
}

static bool wants_resolver(const struct conf *conf) {
    return wants(conf) & WANTS_RESOLVER;
}

int family_start(struct family *family) {
    if (start_one(family, ROLE_LOG, 0) != 0) return -1;
    child_begin(child_find(family, ROLE_LOG, 0));
    if (start_one(family, ROLE_KEYS, 0) != 0) return -1;
    for (uint32_t i = 0; i < setup_verifiers(family->conf); i++)
        if (start_one(family, ROLE_VERIFIER, (uint8_t)i) != 0) return -1;
    if (start_one(family, ROLE_DELIVERY, 0) != 0) return -1;
    if (wants_resolver(family->conf) && start_one(family, ROLE_RESOLVER, 0) != 0) return -1;
    if (wants_outbound(family->conf) && start_one(family, ROLE_OUTBOUND, 0) != 0) return -1;
    if (start_one(family, ROLE_QUEUE, 0) != 0 || start_one(family, ROLE_AUTH, 0) != 0) return -1;
    if (family->policy.n && start_one(family, ROLE_POLICY, 0) != 0) return -1;
    if (start_one(family, ROLE_LISTENER, family_listener_index(family, ROLE_LISTENER)) != 0) return -1;
    if (family_wants_pop3(family->conf) &&
        start_one(family, ROLE_POP3, family_listener_index(family, ROLE_POP3)) != 0)
        return -1;
    for (size_t i = 0; i < CHILDREN_MAX; i++)
        if (family->children[i].pid && family->children[i].role != ROLE_LOG) child_begin(&family->children[i]);
    return 0;
}

bool family_ready(const struct family *family) {
    for (size_t i = 0; i < CHILDREN_MAX; i++)
        if (family->children[i].role != ROLE_NONE && !family->children[i].ready) return false;
    return true;
}

struct child *family_by_pid(struct family *family, pid_t pid) {
    for (size_t i = 0; i < CHILDREN_MAX; i++)
        if (family->children[i].pid == pid) return &family->children[i];
    return NULL;
}

void family_plan_restart(struct child *child) {
    uint64_t now = clock_ms();
    bool often = child->deaths_ms[CHILD_DEATHS - 2] && now - child->deaths_ms[CHILD_DEATHS - 2] < DEATHS_WINDOW_MS;
    memmove(child->deaths_ms + 1, child->deaths_ms, (CHILD_DEATHS - 1) * sizeof *child->deaths_ms);
    child->deaths_ms[0] = now;
    child->restart_at_ms = often ? now + RESTART_PAUSE_MS : now;
}

uint64_t family_next_restart(const struct family *family) {
    uint64_t next = family_listeners_next(family);
    for (size_t i = 0; i < CHILDREN_MAX; i++) {
        const struct child *child = &family->children[i];
        if (child->role != ROLE_NONE && child->pid == 0 && child->restart_at_ms < next) next = child->restart_at_ms;
    }
    return next;
}

static void restart(struct child *child) {
    struct log_line line;
    if (role_listens(child->role)) child->index = family_listener_index(child->family, child->role);
    child->restarts++;
    if (child_spawn(child) != 0) {
        if (child->pid) return; /* killed, and will be waited for */
        family_plan_restart(child);
        child->restart_at_ms = clock_ms() + RESTART_PAUSE_MS;
        return;
    }
    child_link(child);
    child_begin(child);
    log_open(&line, LOG_CHILD_RESTARTED);
    log_text(&line, KEY_PROCESS, role_name(child->role));
    log_number(&line, KEY_PID, (uint64_t)child->pid);
    log_number(&line, KEY_COUNT, child->restarts);
    log_send(&line);
}

static int take_names(struct span body, uint8_t (*names_out)[KEY_NAME_BYTES], size_t max, size_t *n_out) {
    if (body.n % KEY_NAME_BYTES || body.n / KEY_NAME_BYTES > max) return -1;
    if (body.n) memcpy(names_out, body.p, body.n);
    *n_out = body.n / KEY_NAME_BYTES;
    return 0;
}

int family_hear_keys(struct child *child, struct span body) {
    struct family *family = child->family;
    struct wire w = wire_over(body);
    uint32_t generation = wire_get_u32(&w);
    if (child->role != ROLE_KEYS || w.bad || generation == 0 || generation > family->generation) return -1;
    for (family->n_keys = 0; w.rest.n && !w.bad && family->n_keys < FAMILY_KEYS_MAX; family->n_keys++) {
        family->keys[family->n_keys].generation = wire_get_u32(&w);
        wire_get_bytes(&w, family->keys[family->n_keys].name, KEY_NAME_BYTES);
    }
    if (!wire_end(&w)) return -1;
    family->keys_generation = generation;
    return 0;
}

int family_hear_certificates(struct child *child, struct span body) {
    if (!role_listens(child->role) || child->said_ready || child->n_certificates) return -1;
    return take_names(body, child->certificates, MATERIAL_MAX, &child->n_certificates);
}

/* A key of an earlier generation only will be forgotten when the listeners of that time have ended. */
static bool is_held(const struct family *family, const uint8_t name[KEY_NAME_BYTES], uint32_t generation) {
    for (size_t i = 0; i < family->n_keys; i++)
        if (family->keys[i].generation >= generation && memcmp(family->keys[i].name, name, KEY_NAME_BYTES) == 0)
            return true;
    return false;
}

enum family_pairs family_pairs(const struct child *listener, size_t *wrong_out) {
    const struct family *family = listener->family;
    for (*wrong_out = 0; *wrong_out < listener->n_certificates; ++*wrong_out) {
        if (family->keys_generation < listener->generation) return FAMILY_PAIRS_UNKNOWN;
        if (!is_held(family, listener->certificates[*wrong_out], listener->generation)) return FAMILY_PAIRS_BROKEN;
    }
    return FAMILY_PAIRS_WHOLE;
}

const struct material *family_material(const struct family *family, const struct child *listener) {
    return listener->generation == family->fresh.generation ? &family->fresh : &family->good;
}

void family_serve(struct family *family, struct child *listener) {
    family_listener_had(family, listener->role);
    if (family->fresh.generation && listener->generation == family->fresh.generation) {
        material_close(&family->good);
        family->good = family->fresh;
        family->fresh = (struct material){0};
    }
    child_tell(listener, MASTER_ACCEPT, (struct span){0}, -1);
    family_retire_listeners(family, listener->role, listener);
}

bool family_refuse_material(struct family *family, const struct child *listener) {
    bool is_fresh = family->fresh.generation && listener->generation == family->fresh.generation;
    if (!is_fresh || !family->good.generation) return false;
    material_close(&family->fresh);
    family_drop_unready_listeners(family);
    return true;
}

void family_restart_due(struct family *family) {
    uint64_t now = clock_ms();
    for (size_t i = 0; i < CHILDREN_MAX; i++) {
        struct child *child = &family->children[i];
        if (child->role != ROLE_NONE && child->pid == 0 && child->restart_at_ms <= now) restart(child);
    }
    family_listeners_due(family);
}

void family_forget(struct family *family, struct child *child) {
    uint32_t oldest = family->good.generation ? family->good.generation : family->generation;
    uint8_t storage[4];
    struct buf b = BUF_OVER(storage);
    bool was_listener = role_listens(child->role);
    child->role = ROLE_NONE;
    if (!was_listener) return;
    for (size_t i = 0; i < CHILDREN_MAX; i++)
        if (role_listens(family->children[i].role) && family->children[i].generation < oldest)
            oldest = family->children[i].generation;
    struct child *keys = child_find(family, ROLE_KEYS, 0);
    if (!keys || oldest == 0) return;
    wire_put_u32(&b, oldest - 1);
    child_tell(keys, MASTER_FORGET, buf_span(&b), -1);
}

void family_reconfigure(struct family *family, const struct conf *conf, const struct material *fresh) {
    family->conf = conf;
    material_close(&family->fresh);
    family->fresh = *fresh;
    for (size_t i = 0; i < CHILDREN_MAX; i++) {
        struct child *child = &family->children[i];
        if (child->role == ROLE_NONE || role_listens(child->role) || child->pid == 0) continue;
        if (child_setup(child) != 0) log_fault("handing out the new configuration", errno);
    }
    if (wants_resolver(conf) && !child_find(family, ROLE_RESOLVER, 0) && start_one(family, ROLE_RESOLVER, 0) == 0)
        child_begin(child_find(family, ROLE_RESOLVER, 0));
    if (wants_outbound(conf) && !child_find(family, ROLE_OUTBOUND, 0) && start_one(family, ROLE_OUTBOUND, 0) == 0)
        child_begin(child_find(family, ROLE_OUTBOUND, 0));
    family_drop_unready_listeners(family); /* they began with the configuration before */
    family_want_listeners(family);
    if (!family_wants_pop3(conf)) family_retire_listeners(family, ROLE_POP3, NULL);
}
