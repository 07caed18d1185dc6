/* smtp_mail.c - a transaction: MAIL, groups of RCPT, DATA, BDAT, and its end.
 * Runs in: session. Trusts: auth and queue for every acceptance. Never: accepts a recipient or a message itself. */
#include "server/inbound/smtp.h"

#include "auth/address.h"
#include "auth/relay.h"
#include "store/log.h"

/* What follows "FROM:" or "TO:". A blank before the path is borne with (RFC 5321 4.1.1.2 has none). */
static bool after_keyword(struct span argument, struct span keyword, struct span *rest_out) {
    if (!span_starts_nocase(argument, keyword)) return false;
    *rest_out = span_trim(span_from(argument, keyword.n));
    return true;
}

static CHILD_STATE struct {
    bool open;
    uint32_t n;
} refusals; /* by the session alone: one line for a group */
static BUF_LARGE struct log_line refusals_line;

static void send_refusals(void) {
    if (!refusals.open) return;
    log_number(&refusals_line, KEY_COUNT, refusals.n);
    log_send(&refusals_line);
    refusals.open = false;
    refusals.n = 0;
}

static void note_refusal(const struct smtp *smtp, enum reason reason, struct span path) {
    if (!refusals.open) {
        log_open(&refusals_line, LOG_SESSION_REFUSED);
        log_text(&refusals_line, KEY_RULE, reason_reply(reason)->name);
        log_span(&refusals_line, KEY_FROM, span_of(smtp->sender, smtp->sender_bytes));
        refusals.open = true;
    }
    log_span(&refusals_line, KEY_TO, address_path(path, false));
    refusals.n++;
    if (refusals_line.b.cap - refusals_line.b.n < 2 * ADDRESS_MAX) send_refusals();
}

static BUF_LARGE struct from from;
static BUF_LARGE struct from_addresses from_addresses;

static struct domain_set local_domains(const struct smtp *smtp) {
    return (struct domain_set){smtp->setup->local_domains, smtp->setup->n_local_domains};
}

static struct domain_set relay_domains(const struct smtp *smtp) {
    return (struct domain_set){smtp->setup->relay_domains, smtp->setup->n_relay_domains};
}

/* Without a login MAIL gives no right, and most strangers who want to relay are turned away at RCPT without a
 * question: of a plain foreign sender auth hears with the first recipient that it is asked about. */
static bool may_wait(const struct smtp *smtp, struct span path) {
    struct domain_set local = local_domains(smtp), relay = relay_domains(smtp);
    uint32_t most = smtp->setup->messages_per_session;
    struct mail_parameters parameters;
    struct address sender;
    struct span rest;
    if (smtp->role != RELAY_ROLE_MX || smtp->authenticated || smtp->stranger == REASON_NOT_DECIDED ||
        (most && smtp->told >= most) || path.n > sizeof smtp->mail || !address_parse(&sender, path, true, &rest) ||
        sender.utf8 || address_mail_parameters(&parameters, rest, smtp->esmtp) != REASON_SENDER_ACCEPTED)
        return false;
    return (!parameters.size_given || parameters.size_bytes <= smtp->setup->message_bytes) &&
           (sender.whole.n == 0 || address_classify(&sender, &local, &relay) == ADDRESS_CLASS_FOREIGN);
}

static void begin(struct smtp *smtp, struct span path, enum reason foreign) {
    struct span sender = address_path(path, true);
    smtp->sender_bytes = sender.n < sizeof smtp->sender ? sender.n : sizeof smtp->sender;
    memcpy(smtp->sender, sender.p, smtp->sender_bytes);
    smtp->foreign = foreign;
    smtp->tried = smtp->accepted = 0;
    smtp->state = SMTP_MAIL;
}

static void begin_body(struct smtp *smtp, bool stuffed) {
    smtp->body = ask_body_start(smtp->transaction);
    data_start(&smtp->data, stuffed, smtp->setup->message_bytes);
    if (smtp->from) from_start(smtp->from);
}

/* False: auth is gone. */
static bool tell_mail(struct smtp *smtp, struct span path, enum reason *reason_out) {
    struct ask_mail answer;
    if (!ask_mail(smtp->esmtp, span_of(smtp->helo, smtp->helo_bytes), path, &answer)) return false;
    *reason_out = answer.reason;
    if (answer.reason != REASON_SENDER_ACCEPTED) return true;
    memcpy(smtp->transaction, answer.transaction, sizeof smtp->transaction);
    smtp->foreign = answer.foreign;
    smtp->from = answer.header_from ? &from : NULL;
    smtp->mail_bytes = 0;
    smtp->told++;
    smtp->auth_has_mail = true;
    return true;
}

