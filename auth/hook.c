/* hook.c - logins at other servers of this host.
 * Runs in: auth. Trusts: the kernel for a peer's uid, and the users that the owner lists for the name and address
 * that they report. Never: waits on a peer, believes a report of failure in anything that would help somebody. */
#include "auth/hook.h"

#include "auth/auth.h"
#include "auth/guessing.h"
#include "auth/identity.h"
#include "store/clock.h"
#include "store/log.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    RECORD_MS = 1000, /* for the record, which is sent right after connecting */
    SAY_MS = 1000,
    SAY_MOST = 10,
    SERVICE_MAX = POLICY_SERVICE_MAX,
    USER_MAX = SESSION_USER_MAX
};

/* ---- what is logged of who is turned away: any user of this host can have it written, so not without end */

static void say_refused(struct hook *hook, uint32_t uid, const char *why) {
    uint64_t now = clock_ms();
    struct log_line line;
    if (now - hook->said_ms >= SAY_MS) hook->said_ms = now, hook->said = 0;
    if (hook->said == SAY_MOST) {
        hook->unsaid++;
        return;
    }
    log_open(&line, LOG_REPORT_REFUSED);
    log_number(&line, KEY_UID, uid);
    log_text(&line, KEY_WHY, why);
    if (hook->unsaid) log_number(&line, KEY_COUNT, hook->unsaid);
    log_send(&line);
    hook->said++, hook->unsaid = 0;
}

/* ---- one record */

struct record {
    struct span user, service;
    struct netaddr address;
};

/* Up to the next NUL, which is taken too. */
static bool take_text(struct span *rest, size_t most, struct span *out) {
    size_t n = span_find(*rest, 0);
    if (n == rest->n || n > most) return false;
    *out = span_part(*rest, 0, n);
    *rest = span_from(*rest, n + 1);
    return true;
}

static bool is_word(struct span s) {
    for (size_t i = 0; i < s.n; i++) {
        uint8_t c = octet_lower(s.p[i]);
        if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '-' && c != '_') return false;
    }
    return s.n > 0;
}

static const char *read_record(struct span packet, struct record *out) {
    struct span rest = packet, head, address;
    if (packet.n > HOOK_RECORD_MAX || !take_text(&rest, HOOK_RECORD_MAX, &head) ||
        !span_equal(head, SPAN("gatepost-login 1")) || !take_text(&rest, USER_MAX, &out->user) ||
        !take_text(&rest, NETADDR_TEXT_MAX, &address) || !take_text(&rest, SERVICE_MAX, &out->service) || rest.n ||
        out->user.n == 0 || !is_word(out->service))
        return "malformed report";
    return netaddr_parse(&out->address, address) ? NULL : "no address";
}

static void say_reported(const struct record *record, uint32_t uid) {
    char text[NETADDR_TEXT_MAX];
    struct log_line line;
    log_open(&line, LOG_LOGIN_REPORTED);
    log_span(&line, KEY_USER, record->user);
    log_text(&line, KEY_CLIENT, netaddr_text(&record->address, text));
    log_span(&line, KEY_SERVICE, record->service);
    log_number(&line, KEY_UID, uid);
    log_send(&line);
}

/* Why there is no grant; that is logged where it is found. NULL: there is one. */
static const char *grant_fault(enum grant_result result) {
    switch (result) {
    case GRANT_MADE:
    case GRANT_RENEWED:
        return NULL;
    case GRANT_OFF:
        return "grants are not enabled";
    case GRANT_ADDRESS_MEANINGLESS:
        return "the address does not say who it is";
    case GRANT_ADDRESS_SHARED:
        return "several users share the address";
    case GRANT_USER_REFUSED:
        return "the user may not send";
    case GRANT_UNDECIDED:
        break;
    }
    return "try again later";
}

/* Whose name it is. ACCOUNT_FOUND also for one who may not send: that is for the grant to say. */
static enum account_found find_user(const struct auth *auth, struct span name, int64_t *id_out) {
    struct identity who;
    enum account_found found = identity_find(&auth->house, name, CREDENTIAL_POP3, clock_wall_ms(), &who);
    *id_out = found == ACCOUNT_FOUND ? who.account.id : 0;
    identity_wipe(&who);
    return found;
}

/* NULL: granted; else why not. */
static const char *take_report(struct auth *auth, uint32_t uid, struct span packet) {
    struct record record;
    int64_t user_id;
    const char *fault = read_record(packet, &record);
    if (!fault) {
        say_reported(&record, uid);
        switch (find_user(auth, record.user, &user_id)) {
        case ACCOUNT_FOUND:
            return grant_fault(grant_login(&auth->grants, user_id, &record.address, GRANT_SOURCE_HOOK));
        case ACCOUNT_NONE:
            fault = "unknown user";
            break;
        case ACCOUNT_FAILED:
            return grant_fault(GRANT_UNDECIDED);
        }
    }
    say_refused(&auth->hook, uid, fault);
    return fault;
}

/* ---- peers */

static bool may_report(const struct auth *auth, uint32_t uid) {
    for (uint32_t i = 0; i < auth->setup.n_reporters; i++)
        if (auth->setup.reporters[i] == uid) return true;
    return false;
}

/* A report that lay here while this process was away may be of a login long ago: the reporter leaves after a moment.
 */
static bool waits(int fd) {
    uint8_t octet;
    return read(fd, &octet, 1) < 0 && errno == EAGAIN;
}

