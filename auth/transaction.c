/* transaction.c - deciding MAIL and RCPT, and telling the queue before the session.
 * Runs in: auth. Trusts: the queue. Never: answers a session before the queue's channel has taken what the answer
 * rests on, believes an envelope field of the session's. */
#include "auth/transaction.h"

#include "auth/from_field.h"
#include "auth/notice.h"
#include "auth/route.h"
#include "auth/suspend.h"
#include "auth/transaction_grant.h"
#include "store/message.h"
#include "store/random.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

enum { ARGUMENT_MAX = 8192 };

/* What the session claims, as it may stand in a Received line: nothing but printable octets without blanks. */
static struct span clean(struct span claim, bool blanks, struct buf *b) {
    for (size_t i = 0; i < claim.n && i < 255; i++) {
        bool good = claim.p[i] > ' ' && claim.p[i] <= '~' && claim.p[i] != '(' && claim.p[i] != ')' &&
                    claim.p[i] != '\\' && claim.p[i] != '"' && claim.p[i] != ';' && claim.p[i] != '<' &&
                    claim.p[i] != '>';
        buf_put_octet(b, good || (blanks && claim.p[i] == ' ') ? claim.p[i] : '?');
    }
    return buf_span(b);
}

static struct peer **bucket(struct auth *auth, const uint8_t name[TRANSACTION_BYTES]) {
    return &auth->transactions[(name[0] | name[1] << 8) % AUTH_TRANSACTIONS]; /* random bits */
}

static void forget(struct peer *peer) {
    struct peer **at = bucket(peer->auth, peer->transaction.name);
    while (peer->transaction.open && *at != peer) at = &(*at)->transaction.hash_next;
    if (peer->transaction.open) *at = peer->transaction.hash_next;
    /* Of what the queue never heard it will say nothing. */
    if (peer->transaction.open && peer->transaction.head)
        quota_end(&peer->auth->quota, peer->transaction.name, false);
    free(peer->transaction.head);
    peer->transaction = (struct transaction){0};
}

/* What the queue is to hear of the frame that is being handled: it goes in one packet. */
static uint8_t told_storage[FRAME_BODY_MAX];
static struct frame_bundle told = {.b = {.p = told_storage, .cap = sizeof told_storage}};

static bool send_told(const struct peer *peer, int passed) {
    struct span body;
    struct auth_link *queue = auth_find_link(peer->auth, ROLE_QUEUE, 0);
    enum frame_type type = frame_bundle_type(&told, &body);
    bool ok = !told.frames || (queue && auth_tell(queue, type, body, passed));
    frame_bundle_clear(&told);
    return ok;
}

static bool tell_queue(const struct peer *peer, enum frame_type type, struct span body) {
    return frame_bundle_add(&told, (uint16_t)type, body) ||
           (send_told(peer, -1) && frame_bundle_add(&told, (uint16_t)type, body));
}

void transaction_close(struct peer *peer) {
    struct transaction *transaction = &peer->transaction;
    struct auth_link *queue = auth_find_link(peer->auth, ROLE_QUEUE, 0);
    /* The queue may have closed it already, and does not mind; a queue that cannot be told loses it with the
     * channel. */
    if (transaction->open && !transaction->head && queue &&
        !auth_tell(queue, TRANSACTION_CLOSE, span_of(transaction->name, TRANSACTION_BYTES), -1))
        log_fault("telling the queue of a closed transaction", errno);
    forget(peer);
}

static enum reason limits_at_mail(const struct peer *peer) {
    if (peer_failed_too_often(peer)) return REASON_TOO_MANY_FAILURES;
    uint32_t most = peer->auth->setup.messages_per_session;
    return most && peer->messages >= most ? REASON_TOO_MANY_MESSAGES : REASON_SENDER_ACCEPTED;
}

/* What the parameters ask for, once the sender is accepted. */
static enum reason check_parameters(const struct peer *peer, const struct facts_sender *sender, bool esmtp,
                                    struct mail_parameters *out) {
    enum reason reason = address_mail_parameters(out, sender->rest, esmtp);
    if (!reason_reply(reason)->accepts) return reason;
    if (sender->address.utf8 && !out->smtputf8) return REASON_UTF8_NOT_DECLARED;
    if (out->size_given && out->size_bytes > peer->auth->setup.message_bytes) return REASON_MESSAGE_TOO_LARGE;
    if (peer->auth->no_space) return REASON_STORAGE_FULL;
    return auth_find_link(peer->auth, ROLE_QUEUE, 0) ? reason : REASON_STORAGE_FAULT;
}

