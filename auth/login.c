/* login.c - AUTH: what sessions say about it, and what they are told.
 * Runs in: auth. Trusts: the verifiers' results. Never: looks into a SASL message, believes a session's claim that
 * makes anything easier. */
#include "auth/login_exchange.h"
#include "store/clock.h"

enum {
    MECHANISM_NAME_MAX = 64,
    RESPONSE_MAX = 12288 /* RFC 4954 4: what a session may send; longer than any message that is understood */
};

enum need { NEEDS_SCRAM = 1, NEEDS_NTLM = 2, NEEDS_PLUS = 4 };

/* What may be used, and what a client without an initial response is asked. */
static const struct mechanism_row {
    enum mechanism mechanism;
    const char *name, *first;
    unsigned needs;
} mechanisms[] = {
    {MECHANISM_PLAIN, "PLAIN", "", 0},
    {MECHANISM_LOGIN, "LOGIN", "Username:", 0},
    {MECHANISM_SCRAM, "SCRAM-SHA-256", "", NEEDS_SCRAM},
    {MECHANISM_SCRAM_PLUS, "SCRAM-SHA-256-PLUS", "", NEEDS_SCRAM | NEEDS_PLUS},
    {MECHANISM_NTLM, "NTLM", "", NEEDS_NTLM},
};

static const struct mechanism_row *find_mechanism(struct span name) {
    for (size_t i = 0; i < sizeof mechanisms / sizeof *mechanisms; i++)
        if (span_equal_nocase(name, span_text(mechanisms[i].name))) return &mechanisms[i];
    return NULL;
}

static const char *mechanism_name(unsigned mechanism) {
    for (size_t i = 0; i < sizeof mechanisms / sizeof *mechanisms; i++)
        if (mechanism == mechanisms[i].mechanism) return mechanisms[i].name;
    return "none";
}

/* A session that claims no binding has offered no -PLUS. */
static bool may_be_used(const struct peer *peer, const struct mechanism_row *mechanism) {
    const struct auth_setup *setup = &peer->auth->setup;
    if ((mechanism->needs & NEEDS_SCRAM) && !setup->scram) return false;
    if ((mechanism->needs & NEEDS_NTLM) && !setup->ntlm) return false;
    return !(mechanism->needs & NEEDS_PLUS) || peer->exchange.exporter_n || peer->exchange.end_point_n;
}

/* ---- answers */

static void wipe_message(struct exchange *exchange) {
    explicit_bzero(exchange->message, exchange->message_n);
    exchange->message_n = 0;
}

int login_answer(struct peer *peer, enum auth_outcome outcome, struct span challenge, struct span login) {
    uint8_t storage[64 + VERIFY_CHALLENGE_BYTES + ADDRESS_MAX];
    struct buf b = BUF_OVER(storage);
    struct exchange *exchange = &peer->exchange;
    wire_put_u8(&b, (uint8_t)outcome);
    wire_put_span(&b, challenge);
    wire_put_span(&b, login);
    peer->state = outcome == AUTH_CONTINUE ? PEER_LOGIN : PEER_IDLE;
    exchange->state = outcome == AUTH_CONTINUE ? EXCHANGE_CHALLENGED : EXCHANGE_NONE;
    wipe_message(exchange);
    if (outcome != AUTH_CONTINUE) explicit_bzero(exchange->sealed, sizeof exchange->sealed);
    return peer_answer(peer, SESSION_AUTH_RESULT, buf_span(&b), -1) ? 0 : -1;
}

static void log_failed(struct peer *peer, enum log_event event, const char *why) {
    struct log_line line;
    if (!peer_refusal_logged(peer)) return;
    const struct exchange *exchange = &peer->exchange;
    peer_log(&line, event, peer);
    log_text(&line, KEY_MECHANISM, mechanism_name(exchange->mechanism));
    /* What was typed in place of a name may be a password: only names that exist are told. */
    if (exchange->login_n) log_span(&line, KEY_LOGIN, span_of(exchange->login, exchange->login_n));
    log_text(&line, KEY_WHY, why);
    log_send(&line);
}

