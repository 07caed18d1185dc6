/* mailboxes.c - attacks on mailboxes from the POP3 session's place, before and after a login of its own: alice's,
 * whose password it has been told; bob's mailbox holds his secret. Runs in: the intruder, in the place of
 * gatepost-pop3. Trusts: nothing. Never: knows another password. */
#include "tests/intruder/intruder.h"

#include "store/mailbox.h"

#include <poll.h>

/* The agent of the attack before is given the time to leave: a session asks only once. */
enum { NO_ANSWER = 255, TEXT_MAX = 1 << 16, LEAVING_MS = 300 };
#define ALICE "\0alice@example.test\0correct horse battery"
#define SECRET "bob's secret"

static uint8_t octets[4096];

static bool announced(struct cell *cell) {
    struct buf b = BUF_OVER(octets);
    if (!cell_announce(cell, RELAY_ROLE_POP3S, "127.0.0.1")) return false;
    wire_put_text(&b, "TLS1.3 TLS_AES_256_GCM_SHA384");
    return cell_send(cell->auth, SESSION_TLS, &b);
}

static unsigned login(struct cell *cell, const char *mechanism, struct span response) {
    struct buf b = BUF_OVER(octets);
    struct frame frame;
    wire_put_u8(&b, 1);
    wire_put_text(&b, mechanism);
    wire_put_u8(&b, 1);
    wire_put_span(&b, response);
    wire_put_span(&b, SPAN(""));
    wire_put_span(&b, SPAN(""));
    if (!cell_send(cell->auth, SESSION_AUTH, &b)) return NO_ANSWER;
    if (cell_receive(cell->auth, &frame) != FRAME_RECEIVED || frame.type != SESSION_AUTH_RESULT) return NO_ANSWER;
    return frame.body.n ? frame.body.p[0] : NO_ANSWER;
}

/* What SESSION_MAILBOX brings, with whatever `says` in it: the agent's end, or -1. */
static int ask_saying(struct cell *cell, struct span says) {
    struct buf b = BUF_OVER(octets);
    struct frame frame;
    buf_put_span(&b, says);
    if (!cell_send(cell->auth, SESSION_MAILBOX, &b)) return -1;
    return cell_receive(cell->auth, &frame) == FRAME_RECEIVED ? frame.fd : -1;
}

static int ask(struct cell *cell) {
    return ask_saying(cell, SPAN(""));
}

/* Alice's own mailbox, which she may have; -1: not even that. */
static int opened(struct cell *cell, uint32_t *messages_out) {
    struct frame frame;
    int agent;
    if (!announced(cell) || login(cell, "PLAIN", span_of(ALICE, sizeof ALICE - 1)) != AUTH_ACCEPTED) return -1;
    if (poll(NULL, 0, LEAVING_MS) != 0 || (agent = ask(cell)) < 0) return -1;
    if (cell_receive(agent, &frame) != FRAME_RECEIVED || frame.type != MAILBOX_OPENED) return -1;
    struct wire w = wire_over(frame.body);
    unsigned answer = wire_get_u8(&w);
    *messages_out = wire_get_u32(&w);
    return answer == MAILBOX_READY ? agent : -1;
}

static const char *held_at(struct cell *cell, int agent, const char *why) {
    if (agent >= 0) return why;
    return cell_ended(cell->auth) ? NULL : "the channel is still open";
}

/* ---- before a login */

static const char *before_announcement(struct cell *cell) {
    return held_at(cell, ask(cell), "a mailbox before the announcement");
}

static const char *before_login(struct cell *cell) {
    if (!announced(cell)) return "no welcome";
    return held_at(cell, ask(cell), "a mailbox without a login");
}

static const char *by_name(struct cell *cell) {
    if (!announced(cell)) return "no welcome";
    return held_at(cell, ask_saying(cell, SPAN("\20\0\0\0bob@example.test")), "a mailbox by its name");
}

static const char *after_failed_login(struct cell *cell) {
    static const char wrong[] = "\0bob@example.test\0guess";
    if (!announced(cell)) return "no welcome";
    if (login(cell, "PLAIN", span_of(wrong, sizeof wrong - 1)) != AUTH_REJECTED) return "a guess was not refused";
    return held_at(cell, ask(cell), "a mailbox after a wrong password");
}

static const char *within_login(struct cell *cell) {
    if (!announced(cell)) return "no welcome";
    if (login(cell, "SCRAM-SHA-256", SPAN("n,,n=bob@example.test,r=intruder")) != AUTH_CONTINUE)
        return "SCRAM did not begin";
    return held_at(cell, ask(cell), "a mailbox with the challenge open");
}