static struct envelope make_envelope(const struct peer *peer, const struct facts_sender *sender,
                                     const struct mail_parameters *parameters, struct span helo) {
    bool principal = sender->facts.identity == FACT_YES || sender->facts.granted == FACT_YES;
    uint8_t flags = 0;
    if (peer->tls_said) flags |= ENVELOPE_TLS;
    if (peer->transaction.esmtp) flags |= ENVELOPE_ESMTP;
    if (principal) flags |= ENVELOPE_PRINCIPAL;
    if (principal && sender->facts.identity != FACT_YES) flags |= ENVELOPE_GRANT;
    if (parameters->body == BODY_8BITMIME) flags |= ENVELOPE_8BIT;
    if (parameters->smtputf8) flags |= ENVELOPE_UTF8;
    if (peer_is_local(peer)) flags |= ENVELOPE_LOCAL;
    return (struct envelope){
        .session_number = peer->number,
        .session_name = peer_name(peer),
        .client = peer->client.address,
        .local = peer->here,
        .role = (uint8_t)peer->client.role,
        .flags = flags,
        .helo = peer->client.system ? span_of(peer->system.name, peer->system.name_n) : helo,
        .tls = span_of(peer->tls, peer->tls_n),
        .principal = span_of(sender->login, principal ? sender->login_n : 0),
        .sender = sender->address.whole,
        .declared_bytes = parameters->size_given ? parameters->size_bytes : 0,
        .limit_bytes = peer->auth->setup.message_bytes,
        .recipients_max = peer->auth->setup.recipients_per_message,
        .dsn_return = (uint8_t)parameters->dsn_return,
        .envid = parameters->envid,
    };
}

/* Draws T, and keeps what the queue is told of it. */
static enum reason open_transaction(struct peer *peer, const struct facts_sender *sender,
                                    const struct mail_parameters *parameters, struct span helo) {
    uint8_t storage[8192];
    struct buf b = BUF_OVER(storage);
    struct transaction *transaction = &peer->transaction;
    if (random_draw(transaction->name, TRANSACTION_BYTES) != 0) {
        log_fault("getrandom", errno);
        return REASON_NOT_DECIDED;
    }
    struct envelope envelope = make_envelope(peer, sender, parameters, helo);
    wire_put_bytes(&b, transaction->name, TRANSACTION_BYTES);
    envelope_put(&b, &envelope);
    if (!buf_ok(&b) || !(transaction->head = malloc(b.n))) return REASON_STORAGE_FAULT;
    memcpy(transaction->head, b.p, b.n);
    transaction->head_n = b.n;
    enum fact taken =
        quota_take_message(&peer->auth->quota, &sender->payer, transaction->name, &transaction->reserved);
    if (taken != FACT_YES) return taken == FACT_NO ? REASON_OVER_QUOTA : REASON_NOT_DECIDED;
    struct peer **first = bucket(peer->auth, transaction->name);
    transaction->open = true;
    transaction->hash_next = *first;
    *first = peer;
    transaction->utf8 = parameters->smtputf8;
    transaction->facts = sender->facts;
    transaction->payer = sender->payer;
    transaction->grant_id = sender->grant_id;
    transaction->header_from = from_field_wanted(&peer->auth->house, sender);
    return REASON_SENDER_ACCEPTED;
}

static enum reason decide_mail(struct peer *peer, struct span argument, struct span helo) {
    struct facts_sender sender;
    struct mail_parameters parameters;
    enum reason reason = limits_at_mail(peer);
    if (!reason_reply(reason)->accepts) return reason;
    reason = facts_mail(&peer->auth->house, &peer->client, argument, &sender);
    transaction_grant_note(peer, &sender);
    if (reason == REASON_OVER_QUOTA) suspend_consider(peer, &sender.payer, QUOTA_MESSAGES);
    if (!reason_reply(reason)->accepts) return reason;
    reason = check_parameters(peer, &sender, peer->transaction.esmtp, &parameters);
    if (!reason_reply(reason)->accepts) return reason;
    reason = open_transaction(peer, &sender, &parameters, helo);
    if (reason_reply(reason)->accepts) transaction_grant_accepted(peer);
    return reason;
}

