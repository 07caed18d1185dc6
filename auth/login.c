/* login.c - AUTH: who waits for a verifier, what a verifier hears, and when a failure is answered.
 * Runs in: auth. Trusts: the verifiers' results. Never: looks into a SASL message, answers a wrong password sooner
 * than an unknown user. */
#include "auth/login.h"

#include "auth/credential.h"
#include "auth/password_format.h"
#include "store/clock.h"

#include <stdlib.h>

enum {
    WAIT_MAX_MS = 10000,      /* for a verifier */
    FAILURE_MIN_MS = 20,      /* however fast the hash is */
    FAILURE_DEFAULT_MS = 500, /* as long as no verifier has said what a hash takes */
    MECHANISM_MAX = 64,
    RESPONSE_MAX = 12288 /* RFC 4954 4: what a session may send; longer than any message that is understood */
};

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

static int answer(struct peer *peer, enum auth_outcome outcome, struct span challenge, struct span login) {
    uint8_t storage[64 + ADDRESS_MAX];
    struct buf b = BUF_OVER(storage);
    struct exchange *exchange = &peer->exchange;
    wire_put_u8(&b, (uint8_t)outcome);
    wire_put_span(&b, challenge);
    wire_put_span(&b, login);
    peer->state = outcome == AUTH_CONTINUE ? PEER_LOGIN : PEER_IDLE;
    exchange->state = outcome == AUTH_CONTINUE ? EXCHANGE_CHALLENGED : EXCHANGE_NONE;
    secret_wipe(&exchange->message);
    if (outcome != AUTH_CONTINUE) explicit_bzero(exchange->sealed, sizeof exchange->sealed);
    return peer_answer(peer, SESSION_AUTH_RESULT, buf_span(&b), -1) ? 0 : -1;
}

static const char *mechanism_name(unsigned mechanism) {
    return mechanism == MECHANISM_LOGIN ? "LOGIN" : "PLAIN";
}

static void log_failed(struct peer *peer, const char *why) {
    struct log_line line;
    if (!peer_refusal_logged(peer)) return;
    const struct exchange *exchange = &peer->exchange;
    peer_log(&line, LOG_LOGIN_FAILED, peer);
    log_text(&line, KEY_MECHANISM, exchange->mechanism ? mechanism_name(exchange->mechanism) : "none");
    /* What was typed in place of a name may be a password: only names that exist are told. */
    if (exchange->login_n) log_span(&line, KEY_LOGIN, span_of(exchange->login, exchange->login_n));
    log_text(&line, KEY_WHY, why);
    log_send(&line);
}

/* A failure that is the same for every user: at once. */
static int refuse(struct peer *peer, enum auth_outcome outcome, const char *why) {
    log_failed(peer, why);
    peer->exchange.login_n = 0;
    bool counts = outcome != AUTH_FAILED_TEMPORARILY;
    if (counts && peer_failed(peer)) outcome = AUTH_TOO_MANY;
    return answer(peer, outcome, span_of(NULL, 0), span_of(NULL, 0));
}

static void refuse_or_drop(struct peer *peer, enum auth_outcome outcome, const char *why) {
    if (refuse(peer, outcome, why) != 0) peer_drop(peer);
}

static struct span challenge_of(const struct exchange *exchange) {
    if (exchange->mechanism != MECHANISM_LOGIN) return span_of(NULL, 0);
    return exchange->step == 0 ? SPAN("Username:") : SPAN("Password:");
}

/* ---- waiting for a verifier */

static int submit(struct peer *peer, struct span message) {
    struct auth *auth = peer->auth;
    struct exchange *exchange = &peer->exchange;
    if (!secret_set(&exchange->message, message)) return refuse(peer, AUTH_MALFORMED, "message too long");
    struct network network = network_of(&peer->client.address, 32, 64); /* one address of IPv4, a /64 of IPv6 */
    exchange->began_ms = clock_ms();
    exchange->state = EXCHANGE_QUEUED;
    exchange->wait.owner = peer;
    peer->state = PEER_WAITING;
    auth->logins.max = auth->setup.waiting_max ? auth->setup.waiting_max : 1;
    struct login_wait *out = login_queue_add(&auth->logins, &exchange->wait, &network);
    if (!out) return 0;
    if (out->owner == peer) return refuse(peer, AUTH_FAILED_TEMPORARILY, "too many logins wait");
    refuse_or_drop(out->owner, AUTH_FAILED_TEMPORARILY, "too many logins wait");
    return 0;
}

