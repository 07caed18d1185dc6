/* login_schedule.c - who waits for a verifier, and when an answer is due.
 * Runs in: auth. Trusts: what verifiers say a hash takes. Never: answers a wrong password sooner than an unknown
 * user. */
#include "auth/login_exchange.h"
#include "store/clock.h"

#include <stddef.h>

enum {
    WAIT_MAX_MS = 10000,      /* for a verifier */
    FAILURE_MIN_MS = 20,      /* however fast the hash is */
    FAILURE_DEFAULT_MS = 500, /* as long as no verifier has said what a hash takes */
    TURNED_AWAY_MS = 2000,
    DEAREST_EVERY_MS = 10000, /* looking for the dearest hash goes through all that were imported */
    FAILURE_HASHES = 3,       /* of the dearest: both forms of a password (RFC 8265), and some to spare */
    CHALLENGE_MS = 10,        /* what a challenge to a name costs is far below it */
    SLOW_MS = 2000,           /* so long a refusal takes, and the owner is told */
    STRANGERS_MANY = 4        /* so many wait: one verifier is for known networks alone */
};

/* A timer that cannot be had is due at once. */
static void set_timer(struct peer *peer, uint64_t at_ms) {
    if (queue_timer_set(&peer->auth->login_timers, &peer->exchange.timer, at_ms) == 0) return;
    log_fault("a timer", 0);
    (void)shutdown(peer->watch.fd, SHUT_RDWR); /* its channel ends, and it is dropped where nothing works on it */
}

/* ---- answers at their time */

static uint64_t failure_ms(const struct auth *auth) {
    uint64_t dearest = 0;
    for (size_t i = 0; i < auth->n_links; i++)
        if (auth->links[i].kind == ROLE_VERIFIER && auth->links[i].measured_ms > dearest)
            dearest = auth->links[i].measured_ms;
    if (!dearest) return FAILURE_DEFAULT_MS;
    uint64_t configured = auth->setup.argon2_memory_bytes / 1024 * auth->setup.argon2_passes;
    if (configured && auth->dearest_work > configured) dearest = dearest * auth->dearest_work / configured;
    return dearest * FAILURE_HASHES > FAILURE_MIN_MS ? dearest * FAILURE_HASHES : FAILURE_MIN_MS;
}

/* It cannot be capped: whoever has a hash that takes longer could be told from nobody. So the owner is told. */
static void announce(struct auth *auth) {
    uint64_t ms = failure_ms(auth);
    struct log_line line;
    if (ms < SLOW_MS) auth->failures_told_ms = 0;
    if (ms < SLOW_MS || ms <= auth->failures_told_ms + auth->failures_told_ms / 4) return;
    auth->failures_told_ms = ms;
    log_open(&line, LOG_FAILURES_SLOW);
    log_number(&line, KEY_MS, ms);
    log_text(&line, KEY_WHY,
             "a stored hash takes so long to check that every login that fails is answered only then, so that nobody "
             "can be told from somebody; it lasts until that user has logged in or has another password");
    log_send(&line);
}

void login_renewed(struct auth *auth) {
    uint64_t configured = auth->setup.argon2_memory_bytes / 1024 * auth->setup.argon2_passes;
    if (auth->dearest_work <= configured || auth->dearest_due_ms) return;
    auth->dearest_due_ms = clock_ms() + DEAREST_EVERY_MS;
}

/* A step after the message came, or a multiple of it where the wait for a verifier was long. */
static void delay(struct peer *peer, enum auth_outcome outcome, uint64_t step_ms) {
    struct exchange *exchange = &peer->exchange;
    uint64_t taken = clock_ms() - exchange->began_ms;
    exchange->outcome = outcome;
    exchange->state = EXCHANGE_DELAYED;
    set_timer(peer, exchange->began_ms + (taken / step_ms + 1) * step_ms);
}

void login_delay_failure(struct peer *peer, const char *why) {
    peer->exchange.why = why;
    delay(peer, AUTH_REJECTED, failure_ms(peer->auth));
}

void login_delay_challenge(struct peer *peer, struct span challenge) {
    struct exchange *exchange = &peer->exchange;
    exchange->challenge_n = challenge.n < sizeof exchange->challenge ? challenge.n : sizeof exchange->challenge;
    if (challenge.n) memcpy(exchange->challenge, challenge.p, exchange->challenge_n);
    delay(peer, AUTH_CONTINUE, CHALLENGE_MS);
}

static void answer_due(struct peer *peer) {
    struct exchange *exchange = &peer->exchange;
    if (exchange->outcome != AUTH_CONTINUE)
        login_refuse_or_drop(peer, exchange->outcome, exchange->why);
    else if (login_answer(peer, AUTH_CONTINUE, span_of(exchange->challenge, exchange->challenge_n),
                          span_of(NULL, 0)) != 0)
        peer_drop(peer);
}

