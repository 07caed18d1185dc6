/* agent_mailbox.c - one Maildir for one POP3 session.
 * Runs in: a mailbox agent, one per login. Trusts: its parent for whose Maildir it is. Never: believes the session,
 * sees another mailbox, removes anything but what is marked when MAILBOX_QUIT comes. */
#include "server/outbound/agent_mailbox.h"

#include "server/outbound/mailbox_sizes.h"
#include "server/outbound/mailbox_text.h"
#include "server/process/confine.h"
#include "store/disk.h"
#include "store/log.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

/* Sizes are remembered when at least one in so many had to be measured: to write them all for one that is new at each
 * login would cost more than to measure it again. */
enum { SAVE_PART = 64, LOOK_UP_EVERY = 64 };

enum state { OPEN = 1, MARKING = 2, OVER = 4 };

static struct {
    const struct agent_mailbox *agent;
    struct maildir maildir;
    struct mailbox mailbox;
    struct mailbox_text text;
    uint8_t *marks; /* a bit for each message */
    uint64_t stale; /* messages whose size turned out to be another */
    enum state state;
    uint8_t out[MAILBOX_TEXT_BYTES];
} room;

/* ---- the session */

static bool is_cut(void) {
    struct pollfd waits[2] = {{room.agent->channel, 0, 0}, {room.agent->lifeline, 0, 0}};
    return poll(waits, 2, 0) > 0;
}

static bool wait_for(short events) {
    struct pollfd waits[2] = {{room.agent->channel, events, 0}, {room.agent->lifeline, 0, 0}};
    int n;
    while ((n = poll(waits, 2, -1)) < 0 && errno == EINTR) continue;
    return n > 0 && !waits[1].revents;
}

/* A session that is gone, or a parent, is the end: nothing that is still asked for can be answered. */
static void say(enum frame_type type, const struct buf *body) {
    if (!buf_ok(body)) log_bug("an answer of the mailbox agent is too large");
    while (room.state != OVER && frame_send(room.agent->channel, (uint16_t)type, buf_span(body)) != 0)
        if (errno != EAGAIN || !wait_for(POLLOUT)) room.state = OVER;
}

static void say_opened(enum mailbox_answer answer) {
    uint8_t storage[16];
    struct buf b = BUF_OVER(storage);
    uint64_t bytes = 0;
    for (size_t i = 0; i < room.mailbox.n; i++) bytes += room.mailbox.messages[i].bytes;
    wire_put_u8(&b, (uint8_t)answer);
    wire_put_u32(&b, answer == MAILBOX_READY ? (uint32_t)room.mailbox.n : 0);
    wire_put_u64(&b, answer == MAILBOX_READY ? bytes : 0);
    say(MAILBOX_OPENED, &b);
}

/* ---- what it asks */

static int list(void *context, struct frame *frame) {
    struct wire w = wire_over(frame->body);
    uint8_t head[6];
    struct buf b = BUF_OVER(room.out), h = BUF_OVER(head);
    uint32_t first = wire_get_u32(&w);
    unsigned most = wire_get_u16(&w), n = 0;
    (void)context;
    if (!wire_end(&w)) return -1;
    b.n = sizeof head;
    for (size_t i = first; i < room.mailbox.n && n < (most ? most : UINT16_MAX); i++, n++) {
        uint8_t id[MAILBOX_UNIQUE_ID_MAX];
        struct buf text = BUF_OVER(id);
        if (FRAME_BODY_MAX - b.n < MAILBOX_ENTRY_BYTES_MAX) break;
        mailbox_id(&room.mailbox, i, &text);
        mailbox_entry_put(&b, &(struct mailbox_entry){room.mailbox.messages[i].bytes, buf_span(&text)});
    }
    wire_put_u32(&h, first);
    wire_put_u16(&h, (uint16_t)n);
    memcpy(room.out, head, sizeof head);
    say(MAILBOX_ENTRIES, &b);
    return 0;
}

/* What was measured wrong, or by others, is right from here on. */
static void correct(struct mailbox_message *message, uint64_t bytes) {
    if (message->bytes == bytes) return;
    message->bytes = bytes;
    message->measured = true;
    room.stale++;
}

