/* pop3_mail.c - the TRANSACTION and UPDATE states: the messages of one mailbox. RFC 1939 5 to 7.
 * Runs in: session, for POP3. Trusts: the mailbox agent for what the messages are. Never: removes before QUIT, ends a
 * text in order that is not whole. */
#include "server/inbound/pop3.h"

static BUF_LARGE uint8_t marks[(MAILBOX_MESSAGES_MAX + 7) / 8];

static bool is_marked(uint32_t index) {
    return marks[index / 8] >> index % 8 & 1;
}

/* ---- the beginning and the end */

static void put_count(const struct pop3 *pop3, struct buf *out) {
    buf_put_number(out, pop3->messages - pop3->marked);
    buf_put_octet(out, ' ');
    buf_put_number(out, pop3->bytes - pop3->marked_bytes);
}

/* "n messages (m octets)", which nobody reads but people. */
static enum pop3_next say_count(const struct pop3 *pop3, struct buf *out) {
    buf_put_text(out, "+OK ");
    buf_put_number(out, pop3->messages - pop3->marked);
    buf_put_text(out, " messages (");
    buf_put_number(out, pop3->bytes - pop3->marked_bytes);
    buf_put_text(out, " octets)\r\n");
    return POP3_MORE;
}

/* Without its mailbox a login is of no use, and auth takes no second one. */
static enum pop3_next no_mailbox(struct pop3 *pop3, enum pop3_reply reply, const char *why, struct buf *out) {
    pop3->why = why;
    pop3_reply_put(out, reply);
    return POP3_LEAVE;
}

static enum pop3_next enter(struct pop3 *pop3, const struct ask_mailbox *mailbox, struct buf *out) {
    pop3->state = POP3_TRANSACTION;
    pop3->messages = mailbox->messages;
    pop3->bytes = mailbox->bytes;
    return say_count(pop3, out);
}

enum pop3_next pop3_open(struct pop3 *pop3, struct buf *out) {
    struct ask_mailbox mailbox;
    if (!ask_mailbox(&mailbox)) return pop3_broken(pop3, out);
    switch (mailbox.answer) {
    case MAILBOX_READY:
        return enter(pop3, &mailbox, out);
    case MAILBOX_IN_USE:
        return no_mailbox(pop3, POP3_REPLY_IN_USE, "the mailbox is in use", out);
    case MAILBOX_NONE:
        return no_mailbox(pop3, POP3_REPLY_NO_MAILBOX, "no mailbox here", out);
    case MAILBOX_FAULT:
        break;
    }
    pop3->exit = SESSION_EXIT_FAULT;
    return no_mailbox(pop3, POP3_REPLY_FAULT, "the mailbox could not be opened", out);
}

bool pop3_update(struct pop3 *pop3) {
    uint32_t failed = 0;
    bool heard = ask_mailbox_quit(marks, pop3->messages, pop3->marked, &failed);
    pop3->marked = pop3->marked - failed;
    return heard && failed == 0;
}

enum pop3_next pop3_quit(struct pop3 *pop3, struct span argument, struct buf *out) {
    (void)argument;
    bool done = pop3->state != POP3_TRANSACTION || pop3_update(pop3);
    pop3->why = "quit";
    pop3->quit = true;
    pop3_reply_put(out, done ? POP3_REPLY_GOODBYE : POP3_REPLY_NOT_REMOVED);
    return POP3_LEAVE;
}

enum pop3_next pop3_noop(struct pop3 *pop3, struct span argument, struct buf *out) {
    (void)pop3, (void)argument;
    return pop3_say(POP3_REPLY_OK, out);
}

enum pop3_next pop3_rset(struct pop3 *pop3, struct span argument, struct buf *out) {
    (void)argument;
    if (pop3->marked) memset(marks, 0, (pop3->messages + 7) / 8);
    pop3->marked = 0;
    pop3->marked_bytes = 0;
    return say_count(pop3, out);
}

/* ---- which message */