enum smtp_next smtp_mail(struct smtp *smtp, struct span argument, struct buf *out) {
    enum reason reason = REASON_SENDER_ACCEPTED;
    struct span path;
    if (!after_keyword(argument, SPAN("FROM:"), &path) || path.n == 0) return smtp_fail(smtp, REPLY_BAD_MAIL, out);
    smtp->from = NULL;
    if (may_wait(smtp, path)) {
        memcpy(smtp->mail, path.p, path.n);
        smtp->mail_bytes = path.n;
        begin(smtp, path, smtp->stranger);
    } else {
        if (!tell_mail(smtp, path, &reason)) return smtp_broken(smtp, out);
        if (reason != REASON_SENDER_ACCEPTED) return smtp_fail_reason(smtp, reason, out);
        begin(smtp, path, smtp->foreign);
    }
    reply_put_reason(out, reason);
    return SMTP_MORE;
}

/* A plain foreign recipient, where auth has said what becomes of those: no need to ask. */
static bool surely_refused(const struct smtp *smtp, struct span path) {
    struct domain_set local = local_domains(smtp), relay = relay_domains(smtp);
    struct rcpt_parameters parameters;
    struct address address;
    struct span rest;
    if (reason_reply(smtp->foreign)->accepts || smtp->foreign == REASON_NOT_DECIDED) return false;
    return address_parse(&address, path, false, &rest) && !address.utf8 &&
           address_rcpt_parameters(&parameters, rest, smtp->esmtp) == REASON_SENDER_ACCEPTED &&
           address_classify(&address, &local, &relay) == ADDRESS_CLASS_FOREIGN;
}

static enum smtp_next put_recipient(struct smtp *smtp, enum reason reason, struct buf *out) {
    smtp->tried++;
    if (!reason_reply(reason)->accepts) {
        smtp->refused++;
        return smtp_fail_reason(smtp, reason, out);
    }
    smtp->accepted++;
    reply_put_reason(out, reason);
    return SMTP_MORE;
}

/* Where auth refuses the sender whom it hears of now, that is the answer to every recipient. False: auth is gone. */
static bool ask_recipients(struct smtp *smtp, enum reason *answers_out) {
    enum reason reason = REASON_SENDER_ACCEPTED;
    if (smtp->mail_bytes && !tell_mail(smtp, span_of(smtp->mail, smtp->mail_bytes), &reason)) return false;
    if (reason == REASON_SENDER_ACCEPTED) return ask_rcpt(smtp->asked, smtp->n_asked, answers_out);
    for (size_t i = 0; i < smtp->n_asked; i++) answers_out[i] = reason;
    return true;
}

enum smtp_next smtp_flush(struct smtp *smtp, struct buf *out) {
    enum reason answers[ASK_RCPT_MAX];
    enum smtp_next next = SMTP_MORE;
    size_t at = 0;
    send_refusals();
    if (smtp->n_asked && !ask_recipients(smtp, answers)) return smtp_broken(smtp, out);
    for (size_t i = 0; i < smtp->n_waiting && next == SMTP_MORE; i++)
        next = put_recipient(smtp, smtp->waiting[i].asked ? answers[at++] : smtp->waiting[i].reason, out);
    smtp->n_waiting = smtp->n_asked = smtp->asked_bytes = 0;
    return next;
}

/* Replies stay in order (RFC 2920 3.1): what needs no question waits behind what does. */
static enum smtp_next settle(struct smtp *smtp, enum reason reason, struct buf *out) {
    if (smtp->n_waiting == 0) return put_recipient(smtp, reason, out);
    smtp->waiting[smtp->n_waiting++] = (struct smtp_waiting){reason, false};
    return smtp->n_waiting == ASK_RCPT_MAX ? smtp_flush(smtp, out) : SMTP_MORE;
}

