/* talk.c - auth and queue played in place of ask.c, and lines said to the machine.
 * Runs in: the test runner. Trusts: nothing. Never: talks to a socket. */
#include "tests/unit/talk.h"

#include "auth/relay.h"
#include "server/inbound/tls.h"
#include "store/log.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- auth and queue */

struct talk_world talk_world;

bool ask_keys(int *fd_out) {
    *fd_out = talk_world.keys ? 99 : -1;
    return !talk_world.gone;
}

static bool next_auth(struct ask_auth *out) {
    out->outcome = talk_world.auths[talk_world.n_auths++ % 4];
    out->challenge = SPAN("Username:");
    return !talk_world.gone;
}

static void note_sasl(const char *what, struct span mechanism, struct span response) {
    size_t n = strlen(talk_world.sasl);
    snprintf(talk_world.sasl + n, sizeof talk_world.sasl - n, "%s %.*s [%.*s];", what, (int)mechanism.n,
             (const char *)mechanism.p, (int)response.n, (const char *)response.p);
}

bool ask_auth(const struct ask_auth_start *start, struct ask_auth *out) {
    note_sasl(!start->tls ? "plaintext" : start->initial ? "initial" : "none", start->mechanism, start->response);
    if (start->exporter.n || start->end_point.n) {
        note_sasl("bound to", start->exporter, start->end_point);
    }
    return next_auth(out);
}

bool ask_auth_next(bool cancelled, struct span response, struct ask_auth *out) {
    note_sasl(cancelled ? "cancel" : "next", SPAN(""), response);
    return next_auth(out);
}

bool ask_mail(bool esmtp, struct span helo, struct span argument, struct ask_mail *out) {
    size_t n = strlen(talk_world.mails);
    snprintf(talk_world.mails + n, sizeof talk_world.mails - n, "%d %.*s %.*s;", esmtp, (int)helo.n,
             (const char *)helo.p, (int)argument.n, (const char *)argument.p);
    talk_world.mail_questions++;
    out->reason = talk_world.mail;
    out->foreign = talk_world.foreign;
    memset(out->transaction, 7, sizeof out->transaction);
    out->header_from = talk_world.header_from;
    return !talk_world.gone;
}

bool ask_from(const struct span *addresses, size_t n, enum reason *reason_out) {
    for (size_t i = 0; i < n; i++) {
        size_t at = strlen(talk_world.froms);
        snprintf(talk_world.froms + at, sizeof talk_world.froms - at, "%.*s;", (int)addresses[i].n,
                 (const char *)addresses[i].p);
    }
    *reason_out = talk_world.from;
    return !talk_world.gone;
}

bool ask_rcpt(const struct span *arguments, size_t n, enum reason *reasons_out) {
    talk_world.rcpt_questions++;
    talk_world.rcpts += n;
    for (size_t i = 0; i < n; i++) {
        bool nobody = span_starts_nocase(arguments[i], SPAN("<nobody"));
        reasons_out[i] = nobody ? REASON_UNKNOWN_RECIPIENT : REASON_LOCAL_RECIPIENT;
        if (!nobody) talk_world.queue = true;
    }
    return !talk_world.gone;
}

bool ask_reset(void) {
    return talk_world.resets++, !talk_world.gone;
}
bool ask_failure(enum session_failure failure) {
    return talk_world.failures += failure != 0, !talk_world.gone;
}

/* ---- TLS */

bool tls_binds(void) {
    return talk_world.bound;
}
struct span tls_exporter(void) {
    return talk_world.bound ? SPAN("exporter") : SPAN("");
}
struct span tls_end_point(void) {
    return talk_world.bound ? SPAN("end point") : SPAN("");
}

int ask_other_fd(void) {
    return talk_world.queue ? 98 : -1;
}

struct buf *ask_body_start(const uint8_t transaction[TRANSACTION_BYTES]) {
    (void)transaction;
    talk_world.body = BUF_OVER(talk_world.body_storage);
    return &talk_world.body;
}

bool ask_body_send(void) {
    return !talk_world.gone;
}

bool ask_body_commit(uint32_t recipients, struct ask_body *out) {
    talk_world.committed = recipients;
    *out = (struct ask_body){talk_world.outcome, SPAN("M1")};
    return !talk_world.gone;
}

bool ask_body_abort(void) {
    return talk_world.aborts++, !talk_world.gone;
}

/* ---- transcripts */

static struct span local_domains[] = {{(const uint8_t *)"example.test", 12}};
struct session_setup talk_setup;
struct smtp talk_machine;
uint8_t talk_storage[TALK_BYTES];
struct buf talk_out;

void talk_start(uint8_t role, bool tls) {
    int null = open("/dev/null", O_WRONLY);
    log_use(null);
    talk_world = (struct talk_world){.mail = REASON_SENDER_ACCEPTED,
                                     .foreign = REASON_RELAY_DENIED,
                                     .from = REASON_SENDER_ACCEPTED,
                                     .outcome = BODY_DURABLE,
                                     .keys = true,
                                     .auths = {AUTH_ACCEPTED, AUTH_ACCEPTED, AUTH_ACCEPTED, AUTH_ACCEPTED}};
    talk_setup = (struct session_setup){.hostname = SPAN("mx.example.test"),
                                        .local_domains = local_domains,
                                        .n_local_domains = 1,
                                        .recipients_per_message = 100,
                                        .messages_per_session = 10,
                                        .failures_per_session = 20,
                                        .message_bytes = 1000,
                                        .scram = 1,
                                        .scram_plus = 1,
                                        .legacy_auth_line = 1};
    smtp_start(&talk_machine, &talk_setup, role, role != RELAY_ROLE_MX, true, tls);
}

enum smtp_next talk_say(const char *line) {
    talk_out = BUF_OVER(talk_storage);
    enum smtp_next next = smtp_line(&talk_machine, span_text(line), &talk_out);
    if (next == SMTP_MORE) next = smtp_flush(&talk_machine, &talk_out);
    talk_storage[talk_out.n] = '\0';
    return next;
}

bool talk_starts(const char *with) {
    return span_starts_nocase(buf_span(&talk_out), span_text(with));
}

void talk_body(const char *text) {
    size_t before = talk_machine.body->n;
    data_take(&talk_machine.data, span_text(text), talk_machine.body);
    if (talk_machine.from) from_take(talk_machine.from, span_from(buf_span(talk_machine.body), before));
    talk_out = BUF_OVER(talk_storage);
}

enum smtp_next talk_end_body(void) {
    enum smtp_next next = smtp_body_end(&talk_machine, &talk_out);
    talk_storage[talk_out.n] = '\0';
    return next;
}

bool talk_lists(const char *extension) {
    return strstr((char *)talk_storage, extension) != NULL;
}

void talk_open_mail(void) {
    bool open = talk_say("EHLO client.example") == SMTP_MORE && talk_starts("250-") &&
                talk_say("MAIL FROM:<a@elsewhere.example>") == SMTP_MORE && talk_starts("250 2.1.0");
    if (!open) abort();
}
