/* fuzz_command.c - a whole conversation with the SMTP machine: lines, bodies and chunks, with auth and queue in any
 * mood.
 * Runs in: fuzzing. Trusts: nothing. Never: takes an acceptance that nobody gave. */
#include "auth/relay.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/talk.h"

/* Whole lines of at most 512 octets, each with a code. */
static void check_replies(struct span s) {
    while (s.n) {
        size_t n = span_find(s, '\n');
        HOLDS(n < s.n && n >= 4 && n < 512 && s.p[n - 1] == '\r' && !memchr(s.p, '\r', n - 1));
        HOLDS(s.p[0] >= '2' && s.p[0] <= '5' && s.p[1] >= '0' && s.p[1] <= '9' && (s.p[3] == ' ' || s.p[3] == '-'));
        s = span_from(s, n + 1);
    }
}

static void take_body(struct span *in, bool chunk) {
    struct smtp *smtp = &talk_machine;
    uint64_t left = chunk ? smtp->chunk_bytes : UINT64_MAX;
    while (in->n && left) {
        struct span part = span_part(*in, 0, in->n < 1000 ? in->n : 1000);
        if (part.n > left) part.n = (size_t)left;
        size_t taken = part.n;
        if (!chunk || !smtp->chunk_dropped) {
            taken = data_take(&smtp->data, part, smtp->body);
            buf_clear(smtp->body);
        }
        *in = span_from(*in, taken);
        if (left != UINT64_MAX) left -= taken;
        if (!chunk && smtp->data.state == DATA_END) return;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n) {
    static bool begun;
    struct span in = span_of(p, n);
    uint8_t mood = fuzz_octet(&in), more = fuzz_octet(&in);
    if (!begun) talk_start(RELAY_ROLE_MX, false);
    begun = true;
    uint8_t role = (uint8_t)(RELAY_ROLE_MX + mood % 3);
    talk_world = (struct talk_world){
        .mail = mood & 64 ? REASON_RELAY_DENIED : REASON_SENDER_ACCEPTED,
        .foreign = mood & 4 ? REASON_RELAY_AUTHENTICATED : REASON_RELAY_DENIED,
        .outcome = (enum body_outcome)(more & 3),
        .keys = mood & 8,
        .gone = mood & 128,
        .auths = {(enum auth_outcome)(more >> 2 & 7), (enum auth_outcome)(more >> 5 & 7), AUTH_ACCEPTED, AUTH_HELD},
        .bound = more & 1};
    memset(&talk_machine, 0, sizeof talk_machine);
    smtp_start(&talk_machine, &talk_setup, role, mood & 16, true, mood & 32);
    enum smtp_next next = SMTP_MORE;
    while (in.n && next != SMTP_LEAVE) {
        talk_out = BUF_OVER(talk_storage);
        struct span line = fuzz_line(&in);
        if (line.n && line.p[line.n - 1] == '\r') line.n--;
        bool bad = memchr(line.n ? line.p : (const uint8_t *)"", 0, line.n) ||
                   (line.n && memchr(line.p, '\r', line.n)) || line.n + 2 > smtp_line_limit(&talk_machine, line);
        size_t committed = talk_world.committed;
        next =
            bad ? smtp_bad_line(&talk_machine, REPLY_BAD_LINE, &talk_out) : smtp_line(&talk_machine, line, &talk_out);
        HOLDS(talk_machine.tls || !talk_machine.authenticated);
        if (next == SMTP_DATA || next == SMTP_CHUNK) {
            bool chunk = next == SMTP_CHUNK;
            HOLDS(next != SMTP_DATA || talk_machine.accepted > 0);
            take_body(&in, chunk);
            if (!chunk && talk_machine.data.state != DATA_END) return 0;
            next = chunk ? smtp_chunk_end(&talk_machine, &talk_out) : smtp_body_end(&talk_machine, &talk_out);
        } else {
            HOLDS(talk_world.committed == committed);
        }
        if (next == SMTP_STARTTLS) smtp_tls_started(&talk_machine), next = SMTP_MORE;
        if (next == SMTP_MORE && (more & 1 || talk_machine.ends_group || talk_out.cap - talk_out.n < SMTP_OUT_MIN))
            next = smtp_flush(&talk_machine, &talk_out);
        HOLDS(buf_ok(&talk_out));
        check_replies(buf_span(&talk_out));
    }
    return 0;
}