static const char *before_the_verdict(struct cell *cell) {
    struct buf b = BUF_OVER(octets);
    if (!announced(cell)) return "no welcome";
    wire_put_u8(&b, 1);
    wire_put_text(&b, "PLAIN");
    wire_put_u8(&b, 1);
    wire_put_span(&b, span_of("\0bob@example.test\0guess", 23));
    wire_put_span(&b, SPAN(""));
    wire_put_span(&b, SPAN(""));
    if (!cell_send(cell->auth, SESSION_AUTH, &b)) return "channel gone";
    return held_at(cell, ask(cell), "a mailbox before the verdict");
}

/* ---- by other frames */

static const char *as_smtp(struct cell *cell) {
    static const uint16_t types[] = {SESSION_MAIL, SESSION_RCPT, SESSION_RESET, SESSION_FROM};
    struct buf b = BUF_OVER(octets);
    if (!announced(cell) || login(cell, "PLAIN", span_of(ALICE, sizeof ALICE - 1)) != AUTH_ACCEPTED)
        return "no login";
    wire_put_u8(&b, 1);
    wire_put_text(&b, "intruder.example");
    wire_put_text(&b, "<alice@example.test>");
    bool sent = cell_send(cell->auth, (enum frame_type)types[(size_t)cell->out % 4], &b);
    return sent && cell_ended(cell->auth) ? NULL : "a POP3 session may speak of mail";
}

static const char *as_submission(struct cell *cell) {
    if (cell_announce(cell, RELAY_ROLE_SUBMISSIONS, "127.0.0.1")) return "it passes for a submission session";
    return cell_ended(cell->auth) ? NULL : "the channel is still open";
}

const char *mailbox_by_smtp(struct cell *cell) {
    if (!cell_announce(cell, RELAY_ROLE_SUBMISSION, "127.0.0.1")) return "no welcome";
    struct buf b = BUF_OVER(octets);
    wire_put_text(&b, "TLS1.3 TLS_AES_256_GCM_SHA384");
    if (!cell_send(cell->auth, SESSION_TLS, &b)) return "channel gone";
    if (login(cell, "PLAIN", span_of(ALICE, sizeof ALICE - 1)) != AUTH_ACCEPTED) return "no login";
    return held_at(cell, ask(cell), "an SMTP session has a mailbox");
}

const char *mailbox_by_pop3s_name(struct cell *cell) {
    if (cell_announce(cell, RELAY_ROLE_POP3S, "127.0.0.1")) return "it passes for a POP3 session";
    return cell_ended(cell->auth) ? NULL : "the channel is still open";
}

/* ---- after its own login */

static const char *as_somebody_else(struct cell *cell) {
    static const char both[] = "bob@example.test\0alice@example.test\0correct horse battery";
    if (!announced(cell)) return "no welcome";
    if (login(cell, "PLAIN", span_of(both, sizeof both - 1)) != AUTH_REJECTED) return "alice acts as bob";
    return held_at(cell, ask(cell), "a mailbox of somebody else");
}

static const char *twice(struct cell *cell) {
    uint32_t messages;
    int agent = opened(cell, &messages);
    if (agent < 0) return "not even its own";
    return held_at(cell, ask(cell), "a second mailbox");
}

static const char *login_again(struct cell *cell) {
    static const char wrong[] = "\0bob@example.test\0guess";
    if (!announced(cell) || login(cell, "PLAIN", span_of(ALICE, sizeof ALICE - 1)) != AUTH_ACCEPTED)
        return "no login";
    if (login(cell, "PLAIN", span_of(wrong, sizeof wrong - 1)) == AUTH_ACCEPTED) return "a guess was right";
    int agent = ask(cell); /* alice's, or none */
    struct frame frame;
    if (agent < 0 || cell_receive(agent, &frame) != FRAME_RECEIVED) return NULL;
    struct wire w = wire_over(frame.body);
    (void)wire_get_u8(&w);
    return wire_get_u32(&w) == 2 ? NULL : "not the mailbox of who logged in";
}

/* All that any index brings: nothing of bob's, and behind the last nothing at all. */
static const char *every_index(struct cell *cell) {
    static uint8_t text[TEXT_MAX];
    struct frame frame;
    uint32_t messages;
    int agent = opened(cell, &messages);
    if (agent < 0 || messages != 2) return "not even its own";
    size_t n = 0;
    for (uint32_t i = 0; i < messages; i++) {
        struct buf b = BUF_OVER(octets);
        wire_put_u32(&b, i);
        wire_put_u32(&b, MAILBOX_WHOLE);
        if (!cell_send(agent, MAILBOX_READ, &b)) return "the agent is gone";
        while (cell_receive(agent, &frame) == FRAME_RECEIVED && frame.type == MAILBOX_BODY) {
            size_t part = frame.body.n < sizeof text - n ? frame.body.n : sizeof text - n;
            memcpy(text + n, frame.body.p, part);
            n += part;
        }
    }
    if (!memmem(text, n, "alice's own", 11)) return "not even its own";
    return memmem(text, n, SECRET, sizeof SECRET - 1) ? "bob's secret was read" : NULL;
}