int login_start(struct peer *peer, struct frame *frame) {
    struct wire w = wire_over(frame->body);
    struct exchange *exchange = &peer->exchange;
    unsigned tls = wire_get_u8(&w);
    struct span mechanism = wire_get_span(&w, MECHANISM_MAX);
    unsigned initial = wire_get_u8(&w);
    struct span response = wire_get_span(&w, RESPONSE_MAX);
    if (!wire_end(&w) || tls > 1 || initial > 1 || (!initial && response.n) || peer->client.user_id) return -1;
    exchange->number = ++peer->auth->exchanges;
    exchange->step = 0;
    exchange->user_id = 0;
    exchange->login_n = 0;
    exchange->mechanism = span_equal_nocase(mechanism, SPAN("PLAIN"))   ? MECHANISM_PLAIN
                          : span_equal_nocase(mechanism, SPAN("LOGIN")) ? MECHANISM_LOGIN
                                                                        : MECHANISM_NONE;
    if (peer_failed_too_often(peer)) return refuse(peer, AUTH_TOO_MANY, "too many failures");
    bool local = peer->client.role == RELAY_ROLE_LOCAL;
    if (local || (peer->client.role == RELAY_ROLE_MX && !peer->auth->setup.mx_auth))
        return refuse(peer, AUTH_UNKNOWN_MECHANISM, "no AUTH on this listener");
    if (exchange->mechanism == MECHANISM_NONE) return refuse(peer, AUTH_UNKNOWN_MECHANISM, "mechanism not offered");
    /* RFC 4954 4, 9: never in the clear; that TLS is on is a claim, and may only make it stricter. */
    if (!tls || !peer->tls_said) return refuse(peer, AUTH_REJECTED, "no TLS");
    if (!initial) return answer(peer, AUTH_CONTINUE, challenge_of(exchange), span_of(NULL, 0));
    return submit(peer, response);
}

int login_next(struct peer *peer, struct frame *frame) {
    struct wire w = wire_over(frame->body);
    unsigned cancelled = wire_get_u8(&w);
    struct span response = wire_get_span(&w, RESPONSE_MAX);
    if (!wire_end(&w) || cancelled > 1) return -1;
    if (cancelled) return refuse(peer, AUTH_CANCELLED, "cancelled");
    return submit(peer, response);
}

void login_forget(struct peer *peer) {
    struct exchange *exchange = &peer->exchange;
    if (exchange->state == EXCHANGE_QUEUED) login_queue_drop(&peer->auth->logins, &exchange->wait);
    if (exchange->state == EXCHANGE_DELAYED) peer->auth->delayed--;
    exchange->state = EXCHANGE_NONE; /* a verifier that works on it finds nobody */
    secret_wipe(&exchange->message);
}

/* ---- verifiers */

static void give(struct auth_link *link, struct peer *peer) {
    uint8_t storage[64 + VERIFY_STATE_BYTES + SECRET_MAX];
    struct buf b = BUF_OVER(storage);
    struct exchange *exchange = &peer->exchange;
    wire_put_u64(&b, exchange->number);
    wire_put_u8(&b, exchange->mechanism);
    wire_put_u8(&b, exchange->step);
    wire_put_bytes(&b, exchange->sealed, VERIFY_STATE_BYTES);
    wire_put_span(&b, secret_span(&exchange->message));
    secret_wipe(&exchange->message);
    if (buf_ok(&b) && auth_tell(link, VERIFY_STEP, buf_span(&b), -1)) {
        exchange->state = EXCHANGE_WORKED_ON;
        link->exchange = exchange->number;
    } else {
        refuse_or_drop(peer, AUTH_FAILED_TEMPORARILY, "no verifier");
    }
    buf_wipe(&b);
}

static struct peer *find_exchange(struct auth *auth, uint64_t number) {
    for (struct peer *peer = auth->peers; peer; peer = peer->next)
        if (peer->exchange.state == EXCHANGE_WORKED_ON && peer->exchange.number == number) return peer;
    return NULL;
}

/* The hash of the user of this name; "" with real = 1 makes the verifier forget the password without work. */
static void tell_hash(struct auth_link *link, bool real, const char *hash) {
    uint8_t storage[16 + VERIFY_HASH_BYTES + 8];
    struct buf b = BUF_OVER(storage);
    wire_put_u64(&b, link->exchange);
    wire_put_u8(&b, real);
    wire_put_text(&b, hash);
    /* A verifier that cannot be told is gone, and its exchange fails with it. */
    if (!auth_tell(link, VERIFY_HASH, buf_span(&b), -1)) log_fault("telling a verifier", 0);
    buf_wipe(&b);
}

