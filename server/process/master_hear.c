/* master_hear.c - what children say, and whether a listener's certificates are any good.
 * Runs in: master. Trusts: its children for what they say of themselves, nothing else. Never: lets a listener serve
 * whose certificates it has not held against the keys. */
#include "server/process/dial.h"
#include "server/process/master_state.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <unistd.h>

static void served(struct child *child) {
    child->ready = true;
    if (role_listens(child->role)) family_serve(&master.family, child);
    if (master.phase == PHASE_STARTING && family_ready(&master.family)) master_ready();
}

static void say_broken(const struct material *material, size_t wrong) {
    uint8_t text[LOG_VALUE_MAX];
    struct buf b = BUF_OVER(text);
    buf_put_format(&b, "the certificate %s and its key do not belong together, or the key cannot be used",
                   wrong < material->n ? material->pairs[wrong].file : "");
    struct log_line line;
    log_open(&line, master.phase == PHASE_STARTING ? LOG_FAULT : LOG_RELOAD_FAILED);
    log_span(&line, KEY_WHAT, buf_span(&b));
    log_send(&line);
    if (master.phase == PHASE_STARTING) fprintf(stderr, "gatepost: %.*s\n", (int)b.n, (const char *)text);
}

static void send_away(struct child *listener) {
    listener->draining = listener->removed = true;
    child_tell(listener, MASTER_DRAIN, (struct span){0}, -1);
}

/* A certificate's key is not held. New certificates are given up, and a listener with those before takes the rest of
 * the new configuration; where there are none before it, the server does not start. */
static void broken_pair(struct child *listener, size_t wrong) {
    say_broken(family_material(&master.family, listener), wrong);
    if (master.phase == PHASE_STARTING) {
        master.exit_status = 1;
        master_stop("a certificate without its key");
    } else if (family_refuse_material(&master.family, listener)) {
        send_away(listener);
        family_want_listeners(&master.family);
    } else if (family_other_listener(&master.family, listener)) {
        send_away(listener);
    } else {
        served(listener); /* what needs no TLS */
    }
}

static void listener_ready(struct child *listener) {
    size_t wrong;
    if (!listener->said_ready || listener->ready || listener->draining) return;
    switch (family_pairs(listener, &wrong)) {
    case FAMILY_PAIRS_UNKNOWN:
        return; /* until the keys process has said */
    case FAMILY_PAIRS_WHOLE:
        served(listener);
        return;
    case FAMILY_PAIRS_BROKEN:
        broken_pair(listener, wrong);
        return;
    }
}

/* New keys: listeners that waited for them may serve. */
static void keys_heard(void) {
    for (size_t i = 0; i < CHILDREN_MAX; i++) {
        struct child *listener = &master.family.children[i];
        if (role_listens(listener->role) && listener->pid && !listener->draining) listener_ready(listener);
    }
}

static void child_ready(struct child *child, uint32_t missing) {
    child->said_ready = true;
    child->missing = missing;
    if (missing & (MISSING_LANDLOCK | MISSING_SECCOMP)) {
        struct log_line line;
        log_open(&line, LOG_HARDENING_MISSING);
        log_text(&line, KEY_PROCESS, role_name(child->role));
        log_text(&line, KEY_WHAT,
                 missing & MISSING_SECCOMP ? "no filter for system calls"
                                           : "no Landlock, or one that forbids to rename (before Linux 5.19)");
        log_send(&line);
    }
    if (role_listens(child->role))
        listener_ready(child);
    else
        served(child);
}

static void bad_frame(const struct child *child) {
    master_say(LOG_BAD_FRAME, role_name(child->role));
    kill(child->pid, SIGKILL);
}

/* Outbound wants to be connected to a Unix socket, which it has no path to. */
static void dial(struct child *child, struct wire *w) {
    uint8_t storage[8];
    struct buf b = BUF_OVER(storage);
    uint32_t request = wire_get_u32(w);
    struct span path = wire_get_span(w, PATH_MAX);
    if (child->role != ROLE_OUTBOUND || !wire_end(w)) {
        bad_frame(child);
        return;
    }
    int fd = dial_local(master.family.conf, path);
    wire_put_u32(&b, request);
    wire_put_u32(&b, fd < 0 ? (uint32_t)errno : 0);
    child_tell(child, MASTER_DIALED, buf_span(&b), fd);
    if (fd >= 0) close(fd);
}

void master_hear(struct child *child, const struct frame *frame) {
    struct wire w = wire_over(frame->body);
    switch (frame->type) {
    case CHILD_READY: {
        uint32_t missing = wire_get_u32(&w);
        if (!wire_end(&w) || child->said_ready)
            bad_frame(child);
        else if (!child->draining)
            child_ready(child, missing);
        return;
    }
    case CHILD_RENEW:
        if (!child->draining && role_listens(child->role) && master.phase == PHASE_SERVING)
            family_want_listener(&master.family, child->role);
        return;
    case CHILD_STATUS:
        child->busy = wire_get_u32(&w);
        child->accepted = wire_get_u64(&w);
        child->crashed = wire_get_u64(&w);
        if (!wire_end(&w)) bad_frame(child);
        return;
    case CHILD_KEYS:
        if (family_hear_keys(child, frame->body) != 0)
            bad_frame(child);
        else
            keys_heard();
        return;
    case CHILD_CERTIFICATES:
        if (family_hear_certificates(child, frame->body) != 0) bad_frame(child);
        return;
    case CHILD_DIAL:
        dial(child, &w);
        return;
    default:
        bad_frame(child);
    }
}
