/* peer.c - a session's channel: what may be said when.
 * Runs in: auth. Trusts: the kernel for who sent the announcement. Never: believes a second announcement, reads an
 * unannounced session, keeps a descriptor from one. */
#include "auth/peer.h"

#include "auth/from_field.h"
#include "auth/login.h"
#include "auth/mailbox.h"
#include "auth/transaction.h"
#include "store/clock.h"
#include "store/random.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    NAME_OCTETS = 10,
    LOGIN_GRACE_MS = 30000,
    REFUSALS_LOGGED = 2000, /* more than a session of ours is let have */
    OVERTIME_FRAMES = 16    /* of one that was told to leave */
};

bool peer_failed_too_often(const struct peer *peer) {
    uint32_t most = peer->auth->setup.failures_per_session;
    return most && peer->failures >= most;
}

bool peer_refusal_logged(struct peer *peer) {
    return ++peer->refusals <= REFUSALS_LOGGED;
}

bool peer_failed(struct peer *peer) {
    peer->failures++;
    return peer_failed_too_often(peer);
}

/* ---- answers */

bool peer_answer(struct peer *peer, enum frame_type type, struct span body, int passed) {
    return frame_send_fd(peer->watch.fd, (uint16_t)type, body, passed) == 0;
}

static void unpark(struct peer *peer) {
    if (peer->parked.passed >= 0) close(peer->parked.passed);
    free(peer->parked.body);
    peer->parked.waits = false;
    peer->parked.passed = -1;
    peer->parked.body = NULL;
}

bool peer_answer_after_queue(struct peer *peer, enum frame_type type, struct span body, int passed) {
    struct auth_link *queue = auth_find_link(peer->auth, ROLE_QUEUE, 0);
    if (!queue || frame_backlog_empty(&queue->backlog)) return peer_answer(peer, type, body, passed);
    peer->parked.type = (uint16_t)type;
    peer->parked.n = body.n;
    peer->parked.body = malloc(body.n);
    peer->parked.passed = passed < 0 ? -1 : fcntl(passed, F_DUPFD_CLOEXEC, 0);
    peer->parked.waits = true;
    if (!peer->parked.body || (passed >= 0 && peer->parked.passed < 0)) {
        unpark(peer);
        return false;
    }
    memcpy(peer->parked.body, body.p, body.n);
    return true;
}

void peer_unpark_all(struct auth *auth) {
    for (struct peer *peer = auth->peers, *next; peer; peer = next) {
        next = peer->next;
        if (!peer->parked.waits) continue;
        bool ok =
            peer_answer(peer, peer->parked.type, span_of(peer->parked.body, peer->parked.n), peer->parked.passed);
        unpark(peer);
        if (!ok) peer_drop(peer);
    }
}

/* ---- the announcement */

static bool draw_name(struct peer *peer) {
    static const char digits[] = "0123456789abcdefghjkmnpqrstvwxyz"; /* Crockford's base 32 */
    if (random_draw(peer->name, NAME_OCTETS) != 0) return false;
    for (size_t i = 0; i < NAME_OCTETS; i++) peer->name[i] = (uint8_t)digits[peer->name[i] & 31];
    peer->name_n = NAME_OCTETS;
    return true;
}

static void name_in_log(const struct peer *peer) {
    log_session((uint32_t)peer->pid, peer_name(peer), &peer->client.address);
}

void peer_name_all(const struct auth *auth) {
    for (const struct peer *peer = auth->peers; peer; peer = peer->next)
        if (peer->state != PEER_NEW) name_in_log(peer);
}

void peer_ended(const struct auth *auth, pid_t pid) {
    if (peer_pid_known(auth, pid)) return; /* whose name it is, or the pid's next owner's */
    log_session((uint32_t)pid, span_of(NULL, 0), &(struct netaddr){0});
}

/* What becomes of a plain foreign recipient as long as there is no login: a session then need not ask. */
static enum reason stranger_verdict(const struct peer *peer) {
    struct facts_sender sender;
    struct grant grants[GRANT_CANDIDATES];
    size_t n;
    if (grant_find(&peer->auth->grants, &peer->client.address, grants, &n) != ACCOUNT_FOUND || n)
        return REASON_NOT_DECIDED; /* it depends on the sender */
    if (peer->client.role != RELAY_ROLE_MX || peer->auth->no_space || !auth_find_link(peer->auth, ROLE_QUEUE, 0) ||
        facts_mail(&peer->auth->house, &peer->client, SPAN("<>"), &sender) != REASON_SENDER_ACCEPTED)
        return REASON_NOT_DECIDED;
    return facts_foreign(&peer->auth->house, &sender.facts);
}