/* Nobody acts for another: RFC 4616 2. The same user by another form of the name is no other. */
static bool acts_as(const struct house *house, struct span authorization, const struct key *key) {
    struct key other;
    if (authorization.n == 0) return true;
    return facts_login_name(house, authorization, &other) && span_equal(key_span(&other), key_span(key));
}

/* Whose hash: nobody's when there is no such user, no password, the account is disabled, or the client wants to act
 * for another: the same work is done. */
static enum account_found find_user(struct peer *peer, struct span name, struct span authorization,
                                    char hash_out[VERIFY_HASH_BYTES]) {
    struct auth *auth = peer->auth;
    struct exchange *exchange = &peer->exchange;
    struct credential credentials[CREDENTIALS_MAX];
    struct account account;
    struct key key;
    size_t n;
    exchange->user_id = 0;
    exchange->login_n = 0;
    exchange->why = "unknown user";
    if (!facts_login_name(&auth->house, name, &key)) return ACCOUNT_NONE;
    enum account_found found = account_find(auth->house.db, key_span(&key), &account);
    if (found != ACCOUNT_FOUND) return found;
    exchange->login_n = account.login_n;
    memcpy(exchange->login, account.login_octets, account.login_n);
    exchange->why = "account disabled";
    if (!account.enabled) return ACCOUNT_NONE;
    exchange->why = "another authorization identity";
    if (!acts_as(&auth->house, authorization, &key)) return ACCOUNT_NONE;
    exchange->why = "wrong password";
    exchange->user_id = account.id;
    found = credential_of_user(auth->house.db, account.id, CREDENTIAL_SMTP, clock_wall_ms(), credentials, &n);
    if (found == ACCOUNT_FOUND && (n == 0 || credentials[0].kind != CREDENTIAL_MAILBOX)) found = ACCOUNT_NONE;
    if (found == ACCOUNT_FOUND) memcpy(hash_out, credentials[0].hash, VERIFY_HASH_BYTES);
    explicit_bzero(credentials, sizeof credentials);
    if (found == ACCOUNT_NONE) exchange->user_id = 0, exchange->why = "no password";
    return found;
}

static void identified(struct auth_link *link, struct peer *peer, struct span name, struct span authorization) {
    char hash[VERIFY_HASH_BYTES] = "";
    switch (find_user(peer, name, authorization, hash)) {
    case ACCOUNT_FOUND:
        tell_hash(link, true, hash);
        break;
    case ACCOUNT_NONE:
        tell_hash(link, false, "");
        break;
    case ACCOUNT_FAILED:
        tell_hash(link, true, "");
        refuse_or_drop(peer, AUTH_FAILED_TEMPORARILY, "the accounts could not be read");
        break;
    }
    explicit_bzero(hash, sizeof hash);
}

static int take_identity(void *context, struct frame *frame) {
    struct auth_link *link = context;
    uint8_t name[VERIFY_NAME_BYTES], state[VERIFY_STATE_BYTES];
    struct wire w = wire_over(frame->body);
    uint64_t number = wire_get_u64(&w);
    unsigned outcome = wire_get_u8(&w);
    wire_get_bytes(&w, name, sizeof name);
    wire_get_bytes(&w, state, sizeof state);
    if (!wire_end(&w) || number != link->exchange || outcome > VERIFY_CHECK) return -1;
    struct peer *peer = find_exchange(link->auth, number);
    if (outcome != VERIFY_CHECK) link->exchange = 0;
    if (!peer) {
        if (outcome == VERIFY_CHECK) tell_hash(link, true, "");
        return 0;
    }
    struct exchange *exchange = &peer->exchange;
    if (outcome == VERIFY_CHECK) {
        identified(link, peer, span_of(name, span_find(span_of(name, sizeof name), 0)),
                   span_of(state, span_find(span_of(state, sizeof state), 0)));
    } else if (outcome == VERIFY_CONTINUE && exchange->mechanism == MECHANISM_LOGIN && exchange->step == 0) {
        memcpy(exchange->sealed, state, sizeof state);
        exchange->step = 1;
        if (answer(peer, AUTH_CONTINUE, challenge_of(exchange), span_of(NULL, 0)) != 0) peer_drop(peer);
    } else {
        refuse_or_drop(peer, AUTH_MALFORMED, "malformed message");
    }
    return 0;
}