int transaction_mail(struct peer *peer, struct frame *frame) {
    uint8_t helo_storage[256], storage[5 + TRANSACTION_BYTES];
    struct buf helo = BUF_OVER(helo_storage), b = BUF_OVER(storage);
    struct wire w = wire_over(frame->body);
    uint8_t esmtp = wire_get_u8(&w);
    struct span claim = wire_get_span(&w, ARGUMENT_MAX), argument = wire_get_span(&w, ARGUMENT_MAX);
    if (!wire_end(&w) || esmtp > 1) return -1;
    transaction_close(peer); /* committed, or given up, without our having heard of it yet */
    peer->state = PEER_IDLE;
    peer->transaction.esmtp = esmtp;
    enum reason reason = decide_mail(peer, argument, clean(claim, false, &helo)), foreign = REASON_NOT_DECIDED;
    if (reason_reply(reason)->accepts) {
        peer->messages++;
        peer->state = PEER_OPEN;
        foreign = facts_foreign(&peer->auth->house, &peer->transaction.facts);
        /* What is used up now may be free in a minute: the session is to ask. */
        if (foreign == REASON_OVER_QUOTA) foreign = REASON_NOT_DECIDED;
    } else {
        free(peer->transaction.head);
        peer->transaction = (struct transaction){0};
        peer_log_reason(peer, LOG_MAIL_REFUSED, reason, KEY_FROM, address_path(argument, true), NULL);
        if (reason_reply(reason)->code / 100 == 5) (void)peer_failed(peer);
    }
    wire_put_u16(&b, (uint16_t)reason);
    wire_put_u16(&b, (uint16_t)foreign);
    wire_put_bytes(&b, peer->transaction.name, TRANSACTION_BYTES);
    wire_put_u8(&b, peer->transaction.header_from);
    return peer_answer_after_queue(peer, SESSION_MAIL_RESULT, buf_span(&b), -1) ? 0 : -1;
}

/* ---- RCPT */

static bool send_recipients(struct peer *peer, struct buf *b) {
    struct transaction *transaction = &peer->transaction;
    bool ok =
        !transaction->head || tell_queue(peer, TRANSACTION_OPEN, span_of(transaction->head, transaction->head_n));
    free(transaction->head);
    transaction->head = NULL;
    if (ok && buf_ok(b) && tell_queue(peer, TRANSACTION_RCPT, buf_span(b))) return true;
    transaction->broken = true;
    return false;
}

static void begin_recipients(const struct peer *peer, struct buf *b) {
    buf_clear(b);
    wire_put_bytes(b, peer->transaction.name, TRANSACTION_BYTES);
    wire_put_u32(b, peer->transaction.accepted);
}

/* The recipients of one command, in as many frames as it takes; false when they cannot be sent. */
static bool tell_recipients(struct peer *peer, const struct facts_recipient *recipient,
                            const struct rcpt_parameters *parameters) {
    static uint8_t storage[FRAME_BODY_MAX - FRAME_BUNDLE_HEAD];
    struct buf b = BUF_OVER(storage);
    const struct expansion *ends = &peer->auth->ends;
    begin_recipients(peer, &b);
    for (size_t i = 0; i < ends->n; i++) {
        const struct expansion_entry *entry = &ends->entries[i];
        if (entry->kind == DESTINATION_NONE) continue;
        if (b.cap - b.n < ROUTE_RECIPIENT_MAX) {
            if (!send_recipients(peer, &b)) return false;
            begin_recipients(peer, &b);
        }
        /* A bounce stays one: RFC 5321 4.5.5. */
        uint8_t owner_storage[ADDRESS_MAX + 16];
        struct buf owner = BUF_OVER(owner_storage);
        if (entry->alias_n && peer->transaction.facts.sender_empty == FACT_NO)
            expand_owner(&peer->auth->house, entry, &owner);
        bool reports = !owner.n; /* what the sender asked for is told of the alias, not of where it leads */
        struct key mailbox;
        struct recipient end = {
            .original = span_of(recipient->original, recipient->original_n),
            .notify = reports ? (uint8_t)parameters->notify : (uint8_t)DSN_NOTIFY_DEFAULT,
            .orcpt = reports ? parameters->orcpt : span_of(NULL, 0),
            .sender = buf_span(&owner),
        };
        expand_way(&peer->auth->house, entry, &mailbox, &end);
        recipient_put(&b, &end);
    }
    return send_recipients(peer, &b);
}

