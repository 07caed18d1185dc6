/* pop3_session.c - the life of one POP3 connection: who it is, TLS, then lines until one side leaves.
 * Runs in: session, for POP3. Trusts: auth for welcome and verdicts; nothing from the client. Never: reads an octet
 * of the client's before auth knows who it is, says a word that no command asked for (RFC 1939 3). */
#include "server/inbound/session.h"

#include "auth/relay.h"
#include "server/inbound/client.h"
#include "server/inbound/handshake.h"
#include "server/inbound/line.h"
#include "server/inbound/pop3.h"
#include "server/inbound/proxy_read.h"
#include "server/inbound/tls.h"
#include "server/lab/fault_pop3.h"
#include "store/clock.h"
#include "store/log.h"

enum { ASK_MS = 120000, LAST_WORD_MS = 2000, OUT_BYTES = 40 << 10 };

static CHILD_FIRST struct {
    const struct session_setup *setup;
    struct pop3 pop3;
    struct netaddr client, local;
    uint8_t role;
    bool implicit_tls;
    bool announced; /* what it logs has a name from then on */
    bool skipping;  /* the rest of a line that was too long */
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

static bool logged_in(void) {
    return session.pop3.state == POP3_TRANSACTION;
}

/* ---- ends */

static enum session_exit leave(const char *why, enum session_exit how) {
    session.why = why;
    return how;
}

/* Nothing is removed and nothing said: whoever waits for no answer takes a line for the answer to what he says next.
 */
static enum session_exit end_by(enum client_status status) {
    switch (status) {
    case CLIENT_LATE:
        if (clock_ms() >= session.session_deadline_ms) return leave("session too long", SESSION_EXIT_FINE);
        return leave(logged_in() ? "timeout" : "no login in time", SESSION_EXIT_FINE);
    case CLIENT_ALONE:
        return leave("auth or the mailbox has left it", SESSION_EXIT_FAULT);
    case CLIENT_STOPPED:
        return leave("server stopping", SESSION_EXIT_FINE);
    case CLIENT_GONE:
    case CLIENT_FINE:
        break;
    }
    return leave("client left", SESSION_EXIT_FINE);
}

/* In place of the greeting, where the client can read it. */
static void say_first(void) {
    if (session.implicit_tls) return;
    if (client_send(buf_span(&out), clock_ms() + LAST_WORD_MS) != CLIENT_FINE) return;
}

/* ---- before the first line */

static bool refused(bool by_proxy, enum session_exit *exit_out) {
    struct ask_welcome welcome;
    if ((by_proxy && !ask_announce(session.role, &session.client, &session.local, true)) || !ask_welcome(&welcome)) {
        *exit_out = end_by(CLIENT_ALONE);
        return true;
    }
    session.announced = true;
    if (welcome.refusal == REASON_COUNT) return false;
    pop3_reply_put_reason(&out, welcome.refusal);
    say_first();
    *exit_out = leave(reason_reply(welcome.refusal)->name, SESSION_EXIT_FINE);
    return true;
}

/* It goes no further, but under the peer's own address the log can say why. */
static enum session_exit without_proxy(const struct session_place *place) {
    struct ask_welcome ignored;
    session.announced = ask_announce(session.role, &place->client, &place->local, false) && ask_welcome(&ignored);
    pop3_reply_put(&out, POP3_REPLY_PROXY);
    say_first();
    return leave("no usable PROXY header", SESSION_EXIT_FINE);
}

/* False: it is over. */
static bool shake_hands(int keys_fd, enum session_exit *exit_out) {
    enum handshake_end end = handshake(keys_fd, deadline_in(session.setup->tls_ms));
    session.pop3.keys_fd = -1;
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
    if (out.n) status = client_send(buf_span(&out), deadline_in(session.setup->data_ms));
    buf_clear(&out);
    return status;
}

static enum pop3_next handle_good(struct span line) {
    enum fault_course course = fault_pop3_line(&session.pop3, line, &out);
    if (course == FAULT_GO_ON) return pop3_line(&session.pop3, line, &out);
    return course == FAULT_ANSWERED ? POP3_MORE : POP3_LEAVE;
}

/* Handles one line if one is there; false when more octets are needed. */
static bool handle_line(enum pop3_next *next_out) {
    struct span rest = client_rest(), line;
    size_t used = 0;
    if (session.skipping) {
        if (!line_skip()) return false;
        session.skipping = false;
        *next_out = pop3_bad_line(&session.pop3, POP3_REPLY_LINE_TOO_LONG, &out);
        return true;
    }
    switch (line_find(rest, &line, &used)) {
    case LINE_NONE:
        session.skipping = rest.n > POP3_AUTH_LINE_MAX;
        return session.skipping && handle_line(next_out);
    case LINE_ENDLESS:
        /* Where the next command begins nobody can say. */
        *next_out = pop3_bad_line(&session.pop3, POP3_REPLY_BAD_LINE, &out);
        if (*next_out == POP3_MORE) *next_out = POP3_LEAVE;
        return true;
    case LINE_BAD:
        client_take(used);
        *next_out = pop3_bad_line(&session.pop3, POP3_REPLY_BAD_LINE, &out);
        client_wipe(span_part(rest, 0, used));
        return true;
    case LINE_GOOD:
        break;
    }
    client_take(used);
    bool fits = used <= pop3_line_limit(&session.pop3, line);
    *next_out = fits ? handle_good(line) : pop3_bad_line(&session.pop3, POP3_REPLY_LINE_TOO_LONG, &out);
    if (!fits || session.pop3.secret) client_wipe(span_part(rest, 0, used));
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
    if (!shake_hands(session.pop3.keys_fd, exit_out)) return false;
    pop3_tls_started(&session.pop3);
    return true;
}

static enum pop3_next go_on(void) {
    bool text = session.pop3.telling == POP3_TELLS_TEXT;
    size_t before = out.n;
    enum pop3_next next = pop3_go_on(&session.pop3, &out);
    if (!text || next == POP3_LEAVE) return next;
    enum fault_course course = fault_pop3_octets(&session.pop3, out.n - before, next == POP3_MORE, &out);
    return course == FAULT_GO_ON ? next : POP3_LEAVE;
}

/* False: the session is over, *exit_out says how. */
static bool act(enum pop3_next next, enum session_exit *exit_out) {
    if (next == POP3_STLS) return start_tls(exit_out);
    while (next == POP3_GOES_ON) {
        enum client_status status = out.cap - out.n < POP3_OUT_MIN ? send_out() : CLIENT_FINE;
        if (status != CLIENT_FINE) {
            *exit_out = end_by(status);
            return false;
        }
        next = go_on();
    }
    if (next != POP3_LEAVE) return true;
    /* Who goes on sending may have the connection reset at its end, and what was held back with it. */
    if (session.pop3.quit && client_rest().n == 0) client_say_goodbye();
    (void)!send_out(); /* it is over in any case */
    *exit_out = leave(session.pop3.why, session.pop3.exit);
    return false;
}

static enum client_status wait_for_line(void) {
    if (!session.line_deadline_ms) session.line_deadline_ms = deadline_in(session.setup->idle_ms);
    uint64_t deadline = session.line_deadline_ms;
    if (!logged_in()) deadline = sooner(deadline, session.login_deadline_ms);
    /* Who has marked messages is given time to say QUIT: he would fetch them all again. */
    return client_fill(deadline, session.pop3.state != POP3_AUTHING && session.pop3.marked == 0);
}

static enum session_exit serve(void) {
    enum session_exit result = SESSION_EXIT_FAULT;
    for (;;) {
        enum pop3_next next = POP3_MORE;
        enum client_status status = CLIENT_FINE;
        if (handle_line(&next)) {
            session.line_deadline_ms = 0;
            if (!act(next, &result)) return result;
            if (out.cap - out.n < POP3_OUT_MIN) status = send_out();
        } else {
            status = send_out();
            if (status == CLIENT_FINE) status = wait_for_line();
        }
        if (status != CLIENT_FINE) return end_by(status);
    }
}

static bool may_log_in_clear(void) {
    for (uint32_t i = 0; i < session.setup->n_clear_login_from; i++)
        if (network_holds(&session.setup->clear_login_from[i], &session.client)) return true;
    return false;
}

static enum session_exit begin(const struct session_place *place) {
    enum session_exit result = SESSION_EXIT_FAULT;
    session.role = place->setup->sockets[place->socket].role;
    session.implicit_tls = session.role == RELAY_ROLE_POP3S;
    if (place->by_proxy && !proxy_read(&session.client, &session.local)) return without_proxy(place);
    if (refused(place->by_proxy, &result)) return result;
    pop3_start(&session.pop3, place->setup, tls_available(), session.implicit_tls, may_log_in_clear());
    enum fault_course course = fault_connect(session.role, &session.client, &out);
    if (course == FAULT_LEAVE) return leave(FAULT_WHY, SESSION_EXIT_FINE);
    if (session.implicit_tls && !begin_with_tls(&result)) return result;
    if (course == FAULT_GO_ON) pop3_reply_put_banner(&out, place->setup->hostname);
    enum client_status status = send_out();
    if (course == FAULT_PARTING) return leave(FAULT_WHY, SESSION_EXIT_FINE);
    return status == CLIENT_FINE ? serve() : end_by(status);
}

static void log_end(void) {
    struct log_line line;
    log_open(&line, LOG_SESSION_ENDED);
    log_text(&line, KEY_WHY, session.why);
    log_number(&line, KEY_COUNT, session.pop3.retrieved);
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
    /* A little less, so that the end is there before the master's patience is. */
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

const struct session_protocol session_pop3 = {run, pop3_reply_put_reason};
