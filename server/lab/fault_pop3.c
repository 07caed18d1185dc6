/* fault_pop3.c - what a line of POP3 is to the rules of faults, and leaving the machine in order.
 * Runs in: session, for POP3; builds with FAULTS=1 only. Trusts: the script. Never: tells auth or the mailbox of what
 * was not done. */
#include "server/lab/fault_pop3.h"

#include "server/inbound/client.h"
#include "server/lab/fault_login.h"
#include "store/clock.h"

enum { SEND_MS = 30000 };

static CHILD_STATE struct {
    uint64_t bytes;       /* of the message that is sent */
    uint8_t argument[40]; /* which one */
    size_t argument_bytes;
} text;

static void keep_argument(struct span argument) {
    text.bytes = 0;
    text.argument_bytes = argument.n <= sizeof text.argument ? argument.n : 0;
    memcpy(text.argument, argument.p, text.argument_bytes);
}

static struct span user_of(const struct pop3 *pop3) {
    return pop3->state == POP3_TRANSACTION ? fault_login_name() : (struct span){0};
}

static struct fault_event event_of(struct pop3 *pop3, struct span line) {
    size_t end = span_find(line, ' ');
    struct span argument = span_trim(span_from(line, end));
    struct fault_event event = {.where = fault_script_command(span_part(line, 0, end)),
                                .argument = span_part(argument, 0, span_find(argument, ' ')),
                                .user = user_of(pop3)};
    bool before = pop3->state == POP3_AUTHORIZATION;
    switch (event.where) {
    case FAULT_USER:
        event.argument = argument;
        if (!before) break;
        fault_login_user(argument);
        fault_hear(argument, FAULT_USER, true);
        event.user = fault_login_name();
        break;
    case FAULT_PASS:
        pop3->secret = true;
        event.argument = (struct span){0};
        if (before) event.user = span_of(pop3->user, pop3->user_bytes);
        break;
    case FAULT_AUTH:
        pop3->secret = true;
        if (before && fault_login_begin(argument)) fault_hear(fault_login_name(), FAULT_AUTH, true);
        if (before) event.user = fault_login_name();
        break;
    case FAULT_RETR:
    case FAULT_TOP:
        keep_argument(event.argument);
        break;
    default:
        break;
    }
    return event;
}

static bool event_of_exchange(struct span line, struct fault_event *out) {
    if (!fault_login_next(line)) return false;
    fault_hear(fault_login_name(), FAULT_AUTH, true);
    *out = (struct fault_event){.where = FAULT_AUTH, .named = true, .user = fault_login_name()};
    return true;
}

static enum fault_course part(struct pop3 *pop3, enum fault_course course) {
    pop3->why = FAULT_WHY;
    pop3->exit = SESSION_EXIT_FINE;
    return course;
}

/* An answer that is to be cut leaves by itself. */
static bool settle(struct buf *out) {
    bool sent = client_send(buf_span(out), clock_ms() + SEND_MS) == CLIENT_FINE;
    buf_clear(out);
    if (sent) client_uncut();
    return sent;
}

static bool end_exchange(struct pop3 *pop3) {
    struct ask_auth ignored;
    if (pop3->state != POP3_AUTHING) return true;
    pop3->state = POP3_AUTHORIZATION;
    return ask_auth_next(true, span_of(NULL, 0), &ignored);
}

enum fault_course fault_pop3_line(struct pop3 *pop3, struct span line, struct buf *out) {
    struct fault_verdict verdict;
    struct fault_event event;
    bool exchange = pop3->state == POP3_AUTHING;
    pop3->secret = exchange;
    if (client_cutting() && !settle(out)) return part(pop3, FAULT_LEAVE);
    if (exchange && !event_of_exchange(line, &event)) return FAULT_GO_ON;
    if (!exchange) event = event_of(pop3, line);
    if (!fault_judge(&event, &verdict)) return FAULT_GO_ON;
    enum fault_course course = fault_play(&verdict, out);
    if (course == FAULT_ANSWERED && !end_exchange(pop3))
        return pop3_broken(pop3, out) == POP3_LEAVE ? FAULT_PARTING : FAULT_GO_ON;
    return course == FAULT_PARTING || course == FAULT_LEAVE ? part(pop3, course) : course;
}

enum fault_course fault_pop3_octets(struct pop3 *pop3, uint64_t n, bool end, struct buf *out) {
    struct fault_verdict verdict;
    struct fault_event event = {.where = FAULT_BODY,
                                .argument = span_of(text.argument, text.argument_bytes),
                                .user = user_of(pop3),
                                .before = text.bytes,
                                .now = text.bytes + n,
                                .end = end};
    text.bytes = event.now;
    if (!fault_judge(&event, &verdict)) return FAULT_GO_ON;
    /* The client gets what comes before the octet at which it breaks. */
    if (verdict.final && verdict.final->after_bytes) out->n -= event.now - verdict.final->after_bytes;
    enum fault_course course = fault_play(&verdict, out);
    return course == FAULT_GO_ON ? course : part(pop3, course);
}