enum smtp_next smtp_rcpt(struct smtp *smtp, struct span argument, struct buf *out) {
    struct span path;
    enum smtp_next next = SMTP_MORE;
    if (!after_keyword(argument, SPAN("TO:"), &path)) {
        next = smtp_flush(smtp, out);
        return next == SMTP_MORE ? smtp_fail(smtp, REPLY_BAD_RCPT, out) : next;
    }
    if (surely_refused(smtp, path)) {
        note_refusal(smtp, smtp->foreign, path);
        return settle(smtp, smtp->foreign, out);
    }
    if (smtp->accepted + smtp->n_asked >= smtp->setup->recipients_per_message) next = smtp_flush(smtp, out);
    if (next != SMTP_MORE) return next;
    if (smtp->accepted >= smtp->setup->recipients_per_message) return settle(smtp, REASON_TOO_MANY_RECIPIENTS, out);
    smtp->asked[smtp->n_asked++] = path;
    smtp->asked_bytes += path.n + 4;
    smtp->waiting[smtp->n_waiting++] = (struct smtp_waiting){REASON_NOT_DECIDED, true};
    if (smtp->n_waiting < ASK_RCPT_MAX && smtp->asked_bytes < ASK_RCPT_BYTES_MAX) return SMTP_MORE;
    return smtp_flush(smtp, out);
}

static enum reply body_forbidden(const struct smtp *smtp) {
    if (smtp->accepted) return ask_other_fd() >= 0 ? REPLY_NONE : REPLY_FAULT; /* ours: never a 5xx */
    return smtp->tried ? REPLY_NO_RECIPIENTS : REPLY_RCPT_FIRST;
}

enum smtp_next smtp_data(struct smtp *smtp, struct span argument, struct buf *out) {
    (void)argument;
    enum reply forbidden = body_forbidden(smtp);
    if (forbidden != REPLY_NONE) return smtp_fail(smtp, forbidden, out);
    begin_body(smtp, true);
    reply_put(out, REPLY_START_DATA);
    return SMTP_DATA;
}

static enum smtp_next drop_chunk(struct smtp *smtp, enum reply reply) {
    smtp->chunk_dropped = true;
    smtp->chunk_reply = reply;
    return SMTP_CHUNK;
}

/* RFC 3030 2: the octets that the command announces are taken whatever becomes of them. */
enum smtp_next smtp_bdat(struct smtp *smtp, struct span argument, struct buf *out) {
    size_t end = span_find(argument, ' ');
    struct span word = span_trim(span_from(argument, end));
    if (!span_number(span_part(argument, 0, end), INT64_MAX, &smtp->chunk_bytes)) {
        reply_put(out, REPLY_BAD_BDAT); /* how many octets follow nobody can say */
        smtp->exit = SESSION_EXIT_ABUSE;
        return SMTP_LEAVE;
    }
    smtp->chunk_dropped = false;
    smtp->chunk_last = span_equal_nocase(word, SPAN("LAST"));
    if (word.n && !smtp->chunk_last) return drop_chunk(smtp, REPLY_BAD_BDAT);
    if (smtp->chunk_bytes == 0 && !smtp->chunk_last && smtp_count_junk(smtp, out) != SMTP_MORE) return SMTP_LEAVE;
    if (smtp->state == SMTP_CHUNKS) return SMTP_CHUNK;
    if (smtp->state == SMTP_GREETED) return drop_chunk(smtp, REPLY_HELLO_FIRST);
    if (smtp->state != SMTP_MAIL) return drop_chunk(smtp, REPLY_BDAT_CLOSED);
    enum reply forbidden = body_forbidden(smtp);
    if (forbidden != REPLY_NONE) return drop_chunk(smtp, forbidden);
    begin_body(smtp, false);
    smtp->state = SMTP_CHUNKS;
    return SMTP_CHUNK;
}

static enum smtp_next put_fault(struct smtp *smtp, enum data_fault fault, struct buf *out) {
    static const enum reply replies[] = {[DATA_BARE_CR] = REPLY_BARE_CR,
                                         [DATA_BARE_LF] = REPLY_BARE_LF,
                                         [DATA_NUL] = REPLY_NUL,
                                         [DATA_LONG_LINE] = REPLY_LONG_LINE};
    struct log_line line;
    if (data_is_smuggling(fault) && !ask_failure(SESSION_FAILURE_SMUGGLING)) return smtp_broken(smtp, out);
    log_open(&line, LOG_PROTOCOL);
    log_text(&line, KEY_WHAT, "message refused");
    if (fault == DATA_LOOP || fault == DATA_TOO_LARGE) {
        enum reason reason = fault == DATA_LOOP ? REASON_MAIL_LOOP : REASON_MESSAGE_TOO_LARGE;
        log_text(&line, KEY_RULE, reason_reply(reason)->name);
        log_send(&line);
        return smtp_fail_reason(smtp, reason, out);
    }
    static const char *const whys[] = {
        [DATA_BARE_CR] = "bare CR", [DATA_BARE_LF] = "bare LF", [DATA_NUL] = "NUL", [DATA_LONG_LINE] = "long line"};
    log_text(&line, KEY_WHY, whys[fault]);
    log_send(&line);
    return smtp_fail_known(smtp, replies[fault], out);
}

