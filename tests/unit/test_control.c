/* test_control.c - questions of the command line, and answers that never wait for who asked.
 * Runs in: the test runner. Trusts: nothing. Never: leaves a socket behind. */
#include "store/control.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static struct loop loop;
static struct control_server server;
static uint8_t storage[FRAME_MAX];
static struct control_row row;

static struct {
    unsigned calls, gone;
    struct control_peer *peer;
    char verb[64];
    size_t n;
    char value[64];
    bool given, sent_all;
    unsigned rows_wanted;
} seen;

static void gone(void *context, void *state) {
    cr_expect(context == &seen && state == &seen);
    seen.gone++;
}

/* Never has anything to say. */
static void more(void *context, struct control_peer *peer, void *state) {
    cr_expect(context == &seen && state == &seen && !control_waits(peer));
}

static void answer(void *context, struct control_peer *peer, const struct control_request *request) {
    cr_expect_eq(context, &seen);
    seen.calls++;
    seen.peer = peer;
    snprintf(seen.verb, sizeof seen.verb, "%s", request->verb);
    seen.n = request->n;
    struct span value = control_argument(request, "name");
    snprintf(seen.value, sizeof seen.value, "%.*s", (int)value.n, value.n ? (const char *)value.p : "");
    seen.given = control_given(request, "name");
    if (strcmp(request->verb, "later") == 0) {
        control_later(peer, more, gone, &seen);
        return;
    }
    seen.sent_all = true;
    for (unsigned i = 0; i < seen.rows_wanted && seen.sent_all; i++) {
        static uint8_t filling[1000];
        control_row_open(&row);
        control_row_number(&row, "i", i);
        control_row_text(&row, "filling", span_of(filling, sizeof filling));
        seen.sent_all = control_row_send(&row, peer);
    }
    control_end(peer, CONTROL_NOT_FOUND, "no such thing");
}

static void begin(void) {
    signal(SIGPIPE, SIG_IGN);
    cr_assert_eq(loop_open(&loop), 0);
    memset(&seen, 0, sizeof seen);
    server = (struct control_server){.loop = &loop, .owner_uid = getuid(), .handle = answer, .context = &seen};
}

static void end(void) {
    control_close(&server);
    loop_close(&loop);
}

TestSuite(test_control, .init = begin, .fini = end);

static int connect_peer(void) {
    int ends[2];
    cr_assert_eq(frame_pair(ends, true), 0);
    cr_assert_eq(control_serve_peer(&server, ends[1]), 0);
    return ends[0];
}

static void ask(int fd, const char *verb, const char *name, struct span value) {
    struct buf b = BUF_OVER(storage);
    wire_put_text(&b, verb);
    if (name) wire_put_text(&b, name), wire_put_span(&b, value);
    cr_assert_eq(frame_send(fd, CONTROL_REQUEST, buf_span(&b)), 0);
}

static void turn(void) {
    cr_assert_eq(loop_round(&loop, 0), 0);
}

static bool dropped(int fd) {
    struct frame frame;
    turn();
    return frame_receive(fd, storage, false, &frame) == FRAME_CLOSED;
}

Test(test_control, a_question_and_its_answer) {
    struct frame frame;
    char name[32], text[32];
    int fd = connect_peer();
    seen.rows_wanted = 1;
    ask(fd, "user show", "name", SPAN("alice"));
    turn();
    cr_expect_eq(seen.calls, 1u);
    cr_expect_str_eq(seen.verb, "user show");
    cr_expect_str_eq(seen.value, "alice");
    cr_expect(seen.n == 1 && seen.given);
    cr_assert_eq(frame_receive(fd, storage, false, &frame), FRAME_RECEIVED);
    cr_expect_eq(frame.type, CONTROL_ROW);
    struct wire w = wire_over(frame.body);
    wire_get_text(&w, name, sizeof name);
    cr_expect(strcmp(name, "i") == 0 && wire_get_u8(&w) == CONTROL_NUMBER && wire_get_u64(&w) == 0);
    cr_assert_eq(frame_receive(fd, storage, false, &frame), FRAME_RECEIVED);
    cr_expect_eq(frame.type, CONTROL_END);
    w = wire_over(frame.body);
    cr_expect_eq(wire_get_u8(&w), CONTROL_NOT_FOUND);
    wire_get_text(&w, text, sizeof text);
    cr_expect(wire_end(&w) && strcmp(text, "no such thing") == 0);
    ask(fd, "another", NULL, (struct span){0}); /* on the same connection */
    turn();
    cr_expect_eq(seen.calls, 2u);
    cr_expect(seen.n == 0 && !seen.given && seen.value[0] == 0);
    close(fd);
    turn();
    cr_expect_eq(seen.gone, 0u, "nothing was being answered");
}