static bool is_relayed(enum reason reason) {
    return reason == REASON_RELAY_AUTHENTICATED || reason == REASON_RELAY_LOCAL || reason == REASON_RELAY_GRANTED;
}

/* One recipient more of the principal's. */
static enum reason take_recipient(struct peer *peer, enum reason reason, uint32_t coming) {
    enum fact taken = transaction_grant_take(peer, is_relayed(reason));
    if (taken == FACT_YES && is_relayed(reason))
        taken = quota_take_recipient(&peer->auth->quota, peer->transaction.reserved, coming);
    switch (taken) {
    case FACT_YES:
        return reason;
    case FACT_NO:
        return REASON_OVER_QUOTA;
    case FACT_UNKNOWN:
        break;
    }
    return REASON_NOT_DECIDED;
}

/* However many recipients of a message it meets, it is one refusal. */
static void over_quota(struct peer *peer) {
    if (!peer->transaction.over_quota) suspend_consider(peer, &peer->transaction.payer, QUOTA_RECIPIENTS);
    peer->transaction.over_quota = true;
}

/* Suspension, the end of a quota and that of a grant may have come since MAIL; everything else was judged when T was
 * opened. `coming`: how many recipients are left in this group. */
static enum reason decide_rcpt(struct peer *peer, struct span argument, uint32_t coming) {
    struct transaction *transaction = &peer->transaction;
    struct facts_recipient recipient;
    struct rcpt_parameters parameters;
    const char *why = NULL;
    if (peer_failed_too_often(peer)) return REASON_TOO_MANY_FAILURES;
    if (transaction->broken) return REASON_STORAGE_FAULT;
    if (transaction->grant_ended) return REASON_AUTH_REQUIRED;
    if (transaction->accepted >= peer->auth->setup.recipients_per_message) return REASON_TOO_MANY_RECIPIENTS;
    enum fact enabled = facts_enabled(&peer->auth->house, &peer->client, &transaction->payer);
    enum reason reason = enabled == FACT_NO ? REASON_ACCOUNT_SUSPENDED : REASON_NOT_DECIDED;
    if (enabled == FACT_YES) reason = transaction_grant_judge(peer);
    if (enabled == FACT_YES && reason_reply(reason)->accepts) {
        transaction->facts.recipient_quota_left =
            quota_left(&peer->auth->quota, &transaction->payer, QUOTA_RECIPIENTS);
        reason = facts_rcpt(&peer->auth->house, &transaction->facts, argument, &recipient, &peer->auth->ends);
        if (recipient.no_way_out) why = "delivery.foreign is refuse: no mail leaves this installation";
        if (recipient.no_local_relay) why = "local.relay is false: system users reach local domains only";
        if (recipient.no_postmaster) why = "there is no user yet who could get postmaster's mail";
    }
    if (reason_reply(reason)->accepts) {
        enum reason known = address_rcpt_parameters(&parameters, recipient.rest, transaction->esmtp);
        if (!reason_reply(known)->accepts)
            reason = known;
        else if (recipient.address.utf8 && !transaction->utf8)
            reason = REASON_UTF8_NOT_DECLARED;
        else if (transaction->ends + peer->auth->ends.found > MESSAGE_RECIPIENTS_MAX)
            reason = REASON_TOO_MANY_RECIPIENTS; /* by aliases: the queue would not take the message */
        else if (reason_reply(reason = take_recipient(peer, reason, coming))->accepts &&
                 !tell_recipients(peer, &recipient, &parameters))
            reason = REASON_STORAGE_FAULT;
    }
    if (reason == REASON_OVER_QUOTA) over_quota(peer);
    bool accepted = reason_reply(reason)->accepts;
    peer_log_reason(peer, accepted ? LOG_RECIPIENT_ACCEPTED : LOG_RECIPIENT_REFUSED, reason, KEY_TO,
                    address_path(argument, false), why);
    if (accepted)
        transaction->accepted++, transaction->ends += peer->auth->ends.found;
    else if (reason_reply(reason)->code / 100 == 5)
        (void)peer_failed(peer);
    return reason;
}

/* What was accepted is sent; with the first accepted recipient of a session, each side gets an end of their channel:
 * *passed_out becomes the session's, or -1. */