static enum smtp_next refuse_body(struct smtp *smtp, struct buf *out) {
    enum data_fault fault = smtp->data.fault;
    if (!ask_body_abort() || !smtp_forget(smtp)) return smtp_broken(smtp, out);
    return put_fault(smtp, fault, out);
}

enum smtp_next smtp_body_unended(struct smtp *smtp, struct buf *out) {
    if (refuse_body(smtp, out) != SMTP_MORE) return SMTP_LEAVE;
    smtp->why = "the message ended by LF.LF, which is no end";
    return SMTP_LEAVE;
}

/* Whether the message may say that it is from whom it says. False: auth is gone. */
static bool judge_from(const struct smtp *smtp, enum reason *reason_out) {
    static const char *const whys[] = {[FROM_MALFORMED] = "it is malformed, or the header is",
                                       [FROM_MISSING] = "there is none",
                                       [FROM_SEVERAL] = "there are several"};
    struct log_line line;
    enum from_verdict verdict = from_end(smtp->from, &from_addresses);
    if (verdict == FROM_GOOD) return ask_from(from_addresses.of, from_addresses.n, reason_out);
    *reason_out = REASON_FROM_MALFORMED;
    log_open(&line, LOG_PROTOCOL);
    log_text(&line, KEY_WHAT, "message refused");
    log_text(&line, KEY_RULE, reason_reply(REASON_FROM_MALFORMED)->name);
    log_text(&line, KEY_WHY, whys[verdict]);
    log_send(&line);
    return true;
}

enum smtp_next smtp_body_end(struct smtp *smtp, struct buf *out) {
    enum reason from_reason = REASON_SENDER_ACCEPTED;
    struct ask_body answer;
    data_finish(&smtp->data, smtp->body);
    if (smtp->data.fault != DATA_FINE) return refuse_body(smtp, out);
    if (smtp->from && !judge_from(smtp, &from_reason)) return smtp_broken(smtp, out);
    if (from_reason != REASON_SENDER_ACCEPTED) {
        if (!ask_body_abort() || !smtp_forget(smtp)) return smtp_broken(smtp, out);
        return smtp_fail_reason(smtp, from_reason, out);
    }
    if (!ask_body_commit(smtp->accepted, &answer)) return smtp_broken(smtp, out);
    /* The transaction ended with the commit, at auth too: there is nothing to reset. */
    smtp->tried = smtp->accepted = 0;
    smtp->state = SMTP_HELLO;
    switch (answer.outcome) {
    case BODY_DURABLE:
        smtp->messages++;
        smtp->junk = 0;
        reply_put_queued(out, answer.message_name);
        return SMTP_MORE;
    case BODY_TOO_LARGE:
        return smtp_fail_reason(smtp, REASON_MESSAGE_TOO_LARGE, out);
    case BODY_NO_SPACE:
        return smtp_fail_reason(smtp, REASON_STORAGE_FULL, out);
    case BODY_REFUSED:
        break;
    }
    return smtp_fail_reason(smtp, REASON_STORAGE_FAULT, out);
}

enum smtp_next smtp_chunk_end(struct smtp *smtp, struct buf *out) {
    if (smtp->chunk_dropped) {
        /* A chunk lost on the way loses the message: RFC 3030 2. */
        if (smtp->state == SMTP_CHUNKS && (!ask_body_abort() || !smtp_forget(smtp))) return smtp_broken(smtp, out);
        return smtp_fail(smtp, smtp->chunk_reply, out);
    }
    if (smtp->chunk_last) return smtp_body_end(smtp, out);
    if (smtp->data.fault != DATA_FINE) return refuse_body(smtp, out);
    return smtp_say(REPLY_CHUNK, out);
}