Test(test_control, every_kind_of_value) {
    static const struct {
        const char *name;
        enum control_kind kind;
        uint64_t number;
    } rows[] = {{"n", CONTROL_NUMBER, UINT64_MAX}, {"t", CONTROL_TIME, 12345}, {"b", CONTROL_BOOL, 1}};
    char name[32];
    control_row_open(&row);
    control_row_number(&row, "n", UINT64_MAX);
    control_row_time(&row, "t", 12345);
    control_row_bool(&row, "b", true);
    control_row_text(&row, "x", SPAN("a\0b"));
    control_row_line(&row, SPAN("as it is"));
    struct wire w = wire_over(buf_span(&row.b));
    for (size_t i = 0; i < 3; i++) {
        wire_get_text(&w, name, sizeof name);
        cr_expect_str_eq(name, rows[i].name);
        cr_expect_eq(wire_get_u8(&w), rows[i].kind);
        cr_expect_eq(wire_get_u64(&w), rows[i].number);
    }
    wire_get_text(&w, name, sizeof name);
    cr_expect(wire_get_u8(&w) == CONTROL_TEXT && span_equal(wire_get_span(&w, 99), SPAN("a\0b")));
    wire_get_text(&w, name, sizeof name);
    cr_expect_str_eq(name, "line");
    cr_expect(wire_get_u8(&w) == CONTROL_LINE && span_equal(wire_get_span(&w, 99), SPAN("as it is")));
    cr_expect(wire_end(&w));
}

/* The peer does not read at first; nobody waits for it, others are served, and nothing is lost or out of order. */
Test(test_control, many_rows_for_one_that_does_not_read) {
    enum { ROWS = 20000 };
    struct frame frame;
    char name[32];
    int slow = connect_peer(), quick = connect_peer();
    seen.rows_wanted = ROWS;
    ask(slow, "list", NULL, (struct span){0});
    turn();
    cr_expect(seen.sent_all && seen.calls == 1);
    seen.rows_wanted = 0;
    ask(quick, "quick", NULL, (struct span){0});
    turn();
    cr_assert_eq(frame_receive(quick, storage, false, &frame), FRAME_RECEIVED);
    for (unsigned i = 0; i < ROWS;) {
        enum frame_status status = frame_receive(slow, storage, false, &frame);
        if (status == FRAME_NONE) {
            turn();
            continue;
        }
        cr_assert(status == FRAME_RECEIVED && frame.type == CONTROL_ROW, "row %u", i);
        struct wire w = wire_over(frame.body);
        wire_get_text(&w, name, sizeof name);
        (void)wire_get_u8(&w);
        cr_assert_eq(wire_get_u64(&w), (uint64_t)i++);
    }
    enum frame_status status;
    while ((status = frame_receive(slow, storage, false, &frame)) == FRAME_NONE) turn();
    cr_expect(status == FRAME_RECEIVED && frame.type == CONTROL_END);
    ask(slow, "again", NULL, (struct span){0});
    turn();
    cr_expect_eq(seen.calls, 3u);
    close(slow), close(quick);
}

Test(test_control, one_that_never_reads_is_given_up) {
    int fd = connect_peer();
    seen.rows_wanted = 200000;
    ask(fd, "list", NULL, (struct span){0});
    turn();
    cr_expect_not(seen.sent_all);
    turn(), turn();
    for (size_t i = 0; i < CONTROL_PEERS; i++) cr_expect_null(server.peers[i]);
    close(fd);
}

Test(test_control, gone_while_it_is_answered) {
    int fd = connect_peer();
    ask(fd, "later", NULL, (struct span){0});
    turn();
    cr_expect(seen.calls == 1 && seen.gone == 0);
    close(fd);
    turn();
    cr_expect_eq(seen.gone, 1u);
}

Test(test_control, a_request_while_one_is_open) {
    int fd = connect_peer();
    ask(fd, "later", NULL, (struct span){0});
    ask(fd, "more", NULL, (struct span){0});
    turn();
    cr_expect(dropped(fd));
    cr_expect(seen.calls == 1 && seen.gone == 1);
    close(fd);
}

