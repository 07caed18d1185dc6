/* pop3.c - the table of commands, and what is common to all: order, limits, failures.
 * Runs in: session, for POP3. Trusts: auth for verdicts; nothing in a line. Never: does I/O with the client, lets
 * anybody in whom auth did not. */
#include "server/inbound/pop3.h"

enum flag { TAKES_NOTHING = 1, SECRET = 2, LOGS_IN = 4, KEEPS_USER = 8 };

static const struct verb {
    const char *name;
    enum pop3_next (*handle)(struct pop3 *pop3, struct span argument, struct buf *out);
    unsigned states; /* in which it is allowed */
    unsigned flags;
    uint16_t line_max;
} verbs[] = {
    {"CAPA", pop3_capa, POP3_ANY, TAKES_NOTHING, POP3_LINE_MAX},
    {"STLS", pop3_stls, POP3_AUTHORIZATION, TAKES_NOTHING, POP3_LINE_MAX},
    {"AUTH", pop3_auth, POP3_AUTHORIZATION, SECRET | LOGS_IN, POP3_AUTH_LINE_MAX},
    {"USER", pop3_user, POP3_AUTHORIZATION, LOGS_IN | KEEPS_USER, POP3_LOGIN_LINE_MAX},
    {"PASS", pop3_pass, POP3_AUTHORIZATION, SECRET | LOGS_IN | KEEPS_USER, POP3_LOGIN_LINE_MAX},
    {"STAT", pop3_stat, POP3_TRANSACTION, TAKES_NOTHING, POP3_LINE_MAX},
    {"LIST", pop3_list, POP3_TRANSACTION, 0, POP3_LINE_MAX},
    {"UIDL", pop3_uidl, POP3_TRANSACTION, 0, POP3_LINE_MAX},
    {"RETR", pop3_retr, POP3_TRANSACTION, 0, POP3_LINE_MAX},
    {"TOP", pop3_top, POP3_TRANSACTION, 0, POP3_LINE_MAX},
    {"DELE", pop3_dele, POP3_TRANSACTION, 0, POP3_LINE_MAX},
    {"RSET", pop3_rset, POP3_TRANSACTION, TAKES_NOTHING, POP3_LINE_MAX},
    {"NOOP", pop3_noop, POP3_TRANSACTION, TAKES_NOTHING, POP3_LINE_MAX},
    {"QUIT", pop3_quit, POP3_ANY, TAKES_NOTHING, POP3_LINE_MAX},
};

static const struct verb *find_verb(struct span line) {
    struct span word = span_part(line, 0, span_find(line, ' '));
    for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++)
        if (span_equal_nocase(word, span_text(verbs[i].name))) return &verbs[i];
    return NULL;
}

void pop3_start(struct pop3 *pop3, const struct session_setup *setup, bool tls_offered, bool tls, bool clear_ok) {
    *pop3 = (struct pop3){.setup = setup,
                          .tls_offered = tls_offered,
                          .tls = tls,
                          .clear_ok = clear_ok,
                          .state = POP3_AUTHORIZATION,
                          .exit = SESSION_EXIT_FINE,
                          .keys_fd = -1,
                          .why = "client out of step"};
}

enum pop3_next pop3_say(enum pop3_reply reply, struct buf *out) {
    pop3_reply_put(out, reply);
    return POP3_MORE;
}

enum pop3_next pop3_broken(struct pop3 *pop3, struct buf *out) {
    pop3->exit = SESSION_EXIT_FAULT;
    pop3->why = "auth or the mailbox has left it";
    pop3_reply_put(out, POP3_REPLY_SHUTDOWN);
    return POP3_LEAVE;
}

enum pop3_next pop3_fail_known(struct pop3 *pop3, enum pop3_reply reply, struct buf *out) {
    if (++pop3->failures < pop3->setup->failures_per_session) return pop3_say(reply, out);
    pop3->exit = SESSION_EXIT_ABUSE;
    pop3->why = "too many failures";
    pop3_reply_put(out, POP3_REPLY_TOO_MANY);
    return POP3_LEAVE;
}

enum pop3_next pop3_fail(struct pop3 *pop3, enum pop3_reply reply, struct buf *out) {
    return ask_failure(SESSION_FAILURE_JUNK) ? pop3_fail_known(pop3, reply, out) : pop3_broken(pop3, out);
}

enum pop3_next pop3_fail_login(struct pop3 *pop3, enum pop3_reply reply, struct buf *out) {
    return ask_failure(SESSION_FAILURE_LOGIN) ? pop3_fail_known(pop3, reply, out) : pop3_broken(pop3, out);
}

void pop3_tls_started(struct pop3 *pop3) {
    pop3->tls = true;
    pop3->user_bytes = 0;
}

size_t pop3_line_limit(const struct pop3 *pop3, struct span start) {
    if (pop3->state == POP3_AUTHING) return POP3_AUTH_LINE_MAX;
    const struct verb *verb = find_verb(start);
    return verb ? verb->line_max : POP3_LINE_MAX;
}

/* RFC 1939 3: printable characters. An address or a password may have others above ASCII. */
static bool is_printable(struct span line) {
    for (size_t i = 0; i < line.n; i++)
        if (line.p[i] < ' ' || line.p[i] == 0x7f) return false;
    return true;
}

static enum pop3_next run_verb(struct pop3 *pop3, const struct verb *verb, struct span line, struct buf *out) {
    struct span argument = span_from(line, strlen(verb->name) + 1);
    if (!(verb->flags & KEEPS_USER)) pop3->user_bytes = 0;
    if (!(pop3->state & verb->states)) {
        enum pop3_reply early = POP3_REPLY_LOGIN_FIRST, late = POP3_REPLY_LOGIN_TWICE;
        return pop3_fail(pop3, pop3->state == POP3_AUTHORIZATION ? early : late, out);
    }
    if ((verb->flags & TAKES_NOTHING) && span_trim(argument).n) return pop3_fail(pop3, POP3_REPLY_NO_ARGUMENT, out);
    if ((verb->flags & LOGS_IN) && !pop3_may_log_in(pop3)) return pop3_fail(pop3, POP3_REPLY_NEEDS_TLS, out);
    return verb->handle(pop3, argument, out);
}

enum pop3_next pop3_line(struct pop3 *pop3, struct span line, struct buf *out) {
    pop3->secret = pop3->state == POP3_AUTHING;
    if (pop3->secret) return pop3_auth_line(pop3, line, out);
    const struct verb *verb = find_verb(line);
    if (verb && (verb->flags & SECRET)) pop3->secret = true;
    if (!is_printable(line)) return pop3_fail(pop3, POP3_REPLY_BAD_LINE, out);
    return verb ? run_verb(pop3, verb, line, out) : pop3_fail(pop3, POP3_REPLY_UNKNOWN_COMMAND, out);
}

enum pop3_next pop3_bad_line(struct pop3 *pop3, enum pop3_reply reply, struct buf *out) {
    struct ask_auth ignored;
    pop3->user_bytes = 0;
    if (pop3->state != POP3_AUTHING) return pop3_fail(pop3, reply, out);
    pop3->state = POP3_AUTHORIZATION; /* the exchange is over too */
    if (!ask_auth_next(true, span_of(NULL, 0), &ignored)) return pop3_broken(pop3, out);
    return pop3_fail_known(pop3, reply, out);
}