static bool is_digits(struct span word) {
    for (size_t i = 0; i < word.n; i++)
        if (word.p[i] < '0' || word.p[i] > '9') return false;
    return word.n > 0;
}

/* The index of a message that is there and not marked; else what to answer. */
static enum pop3_reply find_message(const struct pop3 *pop3, struct span word, uint32_t *index_out) {
    uint64_t number = 0;
    if (!is_digits(word)) return POP3_REPLY_BAD_ARGUMENT;
    if (!span_number(word, pop3->messages, &number) || number == 0) return POP3_REPLY_NO_MESSAGE;
    *index_out = (uint32_t)number - 1;
    return is_marked(*index_out) ? POP3_REPLY_REMOVED : POP3_REPLY_OK;
}

/* Whom a message is missing has not misbehaved: it may have been another program's view of the mailbox. */
static enum pop3_next refuse(struct pop3 *pop3, enum pop3_reply reply, struct buf *out) {
    return reply == POP3_REPLY_BAD_ARGUMENT ? pop3_fail(pop3, reply, out) : pop3_say(reply, out);
}

/* ---- lists */

enum pop3_next pop3_stat(struct pop3 *pop3, struct span argument, struct buf *out) {
    (void)argument;
    buf_put_text(out, "+OK ");
    put_count(pop3, out);
    buf_put_text(out, "\r\n");
    return POP3_MORE;
}

/* "number size" or "number id" and CRLF. */
static void put_entry(uint32_t index, const struct mailbox_entry *entry, enum pop3_telling what, struct buf *out) {
    buf_put_number(out, (uint64_t)index + 1);
    buf_put_octet(out, ' ');
    if (what == POP3_TELLS_SIZES)
        buf_put_number(out, entry->bytes);
    else
        buf_put_span(out, entry->unique_id);
    buf_put_text(out, "\r\n");
}

static enum pop3_next list(struct pop3 *pop3, struct span argument, enum pop3_telling what, struct buf *out) {
    struct span word = span_trim(argument);
    struct mailbox_entry entry;
    uint32_t index;
    if (word.n == 0) {
        (void)say_count(pop3, out);
        pop3->telling = what;
        pop3->at = 0;
        return POP3_GOES_ON;
    }
    enum pop3_reply found = find_message(pop3, word, &index);
    if (found != POP3_REPLY_OK) return refuse(pop3, found, out);
    if (!ask_mailbox_entry(index, &entry)) return pop3_broken(pop3, out);
    buf_put_text(out, "+OK ");
    put_entry(index, &entry, what, out);
    return POP3_MORE;
}

enum pop3_next pop3_list(struct pop3 *pop3, struct span argument, struct buf *out) {
    return list(pop3, argument, POP3_TELLS_SIZES, out);
}

enum pop3_next pop3_uidl(struct pop3 *pop3, struct span argument, struct buf *out) {
    return list(pop3, argument, POP3_TELLS_IDS, out);
}

static enum pop3_next cut_short(struct pop3 *pop3, const char *why) {
    pop3->exit = SESSION_EXIT_FAULT;
    pop3->why = why;
    return POP3_LEAVE;
}

static enum pop3_next end_long(struct pop3 *pop3, struct buf *out) {
    buf_put_text(out, ".\r\n");
    pop3->telling = POP3_TELLS_NOTHING;
    return POP3_MORE;
}

static enum pop3_next more_of_list(struct pop3 *pop3, struct buf *out) {
    struct mailbox_entry entry;
    for (; pop3->at < pop3->messages; pop3->at++) {
        if (out->cap - out->n < POP3_OUT_MIN) return POP3_GOES_ON;
        if (is_marked(pop3->at)) continue;
        if (!ask_mailbox_entry(pop3->at, &entry)) return cut_short(pop3, "the mailbox has left it");
        put_entry(pop3->at, &entry, pop3->telling, out);
    }
    return end_long(pop3, out);
}

/* ---- texts */

