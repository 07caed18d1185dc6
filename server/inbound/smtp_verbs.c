/* smtp_verbs.c - the verbs around a transaction: hello, STARTTLS, and the small ones.
 * Runs in: session. Trusts: nothing in a line. Never: does I/O with the client. */
#include "server/inbound/smtp.h"

/* RFC 5321 4.1.1.1 wants a domain or a literal; what clients say is looser, and it is only ever a claim. */
static bool helo_valid(struct span name) {
    for (size_t i = 0; i < name.n; i++)
        if (name.p[i] <= ' ' || name.p[i] == 0x7f) return false;
    return name.n > 0 && name.n <= SMTP_HELO_MAX;
}

/* EHLO and HELO end a transaction, RFC 5321 4.1.4. */
static enum smtp_next take_hello(struct smtp *smtp, struct span name, bool esmtp, struct buf *out) {
    if (name.n == 0) return smtp_fail(smtp, REPLY_NEEDS_ARGUMENT, out);
    if (!helo_valid(name)) return smtp_fail(smtp, REPLY_BAD_HELO, out);
    if (!smtp_forget(smtp)) return smtp_broken(smtp, out);
    memcpy(smtp->helo, name.p, name.n);
    smtp->helo_bytes = name.n;
    smtp->esmtp = esmtp;
    smtp->state = SMTP_HELLO;
    return SMTP_MORE;
}

static void put_line(struct buf *out, struct span text, bool last) {
    buf_put_text(out, last ? "250 " : "250-");
    buf_put_span(out, text);
    buf_put_text(out, "\r\n");
}

static void put_limits(struct smtp *smtp, struct buf *out) {
    buf_put_text(out, "250-SIZE ");
    buf_put_number(out, smtp->setup->message_bytes);
    buf_put_text(out, "\r\n250-LIMITS RCPTMAX="); /* RFC 9422 */
    buf_put_number(out, smtp->setup->recipients_per_message);
    buf_put_text(out, " MAILMAX=");
    buf_put_number(out, smtp->setup->messages_per_session);
    buf_put_text(out, "\r\n");
}

void smtp_welcome(struct smtp *smtp, const struct ask_welcome *welcome) {
    smtp->stranger = welcome->stranger;
    smtp->mail_first = welcome->mail_first;
    smtp->user_bytes = welcome->user.n <= sizeof smtp->user ? welcome->user.n : 0;
    if (smtp->user_bytes) memcpy(smtp->user, welcome->user.p, smtp->user_bytes);
}

static void put_user(const struct smtp *smtp, struct buf *out) {
    buf_put_text(out, "250-XUSER ");
    buf_put_span(out, span_of(smtp->user, smtp->user_bytes));
    buf_put_text(out, "\r\n");
}

enum smtp_next smtp_ehlo(struct smtp *smtp, struct span argument, struct buf *out) {
    size_t before = out->n;
    enum smtp_next next = take_hello(smtp, argument, true, out);
    if (next != SMTP_MORE || out->n != before) return next;
    put_line(out, smtp->setup->hostname, false);
    put_line(out, SPAN("PIPELINING"), false);
    put_limits(smtp, out);
    put_line(out, SPAN("8BITMIME"), false);
    put_line(out, SPAN("SMTPUTF8"), false);
    put_line(out, SPAN("CHUNKING"), false);
    put_line(out, SPAN("DSN"), false);
    if (smtp->tls_offered && !smtp->tls) put_line(out, SPAN("STARTTLS"), false);
    if (smtp->auth_offered && smtp->tls && !smtp->authenticated) {
        smtp_put_mechanisms(smtp, "250-AUTH ", out);
        /* For clients that know only the draft's form. */
        if (smtp->setup->legacy_auth_line) smtp_put_mechanisms(smtp, "250-AUTH=", out);
    }
    if (smtp->user_bytes) put_user(smtp, out);
    put_line(out, SPAN("HELP"), false);
    put_line(out, SPAN("ENHANCEDSTATUSCODES"), true);
    return SMTP_MORE;
}

enum smtp_next smtp_helo(struct smtp *smtp, struct span argument, struct buf *out) {
    size_t before = out->n;
    enum smtp_next next = take_hello(smtp, argument, false, out);
    if (next == SMTP_MORE && out->n == before) put_line(out, smtp->setup->hostname, true);
    return next;
}

enum smtp_next smtp_starttls(struct smtp *smtp, struct span argument, struct buf *out) {
    (void)argument;
    if (smtp->tls) return smtp_fail(smtp, REPLY_TLS_ALREADY, out);
    if (!smtp->tls_offered) return smtp_fail(smtp, REPLY_TLS_NOT_HERE, out);
    if (!smtp->keys_asked && !ask_keys(&smtp->keys_fd)) return smtp_broken(smtp, out);
    smtp->keys_asked = true;
    if (smtp->keys_fd < 0) return smtp_say(REPLY_TLS_UNAVAILABLE, out);
    reply_put(out, REPLY_TLS_READY);
    return SMTP_STARTTLS;
}

enum smtp_next smtp_noop(struct smtp *smtp, struct span argument, struct buf *out) {
    (void)smtp, (void)argument;
    return smtp_say(REPLY_OK, out);
}

enum smtp_next smtp_help(struct smtp *smtp, struct span argument, struct buf *out) {
    (void)smtp, (void)argument;
    return smtp_say(REPLY_HELP, out);
}

enum smtp_next smtp_rset(struct smtp *smtp, struct span argument, struct buf *out) {
    (void)argument;
    return smtp_forget(smtp) ? smtp_say(REPLY_RESET, out) : smtp_broken(smtp, out);
}

enum smtp_next smtp_quit(struct smtp *smtp, struct span argument, struct buf *out) {
    (void)argument;
    smtp->why = "quit";
    smtp->quit = true;
    reply_put(out, REPLY_GOODBYE);
    return SMTP_LEAVE;
}

enum smtp_next smtp_vrfy(struct smtp *smtp, struct span argument, struct buf *out) {
    if (argument.n == 0) return smtp_fail(smtp, REPLY_NEEDS_ARGUMENT, out);
    return smtp_say(REPLY_CANNOT_VERIFY, out);
}

enum smtp_next smtp_not_implemented(struct smtp *smtp, struct span argument, struct buf *out) {
    (void)argument;
    return smtp_fail(smtp, REPLY_NOT_IMPLEMENTED, out);
}
