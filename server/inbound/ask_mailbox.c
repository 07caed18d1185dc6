/* ask_mailbox.c - a POP3 session's questions to its mailbox agent, as frames.
 * Runs in: session, for POP3. Trusts: the agent for what the messages are. Never: talks to the client. */
#include "server/inbound/ask_mailbox.h"

#include "server/inbound/ask_channel.h"

enum {
    OPEN_MS =
        600000, /* sizes of a large mailbox may have to be found out first; so many files are removed at the end */
    AGENT_MS = 120000, /* every other answer */
    WINDOW = 256       /* entries asked for at once */
};

static BUF_LARGE uint8_t entries_frame[FRAME_MAX]; /* the window that was told last */
static BUF_LARGE uint8_t part_frame[FRAME_MAX];    /* parts of a text; what is asked */

/* In entries_frame: `n` entries from `first`; `rest` begins with that of `next`. */
static CHILD_STATE struct {
    struct span all;
    struct wire rest;
    uint32_t first, n, next;
} window;

static bool hear(uint64_t wait_ms, uint8_t *storage, struct frame *out) {
    return ask_hear(ask_other_fd(), false, wait_ms, storage, false, out);
}

bool ask_mailbox(struct ask_mailbox *out) {
    struct buf b = ask_question();
    struct frame frame;
    *out = (struct ask_mailbox){.answer = MAILBOX_FAULT};
    if (!ask_auth_for(SESSION_MAILBOX, &b, SESSION_MAILBOX_RESULT, true, &frame)) return false;
    ask_keep_other(frame.fd);
    struct wire w = wire_over(frame.body);
    enum mailbox_answer answer = (enum mailbox_answer)wire_get_u8(&w);
    if (!wire_end(&w) || (answer == MAILBOX_READY) != (frame.fd >= 0)) return false;
    out->answer = answer;
    if (answer != MAILBOX_READY) return true;
    if (!hear(OPEN_MS, part_frame, &frame) || frame.type != MAILBOX_OPENED) return false;
    w = wire_over(frame.body);
    out->answer = (enum mailbox_answer)wire_get_u8(&w);
    out->messages = wire_get_u32(&w);
    out->bytes = wire_get_u64(&w);
    return wire_end(&w) && out->messages <= MAILBOX_MESSAGES_MAX;
}

static void rewind_window(void) {
    window.rest = wire_over(window.all);
    window.next = window.first;
}

static bool fetch_window(uint32_t index) {
    uint8_t question[6];
    struct buf b = BUF_OVER(question);
    struct frame frame;
    uint32_t first = index - index % WINDOW;
    window.n = 0;
    wire_put_u32(&b, first);
    wire_put_u16(&b, WINDOW);
    if (!ask_tell(ask_other_fd(), MAILBOX_LIST, buf_span(&b)) || !hear(AGENT_MS, entries_frame, &frame) ||
        frame.type != MAILBOX_ENTRIES)
        return false;
    struct wire w = wire_over(frame.body);
    window.first = wire_get_u32(&w);
    window.n = wire_get_u16(&w);
    window.all = w.rest;
    rewind_window();
    return !w.bad && window.first == first && index - first < window.n;
}

bool ask_mailbox_entry(uint32_t index, struct mailbox_entry *out) {
    bool inside = window.n && index >= window.first && index - window.first < window.n;
    if (!inside && !fetch_window(index)) return false;
    if (index < window.next) rewind_window();
    while (window.next <= index) {
        if (!mailbox_entry_get(&window.rest, out)) return false;
        window.next++;
    }
    return true;
}

bool ask_mailbox_read(uint32_t index, uint32_t body_lines) {
    uint8_t question[8];
    struct buf b = BUF_OVER(question);
    wire_put_u32(&b, index);
    wire_put_u32(&b, body_lines);
    return ask_tell(ask_other_fd(), MAILBOX_READ, buf_span(&b));
}

bool ask_mailbox_part(struct span *part_out, bool *whole_out) {
    struct frame frame;
    *part_out = span_of(NULL, 0);
    *whole_out = false;
    if (!hear(AGENT_MS, part_frame, &frame)) return false;
    struct wire w = wire_over(frame.body);
    if (frame.type == MAILBOX_BODY) {
        *part_out = frame.body;
        return frame.body.n > 0;
    }
    *whole_out = wire_get_u8(&w) == 1;
    return frame.type == MAILBOX_END && wire_end(&w);
}

/* All marks fit into one frame: store/frames.h. */
static bool tell_marks(const uint8_t *bitmap, uint32_t messages) {
    _Static_assert(4 + (MAILBOX_MESSAGES_MAX + 7) / 8 <= (int)FRAME_BODY_MAX, "one frame");
    struct buf b = BUF_OVER(part_frame);
    wire_put_u32(&b, 0);
    buf_put(&b, bitmap, (messages + 7) / 8);
    return ask_tell(ask_other_fd(), MAILBOX_MARK, buf_span(&b));
}

bool ask_mailbox_quit(const uint8_t *bitmap, uint32_t messages, uint32_t marked, uint32_t *failed_out) {
    uint8_t question[4];
    struct buf b = BUF_OVER(question);
    struct frame frame;
    *failed_out = marked;
    wire_put_u32(&b, marked);
    if (marked && !tell_marks(bitmap, messages)) return false;
    if (!ask_tell(ask_other_fd(), MAILBOX_QUIT, buf_span(&b)) || !hear(OPEN_MS, part_frame, &frame) ||
        frame.type != MAILBOX_DONE)
        return false;
    struct wire w = wire_over(frame.body);
    uint32_t removed = wire_get_u32(&w);
    *failed_out = wire_get_u32(&w);
    return wire_end(&w) && removed <= marked && *failed_out == marked - removed;
}