/* True: it has said what it had to say, or never will. */
static bool hear(struct auth *auth, uint32_t uid, int fd) {
    static uint8_t packet[HOOK_RECORD_MAX + 1];
    uint8_t storage[128];
    struct buf answer = BUF_OVER(storage);
    ssize_t n = read(fd, packet, sizeof packet);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return false;
    if (n <= 0) return true;
    if (!waits(fd)) {
        say_refused(&auth->hook, uid, "a report that nobody waits for any more");
        return true;
    }
    const char *fault = take_report(auth, uid, span_of(packet, (size_t)n));
    buf_put_format(&answer, fault ? "no %s" : "ok", fault);
    if (write(fd, answer.p, answer.n) < 0) return true; /* it has left just now */
    return true;
}

static void leave(struct hook_peer *peer) {
    loop_remove(&peer->auth->loop, &peer->watch);
    close(peer->watch.fd);
    peer->watch.fd = -1;
}

static void peer_ready(void *context, uint32_t events) {
    struct hook_peer *peer = context;
    (void)events;
    if (hear(peer->auth, peer->uid, peer->watch.fd)) leave(peer);
}

/* A free place; else that of who has been silent for longest. */
static struct hook_peer *place(struct hook *hook) {
    struct hook_peer *oldest = &hook->peers[0];
    for (size_t i = 0; i < HOOK_PEERS; i++) {
        if (hook->peers[i].watch.fd < 0) return &hook->peers[i];
        if (hook->peers[i].until_ms < oldest->until_ms) oldest = &hook->peers[i];
    }
    leave(oldest);
    return oldest;
}

static void await(struct auth *auth, uint32_t uid, int fd) {
    struct hook_peer *peer = place(&auth->hook);
    *peer = (struct hook_peer){auth, {fd, peer_ready, peer}, uid, clock_ms() + RECORD_MS};
    if (loop_add(&auth->loop, &peer->watch, EPOLLIN) == 0) return;
    peer->watch.fd = -1;
    close(fd);
}

/* One in each round of the loop, so that a crowd here keeps nobody else waiting. */
static void accept_peer(void *context, uint32_t events) {
    struct auth *auth = context;
    struct ucred other;
    socklen_t n = sizeof other;
    (void)events;
    int fd = accept4(auth->hook.watch.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0) return;
    bool known = getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &other, &n) == 0 && may_report(auth, other.uid);
    if (!known) say_refused(&auth->hook, other.uid, "not in hooks.users");
    if (known && !hear(auth, other.uid, fd))
        await(auth, other.uid, fd);
    else
        close(fd);
}

int hook_open(struct auth *auth, int fd) {
    struct hook *hook = &auth->hook;
    for (size_t i = 0; i < HOOK_PEERS; i++) hook->peers[i].watch.fd = -1;
    hook->watch = (struct loop_watch){fd, accept_peer, auth};
    return fd < 0 ? 0 : loop_add(&auth->loop, &hook->watch, EPOLLIN);
}

int hook_round(struct auth *auth) {
    uint64_t now = clock_ms();
    int wait_ms = -1;
    for (size_t i = 0; i < HOOK_PEERS; i++) {
        struct hook_peer *peer = &auth->hook.peers[i];
        if (peer->watch.fd < 0) continue;
        if (now >= peer->until_ms)
            leave(peer);
        else
            wait_ms = RECORD_MS;
    }
    return wait_ms;
}

/* ---- failures */

/* The same wrong password, tried again, costs less than another one: what stands for it is Dovecot's own hash of a
 * few bits, so it is told from other passwords and services by what is hashed with it. */
static uint64_t fingerprint_of(const struct auth *auth, struct span login, struct span hash) {
    uint8_t storage[sizeof "policy" + USER_MAX + POLICY_HASH_MAX + 8];
    struct buf b = BUF_OVER(storage);
    if (hash.n == 0) return 0;
    wire_put_text(&b, "policy");
    wire_put_span(&b, login);
    buf_put_span(&b, hash);
    return buf_ok(&b) ? throttle_account_key(auth->throttle, buf_span(&b)) : 0;
}

int hook_policy_frame(struct auth *auth, struct frame *frame) {
    char text[NETADDR_TEXT_MAX];
    struct throttle_attempt attempt = {0};
    struct log_line line;
    struct wire w = wire_over(frame->body);
    unsigned what = wire_get_u8(&w);
    wire_get_netaddr(&w, &attempt.client);
    struct span login = wire_get_span(&w, USER_MAX), hash = wire_get_span(&w, POLICY_HASH_MAX);
    struct span service = wire_get_span(&w, SERVICE_MAX);
    if (frame->type != POLICY_FAILURE || !wire_end(&w) || what >= POLICY_FAILURES) return -1;
    attempt.client.port = 0;
    attempt.account = login.n ? guessing_account(auth, login) : 0;
    attempt.fingerprint = fingerprint_of(auth, login, hash);
    if (login.n) (void)!find_user(auth, login, &attempt.user_id);
    throttle_failed(auth->throttle, &attempt,
                    what == POLICY_FAILURE_PASSWORD && login.n ? THROTTLE_FAILED_PASSWORD : THROTTLE_FAILED_UNCHECKED,
                    clock_ms());
    log_open(&line, LOG_FAILURE_REPORTED);
    log_span(&line, KEY_LOGIN, login);
    log_text(&line, KEY_CLIENT, netaddr_text(&attempt.client, text));
    log_span(&line, KEY_SERVICE, service);
    log_send(&line);
    return 0;
}