/* The first part is waited for: until then there can still be an answer that says no. */
static enum pop3_next begin_text(struct pop3 *pop3, uint32_t index, uint32_t body_lines, struct buf *out) {
    bool whole = false;
    if (!ask_mailbox_read(index, body_lines) || !ask_mailbox_part(&pop3->part, &whole)) return pop3_broken(pop3, out);
    if (!pop3->part.n && !whole) return pop3_say(POP3_REPLY_FAULT, out);
    buf_put_text(out, "+OK It follows\r\n");
    pop3->line_start = true;
    if (!pop3->part.n) return end_long(pop3, out);
    pop3->telling = POP3_TELLS_TEXT;
    return POP3_GOES_ON;
}

enum pop3_next pop3_retr(struct pop3 *pop3, struct span argument, struct buf *out) {
    uint32_t index;
    enum pop3_reply found = find_message(pop3, span_trim(argument), &index);
    if (found != POP3_REPLY_OK) return refuse(pop3, found, out);
    pop3->retrieved++;
    return begin_text(pop3, index, MAILBOX_WHOLE, out);
}

enum pop3_next pop3_top(struct pop3 *pop3, struct span argument, struct buf *out) {
    struct span words = span_trim(argument);
    size_t end = span_find(words, ' ');
    struct span second = span_trim(span_from(words, end));
    uint64_t lines = 0;
    uint32_t index;
    if (!is_digits(second)) return pop3_fail(pop3, POP3_REPLY_BAD_ARGUMENT, out);
    if (!span_number(second, MAILBOX_WHOLE - 1, &lines)) lines = MAILBOX_WHOLE; /* more than any message has */
    enum pop3_reply found = find_message(pop3, span_part(words, 0, end), &index);
    return found == POP3_REPLY_OK ? begin_text(pop3, index, (uint32_t)lines, out) : refuse(pop3, found, out);
}

/* A line, or what there is of it, with its dot doubled where it begins with one (RFC 1939 3). */
static void put_line(struct pop3 *pop3, struct buf *out) {
    size_t room = out->cap - out->n - 1;
    size_t n = span_find(pop3->part, '\n') + 1;
    if (pop3->line_start && pop3->part.p[0] == '.') buf_put_octet(out, '.');
    if (n > pop3->part.n) n = pop3->part.n;
    if (n > room) n = room;
    buf_put(out, pop3->part.p, n);
    pop3->line_start = pop3->part.p[n - 1] == '\n';
    pop3->part = span_from(pop3->part, n);
}

static enum pop3_next more_of_text(struct pop3 *pop3, struct buf *out) {
    for (bool whole = false;;) {
        while (pop3->part.n && out->cap - out->n >= POP3_OUT_MIN) put_line(pop3, out);
        if (pop3->part.n) return POP3_GOES_ON;
        if (!ask_mailbox_part(&pop3->part, &whole)) return cut_short(pop3, "the mailbox has left it");
        if (!pop3->part.n && (!whole || !pop3->line_start))
            return cut_short(pop3, "a message cannot be read to its end");
        if (!pop3->part.n) return end_long(pop3, out);
    }
}

enum pop3_next pop3_go_on(struct pop3 *pop3, struct buf *out) {
    return pop3->telling == POP3_TELLS_TEXT ? more_of_text(pop3, out) : more_of_list(pop3, out);
}

/* ---- marks */

enum pop3_next pop3_dele(struct pop3 *pop3, struct span argument, struct buf *out) {
    struct mailbox_entry entry;
    uint32_t index;
    enum pop3_reply found = find_message(pop3, span_trim(argument), &index);
    if (found != POP3_REPLY_OK) return refuse(pop3, found, out);
    if (!ask_mailbox_entry(index, &entry)) return pop3_broken(pop3, out);
    marks[index / 8] = (uint8_t)(marks[index / 8] | 1U << index % 8);
    pop3->marked++;
    pop3->marked_bytes += entry.bytes;
    return pop3_say(POP3_REPLY_MARKED, out);
}