static int welcome(struct peer *peer) {
    uint8_t storage[64 + ADDRESS_MAX];
    struct buf b = BUF_OVER(storage);
    struct log_line line;
    enum reason refusal = peer_count_judge(peer);
    if (refusal == REASON_COUNT && !peer_count_join(peer)) refusal = REASON_SERVER_BUSY;
    peer->state = refusal == REASON_COUNT ? PEER_IDLE : PEER_REFUSED;
    peer->refusal = refusal;
    peer->since_ms = clock_ms();
    name_in_log(peer);
    peer_log(&line, refusal == REASON_COUNT ? LOG_CONNECTED : LOG_CONNECTION_REFUSED, peer);
    if (peer_is_local(peer))
        log_number(&line, KEY_UID, peer->uid);
    else
        log_number(&line, KEY_PORT, peer->client.address.port);
    log_text(&line, KEY_ROLE, peer_role_word(peer->client.role));
    if (peer->client.system) log_span(&line, KEY_LOGIN, key_span(&peer->system.login));
    if (refusal != REASON_COUNT) log_text(&line, KEY_RULE, reason_reply(refusal)->name);
    log_send(&line);
    log_flush(); /* its own lines must find its name there */
    wire_put_u8(&b, (uint8_t)refusal);
    wire_put_span(&b, peer_name(peer));
    wire_put_span(&b, peer->client.system ? key_span(&peer->system.login) : span_of(NULL, 0));
    wire_put_u16(&b, (uint16_t)stranger_verdict(peer));
    wire_put_u8(&b, grant_helps(&peer->auth->grants, &peer->client.address));
    return peer_answer(peer, SESSION_WELCOME, buf_span(&b), -1) ? 0 : -1;
}

/* Who it is stands: it gets its name, and its welcome or not. */
static int begin(struct peer *peer) {
    if (!draw_name(peer)) {
        log_fault("getrandom", errno);
        return -1;
    }
    peer->number = ++peer->auth->sessions;
    return welcome(peer);
}

/* By a listed proxy's word, which the child has read. */
static int announce(void *context, struct frame *frame) {
    struct peer *peer = context;
    struct wire w = wire_over(frame->body);
    unsigned role = wire_get_u8(&w);
    wire_get_netaddr(&w, &peer->client.address);
    wire_get_netaddr(&w, &peer->here);
    unsigned proxied = wire_get_u8(&w);
    if (!wire_end(&w) || proxied > 1 || !peer_role_fits(peer->by, role)) return -1;
    if (frame->sender != peer->pid) return -1; /* somebody else holds the child's end */
    peer->client.role = (enum relay_role)role;
    return begin(peer);
}

/* ---- other frames */

static int want_keys(void *context, struct frame *frame) {
    struct peer *peer = context;
    struct auth_link *keys = auth_find_link(peer->auth, ROLE_KEYS, 0);
    int ends[2] = {-1, -1};
    if (frame->body.n || peer->keys_given) return -1;
    peer->keys_given = true;
    bool ok = keys && frame_pair(ends, true) == 0 && auth_tell(keys, KEYS_CLIENT, span_of(NULL, 0), ends[0]);
    uint8_t octet = ok;
    bool answered = peer_answer(peer, SESSION_CHANNEL, span_of(&octet, 1), ok ? ends[1] : -1);
    for (size_t i = 0; i < 2; i++)
        if (ends[i] >= 0) close(ends[i]);
    return answered ? 0 : -1;
}

/* RFC 3207 4.2: what was known before the handshake is forgotten. */
static int tls_begun(void *context, struct frame *frame) {
    struct peer *peer = context;
    struct wire w = wire_over(frame->body);
    struct span description = wire_get_span(&w, sizeof peer->tls);
    if (!wire_end(&w) || peer->tls_said) return -1;
    transaction_close(peer);
    peer->state = PEER_IDLE;
    peer->client.user_id = peer->client.credential_id = 0;
    peer->granted = false;
    grant_release(&peer->auth->grants, &peer->grant_hold);
    peer_count_login(peer);
    peer->exchange.login_n = 0;
    peer->tls_said = true;
    for (size_t i = 0; i < description.n; i++) {
        uint8_t c = description.p[i];
        bool good = (c >= '0' && c <= '9') || (octet_lower(c) >= 'a' && octet_lower(c) <= 'z') || c == '_' ||
                    c == '.' || c == '-' || c == ' ';
        peer->tls[peer->tls_n++] = good ? c : '?';
    }
    return 0;
}

