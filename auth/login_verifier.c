/* login_verifier.c - what verifiers are told, and what they find.
 * Runs in: auth. Trusts: the verifiers' results. Never: takes a result that no exchange is waiting for. */
#include "auth/login_exchange.h"
#include "auth/password_format.h"
#include "store/clock.h"

/* ---- to a verifier */

void login_give(struct auth_link *link, struct peer *peer) {
    uint8_t storage[64 + 2 * CHANNEL_BINDING_MAX + VERIFY_STATE_BYTES + VERIFY_MESSAGE_MAX];
    struct buf b = BUF_OVER(storage);
    struct exchange *exchange = &peer->exchange;
    wire_put_u64(&b, exchange->number);
    wire_put_u8(&b, exchange->mechanism);
    wire_put_u8(&b, exchange->step);
    wire_put_span(&b, span_of(exchange->exporter, exchange->exporter_n));
    wire_put_span(&b, span_of(exchange->end_point, exchange->end_point_n));
    wire_put_bytes(&b, exchange->sealed, VERIFY_STATE_BYTES);
    wire_put_span(&b, span_of(exchange->message, exchange->message_n));
    explicit_bzero(exchange->message, exchange->message_n);
    exchange->message_n = 0;
    if (buf_ok(&b) && auth_tell(link, VERIFY_STEP, buf_span(&b), -1)) {
        exchange->state = EXCHANGE_WORKED_ON;
        exchange->link = link;
        link->exchange = exchange->number;
        link->peer = peer;
        link->user_id = 0;
        link->attempt = (struct throttle_attempt){.client = peer->client.address};
        link->failure = THROTTLE_FAILED_FORM;
    } else {
        login_refuse_or_drop(peer, AUTH_FAILED_TEMPORARILY, "no verifier");
    }
    buf_wipe(&b);
}

void login_verifier_found(struct auth_link *link) {
    /* A verifier that cannot be told is gone, and its end is heard of. */
    if (!auth_tell(link, VERIFY_SETUP, span_of(link->auth->salt_key, sizeof link->auth->salt_key), -1))
        log_fault("telling a verifier", 0);
}

void login_leave_verifier(struct peer *peer) {
    if (peer->exchange.link) peer->exchange.link->peer = NULL;
    peer->exchange.link = NULL;
}

/* The verifier is free again; who it worked for, or NULL when that one has left. */
static struct peer *release(struct auth_link *link) {
    struct peer *peer = link->peer;
    link->exchange = 0;
    if (peer) login_leave_verifier(peer);
    return peer;
}

/* No credentials will come. */
static void tell_forget(struct auth_link *link) {
    uint8_t storage[8];
    struct buf b = BUF_OVER(storage);
    wire_put_u64(&b, link->exchange);
    (void)release(link);
    if (!auth_tell(link, VERIFY_FORGET, buf_span(&b), -1)) log_fault("telling a verifier", 0);
}

/* ---- from a verifier */

static struct span text_of(const uint8_t *field, size_t size) {
    return span_part(span_of(field, size), 0, span_find(span_of(field, size), 0));
}

/* A challenge in a field of its size; false when it says more than there is. */
static bool get_challenge(struct wire *w, uint8_t storage[VERIFY_CHALLENGE_BYTES], struct span *out) {
    size_t n = wire_get_u16(w);
    wire_get_bytes(w, storage, VERIFY_CHALLENGE_BYTES);
    *out = span_of(storage, n <= VERIFY_CHALLENGE_BYTES ? n : 0);
    return n <= VERIFY_CHALLENGE_BYTES;
}

/* NULL where it is the usual one. */
static const char *why_text(unsigned why) {
    static const char *const texts[VERIFY_WHY_COUNT] = {
        [VERIFY_WHY_DOWNGRADE] = "the client was not shown the -PLUS mechanism: somebody is in between",
        [VERIFY_WHY_BINDING] = "channel binding of another connection",
        [VERIFY_WHY_OLD_NTLM] = "LM or NTLMv1",
        [VERIFY_WHY_NOT_ENROLLED] = "not enrolled for NTLM: gatepost user spa enable",
        [VERIFY_WHY_NO_KEYS] = "no keys for this mechanism: log in by PLAIN once, or set the password",
    };
    return why < VERIFY_WHY_COUNT ? texts[why] : NULL;
}

static void accept_or_drop(struct peer *peer, struct span new_hash, struct span new_scram) {
    if (login_accept(peer) != 0)
        peer_drop(peer);
    else
        login_settle(peer, new_hash, new_scram);
}