static bool send_text(size_t i, uint32_t lines) {
    struct mailbox_message *message = &room.mailbox.messages[i];
    uint64_t bytes = 0;
    ssize_t n = -1;
    int fd = mailbox_open(&room.mailbox, i);
    if (fd >= 0) {
        mailbox_text_begin(&room.text, fd, message->lf_only, lines);
        while ((n = mailbox_text_read(&room.text, room.out, sizeof room.out - 2)) > 0 && room.state != OVER) {
            struct buf b = buf_over(room.out, sizeof room.out);
            b.n = (size_t)n;
            bytes += b.n;
            say(MAILBOX_BODY, &b);
        }
    }
    if (n == 0 && lines == MAILBOX_WHOLE) correct(message, bytes);
    if (n < 0 && errno != ENOENT) log_fault("reading a message", errno);
    if (fd >= 0) (void)disk_calls()->close(fd);
    return n == 0;
}

static int read_one(void *context, struct frame *frame) {
    struct wire w = wire_over(frame->body);
    uint32_t i = wire_get_u32(&w), lines = wire_get_u32(&w);
    (void)context;
    if (!wire_end(&w) || i >= room.mailbox.n) return -1;
    uint8_t ok = send_text(i, lines);
    struct buf b = buf_over(&ok, 1);
    b.n = 1;
    say(MAILBOX_END, &b);
    return 0;
}

static int mark(void *context, struct frame *frame) {
    struct wire w = wire_over(frame->body);
    uint32_t first = wire_get_u32(&w);
    struct span bits = w.rest;
    size_t room_bytes = (room.mailbox.n + 7) / 8;
    (void)context;
    if (w.bad || first % 8 || first / 8 > room_bytes || bits.n > room_bytes - first / 8) return -1;
    for (size_t i = 0; i < bits.n; i++) {
        size_t at = first + 8 * i;
        if (at + 8 > room.mailbox.n && bits.p[i] >> (room.mailbox.n - at)) return -1;
        room.marks[first / 8 + i] |= bits.p[i];
    }
    room.state = MARKING;
    return 0;
}

static bool is_marked(size_t i) {
    return room.marks[i / 8] >> i % 8 & 1;
}

static void begin_line(struct log_line *line, enum log_event event) {
    log_open(line, event);
    log_span(line, KEY_LOGIN, room.agent->destination);
    log_span(line, KEY_PROCESS, room.agent->session);
}

/* Who asks where mail has gone finds it here. */
static void log_removed(uint32_t removed, uint32_t failed) {
    struct log_line line;
    begin_line(&line, LOG_MAILBOX);
    log_text(&line, KEY_WHAT, failed ? "removed; others could not be" : "removed");
    log_number(&line, KEY_COUNT, removed);
    log_send(&line);
}

static int quit(void *context, struct frame *frame) {
    struct wire w = wire_over(frame->body);
    uint8_t storage[8];
    struct buf b = BUF_OVER(storage);
    uint32_t wanted = wire_get_u32(&w), removed = 0, failed = 0, marked = 0;
    (void)context;
    for (size_t i = 0; i < room.mailbox.n; i++) marked += is_marked(i);
    if (!wire_end(&w) || wanted != marked) return -1;
    for (size_t i = 0; i < room.mailbox.n; i++) {
        if (!is_marked(i)) continue;
        if (mailbox_remove(&room.mailbox, i) == 0) {
            removed++;
        } else if (failed++ == 0) {
            log_fault("removing a message", errno);
        }
    }
    if (marked && mailbox_sync(&room.mailbox) != 0) log_fault("syncing a Maildir after a removal", errno);
    if (marked) log_removed(removed, failed);
    wire_put_u32(&b, removed);
    wire_put_u32(&b, failed);
    say(MAILBOX_DONE, &b);
    room.state = OVER;
    return 0;
}

static const struct frame_row rows[] = {
    {MAILBOX_LIST, OPEN, list},
    {MAILBOX_READ, OPEN, read_one},
    {MAILBOX_MARK, OPEN | MARKING, mark},
    {MAILBOX_QUIT, OPEN | MARKING, quit},
};

