/* session.c - the life of one SMTP connection: who it is, TLS, then lines and bodies until one side leaves.
 * Runs in: session. Trusts: auth for welcome and verdicts; nothing from the client. Never: reads an octet of the
 * client's before auth knows who it is. */
#include "server/inbound/session.h"

#include "auth/relay.h"
#include "server/inbound/body.h"
#include "server/inbound/client.h"
#include "server/inbound/handshake.h"
#include "server/inbound/line.h"
#include "server/inbound/proxy_read.h"
#include "server/inbound/smtp.h"
#include "server/inbound/tls.h"
#include "server/lab/fault_smtp.h"
#include "store/clock.h"
#include "store/log.h"

#include <unistd.h>

enum { ASK_MS = 120000, LAST_WORD_MS = 2000, OUT_BYTES = 40 << 10 };

static CHILD_FIRST struct {
    const struct session_setup *setup;
    struct smtp smtp;
    struct netaddr client, local;
    bool by_proxy, implicit_tls;
    bool announced; /* what it logs has a name from then on */
    bool skipping;  /* the rest of a line that was too long */
    enum reply skip_reply;
    uint64_t session_deadline_ms, login_deadline_ms;
    uint64_t line_deadline_ms; /* of the line waited for, 0: not waited for yet; octet by octet is not longer */
    const char *why;           /* it ended, for the log */
} session;

static CHILD_LAST uint8_t out_storage[OUT_BYTES];
static CHILD_STATE struct buf out;

static uint64_t sooner(uint64_t a, uint64_t b) {
    return a < b ? a : b;
}

static uint64_t deadline_in(uint64_t ms) {
    return sooner(clock_ms() + ms, session.session_deadline_ms);
}

static bool waits_for_login(void) {
    /* On these ports MAIL is taken from nobody but a user, by AUTH or by a grant. */
    return session.smtp.role != RELAY_ROLE_MX && session.smtp.auth_offered && !session.smtp.authenticated &&
           !session.smtp.told;
}

/* ---- ends */

static enum session_exit leave(const char *why, enum session_exit how) {
    session.why = why;
    return how;
}

/* A last word, where the client can read it. */
static void say_last(enum reply reply) {
    buf_clear(&out);
    reply_put(&out, reply);
    if (session.implicit_tls && !client_under_tls()) return;
    if (client_send(buf_span(&out), clock_ms() + LAST_WORD_MS) != CLIENT_FINE) return;
}

static enum session_exit late(void) {
    uint64_t now = clock_ms();
    if (now >= session.session_deadline_ms) {
        say_last(REPLY_SESSION_TIMEOUT);
        return leave("session too long", SESSION_EXIT_FINE);
    }
    bool login = waits_for_login() && now >= session.login_deadline_ms;
    say_last(login ? REPLY_LOGIN_TIMEOUT : REPLY_TIMEOUT);
    return leave(login ? "no login in time" : "timeout", SESSION_EXIT_FINE);
}

/* The client cannot go on being served: why, by what the last wait said. */
static enum session_exit end_by(enum client_status status) {
    switch (status) {
    case CLIENT_LATE:
        return late();
    case CLIENT_ALONE:
        say_last(REPLY_SHUTDOWN);
        return leave("auth or queue has left it", SESSION_EXIT_FAULT);
    case CLIENT_STOPPED:
        say_last(REPLY_SHUTDOWN);
        return leave("server stopping", SESSION_EXIT_FINE);
    case CLIENT_GONE:
    case CLIENT_FINE:
        break;
    }
    return leave("client left", SESSION_EXIT_FINE);
}

/* ---- before the first line */

static bool refused(enum session_exit *exit_out) {
    struct ask_welcome welcome;
    if ((session.by_proxy && !ask_announce(session.smtp.role, &session.client, &session.local, true)) ||
        !ask_welcome(&welcome)) {
        *exit_out = end_by(CLIENT_ALONE);
        return true;
    }
    session.announced = true;
    smtp_welcome(&session.smtp, &welcome);
    if (welcome.refusal == REASON_COUNT) return false;
    buf_clear(&out);
    reply_put_reason(&out, welcome.refusal);
    if (!session.implicit_tls) (void)!client_send(buf_span(&out), clock_ms() + LAST_WORD_MS);
    *exit_out = leave(reason_reply(welcome.refusal)->name, SESSION_EXIT_FINE);
    return true;
}