static int reset(void *context, struct frame *frame) {
    struct peer *peer = context;
    if (frame->body.n) return -1;
    transaction_close(peer);
    peer->state = PEER_IDLE;
    return 0;
}

static int failure(void *context, struct frame *frame) {
    struct peer *peer = context;
    struct wire w = wire_over(frame->body);
    unsigned what = wire_get_u8(&w);
    if (!wire_end(&w) || what >= SESSION_FAILURE_COUNT) return -1;
    if (what == SESSION_FAILURE_LOGIN) login_failed_before(peer);
    (void)peer_failed(peer);
    return 0;
}

static int mail(void *context, struct frame *frame) {
    return transaction_mail(context, frame);
}
static int rcpt(void *context, struct frame *frame) {
    return transaction_rcpt(context, frame);
}
static int from_addresses(void *context, struct frame *frame) {
    return from_field(context, frame);
}
static int auth_begin(void *context, struct frame *frame) {
    return login_start(context, frame);
}
static int auth_go_on(void *context, struct frame *frame) {
    return login_next(context, frame);
}

static int mailbox(void *context, struct frame *frame) {
    return mailbox_wanted(context, frame);
}

static const struct frame_row rows[] = {
    {SESSION_ANNOUNCE, PEER_NEW, announce},
    {SESSION_KEYS, PEER_IDLE | PEER_OPEN, want_keys},
    {SESSION_TLS, PEER_IDLE | PEER_OPEN, tls_begun},
    {SESSION_AUTH, PEER_IDLE, auth_begin},
    {SESSION_AUTH_NEXT, PEER_LOGIN, auth_go_on},
    {SESSION_MAIL, PEER_IDLE | PEER_OPEN, mail},
    {SESSION_RCPT, PEER_OPEN, rcpt},
    {SESSION_FROM, PEER_OPEN, from_addresses},
    {SESSION_RESET, PEER_IDLE | PEER_OPEN, reset},
    {SESSION_FAILURE, PEER_IDLE | PEER_OPEN | PEER_LOGIN | PEER_REFUSED, failure},
};

/* Who fetches mail sends none: no frame of a transaction's is there. */
static const struct frame_row pop3_rows[] = {
    {SESSION_ANNOUNCE, PEER_NEW, announce},
    {SESSION_KEYS, PEER_IDLE, want_keys},
    {SESSION_TLS, PEER_IDLE, tls_begun},
    {SESSION_AUTH, PEER_IDLE, auth_begin},
    {SESSION_AUTH_NEXT, PEER_LOGIN, auth_go_on},
    {SESSION_MAILBOX, PEER_IDLE, mailbox},
    {SESSION_FAILURE, PEER_IDLE | PEER_LOGIN | PEER_REFUSED, failure},
};

static int dispatch(struct peer *peer, struct frame *frame) {
    uint32_t state = peer->parked.waits ? (uint32_t)PEER_WAITING : peer->state;
    return peer_is_pop3(peer) ? frame_dispatch(pop3_rows, sizeof pop3_rows / sizeof *pop3_rows, state, peer, frame)
                              : frame_dispatch(rows, sizeof rows / sizeof *rows, state, peer, frame);
}

/* ---- life */

static void say_bad_frame(const struct peer *peer, const struct frame *frame) {
    struct log_line line;
    peer_log(&line, LOG_BAD_FRAME, peer);
    log_number(&line, KEY_PID, (uint64_t)peer->pid);
    log_number(&line, KEY_WHAT, frame->type);
    log_number(&line, KEY_STATE, peer->state);
    log_send(&line);
}

static void ready(void *context, uint32_t events) {
    static uint8_t storage[FRAME_MAX];
    struct peer *peer = context;
    struct frame frame;
    (void)events;
    enum frame_status status = frame_receive(peer->watch.fd, storage, false, &frame);
    if (status == FRAME_NONE) return;
    int result = -1;
    bool bad = status == FRAME_MALFORMED;
    if (status == FRAME_RECEIVED && peer_failed_too_often(peer) && ++peer->overtime > OVERTIME_FRAMES) {
        bad = true; /* RFC 5321 3.8: 421 has been said, and a session of ours has left */
    } else if (status == FRAME_RECEIVED) {
        result = dispatch(peer, &frame);
        bad = result != 0 && result != PEER_ENDS;
        if (frame.type == SESSION_AUTH || frame.type == SESSION_AUTH_NEXT) explicit_bzero(storage, sizeof storage);
    }
    if (bad) say_bad_frame(peer, &frame);
    if (result != 0) peer_drop(peer);
}

