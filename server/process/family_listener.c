/* family_listener.c - listeners, which are replaced while they serve: one for SMTP, one for POP3 where the
 * configuration has it.
 * Runs in: master. Trusts: its own tables. Never: leaves a role without a listener because a new one fails. */
#include "server/process/family.h"

#include "store/clock.h"
#include "store/log.h"

#include <signal.h>

enum { LISTENER_INDEXES = 60, LISTENERS_MAX = 50, LISTENER_AGAIN_MS = 10000 };

bool family_wants_pop3(const struct conf *conf) {
    for (size_t i = 0; i < conf->n_listeners; i++)
        if (conf_listener_is_pop3(conf->listeners[i].role)) return true;
    return false;
}

static struct family_plan *plan_of(struct family *family, enum role role) {
    return &family->plans[role == ROLE_POP3];
}

/* Of no listener of that role that runs: auth would take the new channel for the other's. There are fewer listeners
 * than numbers. */
uint8_t family_listener_index(struct family *family, enum role role) {
    for (;;) {
        uint8_t index = family->next_listener;
        bool used = false;
        family->next_listener = (uint8_t)((index + 1) % LISTENER_INDEXES);
        for (size_t i = 0; i < CHILDREN_MAX; i++) {
            const struct child *child = &family->children[i];
            if (child->role == role && child->pid && child->index == index) used = true;
        }
        if (!used) return index;
    }
}

bool family_other_listener(struct family *family, const struct child *but) {
    for (size_t i = 0; i < CHILDREN_MAX; i++) {
        const struct child *child = &family->children[i];
        if (child->role == but->role && child != but && child->ready && !child->draining) return true;
    }
    return false;
}

void family_want_listener(struct family *family, enum role role) {
    struct family_plan *plan = plan_of(family, role);
    plan->wanted = true;
    plan->at_ms = clock_ms();
}

void family_want_listeners(struct family *family) {
    family_want_listener(family, ROLE_LISTENER);
    plan_of(family, ROLE_POP3)->wanted = false;
    if (family_wants_pop3(family->conf)) family_want_listener(family, ROLE_POP3);
}

void family_listener_had(struct family *family, enum role role) {
    struct family_plan *plan = plan_of(family, role);
    plan->wanted = plan->late = false;
}

/* Who serves goes on meanwhile. */
static void no_listener(struct family_plan *plan, const char *why) {
    if (plan->late) return;
    plan->late = true;
    struct log_line line;
    log_open(&line, LOG_FAULT);
    log_text(&line, KEY_WHAT, "a new listener cannot be started yet");
    log_text(&line, KEY_WHY, why);
    log_send(&line);
}

static void start_listener(struct family *family, enum role role) {
    size_t n = 0;
    struct family_plan *plan = plan_of(family, role);
    plan->at_ms = clock_ms() + LISTENER_AGAIN_MS; /* until one serves */
    for (size_t i = 0; i < CHILDREN_MAX; i++) {
        const struct child *child = &family->children[i];
        if (child->role != role) continue;
        if (!child->ready && !child->draining) return; /* one successor at a time */
        n++;
    }
    struct child *child = n < LISTENERS_MAX ? child_add(family, role, family_listener_index(family, role)) : NULL;
    if (!child) {
        no_listener(plan, "too many that were replaced still have sessions");
        return;
    }
    if (child_spawn(child) != 0) {
        if (child->pid == 0) child->role = ROLE_NONE;
        no_listener(plan, "the process could not be made");
        return; /* where there is one, it was killed, and will be waited for */
    }
    child_link(child);
    child_begin(child);
}

uint64_t family_listeners_next(const struct family *family) {
    uint64_t next = UINT64_MAX;
    for (size_t i = 0; i < FAMILY_PLANS; i++)
        if (family->plans[i].wanted && family->plans[i].at_ms < next) next = family->plans[i].at_ms;
    return next;
}

void family_listeners_due(struct family *family) {
    static const enum role roles[FAMILY_PLANS] = {ROLE_LISTENER, ROLE_POP3};
    uint64_t now = clock_ms();
    for (size_t i = 0; i < FAMILY_PLANS; i++)
        if (family->plans[i].wanted && family->plans[i].at_ms <= now) start_listener(family, roles[i]);
}

void family_retire_listeners(struct family *family, enum role role, const struct child *but) {
    for (size_t i = 0; i < CHILDREN_MAX; i++) {
        struct child *child = &family->children[i];
        if (child->role != role || child == but || child->draining) continue;
        child->draining = child->removed = true;
        child_tell(child, MASTER_DRAIN, (struct span){0}, -1);
        if (child->pid == 0) child->role = ROLE_NONE;
    }
}

void family_drop_unready_listeners(struct family *family) {
    for (size_t i = 0; i < CHILDREN_MAX; i++) {
        struct child *child = &family->children[i];
        if (!role_listens(child->role) || !child->pid || child->ready || child->draining) continue;
        child->draining = child->removed = true;
        kill(child->pid, SIGKILL);
    }
}