/* False: it is over. */
static bool shake_hands(int keys_fd, enum session_exit *exit_out) {
    enum handshake_end end = handshake(keys_fd, deadline_in(session.setup->tls_ms));
    session.smtp.keys_fd = -1;
    if (end == HANDSHAKE_ALONE) *exit_out = end_by(CLIENT_ALONE);
    if (end == HANDSHAKE_FAILED) *exit_out = leave("no TLS", SESSION_EXIT_FINE);
    return end == HANDSHAKE_DONE;
}

static bool begin_with_tls(enum session_exit *exit_out) {
    int keys_fd = -1;
    const char *why = handshake_keys(&keys_fd);
    if (!why) return shake_hands(keys_fd, exit_out);
    *exit_out = leave(why, SESSION_EXIT_FAULT);
    return false;
}

/* ---- lines */

static enum client_status send_out(void) {
    enum client_status status = CLIENT_FINE;
    if (out.n) status = client_send(buf_span(&out), deadline_in(session.setup->command_ms));
    buf_clear(&out);
    return status;
}

static enum reply long_reply(struct span start) {
    bool auth = smtp_line_limit(&session.smtp, start) == SMTP_AUTH_LINE_MAX;
    return auth ? REPLY_AUTH_LINE_TOO_LONG : REPLY_LINE_TOO_LONG;
}

static enum smtp_next after_fault(enum fault_course course) {
    return course == FAULT_ANSWERED ? SMTP_MORE : SMTP_LEAVE;
}

static enum smtp_next handle_good(struct span line) {
    enum fault_course course = fault_smtp_line(&session.smtp, line, &out);
    return course == FAULT_GO_ON ? smtp_line(&session.smtp, line, &out) : after_fault(course);
}

/* Handles one line if one is there; false when more octets are needed. */
static bool handle_line(enum smtp_next *next_out) {
    struct span rest = client_rest(), line;
    size_t used = 0;
    if (session.skipping) {
        if (!line_skip()) return false;
        session.skipping = false;
        *next_out = smtp_bad_line(&session.smtp, session.skip_reply, &out);
        return true;
    }
    switch (line_find(rest, &line, &used)) {
    case LINE_NONE:
        if (rest.n > SMTP_AUTH_LINE_MAX) {
            session.skipping = true;
            session.skip_reply = long_reply(rest);
            return handle_line(next_out);
        }
        return false;
    case LINE_ENDLESS:
        /* Where the next command begins nobody can say. */
        *next_out = smtp_bad_line(&session.smtp, REPLY_BAD_LINE, &out);
        if (*next_out == SMTP_MORE) *next_out = SMTP_LEAVE;
        return true;
    case LINE_BAD:
        client_take(used);
        *next_out = smtp_bad_line(&session.smtp, REPLY_BAD_LINE, &out);
        client_wipe(span_part(rest, 0, used));
        return true;
    case LINE_GOOD:
        break;
    }
    client_take(used);
    bool fits = used <= smtp_line_limit(&session.smtp, line);
    *next_out = fits ? handle_good(line) : smtp_bad_line(&session.smtp, long_reply(line), &out);
    if (!fits || session.smtp.secret) client_wipe(span_part(rest, 0, used));
    return true;
}

/* ---- what a line asks for */

static bool start_tls(enum session_exit *exit_out) {
    enum client_status status = send_out();
    if (status != CLIENT_FINE) {
        *exit_out = end_by(status);
        return false;
    }
    client_discard();
    if (!shake_hands(session.smtp.keys_fd, exit_out)) return false;
    smtp_tls_started(&session.smtp);
    return true;
}

static enum smtp_next end_body(bool chunk) {
    bool last = !chunk || (session.smtp.chunk_last && !session.smtp.chunk_dropped);
    enum fault_course course = last ? fault_smtp_end(&session.smtp, &out) : FAULT_GO_ON;
    if (course != FAULT_GO_ON) return after_fault(course);
    return chunk ? smtp_chunk_end(&session.smtp, &out) : smtp_body_end(&session.smtp, &out);
}

static bool take_body(bool chunk, enum smtp_next *next_out, enum session_exit *exit_out) {
    /* A client may wait for what was said so far before it sends the chunk. */
    bool all_there = chunk && client_rest().n >= session.smtp.chunk_bytes;
    enum client_status status = all_there ? CLIENT_FINE : send_out();
    if (status == CLIENT_FINE)
        status = body_take(&session.smtp, chunk, session.setup->data_ms, session.session_deadline_ms);
    if (status == CLIENT_LATE && !chunk && data_ends_falsely(&session.smtp.data)) {
        *next_out = smtp_body_unended(&session.smtp, &out);
        return true;
    }
    if (status != CLIENT_FINE) {
        *exit_out = end_by(status);
        return false;
    }
    *next_out = end_body(chunk);
    return true;
}

