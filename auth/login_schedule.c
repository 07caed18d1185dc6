/* login_schedule.c - who waits for a verifier, and when an answer is due.
 * Runs in: auth. Trusts: what verifiers say a hash takes. Never: answers a wrong password sooner than an unknown
 * user. */
#include "auth/login_exchange.h"
#include "store/clock.h"

enum {
    WAIT_MAX_MS = 10000,      /* for a verifier */
    FAILURE_MIN_MS = 20,      /* however fast the hash is */
    FAILURE_DEFAULT_MS = 500, /* as long as no verifier has said what a hash takes */
    CHALLENGE_MS = 3          /* what a challenge to a name costs is far below it */
};

/* ---- answers at their time */

static uint64_t failure_ms(const struct auth *auth) {
    uint64_t dearest = 0;
    for (size_t i = 0; i < auth->n_links; i++)
        if (auth->links[i].kind == ROLE_VERIFIER && auth->links[i].measured_ms > dearest)
            dearest = auth->links[i].measured_ms;
    if (!dearest) return FAILURE_DEFAULT_MS;
    uint64_t configured = auth->setup.argon2_memory_bytes / 1024 * auth->setup.argon2_passes;
    if (configured && auth->dearest_work > configured) dearest = dearest * auth->dearest_work / configured;
    return dearest * 3 / 2 > FAILURE_MIN_MS ? dearest * 3 / 2 : FAILURE_MIN_MS;
}

/* A step after the message came, or a multiple of it where the wait for a verifier was long. */
static void delay(struct peer *peer, uint64_t step_ms) {
    struct exchange *exchange = &peer->exchange;
    uint64_t taken = clock_ms() - exchange->began_ms;
    exchange->due_ms = exchange->began_ms + (taken / step_ms + 1) * step_ms;
    exchange->state = EXCHANGE_DELAYED;
    peer->auth->delayed++;
}

void login_delay_failure(struct peer *peer, const char *why) {
    peer->exchange.why = why;
    peer->exchange.challenge_n = 0;
    delay(peer, failure_ms(peer->auth));
}

void login_delay_challenge(struct peer *peer, struct span challenge) {
    struct exchange *exchange = &peer->exchange;
    exchange->challenge_n = challenge.n < sizeof exchange->challenge ? challenge.n : sizeof exchange->challenge;
    if (challenge.n) memcpy(exchange->challenge, challenge.p, exchange->challenge_n);
    exchange->why = NULL;
    delay(peer, CHALLENGE_MS);
}

static void answer_due(struct peer *peer) {
    struct exchange *exchange = &peer->exchange;
    peer->auth->delayed--;
    if (exchange->why)
        login_refuse_or_drop(peer, AUTH_REJECTED, exchange->why);
    else if (login_answer(peer, AUTH_CONTINUE, span_of(exchange->challenge, exchange->challenge_n),
                          span_of(NULL, 0)) != 0)
        peer_drop(peer);
}

/* ---- waiting for a verifier */

int login_submit(struct peer *peer, struct span message) {
    struct auth *auth = peer->auth;
    struct exchange *exchange = &peer->exchange;
    if (message.n > sizeof exchange->message) return login_refuse(peer, AUTH_MALFORMED, "message too long");
    struct network network = network_of(&peer->client.address, 32, 64); /* one address of IPv4, a /64 of IPv6 */
    if (message.n) memcpy(exchange->message, message.p, message.n);
    exchange->message_n = message.n;
    exchange->began_ms = clock_ms();
    exchange->state = EXCHANGE_QUEUED;
    exchange->wait.owner = peer;
    peer->state = PEER_WAITING;
    auth->logins.max = auth->setup.waiting_max ? auth->setup.waiting_max : 1;
    struct login_wait *out = login_queue_add(&auth->logins, &exchange->wait, &network);
    if (!out) return 0;
    if (out->owner == peer) return login_refuse(peer, AUTH_FAILED_TEMPORARILY, "too many logins wait");
    login_refuse_or_drop(out->owner, AUTH_FAILED_TEMPORARILY, "too many logins wait");
    return 0;
}

static void give_up_waiting(struct peer *peer) {
    login_queue_drop(&peer->auth->logins, &peer->exchange.wait);
    login_refuse_or_drop(peer, AUTH_FAILED_TEMPORARILY, "no verifier was free in time");
}

static void give_work(struct auth *auth) {
    for (size_t i = 0; i < auth->n_links; i++) {
        struct auth_link *link = &auth->links[i];
        if (link->kind != ROLE_VERIFIER || !link->alive || link->exchange) continue;
        struct login_wait *wait = login_queue_take(&auth->logins);
        if (!wait) break;
        login_give(link, wait->owner);
    }
}

/* When this one's time has come, or UINT64_MAX. */
static uint64_t due_of(const struct exchange *exchange) {
    if (exchange->state == EXCHANGE_DELAYED) return exchange->due_ms;
    return exchange->state == EXCHANGE_QUEUED ? exchange->began_ms + WAIT_MAX_MS : UINT64_MAX;
}

int login_round(struct auth *auth) {
    give_work(auth);
    if (!auth->delayed && !auth->logins.n) return -1;
    uint64_t now = clock_ms(), next = UINT64_MAX;
    for (struct peer *peer = auth->peers, *following; peer; peer = following) {
        following = peer->next;
        uint64_t due = due_of(&peer->exchange);
        if (due > now)
            next = due < next ? due : next;
        else if (peer->exchange.state == EXCHANGE_DELAYED)
            answer_due(peer);
        else
            give_up_waiting(peer);
    }
    return next == UINT64_MAX ? -1 : (int)(next - now);
}