static void say_bad_frame(const struct frame *frame) {
    struct log_line line;
    begin_line(&line, LOG_MAILBOX_BAD_FRAME);
    log_number(&line, KEY_WHAT, frame->type);
    log_number(&line, KEY_STATE, room.state);
    log_send(&line);
    room.state = OVER;
}

static void serve(void) {
    static uint8_t storage[FRAME_MAX];
    while (room.state != OVER) {
        struct frame frame = {.fd = -1};
        if (!wait_for(POLLIN)) return;
        enum frame_status status = frame_receive(room.agent->channel, storage, false, &frame);
        if (status == FRAME_NONE) continue;
        bool known = status == FRAME_RECEIVED;
        if (!known && status != FRAME_MALFORMED) return;
        if (!known || frame_dispatch(rows, sizeof rows / sizeof *rows, room.state, NULL, &frame) != 0)
            say_bad_frame(&frame);
    }
}

/* ---- opening */

/* 0: measured, or gone; -1 with errno. */
static int measure(size_t i) {
    uint64_t bytes = 0;
    ssize_t n;
    int fd = mailbox_open(&room.mailbox, i);
    if (fd < 0) return errno == ENOENT ? 0 : -1;
    mailbox_text_begin(&room.text, fd, room.mailbox.messages[i].lf_only, MAILBOX_WHOLE);
    while ((n = mailbox_text_read(&room.text, room.out, sizeof room.out)) > 0) bytes += (uint64_t)n;
    int error = n < 0 ? errno : 0;
    (void)disk_calls()->close(fd);
    errno = error;
    if (n < 0) return -1;
    room.mailbox.messages[i].bytes = bytes;
    room.mailbox.messages[i].measured = true;
    return 0;
}

/* Whoever is gone meanwhile has what was measured so far remembered for the next time. */
static void measure_all(void) {
    size_t n = 0;
    int told = 0;
    mailbox_sizes_load(&room.mailbox);
    for (size_t i = 0; i < room.mailbox.n && room.state != OVER; i++) {
        if (room.mailbox.messages[i].bytes != MAILBOX_UNMEASURED) continue;
        if (measure(i) != 0 && errno != told) log_fault("measuring a message", told = errno);
        if (++n % LOOK_UP_EVERY == 0 && is_cut()) room.state = OVER;
    }
    mailbox_drop_unmeasured(&room.mailbox);
    if (n * SAVE_PART > room.mailbox.n) mailbox_sizes_save(&room.mailbox);
}

static enum mailbox_answer fault(const char *what) {
    log_fault(what, errno);
    return MAILBOX_FAULT;
}

/* The directory is whole, and ours alone for as long as this process lives. */
static enum mailbox_answer open_directory(void) {
    char domain[MAILDIR_NAME_SIZE], local[MAILDIR_NAME_SIZE];
    if (!maildir_path(room.agent->destination, domain, local)) {
        close(room.agent->directory);
        return MAILBOX_NONE;
    }
    int directory = maildir_user(room.agent->directory, domain, local);
    if (directory < 0 || maildir_open(&room.maildir, directory) != 0) return fault("opening a Maildir");
    if (disk_calls()->lock(directory) == 0) return MAILBOX_READY;
    return errno == EWOULDBLOCK ? MAILBOX_IN_USE : fault("locking a Maildir");
}

static enum mailbox_answer open_mailbox(void) {
    if (mailbox_list(&room.mailbox, &room.maildir) != 0) return fault("listing a Maildir");
    measure_all();
    room.marks = calloc(room.mailbox.n / 8 + 1, 1);
    return room.marks ? MAILBOX_READY : fault("serving a Maildir");
}

int agent_mailbox_run(const struct agent_mailbox *agent) {
    room.agent = agent;
    room.state = OPEN;
    enum mailbox_answer answer = open_directory();
    if ((answer == MAILBOX_READY && confine_directory(room.maildir.directory) != 0) ||
        confine_agent_to(agent->filter) != 0) {
        log_fault("confining a mailbox agent", errno);
        return 1;
    }
    if (answer == MAILBOX_READY) answer = open_mailbox();
    say_opened(answer);
    if (answer == MAILBOX_READY) serve();
    if (room.stale) mailbox_sizes_save(&room.mailbox);
    return 0;
}