static int refuse(struct peer *peer, enum auth_outcome outcome, const char *why) {
    bool counts = outcome != AUTH_FAILED_TEMPORARILY; /* that is a fault of ours, and nobody is to be banned for it */
    log_failed(peer, counts ? LOG_LOGIN_FAILED : LOG_LOGIN_PUT_OFF, why);
    peer->exchange.login_n = 0;
    if (counts && peer_failed(peer)) outcome = AUTH_TOO_MANY;
    return login_answer(peer, outcome, span_of(NULL, 0), span_of(NULL, 0));
}

/* Nothing was guessed, but it was no login either. */
static void tell_form(const struct peer *peer) {
    struct throttle_attempt attempt = {.client = peer->client.address};
    throttle_failed(peer->auth->throttle, &attempt, THROTTLE_FAILED_FORM, clock_ms());
}

int login_refuse(struct peer *peer, enum auth_outcome outcome, const char *why) {
    if (outcome == AUTH_MALFORMED || outcome == AUTH_CANCELLED || outcome == AUTH_UNKNOWN_MECHANISM) tell_form(peer);
    return refuse(peer, outcome, why);
}

static bool is_held(const struct peer *peer) {
    uint32_t delay_ms;
    return throttle_judge_network(peer->auth->throttle, &peer->client.address, clock_ms(), &delay_ms) ==
           THROTTLE_REFUSE;
}

void login_refuse_or_drop(struct peer *peer, enum auth_outcome outcome, const char *why) {
    if (login_refuse(peer, outcome, why) != 0) peer_drop(peer);
}

/* With a password for fetching alone nobody sends, by a grant neither; nor where that is not known. */
static bool may_be_granted(const struct peer *peer) {
    enum credential_scope scope;
    return credential_scope_of(peer->auth->house.db, peer->client.credential_id, &scope) == ACCOUNT_FOUND &&
           scope != CREDENTIAL_POP3;
}

/* Before the client hears that it is in: it may send the next moment. Who fetches mail may send from there, as long
 * as the session lasts and a while longer. */
static void tell_grants(struct peer *peer) {
    struct grants *grants = &peer->auth->grants;
    const struct netaddr *address = &peer->client.address;
    int64_t user_id = peer->client.user_id;
    if (!peer_is_pop3(peer)) {
        if (!peer_is_local(peer)) grant_note(grants, user_id, address);
    } else if (may_be_granted(peer)) {
        (void)grant_login(grants, user_id, address, GRANT_SOURCE_POP3); /* it logs what came of it */
        grant_hold(grants, &peer->grant_hold, user_id, address);
    } else {
        grant_withhold(grants, user_id, address, GRANT_SOURCE_POP3);
    }
}

int login_accept(struct peer *peer) {
    struct exchange *exchange = &peer->exchange;
    struct span login = span_of(exchange->login, exchange->login_n);
    struct log_line line;
    throttle_succeeded(peer->auth->throttle, &exchange->attempt, clock_ms());
    peer->client.user_id = exchange->user_id;
    peer->client.credential_id = exchange->credential_id;
    peer_count_login(peer);
    peer_log(&line, LOG_LOGIN, peer);
    log_text(&line, KEY_MECHANISM, mechanism_name(exchange->mechanism));
    log_span(&line, KEY_LOGIN, login);
    log_send(&line);
    tell_grants(peer);
    return login_answer(peer, AUTH_ACCEPTED, span_of(NULL, 0), login);
}

/* ---- what a session says */

static void begin(struct peer *peer, const struct mechanism_row *mechanism) {
    struct exchange *exchange = &peer->exchange;
    exchange->number = ++peer->auth->exchanges;
    exchange->step = 0;
    exchange->user_id = exchange->credential_id = 0;
    exchange->login_n = 0;
    exchange->mechanism = mechanism ? (uint8_t)mechanism->mechanism : MECHANISM_NONE;
}

static void keep_binding(uint8_t into[CHANNEL_BINDING_MAX], size_t *n_out, struct span binding) {
    if (binding.n) memcpy(into, binding.p, binding.n);
    *n_out = binding.n;
}

/* RFC 4954 4, 9: never in the clear; that TLS is on is a claim, and may only make it stricter. Where the owner says
 * so, POP3 clients of before TLS 1.2 are let in. */