/* ---- waiting for a verifier */

/* Its turn will not come. Who tries again at once is to wait for us, and not we for him. */
static void turn_away(struct peer *peer, enum auth_outcome outcome, const char *why) {
    peer->exchange.why = why;
    peer->exchange.outcome = outcome;
    peer->exchange.state = EXCHANGE_DELAYED;
    peer->state = PEER_WAITING;
    set_timer(peer, clock_ms() + TURNED_AWAY_MS);
}

void login_hold(struct peer *peer) {
    turn_away(peer, AUTH_HELD, "too many failed logins from this network");
}

static void enqueue(struct peer *peer) {
    struct auth *auth = peer->auth;
    struct exchange *exchange = &peer->exchange;
    struct network network = network_of(&peer->client.address, 32, 64); /* one address of IPv4, a /64 of IPv6 */
    exchange->began_ms = clock_ms();
    exchange->state = EXCHANGE_QUEUED;
    exchange->wait.owner = peer;
    set_timer(peer, exchange->began_ms + WAIT_MAX_MS);
    auth->logins.max = auth->setup.waiting_max ? auth->setup.waiting_max : 1;
    bool known = throttle_network_known(auth->throttle, &peer->client.address, exchange->began_ms);
    struct login_wait *out = login_queue_add(&auth->logins, &exchange->wait, &network, known);
    if (out) turn_away(out->owner, AUTH_FAILED_TEMPORARILY, "too many logins wait");
}

int login_submit(struct peer *peer, struct span message) {
    struct exchange *exchange = &peer->exchange;
    uint32_t delay_ms;
    uint64_t now = clock_ms();
    if (message.n > sizeof exchange->message) return login_refuse(peer, AUTH_MALFORMED, "message too long");
    enum throttle_verdict verdict =
        throttle_judge_network(peer->auth->throttle, &peer->client.address, now, &delay_ms);
    if (verdict == THROTTLE_REFUSE) {
        login_hold(peer);
        return 0;
    }
    if (message.n) memcpy(exchange->message, message.p, message.n);
    exchange->message_n = message.n;
    peer->state = PEER_WAITING;
    if (verdict == THROTTLE_DELAY && exchange->step == 0) { /* once an exchange */
        exchange->state = EXCHANGE_HELD_BACK;
        set_timer(peer, now + delay_ms);
    } else {
        enqueue(peer);
    }
    return 0;
}

/* While many strangers wait, one verifier of several is for networks from where somebody logged in lately. */
static void give_work(struct auth *auth) {
    bool first = true, several = false;
    for (size_t i = 0, n = 0; i < auth->n_links; i++)
        if (auth->links[i].kind == ROLE_VERIFIER && auth->links[i].alive && ++n > 1) several = true;
    for (size_t i = 0; i < auth->n_links && login_queue_waiting(&auth->logins); i++) {
        struct auth_link *link = &auth->links[i];
        if (link->kind != ROLE_VERIFIER || !link->alive) continue;
        bool reserved = first && several && auth->setup.throttle.enabled && auth->logins.strangers.n > STRANGERS_MANY;
        first = false;
        if (link->exchange) continue;
        struct login_wait *wait = login_queue_take(&auth->logins, reserved);
        if (!wait) continue;
        struct peer *peer = wait->owner;
        queue_timer_clear(&auth->login_timers, &peer->exchange.timer);
        login_give(link, peer);
    }
}

static void take_due(struct peer *peer) {
    switch (peer->exchange.state) {
    case EXCHANGE_HELD_BACK:
        enqueue(peer);
        break;
    case EXCHANGE_QUEUED:
        login_queue_drop(&peer->auth->logins, &peer->exchange.wait);
        login_refuse_or_drop(peer, AUTH_FAILED_TEMPORARILY, "no verifier was free in time");
        break;
    case EXCHANGE_DELAYED:
        answer_due(peer);
        break;
    case EXCHANGE_NONE:
    case EXCHANGE_CHALLENGED:
    case EXCHANGE_WORKED_ON:
    case EXCHANGE_PROVEN:
        break;
    }
}

int login_round(struct auth *auth) {
    struct queue_timer *timer;
    if (auth->dearest_due_ms && clock_ms() >= auth->dearest_due_ms) auth_find_dearest(auth);
    announce(auth);
    while ((timer = queue_timer_take(&auth->login_timers, clock_ms())))
        take_due((struct peer *)(void *)((uint8_t *)timer - offsetof(struct peer, exchange.timer)));
    give_work(auth);
    if (!auth->login_timers.n) return -1;
    uint64_t now = clock_ms(), at = auth->login_timers.heap[0]->at_ms;
    return at > now ? (int)(at - now) : 0;
}
