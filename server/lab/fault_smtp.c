/* fault_smtp.c - what a line of SMTP is to the rules of faults, and leaving the machine in order.
 * Runs in: session; builds with FAULTS=1 only. Trusts: the script. Never: tells auth or queue of what was not done.
 */
#include "server/lab/fault_smtp.h"

#include "auth/address.h"
#include "server/inbound/client.h"
#include "server/lab/fault_login.h"
#include "store/clock.h"

enum { SEND_MS = 30000 };

static CHILD_STATE uint64_t message_bytes; /* of the message that comes */

/* What follows "FROM:" or "TO:", as an address without brackets. */
static struct span address_in(struct span argument) {
    struct address address;
    struct span rest, path = span_trim(span_from(argument, span_find(argument, ':') + 1));
    if (address_parse(&address, path, true, &rest)) return address.postmaster ? address.local : address.whole;
    return path;
}

static struct span sender_of(const struct smtp *smtp) {
    struct span path = span_of(smtp->sender, smtp->sender_bytes);
    return path.n >= 2 && path.p[0] == '<' ? span_part(path, 1, path.n - 2) : path;
}

static struct fault_event event_of(struct smtp *smtp, struct span line) {
    size_t end = span_find(line, ' ');
    struct span argument = span_trim(span_from(line, end));
    struct fault_event event = {.where = fault_script_command(span_part(line, 0, end)),
                                .argument = span_part(argument, 0, span_find(argument, ' ')),
                                .user = smtp->authenticated ? fault_login_name() : (struct span){0}};
    switch (event.where) {
    case FAULT_MAIL:
        event.argument = address_in(argument);
        fault_forget();
        fault_hear(event.argument, FAULT_MAIL, false);
        break;
    case FAULT_RCPT:
        event.argument = address_in(argument);
        fault_hear(event.argument, FAULT_RCPT, false);
        break;
    case FAULT_DATA:
    case FAULT_BDAT:
        event.argument = sender_of(smtp);
        if (smtp->state != SMTP_CHUNKS) message_bytes = 0;
        break;
    case FAULT_AUTH:
        smtp->secret = true;
        if (!smtp->authenticated && fault_login_begin(argument)) fault_hear(fault_login_name(), FAULT_AUTH, true);
        event.user = fault_login_name();
        break;
    default:
        break;
    }
    return event;
}

/* A line of an AUTH exchange is an event when the name comes with it. */
static bool event_of_exchange(struct span line, struct fault_event *out) {
    if (!fault_login_next(line)) return false;
    fault_hear(fault_login_name(), FAULT_AUTH, true);
    *out = (struct fault_event){.where = FAULT_AUTH, .named = true, .user = fault_login_name()};
    return true;
}

static enum fault_course part(struct smtp *smtp, enum fault_course course) {
    smtp->why = FAULT_WHY;
    smtp->exit = SESSION_EXIT_FINE;
    return course;
}

static enum fault_course broken(struct smtp *smtp, struct buf *out) {
    return smtp_broken(smtp, out) == SMTP_LEAVE ? FAULT_PARTING : FAULT_GO_ON;
}

/* What came before has its answers first; and an answer that is to be cut leaves by itself. */
static bool settle(struct smtp *smtp, struct buf *out, enum fault_course *course_out) {
    *course_out = FAULT_PARTING;
    if (smtp_flush(smtp, out) != SMTP_MORE) return false;
    if (client_send(buf_span(out), clock_ms() + SEND_MS) == CLIENT_FINE) {
        buf_clear(out);
        client_uncut();
        return true;
    }
    buf_clear(out);
    *course_out = part(smtp, FAULT_LEAVE);
    return false;
}

/* RFC 3030 2: the octets that a BDAT announces are no commands, and a chunk that is lost loses the message. False:
 * they do not come, or nobody hears of it. */
static bool drop_chunk(struct smtp *smtp, uint64_t n) {
    while (n) {
        size_t there = client_rest().n;
        if (there == 0 && client_fill(clock_ms() + SEND_MS, false) != CLIENT_FINE) return false;
        if (there > n) there = (size_t)n;
        client_take(there);
        n -= there;
    }
    return smtp->state != SMTP_CHUNKS || (ask_body_abort() && smtp_forget(smtp));
}

static uint64_t chunk_in(struct span line) {
    struct span argument = span_trim(span_from(line, span_find(line, ' ')));
    uint64_t n = 0;
    return span_number(span_part(argument, 0, span_find(argument, ' ')), INT64_MAX, &n) ? n : 0;
}

/* Auth still waits for the exchange's next line. */
static bool end_exchange(struct smtp *smtp) {
    struct ask_auth ignored;
    if (smtp->state != SMTP_AUTHING) return true;
    smtp->state = SMTP_HELLO;
    return ask_auth_next(true, span_of(NULL, 0), &ignored);
}

enum fault_course fault_smtp_line(struct smtp *smtp, struct span line, struct buf *out) {
    struct fault_verdict verdict;
    struct fault_event event;
    enum fault_course course;
    bool exchange = smtp->state == SMTP_AUTHING;
    smtp->secret = exchange;
    if (client_cutting() && !settle(smtp, out, &course)) return course;
    if (exchange && !event_of_exchange(line, &event)) return FAULT_GO_ON;
    if (!exchange) event = event_of(smtp, line);
    if (!fault_judge(&event, &verdict)) return FAULT_GO_ON;
    if (!settle(smtp, out, &course)) return course;
    uint64_t chunk = event.where == FAULT_BDAT ? chunk_in(line) : 0; /* before more comes in its place */
    course = fault_play(&verdict, out);
    if (course == FAULT_ANSWERED && !(end_exchange(smtp) && drop_chunk(smtp, chunk))) return broken(smtp, out);
    smtp->ends_group = true;
    return course == FAULT_PARTING || course == FAULT_LEAVE ? part(smtp, course) : course;
}

static struct fault_event body_event(const struct smtp *smtp, uint64_t n, bool end) {
    message_bytes += n;
    return (struct fault_event){.where = FAULT_BODY,
                                .argument = sender_of(smtp),
                                .user = smtp->authenticated ? fault_login_name() : (struct span){0},
                                .before = message_bytes - n,
                                .now = message_bytes,
                                .end = end};
}

enum fault_course fault_smtp_octets(struct smtp *smtp, uint64_t n) {
    uint8_t nothing[1];
    struct buf out = BUF_OVER(nothing);
    struct fault_event event = body_event(smtp, n, false);
    enum fault_course course = fault_at(&event, &out);
    return course == FAULT_GO_ON ? course : part(smtp, course);
}

enum fault_course fault_smtp_end(struct smtp *smtp, struct buf *out) {
    struct fault_event event = body_event(smtp, 0, true);
    enum fault_course course = fault_at(&event, out);
    if (course == FAULT_LEAVE) return part(smtp, course);
    if (course == FAULT_GO_ON) return course;
    if (!ask_body_abort() || !smtp_forget(smtp)) return broken(smtp, out);
    return course == FAULT_PARTING ? part(smtp, course) : course;
}