static bool may_be_clear(const struct peer *peer) {
    const struct auth_setup *setup = &peer->auth->setup;
    for (uint32_t i = 0; peer_is_pop3(peer) && i < setup->n_clear_login_from; i++)
        if (network_holds(&setup->clear_login_from[i], &peer->client.address)) return true;
    return false;
}

int login_start(struct peer *peer, struct frame *frame) {
    struct wire w = wire_over(frame->body);
    struct exchange *exchange = &peer->exchange;
    unsigned tls = wire_get_u8(&w);
    struct span name = wire_get_span(&w, MECHANISM_NAME_MAX);
    unsigned initial = wire_get_u8(&w);
    struct span response = wire_get_span(&w, RESPONSE_MAX);
    struct span exporter = wire_get_span(&w, CHANNEL_BINDING_MAX);
    struct span end_point = wire_get_span(&w, CHANNEL_BINDING_MAX);
    if (!wire_end(&w) || tls > 1 || initial > 1 || (!initial && response.n) || peer->client.user_id) return -1;
    const struct mechanism_row *mechanism = find_mechanism(name);
    begin(peer, mechanism);
    /* Where -PLUS is not offered SCRAM has no binding: a client that saw none of it was not deceived (RFC 5802 6). */
    if (mechanism && (mechanism->needs & NEEDS_SCRAM) && !peer->auth->setup.scram_plus)
        exporter = end_point = span_of(NULL, 0);
    keep_binding(exchange->exporter, &exchange->exporter_n, exporter);
    keep_binding(exchange->end_point, &exchange->end_point_n, end_point);
    if (peer_failed_too_often(peer)) return login_refuse(peer, AUTH_TOO_MANY, "too many failures");
    bool local = peer->client.role == RELAY_ROLE_LOCAL;
    if (local || (peer->client.role == RELAY_ROLE_MX && !peer->auth->setup.mx_auth))
        return login_refuse(peer, AUTH_UNKNOWN_MECHANISM, "no AUTH on this listener");
    if (!mechanism || !may_be_used(peer, mechanism))
        return login_refuse(peer, AUTH_UNKNOWN_MECHANISM, "mechanism not offered");
    if ((!tls || !peer->tls_said) && !may_be_clear(peer)) {
        tell_form(peer);
        return login_refuse(peer, AUTH_REJECTED, "no TLS");
    }
    if (initial) return login_submit(peer, response);
    if (!is_held(peer)) return login_answer(peer, AUTH_CONTINUE, span_text(mechanism->first), span_of(NULL, 0));
    login_hold(peer);
    return 0;
}

/* The client has seen that we are who we say, and says nothing more (RFC 4954 4, RFC 5802 3). */
static int conclude(struct peer *peer, struct span response) {
    if (response.n) return login_refuse(peer, AUTH_MALFORMED, "an answer where none was due");
    if (login_accept(peer) != 0) return -1;
    login_settle(peer, span_of(NULL, 0), span_of(NULL, 0));
    return 0;
}

int login_next(struct peer *peer, struct frame *frame) {
    struct wire w = wire_over(frame->body);
    unsigned cancelled = wire_get_u8(&w);
    struct span response = wire_get_span(&w, RESPONSE_MAX);
    if (!wire_end(&w) || cancelled > 1) return -1;
    if (cancelled) return login_refuse(peer, AUTH_CANCELLED, "cancelled");
    if (peer->exchange.state == EXCHANGE_PROVEN) return conclude(peer, response);
    return login_submit(peer, response);
}

void login_failed_before(struct peer *peer) {
    struct log_line line;
    tell_form(peer);
    if (!peer_refusal_logged(peer)) return;
    peer_log(&line, LOG_LOGIN_FAILED, peer);
    log_text(&line, KEY_MECHANISM, mechanism_name(MECHANISM_NONE));
    log_text(&line, KEY_WHY, "a mechanism that is not offered, or no base64");
    log_send(&line);
}

void login_forget(struct peer *peer) {
    struct exchange *exchange = &peer->exchange;
    login_queue_drop(&peer->auth->logins, &exchange->wait);
    queue_timer_clear(&peer->auth->login_timers, &exchange->timer);
    login_leave_verifier(peer);
    exchange->state = EXCHANGE_NONE;
    wipe_message(exchange);
}