/* False: the session is over, *exit_out says how. */
static bool act(enum smtp_next next, enum session_exit *exit_out) {
    if (next == SMTP_STARTTLS) return start_tls(exit_out);
    if ((next == SMTP_DATA || next == SMTP_CHUNK) && !take_body(next == SMTP_CHUNK, &next, exit_out)) return false;
    if (next != SMTP_LEAVE) return true;
    /* Who goes on sending may have the connection reset at its end, and what was held back with it. */
    if (session.smtp.quit && client_rest().n == 0) client_say_goodbye();
    (void)!send_out(); /* it is over in any case */
    *exit_out = leave(session.smtp.why, session.smtp.exit);
    return false;
}

static enum client_status wait_for_line(void) {
    if (!session.line_deadline_ms) session.line_deadline_ms = deadline_in(session.setup->command_ms);
    uint64_t deadline = session.line_deadline_ms;
    if (waits_for_login()) deadline = sooner(deadline, session.login_deadline_ms);
    return client_fill(deadline, session.smtp.state == SMTP_HELLO || session.smtp.state == SMTP_GREETED);
}

static enum session_exit serve(void) {
    enum session_exit result = SESSION_EXIT_FAULT;
    for (;;) {
        enum smtp_next next = SMTP_MORE;
        enum client_status status = CLIENT_FINE;
        if (handle_line(&next)) {
            session.line_deadline_ms = 0;
            if (!act(next, &result)) return result;
            if (session.smtp.ends_group || out.cap - out.n < SMTP_OUT_MIN) status = send_out();
        } else {
            next = smtp_flush(&session.smtp, &out);
            if (next == SMTP_LEAVE && !act(next, &result)) return result;
            status = send_out();
            if (status == CLIENT_FINE) status = wait_for_line();
        }
        if (status != CLIENT_FINE) return end_by(status);
    }
}

/* It goes no further, but under the peer's own address the log can say why. */
static enum session_exit without_proxy(const struct session_place *place) {
    struct ask_welcome ignored;
    session.announced =
        ask_announce(session.smtp.role, &place->client, &place->local, false) && ask_welcome(&ignored);
    say_last(REPLY_PROXY);
    return leave("no usable PROXY header", SESSION_EXIT_FINE);
}

static enum session_exit begin(const struct session_place *place) {
    static const struct session_socket local = {.role = RELAY_ROLE_LOCAL};
    const struct session_socket *socket = place->local_user ? &local : &place->setup->sockets[place->socket];
    enum session_exit result = SESSION_EXIT_FAULT;
    session.implicit_tls = socket->role == RELAY_ROLE_SUBMISSIONS;
    smtp_start(&session.smtp, place->setup, socket->role, socket->auth, tls_available() && !place->local_user,
               session.implicit_tls);
    session.by_proxy = place->by_proxy;
    if (session.by_proxy && !proxy_read(&session.client, &session.local)) return without_proxy(place);
    if (refused(&result)) return result;
    enum fault_course course = fault_connect(socket->role, &session.client, &out);
    if (course == FAULT_LEAVE) return leave(FAULT_WHY, SESSION_EXIT_FINE);
    if (session.implicit_tls && !begin_with_tls(&result)) return result;
    if (course == FAULT_GO_ON) {
        buf_clear(&out);
        reply_put_banner(&out, place->setup->hostname);
    }
    enum client_status status = send_out();
    if (course == FAULT_PARTING) return leave(FAULT_WHY, SESSION_EXIT_FINE);
    return status == CLIENT_FINE ? serve() : end_by(status);
}

static void log_end(void) {
    struct log_line line;
    log_open(&line, LOG_SESSION_ENDED);
    log_text(&line, KEY_WHY, session.why);
    log_number(&line, KEY_COUNT, session.smtp.messages);
    log_send(&line);
}

static enum session_exit run(const struct session_place *place) {
    uint64_t now = clock_ms();
    out = BUF_OVER(out_storage);
    session.setup = place->setup;
    session.client = place->client;
    session.local = place->local;
    session.session_deadline_ms = now + place->setup->session_ms;
    session.login_deadline_ms = now + place->setup->login_ms;
    /* A little less, so that the last word is out before the master's patience is. */
    uint64_t stop_ms = place->setup->shutdown_ms - place->setup->shutdown_ms / 8;
    client_open(place->fd, place->auth_fd, place->stop_fd, stop_ms);
    ask_open(place->auth_fd, ASK_MS);
    log_gather();
    enum session_exit result = begin(place);
    client_close();
    if (session.announced) log_end();
    log_flush();
    return result;
}

const struct session_protocol session_smtp = {run, reply_put_reason};