static struct peer *add(struct auth *auth, struct peer made, int fd) {
    struct peer *peer = calloc(1, sizeof *peer);
    if (!peer) goto failed;
    *peer = made;
    peer->auth = auth;
    peer->state = PEER_NEW;
    peer->since_ms = clock_ms();
    peer->parked.passed = -1;
    peer->watch = (struct loop_watch){fd, ready, peer};
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || (!(flags & O_NONBLOCK) && fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0)) goto failed;
    if (loop_add(&auth->loop, &peer->watch, EPOLLIN) != 0) goto failed;
    peer->next = auth->peers;
    if (peer->next) peer->next->previous = peer;
    auth->peers = peer;
    peer_pid_add(peer);
    auth->n_peers++;
    return peer;
failed:
    log_fault("a session's channel", errno);
    free(peer);
    close(fd);
    return NULL;
}

void peer_add(struct auth *auth, enum role by, pid_t pid, int fd) {
    if (!add(auth, (struct peer){.by = by, .pid = pid}, fd)) return; /* it has been logged */
}

void peer_add_local(struct auth *auth, pid_t pid, uint32_t uid, int fd) {
    struct peer made = {.by = ROLE_LISTENER, .pid = pid, .uid = uid, .client.role = RELAY_ROLE_LOCAL};
    struct peer *peer = add(auth, made, fd);
    if (!peer) return;
    if (system_user_of(&auth->house, uid, &peer->system)) peer->client.system = &peer->system;
    if (begin(peer) != 0) peer_drop(peer);
}

enum reason peer_add_client(struct auth *auth, enum role by, pid_t pid, enum relay_role role,
                            const struct netaddr *client, const struct netaddr *here, int fd) {
    struct peer made = {.by = by, .pid = pid, .client = {.role = role, .address = *client}, .here = *here};
    struct peer *peer = add(auth, made, fd);
    if (!peer) return REASON_NOT_DECIDED;
    if (begin(peer) == 0) return peer->refusal;
    peer_drop(peer);
    return REASON_NOT_DECIDED;
}

void peer_drop(struct peer *peer) {
    struct auth *auth = peer->auth;
    if (peer->previous)
        peer->previous->next = peer->next;
    else
        auth->peers = peer->next;
    if (peer->next) peer->next->previous = peer->previous;
    auth->n_peers--;
    peer_pid_remove(peer);
    peer_count_leave(peer);
    login_forget(peer);
    grant_release(&auth->grants, &peer->grant_hold);
    transaction_close(peer);
    unpark(peer);
    if (peer->state != PEER_NEW) {
        struct log_line line;
        peer_log(&line, LOG_DISCONNECTED, peer);
        log_number(&line, KEY_MS, clock_ms() - peer->since_ms);
        if (peer->refusals > REFUSALS_LOGGED) {
            log_text(&line, KEY_WHAT, "refusals that were not logged");
            log_number(&line, KEY_COUNT, peer->refusals - REFUSALS_LOGGED);
        }
        log_send(&line);
    }
    loop_remove(&auth->loop, &peer->watch);
    close(peer->watch.fd);
    explicit_bzero(peer, sizeof *peer);
    free(peer);
}

/* The session keeps this time itself; one that does not may not fill the places of those who wait for a login. */
int peer_expire(struct auth *auth) {
    uint64_t now = clock_ms(), limit = auth->setup.login_ms + LOGIN_GRACE_MS;
    int next = -1;
    for (struct peer *peer = auth->peers, *following; peer && auth->setup.login_ms; peer = following) {
        following = peer->next;
        if (peer->state == PEER_NEW || !peer_is_for_users(peer) || peer->client.user_id || peer->granted) continue;
        uint64_t age = now - peer->since_ms;
        if (age >= limit)
            peer_drop(peer);
        else if (next < 0 || limit - age < (uint64_t)next)
            next = limit - age > 60000 ? 60000 : (int)(limit - age);
    }
    return next;
}