/* Before any hash: who fails too often is not looked at. */
static bool may_try(struct auth_link *link, struct peer *peer) {
    struct exchange *exchange = &peer->exchange;
    uint64_t now = clock_ms();
    enum throttle_verdict verdict = throttle_judge_account(peer->auth->throttle, &exchange->attempt, now);
    /* SCRAM's first message proves nothing yet: whether the account is held does not show before the second. */
    bool scram = exchange->mechanism == MECHANISM_SCRAM || exchange->mechanism == MECHANISM_SCRAM_PLUS;
    if (scram && exchange->step == 0 && verdict != THROTTLE_REFUSE) return true;
    if (verdict == THROTTLE_ALLOW) return true;
    tell_forget(link);
    if (verdict == THROTTLE_REFUSE) {
        login_hold(peer);
        return false;
    }
    throttle_failed(peer->auth->throttle, &exchange->attempt, THROTTLE_FAILED_UNCHECKED, now);
    login_delay_failure(peer, verdict == THROTTLE_SAME ? "the same wrong password again"
                                                       : "too many failed logins of this user");
    return false;
}

static void identified(struct auth_link *link, struct peer *peer, struct span name, struct span authorization) {
    struct identity identity;
    if (!login_identify(peer, name, authorization, &identity)) {
        tell_forget(link);
        login_refuse_or_drop(peer, AUTH_FAILED_TEMPORARILY, "the accounts could not be read");
    } else if (!may_try(link, peer)) {
        /* answered */
    } else if (login_remembered(peer, &identity)) {
        tell_forget(link);
        accept_or_drop(peer, span_of(NULL, 0), span_of(NULL, 0));
    } else {
        link->attempt = peer->exchange.attempt;
        link->user_id = peer->exchange.user_id;
        link->failure = (uint8_t)peer->exchange.failure;
        /* One that cannot be told is gone, and its exchange fails with it. */
        if (!login_tell_credentials(link, peer, name, &identity)) log_fault("telling a verifier", 0);
    }
    identity_wipe(&identity);
}

static void go_on(struct peer *peer, const uint8_t state[VERIFY_STATE_BYTES]) {
    memcpy(peer->exchange.sealed, state, VERIFY_STATE_BYTES);
    peer->exchange.step++;
}

struct identity_frame {
    unsigned outcome, why;
    uint8_t name[VERIFY_NAME_BYTES], authorization[VERIFY_NAME_BYTES], tag[VERIFY_TAG_BYTES],
        fingerprint[VERIFY_FINGERPRINT_BYTES], challenge_octets[VERIFY_CHALLENGE_BYTES], state[VERIFY_STATE_BYTES];
    struct span challenge;
};

static bool get_identity(struct wire *w, struct identity_frame *out) {
    out->outcome = wire_get_u8(w);
    out->why = wire_get_u8(w);
    wire_get_bytes(w, out->name, sizeof out->name);
    wire_get_bytes(w, out->authorization, sizeof out->authorization);
    wire_get_bytes(w, out->tag, sizeof out->tag);
    wire_get_bytes(w, out->fingerprint, sizeof out->fingerprint);
    bool ok = get_challenge(w, out->challenge_octets, &out->challenge);
    wire_get_bytes(w, out->state, sizeof out->state);
    return wire_end(w) && ok && out->outcome <= VERIFY_DENIED && out->why < VERIFY_WHY_COUNT;
}

static void found_identity(struct auth_link *link, struct peer *peer, const struct identity_frame *found) {
    switch (found->outcome) {
    case VERIFY_CHECK:
        memcpy(peer->exchange.tag, found->tag, sizeof found->tag);
        memcpy(&peer->exchange.attempt.fingerprint, found->fingerprint, sizeof found->fingerprint);
        identified(link, peer, text_of(found->name, sizeof found->name),
                   text_of(found->authorization, sizeof found->authorization));
        break;
    case VERIFY_CONTINUE:
        go_on(peer, found->state);
        if (login_answer(peer, AUTH_CONTINUE, found->challenge, span_of(NULL, 0)) != 0) peer_drop(peer);
        break;
    case VERIFY_DENIED:
        throttle_failed(peer->auth->throttle, &(struct throttle_attempt){.client = peer->client.address},
                        THROTTLE_FAILED_FORM, clock_ms());
        login_delay_failure(peer,
                            why_text(found->why) ? why_text(found->why) : "no name or password that is allowed");
        break;
    default:
        login_refuse_or_drop(peer, AUTH_MALFORMED, "malformed message");
    }
}

