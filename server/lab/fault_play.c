/* fault_play.c - doing what a verdict says.
 * Runs in: session; builds with FAULTS=1 only. Trusts: the script. Never: asks auth or queue. */
#include "server/lab/fault.h"

#include "server/inbound/client.h"
#include "store/clock.h"

enum { SEND_MS = 30000, HELLO_MS = 10000 };

/* A reply in the words of the protocol: RFC 5321 4.2, RFC 1939 3, RFC 2449 8, RFC 3206. */
static void put_reply(const struct fault_rule *rule, struct buf *out) {
    if (fault_is_pop3()) {
        static const char *const starts[] = {"+OK ", "+OK ", "-ERR [SYS/TEMP] ", "-ERR [SYS/PERM] "};
        buf_put_text(out, rule->number == 535 ? "-ERR [AUTH] " : starts[rule->number / 100 - 2]);
    } else {
        buf_put_number(out, rule->number);
        buf_put_octet(out, ' ');
    }
    if (rule->text.n)
        buf_put_span(out, rule->text);
    else {
        if (!fault_is_pop3() && rule->number / 100 != 3)
            buf_put_format(out, "%u.0.0 ", (unsigned)(rule->number / 100)); /* RFC 2034 4 */
        buf_put_text(out, "A fault, as asked");
    }
    buf_put_text(out, "\r\n");
}

static enum fault_course act(const struct fault_rule *rule, struct buf *out) {
    switch (rule->action) {
    case FAULT_REPLY:
        put_reply(rule, out);
        return rule->number == 421 ? FAULT_PARTING : FAULT_ANSWERED; /* RFC 5321 3.8 */
    case FAULT_SAY:
        buf_put_span(out, rule->text);
        buf_put_text(out, "\r\n");
        return FAULT_ANSWERED;
    case FAULT_CUT:
        client_cut(rule->number);
        return FAULT_GO_ON;
    case FAULT_DROP:
        client_drop();
        return FAULT_LEAVE;
    case FAULT_CLOSE:
    case FAULT_FAIL:
    case FAULT_DELAY:
    case FAULT_SLOW:
    case FAULT_NOTHING:
    case FAULT_ACTION_COUNT:
        break;
    }
    return FAULT_LEAVE;
}

static bool send_waiting(struct buf *out) {
    bool sent = out->n == 0 || client_send(buf_span(out), clock_ms() + SEND_MS) == CLIENT_FINE;
    buf_clear(out);
    return sent;
}

enum fault_course fault_play(const struct fault_verdict *verdict, struct buf *out) {
    if (!send_waiting(out)) return FAULT_LEAVE;
    if (verdict->delay_ms && client_pause(verdict->delay_ms) != CLIENT_FINE) return FAULT_LEAVE;
    if (verdict->octets_per_second) client_slow(verdict->octets_per_second);
    return verdict->final ? act(verdict->final, out) : FAULT_GO_ON;
}

enum fault_course fault_at(const struct fault_event *event, struct buf *out) {
    struct fault_verdict verdict;
    return fault_judge(event, &verdict) ? fault_play(&verdict, out) : FAULT_GO_ON;
}

/* A greeting of 4xx or 5xx is the end of it. */
enum fault_course fault_connect(uint8_t role, const struct netaddr *client, struct buf *out) {
    struct fault_verdict verdict;
    fault_open(role, client);
    if (!fault_judge(&(struct fault_event){.where = FAULT_CONNECT}, &verdict)) return FAULT_GO_ON;
    buf_clear(out);
    enum fault_course course = fault_play(&verdict, out);
    bool refuses = verdict.final && verdict.final->action == FAULT_REPLY && verdict.final->number >= 400;
    return course == FAULT_ANSWERED && refuses ? FAULT_PARTING : course;
}

/* Record and alert of TLS 1.2 (RFC 5246 6.2.1, 7.2), which every version reads before the handshake: fatal,
 * handshake_failure. */
static void fail(void) {
    static const uint8_t alert[] = {21, 3, 3, 0, 2, 2, 40};
    /* Behind the client's hello, or the close would eat the alert. */
    if (client_fill(clock_ms() + HELLO_MS, true) != CLIENT_FINE) return;
    client_discard();
    if (client_send(span_of(alert, sizeof alert), clock_ms() + SEND_MS) != CLIENT_FINE) return;
}

enum fault_course fault_tls(void) {
    struct fault_verdict verdict;
    uint8_t nothing[1];
    struct buf out = BUF_OVER(nothing);
    if (!fault_judge(&(struct fault_event){.where = FAULT_TLS}, &verdict)) return FAULT_GO_ON;
    enum fault_course course = fault_play(&verdict, &out);
    if (course == FAULT_LEAVE && verdict.final && verdict.final->action == FAULT_FAIL) fail();
    return course;
}