static bool send_accepted(struct peer *peer, int *passed_out) {
    uint8_t storage[8];
    struct buf b = BUF_OVER(storage);
    int ends[2] = {-1, -1};
    *passed_out = -1;
    if (peer->queue_given) return send_told(peer, -1);
    if (frame_pair(ends, true) != 0) {
        log_fault("channel between session and queue", errno);
        frame_bundle_clear(&told);
        return false;
    }
    wire_put_u64(&b, peer->number);
    peer->queue_given = tell_queue(peer, TRANSACTION_CHANNEL, buf_span(&b)) && send_told(peer, ends[0]);
    close(ends[0]);
    if (peer->queue_given)
        *passed_out = ends[1];
    else
        close(ends[1]);
    return peer->queue_given;
}

int transaction_rcpt(struct peer *peer, struct frame *frame) {
    static uint8_t storage[FRAME_BODY_MAX];
    struct buf b = BUF_OVER(storage);
    struct wire w = wire_over(frame->body);
    unsigned n = wire_get_u16(&w);
    int passed = -1;
    for (unsigned i = 0; i < n && !w.bad; i++) (void)wire_get_span(&w, ARGUMENT_MAX);
    if (!wire_end(&w) || n == 0 || n > RCPT_GROUP_MAX)
        return -1; /* the whole frame is well formed, or nothing of it counts */
    w = wire_over(frame->body);
    (void)wire_get_u16(&w);
    wire_put_u16(&b, (uint16_t)n);
    uint32_t before = peer->transaction.accepted;
    frame_bundle_clear(&told);
    for (unsigned i = 0; i < n; i++)
        wire_put_u16(&b, (uint16_t)decide_rcpt(peer, wire_get_span(&w, ARGUMENT_MAX), n - i));
    /* Where what was accepted cannot be sent, because the queue is gone, the session ends with 421. */
    if (peer->transaction.accepted > before && !send_accepted(peer, &passed)) return PEER_ENDS;
    bool answered = peer_answer_after_queue(peer, SESSION_RCPT_RESULT, buf_span(&b), passed);
    if (passed >= 0) close(passed);
    return answered ? 0 : -1;
}

/* ---- from the queue */

static int queue_closed(void *context, struct frame *frame) {
    struct auth *auth = context;
    uint8_t name[TRANSACTION_BYTES];
    struct wire w = wire_over(frame->body);
    wire_get_bytes(&w, name, sizeof name);
    bool committed = wire_get_u8(&w) == 1;
    (void)wire_get_u32(&w); /* recipients after aliases and repetitions; what was accepted is what counts */
    if (!wire_end(&w)) return -1;
    quota_end(&auth->quota, name, committed);
    struct peer *peer = *bucket(auth, name);
    while (peer && memcmp(peer->transaction.name, name, sizeof name) != 0) peer = peer->transaction.hash_next;
    if (!peer) return 0;
    forget(peer);
    if (peer->state == PEER_OPEN) peer->state = PEER_IDLE;
    return 0;
}

static int queue_space(void *context, struct frame *frame) {
    struct auth *auth = context;
    struct wire w = wire_over(frame->body);
    auth->no_space = wire_get_u8(&w) != 1;
    return wire_end(&w) ? 0 : -1;
}

static int queue_route(void *context, struct frame *frame) {
    return route_request(context, frame);
}

static int queue_notice(void *context, struct frame *frame) {
    return notice_result(context, frame);
}

static const struct frame_row queue_rows[] = {
    {TRANSACTION_CLOSED, 1, queue_closed}, {ROUTE_REQUEST, 1, queue_route}, {NOTICE_RESULT, 1, queue_notice},
    {QUEUE_SPACE, 1, queue_space},         {FRAME_BUNDLE, 1, NULL},
};

void transaction_queue_frame(struct auth *auth, struct frame *frame) {
    if (frame_dispatch(queue_rows, sizeof queue_rows / sizeof *queue_rows, 1, auth, frame) != 0)
        log_bug("bad frame from the queue");
}

void transaction_queue_lost(struct auth *auth) {
    auth->no_space = false;
    quota_end_all(&auth->quota); /* some may be in the queue */
    notice_queue_lost(auth);
    while (auth->peers) {
        forget(auth->peers); /* nobody to tell */
        peer_drop(auth->peers);
    }
}
