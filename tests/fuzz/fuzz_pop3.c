/* fuzz_pop3.c - a whole conversation with the POP3 machine, with auth and the mailbox agent in any mood.
 * Runs in: fuzzing. Trusts: nothing. Never: takes a login or a removal that nobody gave. */
#include "auth/relay.h"
#include "server/inbound/pop3.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/talk.h"

static struct {
    struct ask_mailbox mailbox;
    struct span text;
    size_t at, part;
    bool whole, quit;
    uint32_t failed;
} agent;

bool ask_mailbox(struct ask_mailbox *out) {
    *out = agent.mailbox;
    return !talk_world.gone;
}

bool ask_mailbox_entry(uint32_t index, struct mailbox_entry *out) {
    HOLDS(index < agent.mailbox.messages);
    *out = (struct mailbox_entry){index, SPAN("an-id")};
    return !talk_world.gone;
}

bool ask_mailbox_read(uint32_t index, uint32_t body_lines) {
    (void)body_lines;
    HOLDS(index < agent.mailbox.messages);
    agent.at = 0;
    return !talk_world.gone;
}

bool ask_mailbox_part(struct span *part_out, bool *whole_out) {
    *part_out = span_part(agent.text, agent.at, agent.part);
    agent.at += part_out->n;
    *whole_out = !part_out->n && agent.whole;
    return !talk_world.gone;
}

bool ask_mailbox_quit(const uint8_t *bitmap, uint32_t messages, uint32_t marked, uint32_t *failed_out) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < messages; i++) n += bitmap[i / 8] >> i % 8 & 1;
    HOLDS(n == marked && !agent.quit);
    agent.quit = true;
    *failed_out = agent.failed < marked ? agent.failed : marked;
    return !talk_world.gone;
}

/* Whole lines; one that answers a command begins with + or -. */
static void check_replies(struct span s, bool first) {
    for (; s.n; first = false) {
        size_t n = span_find(s, '\n');
        HOLDS(n < s.n && n >= 1 && s.p[n - 1] == '\r');
        HOLDS(!first || s.p[0] == '+' || s.p[0] == '-');
        s = span_from(s, n + 1);
    }
}

static enum pop3_next tell_all(struct pop3 *pop3, enum pop3_next next) {
    while (next == POP3_GOES_ON) {
        if (talk_out.cap - talk_out.n < POP3_OUT_MIN) buf_clear(&talk_out);
        next = pop3_go_on(pop3, &talk_out);
        HOLDS(buf_ok(&talk_out));
    }
    return next;
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n) {
    static bool begun;
    static struct pop3 pop3;
    struct span in = span_of(p, n);
    uint8_t mood = fuzz_octet(&in), more = fuzz_octet(&in), many = fuzz_octet(&in);
    if (!begun) talk_start(RELAY_ROLE_MX, false);
    begun = true;
    talk_world = (struct talk_world){
        .keys = mood & 8,
        .gone = mood & 128,
        .auths = {(enum auth_outcome)(more >> 2 & 7), (enum auth_outcome)(more >> 5 & 7), AUTH_ACCEPTED, AUTH_HELD},
        .bound = more & 1};
    agent.mailbox = (struct ask_mailbox){(enum mailbox_answer)(mood & 3), many, many * UINT64_C(200)};
    agent.text = span_part(in, 0, (size_t)many * 4);
    agent.part = 1 + (more & 31);
    agent.whole = mood & 64;
    agent.quit = false;
    agent.failed = more & 3;
    pop3_start(&pop3, &talk_setup, true, mood & 32, mood & 16);
    enum pop3_next next = POP3_MORE;
    while (in.n && next != POP3_LEAVE) {
        talk_out = BUF_OVER(talk_storage);
        struct span line = fuzz_line(&in);
        if (line.n && line.p[line.n - 1] == '\r') line.n--;
        bool bad = memchr(line.n ? line.p : (const uint8_t *)"", 0, line.n) ||
                   (line.n && memchr(line.p, '\r', line.n)) || line.n + 2 > pop3_line_limit(&pop3, line);
        bool before = pop3.state == POP3_TRANSACTION;
        next = bad ? pop3_bad_line(&pop3, POP3_REPLY_BAD_LINE, &talk_out) : pop3_line(&pop3, line, &talk_out);
        HOLDS(before || pop3.state != POP3_TRANSACTION || (pop3_may_log_in(&pop3) && talk_world.n_auths > 0));
        HOLDS(pop3.marked <= pop3.messages && (!agent.quit || next == POP3_LEAVE));
        if (next == POP3_STLS) pop3_tls_started(&pop3), next = POP3_MORE;
        bool longer = next == POP3_GOES_ON;
        next = tell_all(&pop3, next);
        HOLDS(buf_ok(&talk_out));
        if (!longer) check_replies(buf_span(&talk_out), true);
    }
    pop3.marked = 1; /* a session is a process's only one: what the next one finds is clean */
    buf_clear(&talk_out);
    (void)pop3_rset(&pop3, SPAN(""), &talk_out);
    return 0;
}