static const char *bad_question(struct cell *cell, enum frame_type type, struct span body) {
    uint32_t messages;
    struct buf b = BUF_OVER(octets);
    int agent = opened(cell, &messages);
    if (agent < 0) return "not even its own";
    buf_put_span(&b, body);
    if (!cell_send(agent, type, &b)) return "the agent is gone";
    return cell_ended(agent) ? NULL : "the agent goes on";
}

static const char *index_behind(struct cell *cell) {
    return bad_question(cell, MAILBOX_READ, SPAN("\2\0\0\0\377\377\377\377"));
}
static const char *index_far_behind(struct cell *cell) {
    return bad_question(cell, MAILBOX_READ, SPAN("\377\377\377\377\377\377\377\377"));
}
static const char *marks_behind(struct cell *cell) {
    return bad_question(cell, MAILBOX_MARK, SPAN("\0\0\0\0\7"));
}
static const char *quit_without_marks(struct cell *cell) {
    return bad_question(cell, MAILBOX_QUIT, SPAN("\2\0\0\0"));
}
static const char *in_auths_name(struct cell *cell) {
    return bad_question(cell, MAILBOX_WANTED, SPAN("\1\0\0\0s\20\0\0\0bob@example.test"));
}
static const char *in_the_queues_name(struct cell *cell) {
    return bad_question(cell, AGENT_WANTED, SPAN("\1\0\0\0\1\20\0\0\0bob@example.test"));
}

/* A list from anywhere is answered, and says nothing beyond its own. */
static const char *list_from_anywhere(struct cell *cell) {
    static const uint32_t firsts[] = {0, 1, 2, 3, 0x7fffffff, 0x80000000, 0xffffffff};
    struct mailbox_entry entry;
    struct frame frame;
    uint32_t messages;
    int agent = opened(cell, &messages);
    if (agent < 0) return "not even its own";
    for (size_t i = 0; i < sizeof firsts / sizeof *firsts; i++) {
        struct buf b = BUF_OVER(octets);
        wire_put_u32(&b, firsts[i]);
        wire_put_u16(&b, 65535);
        if (!cell_send(agent, MAILBOX_LIST, &b) || cell_receive(agent, &frame) != FRAME_RECEIVED) return "no list";
        struct wire w = wire_over(frame.body);
        (void)wire_get_u32(&w);
        unsigned n = wire_get_u16(&w);
        if (n != (firsts[i] < messages ? messages - firsts[i] : 0)) return "another number of entries";
        for (unsigned j = 0; j < n; j++)
            if (!mailbox_entry_get(&w, &entry)) return "an entry does not parse";
        if (!wire_end(&w)) return "there is more in the frame than its entries";
    }
    return NULL;
}

/* Marks, and everything but QUIT. The driver looks whether all is there. */
static const char *marks_alone(struct cell *cell) {
    uint32_t messages;
    struct buf b = BUF_OVER(octets);
    int agent = opened(cell, &messages);
    if (agent < 0) return "not even its own";
    wire_put_u32(&b, 0);
    wire_put_u8(&b, 3);
    return cell_send(agent, MAILBOX_MARK, &b) ? NULL : "the agent is gone";
}

const struct attack mailboxes[] = {
    {"a mailbox before the announcement", before_announcement, false, 0},
    {"a mailbox before the login", before_login, false, 0},
    {"a mailbox by its name", by_name, false, 0},
    {"a mailbox after a wrong password", after_failed_login, false, 0},
    {"a mailbox with a challenge open", within_login, false, 0},
    {"a mailbox before the verdict", before_the_verdict, false, 0},
    {"mail by POP3, 1", as_smtp, false, 0},
    {"mail by POP3, 2", as_smtp, false, 0},
    {"mail by POP3, 3", as_smtp, false, 0},
    {"mail by POP3, 4", as_smtp, false, 0},
    {"POP3 in submission's name", as_submission, false, 0},
    {"acting as somebody else", as_somebody_else, false, 0},
    {"every index of its own mailbox", every_index, false, 0},
    {"a second mailbox", twice, false, 0},
    {"a second login", login_again, false, 0},
    {"an index behind the last", index_behind, false, 0},
    {"an index far behind the last", index_far_behind, false, 0},
    {"marks behind the last", marks_behind, false, 0},
    {"QUIT with a number that was not marked", quit_without_marks, false, 0},
    {"auth's frame to the agent", in_auths_name, false, 0},
    {"the queue's frame to the agent", in_the_queues_name, false, 0},
    {"a list from anywhere", list_from_anywhere, false, 0},
    {"marks without QUIT", marks_alone, false, 0},
};
const size_t mailboxes_n = sizeof mailboxes / sizeof *mailboxes;