static int take_identity(void *context, struct frame *frame) {
    struct auth_link *link = context;
    struct identity_frame found;
    struct wire w = wire_over(frame->body);
    uint64_t number = wire_get_u64(&w);
    if (!get_identity(&w, &found) || number != link->exchange) return -1;
    struct peer *peer = link->peer;
    if (found.outcome != VERIFY_CHECK) (void)release(link);
    if (peer)
        found_identity(link, peer, &found);
    else if (found.outcome == VERIFY_CHECK)
        tell_forget(link);
    explicit_bzero(&found, sizeof found);
    return 0;
}

struct result_frame {
    unsigned verdict, why;
    int64_t credential_id;
    uint8_t challenge_octets[VERIFY_CHALLENGE_BYTES], state[VERIFY_STATE_BYTES], hash[VERIFY_HASH_BYTES],
        scram[VERIFY_SCRAM_BYTES];
    struct span challenge;
};

static bool get_result(struct wire *w, struct result_frame *out) {
    out->verdict = wire_get_u8(w);
    out->why = wire_get_u8(w);
    out->credential_id = (int64_t)wire_get_u64(w);
    bool ok = get_challenge(w, out->challenge_octets, &out->challenge);
    wire_get_bytes(w, out->state, sizeof out->state);
    wire_get_bytes(w, out->hash, sizeof out->hash);
    wire_get_bytes(w, out->scram, sizeof out->scram);
    return wire_end(w) && ok && out->verdict <= VERIFY_ACCEPTED && out->why < VERIFY_WHY_COUNT;
}

/* Whatever a verifier finds, nobody is not let in. */
static bool is_right(const struct auth_link *link, const struct result_frame *found) {
    return link->user_id && found->credential_id &&
           (found->verdict == VERIFY_ACCEPTED || found->verdict == VERIFY_LAST);
}

/* After the answer: what it costs is nobody's to see. */
static void accepted(struct peer *peer, const struct result_frame *found) {
    static const uint8_t none[VERIFY_SCRAM_BYTES];
    struct password_cost cost;
    struct span hash = text_of(found->hash, sizeof found->hash), scram = span_of(found->scram, sizeof found->scram);
    if (!password_format_read(hash, &cost)) hash.n = 0;
    if (memcmp(found->scram, none, sizeof none) == 0) scram.n = 0;
    accept_or_drop(peer, hash, scram);
}

static void found_result(const struct auth_link *link, struct peer *peer, const struct result_frame *found) {
    struct exchange *exchange = &peer->exchange;
    if (found->verdict == VERIFY_GOES_ON) {
        go_on(peer, found->state);
        login_delay_challenge(peer, found->challenge);
        return;
    }
    if (!is_right(link, found)) {
        login_delay_failure(peer, exchange->user_id && why_text(found->why) ? why_text(found->why) : exchange->why);
        return;
    }
    exchange->credential_id = login_credential_now(found->credential_id);
    if (found->verdict == VERIFY_ACCEPTED)
        accepted(peer, found);
    else if (login_answer(peer, AUTH_CONTINUE, found->challenge, span_of(NULL, 0)) != 0)
        peer_drop(peer);
    else
        exchange->state = EXCHANGE_PROVEN;
}

/* Also of who has left meanwhile: nobody guesses for nothing by not waiting for the answer. */
static void count_failure(const struct auth_link *link, const struct result_frame *found) {
    enum throttle_failure failure =
        found->why == VERIFY_WHY_NONE ? (enum throttle_failure)link->failure : THROTTLE_FAILED_UNCHECKED;
    if (found->verdict != VERIFY_GOES_ON && !is_right(link, found))
        throttle_failed(link->auth->throttle, &link->attempt, failure, clock_ms());
}

static int take_result(void *context, struct frame *frame) {
    struct auth_link *link = context;
    struct result_frame found;
    struct wire w = wire_over(frame->body);
    uint64_t number = wire_get_u64(&w);
    if (!get_result(&w, &found) || number != link->exchange) return -1;
    count_failure(link, &found);
    struct peer *peer = release(link);
    if (peer) found_result(link, peer, &found);
    explicit_bzero(&found, sizeof found);
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
    struct peer *peer = release(link);
    link->measured_ms = 0;
    if (peer) login_refuse_or_drop(peer, AUTH_FAILED_TEMPORARILY, "the verifier died");
}
