/* smtp.c - the verb table, and what is common to all verbs: order, limits, failures.
 * Runs in: session. Trusts: auth for verdicts; nothing in a line. Never: does I/O with the client, accepts what auth
 * did not. */
#include "server/inbound/smtp.h"

#include "auth/relay.h"

enum flag {
    NEEDS_TLS = 1,
    ENDS_GROUP = 2,
    COUNTS_AS_JUNK = 4,
    SECRET_ARGUMENTS = 8,
    TAKES_NOTHING = 16,
    IN_GROUP = 32
};

enum {
    JUNK_MAX = 100,                                 /* commands that lead nowhere, between two messages */
    MAIL_LINE_MAX = 512 + 26 + 17 + 500 + 110 + 10, /* RFC 1870 3, 6152 2, 4954 3, 3461 4 (RET, ENVID), 6531 3.3 */
    RCPT_LINE_MAX = 512 + 500 + 32                  /* RFC 3461 4 (ORCPT, NOTIFY) */
};

static const struct verb {
    const char *name;
    enum smtp_next (*handle)(struct smtp *smtp, struct span argument, struct buf *out);
    unsigned states; /* in which it is allowed */
    unsigned flags;
    uint16_t line_max;
} verbs[] = {
    {"EHLO", smtp_ehlo, SMTP_ANY, COUNTS_AS_JUNK | ENDS_GROUP, SMTP_LINE_MAX},
    {"HELO", smtp_helo, SMTP_ANY, COUNTS_AS_JUNK | ENDS_GROUP, SMTP_LINE_MAX},
    {"MAIL", smtp_mail, SMTP_HELLO, 0, MAIL_LINE_MAX},
    {"RCPT", smtp_rcpt, SMTP_MAIL, IN_GROUP, RCPT_LINE_MAX},
    {"DATA", smtp_data, SMTP_MAIL, ENDS_GROUP | TAKES_NOTHING, SMTP_LINE_MAX},
    {"BDAT", smtp_bdat, SMTP_ANY, 0, SMTP_LINE_MAX},
    {"RSET", smtp_rset, SMTP_ANY, TAKES_NOTHING | COUNTS_AS_JUNK, SMTP_LINE_MAX},
    {"QUIT", smtp_quit, SMTP_ANY, ENDS_GROUP | TAKES_NOTHING, SMTP_LINE_MAX},
    {"AUTH", smtp_auth, SMTP_HELLO, ENDS_GROUP | NEEDS_TLS | SECRET_ARGUMENTS, SMTP_AUTH_LINE_MAX},
    {"STARTTLS", smtp_starttls, SMTP_HELLO, COUNTS_AS_JUNK | ENDS_GROUP | TAKES_NOTHING, SMTP_LINE_MAX},
    {"NOOP", smtp_noop, SMTP_ANY, COUNTS_AS_JUNK | ENDS_GROUP, SMTP_LINE_MAX},
    {"VRFY", smtp_vrfy, SMTP_ANY, COUNTS_AS_JUNK | ENDS_GROUP, SMTP_LINE_MAX},
    {"HELP", smtp_help, SMTP_ANY, COUNTS_AS_JUNK, SMTP_LINE_MAX},
    {"EXPN", smtp_not_implemented, SMTP_ANY, ENDS_GROUP, SMTP_LINE_MAX},
    {"ETRN", smtp_not_implemented, SMTP_ANY, 0, SMTP_LINE_MAX},
    {"TURN", smtp_not_implemented, SMTP_ANY, ENDS_GROUP, SMTP_LINE_MAX},
};

static const struct verb *find_verb(struct span line) {
    struct span word = span_part(line, 0, span_find(line, ' '));
    for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++)
        if (span_equal_nocase(word, span_text(verbs[i].name))) return &verbs[i];
    return NULL;
}

void smtp_start(struct smtp *smtp, const struct session_setup *setup, uint8_t role, bool auth_offered,
                bool tls_offered, bool tls) {
    *smtp = (struct smtp){.setup = setup,
                          .role = role,
                          .auth_offered = auth_offered,
                          .tls_offered = tls_offered,
                          .tls = tls,
                          .state = SMTP_GREETED,
                          .exit = SESSION_EXIT_FINE,
                          .keys_fd = -1,
                          .why = "client out of step"};
}

enum smtp_next smtp_say(enum reply reply, struct buf *out) {
    reply_put(out, reply);
    return SMTP_MORE;
}

enum smtp_next smtp_broken(struct smtp *smtp, struct buf *out) {
    smtp->exit = SESSION_EXIT_FAULT;
    smtp->why = "auth or queue has left it";
    reply_put(out, REPLY_SHUTDOWN);
    return SMTP_LEAVE;
}

static enum smtp_next too_many(struct smtp *smtp, struct buf *out) {
    smtp->exit = SESSION_EXIT_ABUSE;
    smtp->why = "too many failures";
    reply_put_reason(out, REASON_TOO_MANY_FAILURES);
    return SMTP_LEAVE;
}

/* The last failure that is allowed is answered with 421: logins, recipients and junk alike. */
static bool is_last_failure(struct smtp *smtp) {
    return ++smtp->failures >= smtp->setup->failures_per_session;
}

enum smtp_next smtp_fail_known(struct smtp *smtp, enum reply reply, struct buf *out) {
    return is_last_failure(smtp) ? too_many(smtp, out) : smtp_say(reply, out);
}

enum smtp_next smtp_fail(struct smtp *smtp, enum reply reply, struct buf *out) {
    return ask_failure(SESSION_FAILURE_JUNK) ? smtp_fail_known(smtp, reply, out) : smtp_broken(smtp, out);
}