static void accept_login(struct peer *peer, struct span new_hash) {
    struct auth *auth = peer->auth;
    struct exchange *exchange = &peer->exchange;
    struct span login = span_of(exchange->login, exchange->login_n);
    struct log_line line;
    peer->client.user_id = exchange->user_id;
    peer_count_login(peer);
    peer_log(&line, LOG_LOGIN, peer);
    log_text(&line, KEY_MECHANISM, mechanism_name(exchange->mechanism));
    log_span(&line, KEY_LOGIN, login);
    log_send(&line);
    if (answer(peer, AUTH_ACCEPTED, span_of(NULL, 0), login) != 0) {
        peer_drop(peer);
        return;
    }
    /* After the answer: what it costs is nobody's to see. A failure is logged and tried again at the next login. */
    struct credential_secret secret = {.hash = new_hash};
    if (new_hash.n && credential_set_mailbox(auth->house.db, peer->client.user_id, &secret) != ACCOUNT_CHANGED)
        log_fault("replacing a hash", 0);
}

/* At a fixed time after the attempt began, or at a multiple of it where the wait for a verifier was long. */
static void delay_failure(struct peer *peer) {
    struct exchange *exchange = &peer->exchange;
    uint64_t step = failure_ms(peer->auth), taken = clock_ms() - exchange->began_ms;
    exchange->due_ms = exchange->began_ms + (taken / step + 1) * step;
    exchange->state = EXCHANGE_DELAYED;
    peer->auth->delayed++;
}

static int take_result(void *context, struct frame *frame) {
    struct auth_link *link = context;
    uint8_t hash[VERIFY_HASH_BYTES];
    struct password_cost cost;
    struct wire w = wire_over(frame->body);
    uint64_t number = wire_get_u64(&w);
    unsigned ok = wire_get_u8(&w);
    wire_get_bytes(&w, hash, sizeof hash);
    if (!wire_end(&w) || number != link->exchange || ok > 1) return -1;
    link->exchange = 0;
    struct peer *peer = find_exchange(link->auth, number);
    struct span new_hash = span_part(span_of(hash, sizeof hash), 0, span_find(span_of(hash, sizeof hash), 0));
    if (!peer) return 0;
    if (!password_format_read(new_hash, &cost)) new_hash.n = 0;
    if (ok && peer->exchange.user_id)
        accept_login(peer, new_hash);
    else
        delay_failure(peer);
    explicit_bzero(hash, sizeof hash);
    return 0;
}

static int take_measured(void *context, struct frame *frame) {
    struct auth_link *link = context;
    struct wire w = wire_over(frame->body);
    link->measured_ms = wire_get_u32(&w);
    return wire_end(&w) ? 0 : -1;
}

static const struct frame_row verifier_rows[] = {
    {VERIFY_IDENTITY, 1, take_identity},
    {VERIFY_RESULT, 1, take_result},
    {VERIFY_MEASURED, 1, take_measured},
};

void login_verifier_frame(struct auth_link *link, struct frame *frame) {
    if (frame_dispatch(verifier_rows, sizeof verifier_rows / sizeof *verifier_rows, 1, link, frame) != 0)
        log_bug("bad frame from a verifier");
}

void login_verifier_lost(struct auth_link *link) {
    struct peer *peer = link->exchange ? find_exchange(link->auth, link->exchange) : NULL;
    link->exchange = 0;
    link->measured_ms = 0;
    if (peer) refuse_or_drop(peer, AUTH_FAILED_TEMPORARILY, "the verifier died");
}

/* ---- time */

static void answer_due(struct peer *peer) {
    peer->auth->delayed--;
    refuse_or_drop(peer, AUTH_REJECTED, peer->exchange.why);
}

static void give_up_waiting(struct peer *peer) {
    login_queue_drop(&peer->auth->logins, &peer->exchange.wait);
    refuse_or_drop(peer, AUTH_FAILED_TEMPORARILY, "no verifier was free in time");
}

int login_round(struct auth *auth) {
    for (size_t i = 0; i < auth->n_links; i++) {
        struct auth_link *link = &auth->links[i];
        if (link->kind != ROLE_VERIFIER || !link->alive || link->exchange) continue;
        struct login_wait *wait = login_queue_take(&auth->logins);
        if (!wait) break;
        give(link, wait->owner);
    }
    if (!auth->delayed && !auth->logins.n) return -1;
    uint64_t now = clock_ms(), next = UINT64_MAX;
    for (struct peer *peer = auth->peers, *following; peer; peer = following) {
        following = peer->next;
        struct exchange *exchange = &peer->exchange;
        uint64_t due = exchange->state == EXCHANGE_DELAYED  ? exchange->due_ms
                       : exchange->state == EXCHANGE_QUEUED ? exchange->began_ms + WAIT_MAX_MS
                                                            : UINT64_MAX;
        if (due > now)
            next = due < next ? due : next;
        else if (exchange->state == EXCHANGE_DELAYED)
            answer_due(peer);
        else
            give_up_waiting(peer);
    }
    return next == UINT64_MAX ? -1 : (int)(next - now);
}
