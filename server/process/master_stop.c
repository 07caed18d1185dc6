/* master_stop.c - the end in phases: listeners with their sessions, then all others, the log writer last.
 * Runs in: master. Trusts: its own tables. Never: waits for a child longer than the phase lasts. */
#include "server/process/master_state.h"

#include "server/process/notify.h"
#include "store/clock.h"

#include <signal.h>

/* A listener itself ends what is overdue, and is to have the time to. */
enum { LISTENERS_GRACE_MS = 3000, OTHERS_END_MS = 15000, LOG_ENDS_MS = 5000 };

void master_to_phase(enum phase phase, uint64_t limit_ms) {
    master.phase = phase;
    master.deadline_ms = limit_ms == UINT64_MAX ? UINT64_MAX : clock_ms() + limit_ms;
}

static void kill_children(bool (*which)(const struct child *)) {
    for (size_t i = 0; i < CHILDREN_MAX; i++) {
        struct child *child = &master.family.children[i];
        if (child->pid && which(child)) kill(child->pid, SIGKILL);
    }
}

static bool is_listener(const struct child *child) {
    return role_listens(child->role);
}
static bool is_other(const struct child *child) {
    return !role_listens(child->role) && child->role != ROLE_LOG;
}
static bool is_any(const struct child *child) {
    return child->role != ROLE_NONE;
}
static bool is_log(const struct child *child) {
    return child->role == ROLE_LOG;
}

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
void master_advance(void) {
    if (master.phase == PHASE_LISTENERS_END && count(is_listener) == 0) {
        drain_children(is_other);
        master_to_phase(PHASE_OTHERS_END, OTHERS_END_MS);
    }
    if (master.phase == PHASE_OTHERS_END && count(is_other) == 0) {
        master_say(LOG_STOPPED, NULL);
        struct child *log = child_find(&master.family, ROLE_LOG, 0);
        if (log) log->removed = true;
        if (frame_send_plain(master.family.log_fds[1], LOG_FLUSH, (struct span){0}) != 0) kill_children(is_log);
        master_to_phase(PHASE_LOG_ENDS, LOG_ENDS_MS);
    }
    if (master.phase == PHASE_LOG_ENDS && count(is_any) == 0) master_to_phase(PHASE_OVER, UINT64_MAX);
}

void master_stop(const char *why) {
    if (master.phase >= PHASE_LISTENERS_END) return;
    master_say(LOG_STOPPING, why);
    notify_send("STOPPING=1");
    drain_children(is_listener); /* no new connections */
    drain_children(is_listener); /* said twice: and what runs ends within the limit */
    master_to_phase(PHASE_LISTENERS_END, master.conf->timeouts.shutdown_ms + LISTENERS_GRACE_MS);
    master_advance();
}

/* The phase took too long: what still runs is killed. */
void master_overdue(void) {
    if (master.deadline_ms == UINT64_MAX || clock_ms() < master.deadline_ms) return;
    switch (master.phase) {
    case PHASE_STARTING:
        master.exit_status = 1, master_stop("the start took too long");
        return;
    case PHASE_LISTENERS_END:
        kill_children(is_listener);
        break;
    case PHASE_OTHERS_END:
        kill_children(is_other);
        break;
    case PHASE_LOG_ENDS:
        kill_children(is_any);
        break;
    default:
        break;
    }
    if (master.phase != PHASE_OVER) master.deadline_ms = clock_ms() + 1000;
}