enum smtp_next smtp_fail_login(struct smtp *smtp, enum reply reply, struct buf *out) {
    return ask_failure(SESSION_FAILURE_LOGIN) ? smtp_fail_known(smtp, reply, out) : smtp_broken(smtp, out);
}

/* Auth knows of these, or hears of them by the exit status. */
enum smtp_next smtp_fail_reason(struct smtp *smtp, enum reason reason, struct buf *out) {
    unsigned code = reason_reply(reason)->code;
    if (code >= 500 && is_last_failure(smtp)) return too_many(smtp, out);
    if (smtp->mail_first)
        reply_put_reason_mail_first(out, reason);
    else
        reply_put_reason(out, reason);
    if (code != 421) return SMTP_MORE;
    smtp->exit = SESSION_EXIT_ABUSE;
    smtp->why = reason_reply(reason)->name;
    return SMTP_LEAVE;
}

bool smtp_forget(struct smtp *smtp) {
    bool open = smtp->state & (SMTP_MAIL | SMTP_CHUNKS);
    bool told = open && !smtp->mail_bytes;
    smtp->tried = smtp->accepted = 0;
    smtp->mail_bytes = 0;
    explicit_bzero(smtp->transaction, sizeof smtp->transaction);
    if (smtp->state != SMTP_GREETED) smtp->state = SMTP_HELLO;
    if (open) smtp->auth_has_mail = false;
    return !told || ask_reset();
}

void smtp_tls_started(struct smtp *smtp) {
    smtp->tls = true;
    smtp->state = SMTP_GREETED;
    smtp->esmtp = false;
    smtp->helo_bytes = 0;
}

size_t smtp_line_limit(const struct smtp *smtp, struct span start) {
    if (smtp->state == SMTP_AUTHING) return SMTP_AUTH_LINE_MAX;
    const struct verb *verb = find_verb(start);
    return verb ? verb->line_max : SMTP_LINE_MAX;
}

static enum smtp_next wrong_state(struct smtp *smtp, const struct verb *verb, struct buf *out) {
    enum reply reply = REPLY_MAIL_FIRST;
    if (smtp->state == SMTP_GREETED)
        reply = REPLY_HELLO_FIRST;
    else if (smtp->state == SMTP_CHUNKS)
        reply = REPLY_BDAT_OPEN;
    else if (verb->handle == smtp_auth)
        reply = REPLY_AUTH_IN_MAIL;
    else if (smtp->state == SMTP_MAIL)
        reply = REPLY_MAIL_OPEN;
    return smtp_fail(smtp, reply, out);
}

enum smtp_next smtp_count_junk(struct smtp *smtp, struct buf *out) {
    if (++smtp->junk <= JUNK_MAX) return SMTP_MORE;
    smtp->exit = SESSION_EXIT_ABUSE;
    smtp->why = "too many commands without mail";
    reply_put(out, REPLY_JUNK);
    return ask_failure(SESSION_FAILURE_JUNK) ? SMTP_LEAVE : smtp_broken(smtp, out);
}

static enum smtp_next run_verb(struct smtp *smtp, const struct verb *verb, struct span line, struct buf *out) {
    struct span argument = span_trim(span_from(line, strlen(verb->name)));
    if (!(smtp->state & verb->states)) return wrong_state(smtp, verb, out);
    if ((verb->flags & TAKES_NOTHING) && argument.n) return smtp_fail(smtp, REPLY_NO_ARGUMENT, out);
    if ((verb->flags & NEEDS_TLS) && !smtp->tls)
        return smtp_fail(smtp, smtp->auth_offered ? REPLY_AUTH_NEEDS_TLS : REPLY_AUTH_NOT_HERE, out);
    if (verb->flags & COUNTS_AS_JUNK) {
        enum smtp_next next = smtp_count_junk(smtp, out);
        if (next != SMTP_MORE) return next;
    }
    return verb->handle(smtp, argument, out);
}

enum smtp_next smtp_line(struct smtp *smtp, struct span line, struct buf *out) {
    smtp->secret = smtp->state == SMTP_AUTHING;
    smtp->ends_group = true;
    if (smtp->secret) return smtp_auth_line(smtp, line, out);
    const struct verb *verb = find_verb(line);
    smtp->ends_group = !verb || (verb->flags & ENDS_GROUP);
    enum smtp_next next = SMTP_MORE;
    if (!verb || !(verb->flags & IN_GROUP)) next = smtp_flush(smtp, out);
    if (next != SMTP_MORE) return next;
    if (!verb) return smtp_fail(smtp, REPLY_UNKNOWN_COMMAND, out);
    if (verb->flags & SECRET_ARGUMENTS) smtp->secret = true;
    return run_verb(smtp, verb, line, out);
}

enum smtp_next smtp_bad_line(struct smtp *smtp, enum reply reply, struct buf *out) {
    enum smtp_next next = smtp_flush(smtp, out);
    struct ask_auth ignored;
    if (next != SMTP_MORE) return next;
    if (smtp->state == SMTP_AUTHING) {
        /* The exchange is over too: RFC 4954 4. */
        smtp->state = SMTP_HELLO;
        if (!ask_auth_next(true, span_of(NULL, 0), &ignored)) return smtp_broken(smtp, out);
        if (reply == REPLY_LINE_TOO_LONG) reply = REPLY_AUTH_LINE_TOO_LONG;
        return smtp_fail_known(smtp, reply, out);
    }
    return smtp_fail(smtp, reply, out);
}