Test(test_control, malformed_requests) {
    uint8_t too_many[1024], long_verb[100];
    struct buf many = BUF_OVER(too_many), verb = BUF_OVER(long_verb);
    wire_put_text(&many, "v");
    for (int i = 0; i <= CONTROL_ARGUMENTS; i++) wire_put_text(&many, "name"), wire_put_text(&many, "");
    wire_put_u32(&verb, 64);
    for (int i = 0; i < 64; i++) buf_put_octet(&verb, 'v');
    const struct {
        uint16_t type;
        struct span body;
    } rows[] = {{CONTROL_ROW, SPAN("\1\0\0\0v")},
                {CONTROL_END, SPAN("\1\0\0\0v")},
                {MASTER_START, {0}},
                {CONTROL_REQUEST, {0}},
                {CONTROL_REQUEST, SPAN("\2\0\0\0v")},
                {CONTROL_REQUEST, SPAN("\1\0\0\0vx")},
                {CONTROL_REQUEST, SPAN("\2\0\0\0v\0")},        /* a NUL in the verb */
                {CONTROL_REQUEST, SPAN("\1\0\0\0v\1\0\0\0n")}, /* a name without a value */
                {CONTROL_REQUEST, SPAN("\1\0\0\0v\1\0\0\0n\xff\xff\xff\xff")},
                {CONTROL_REQUEST, buf_span(&many)},
                {CONTROL_REQUEST, buf_span(&verb)}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int fd = connect_peer();
        cr_assert_eq(frame_send(fd, rows[i].type, rows[i].body), 0);
        cr_expect(dropped(fd), "row %zu", i);
        close(fd);
    }
    int fd = connect_peer();
    cr_assert_eq(frame_send_fd(fd, CONTROL_REQUEST, SPAN("\1\0\0\0v"), 2), 0);
    cr_expect(dropped(fd), "with a descriptor");
    close(fd);
    cr_expect_eq(seen.calls, 0u);
    fd = connect_peer();
    many.n -= 12; /* as many as there may be */
    cr_assert_eq(frame_send(fd, CONTROL_REQUEST, buf_span(&many)), 0);
    turn();
    cr_expect(seen.calls == 1 && seen.n == CONTROL_ARGUMENTS);
    close(fd);
}

/* ---- over a listening socket */

static struct sockaddr_un listening(void) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    snprintf(address.sun_path + 1, sizeof address.sun_path - 1, "gatepost-test-control-%d", (int)getpid());
    cr_assert_eq(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    cr_assert(listen(fd, 64) == 0 && control_serve(&server, fd) == 0);
    return address;
}

static int connect_to(const struct sockaddr_un *address) {
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (connect(fd, (const struct sockaddr *)address, sizeof *address) != 0) return -1;
    return fd;
}

/* Asks from a process of this uid; whether it was heard. */
static bool heard_from(const struct sockaddr_un *address, uid_t uid) {
    int status;
    unsigned before = seen.calls;
    pid_t pid = fork();
    if (pid == 0) {
        struct frame frame;
        if (uid != getuid() && (setgroups(0, NULL) != 0 || setresuid(uid, uid, uid) != 0)) _exit(9);
        int fd = connect_to(address);
        if (fd < 0) _exit(8);
        if (frame_send(fd, CONTROL_REQUEST, SPAN("\1\0\0\0v")) != 0) _exit(errno == EPIPE ? 1 : 7);
        _exit(frame_receive(fd, storage, false, &frame) == FRAME_RECEIVED ? 0 : 1);
    }
    while (waitpid(pid, &status, WNOHANG) == 0) cr_assert_eq(loop_round(&loop, 10), 0);
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) <= 1, "%x", (unsigned)status);
    cr_expect_eq(WEXITSTATUS(status) == 0, seen.calls == before + 1);
    return WEXITSTATUS(status) == 0;
}

Test(test_control, the_kernel_vouches_for_the_uid) {
    struct sockaddr_un address = listening();
    cr_expect(heard_from(&address, getuid()));
    if (getuid() != 0) return;
    cr_expect_not(heard_from(&address, 12345));
    server.owner_uid = 12345;
    cr_expect(heard_from(&address, 12345));
    cr_expect_not(heard_from(&address, 12346));
    cr_expect(heard_from(&address, 0));
}

Test(test_control, not_too_many_at_once) {
    struct sockaddr_un address = listening();
    int fds[CONTROL_PEERS + 1];
    for (size_t i = 0; i < CONTROL_PEERS + 1; i++) {
        fds[i] = connect_to(&address);
        cr_assert_geq(fds[i], 0);
        turn();
    }
    struct frame frame;
    cr_expect_eq(frame_receive(fds[CONTROL_PEERS], storage, false, &frame), FRAME_CLOSED);
    close(fds[3]);
    turn();
    int fd = connect_to(&address);
    ask(fd, "v", NULL, (struct span){0});
    turn(), turn();
    cr_expect_eq(seen.calls, 1u, "a place that became free");
    close(fd);
    for (size_t i = 0; i <= CONTROL_PEERS; i++)
        if (i != 3) close(fds[i]);
}
