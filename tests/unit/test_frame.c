/* test_frame.c - typed frames between processes, and the descriptors that come with them.
 * Runs in: the test runner. Trusts: the kernel's socketpairs. Never: leaves a descriptor open. */
#include "store/frame.h"

#include "store/frames.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static uint8_t storage[FRAME_MAX];

static size_t open_descriptors(void) {
    size_t n = 0;
    DIR *directory = opendir("/proc/self/fd");
    cr_assert(directory);
    while (readdir(directory)) n++;
    closedir(directory);
    return n;
}

static void pair(int fds[2], bool nonblocking) {
    cr_assert_eq(frame_pair(fds, nonblocking), 0);
}

static void close_pair(const int fds[2]) {
    close(fds[0]), close(fds[1]);
}

/* Whatever octets and n descriptors, as a hostile peer could. */
static void send_raw(int fd, struct span octets, size_t n, const int *passed) {
    union {
        struct cmsghdr header;
        uint8_t space[CMSG_SPACE(16 * sizeof(int))];
    } control = {0};
    struct iovec part = {(void *)(uintptr_t)octets.p, octets.n};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    if (n) {
        message.msg_control = &control;
        message.msg_controllen = CMSG_SPACE(n * sizeof(int));
        struct cmsghdr *c = CMSG_FIRSTHDR(&message);
        c->cmsg_level = SOL_SOCKET, c->cmsg_type = SCM_RIGHTS, c->cmsg_len = CMSG_LEN(n * sizeof(int));
        memcpy(CMSG_DATA(c), passed, n * sizeof(int));
    }
    cr_assert_eq(sendmsg(fd, &message, MSG_NOSIGNAL), (ssize_t)octets.n);
}

Test(test_frame, arrives_as_it_was_sent) {
    static const size_t lengths[] = {0, 1, 2, 1000, FRAME_BODY_MAX};
    static uint8_t body[FRAME_BODY_MAX];
    int fds[2];
    struct frame frame;
    pair(fds, true);
    for (size_t i = 0; i < sizeof body; i++) body[i] = (uint8_t)(i * 7);
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        int sent = i % 2 ? frame_send(fds[0], (uint16_t)(0x0102 + i), span_of(body, lengths[i]))
                         : frame_send_plain(fds[0], (uint16_t)(0x0102 + i), span_of(body, lengths[i]));
        cr_assert_eq(sent, 0, "%zu", lengths[i]);
        cr_assert_eq(frame_receive(fds[1], storage, true, &frame), FRAME_RECEIVED);
        cr_expect_eq(frame.type, 0x0102 + i);
        cr_expect(span_equal(frame.body, span_of(body, lengths[i])));
        cr_expect_eq(frame.fd, -1);
        cr_expect_eq(frame.sender, 0);
    }
    cr_expect_eq(frame_receive(fds[1], storage, true, &frame), FRAME_NONE);
    close_pair(fds);
}

Test(test_frame, the_type_is_little_endian) {
    int fds[2];
    uint8_t octets[8];
    pair(fds, true);
    cr_assert_eq(frame_send(fds[0], 0x0a0b, SPAN("x")), 0);
    cr_assert_eq(read(fds[1], octets, sizeof octets), 3);
    cr_expect_eq(memcmp(octets, "\x0b\x0ax", 3), 0);
    close_pair(fds);
}

Test(test_frame, too_long_is_not_sent) {
    static uint8_t body[FRAME_BODY_MAX + 1];
    int fds[2];
    struct frame frame;
    pair(fds, true);
    errno = 0;
    cr_expect_eq(frame_send(fds[0], 1, span_of(body, sizeof body)), -1);
    cr_expect_eq(errno, EMSGSIZE);
    cr_expect_eq(frame_receive(fds[1], storage, true, &frame), FRAME_NONE);
    close_pair(fds);
}

Test(test_frame, a_full_channel_takes_nothing) {
    int fds[2], sent = 0;
    struct frame frame;
    pair(fds, true);
    while (frame_send(fds[0], 7, SPAN("0123456789")) == 0) cr_assert_lt(++sent, 1000000);
    cr_expect_eq(errno, EAGAIN);
    for (int i = 0; i < sent; i++) cr_assert_eq(frame_receive(fds[1], storage, false, &frame), FRAME_RECEIVED);
    cr_expect_eq(frame_receive(fds[1], storage, false, &frame), FRAME_NONE);
    close_pair(fds);
}

Test(test_frame, the_other_end_is_gone) {
    int fds[2];
    struct frame frame;
    pair(fds, true);
    close(fds[1]);
    cr_expect_eq(frame_receive(fds[0], storage, false, &frame), FRAME_CLOSED);
    errno = 0;
    cr_expect_eq(frame_send(fds[0], 1, SPAN("x")), -1); /* and no SIGPIPE */
    cr_expect_eq(errno, EPIPE);
    close(fds[0]);
    errno = 0;
    cr_expect_eq(frame_receive(fds[0], storage, false, &frame), FRAME_ERROR);
    cr_expect_eq(errno, EBADF);
}

Test(test_frame, what_was_said_before_the_end_is_heard) {
    int fds[2];
    struct frame frame;
    pair(fds, true);
    cr_assert_eq(frame_send(fds[1], 5, SPAN("last words")), 0);
    close(fds[1]);
    cr_expect_eq(frame_receive(fds[0], storage, false, &frame), FRAME_RECEIVED);
    cr_expect_eq(frame_receive(fds[0], storage, false, &frame), FRAME_CLOSED);
    close(fds[0]);
}

Test(test_frame, a_descriptor_comes_along) {
    int fds[2], file[2];
    struct frame frame;
    uint8_t octet;
    pair(fds, true);
    cr_assert_eq(pipe(file), 0);
    cr_assert_eq(frame_send_fd(fds[0], 3, SPAN("take it"), file[0]), 0);
    cr_assert_eq(frame_receive(fds[1], storage, true, &frame), FRAME_RECEIVED);
    cr_assert_geq(frame.fd, 0);
    cr_expect_neq(frame.fd, file[0]);
    cr_expect(fcntl(frame.fd, F_GETFD) & FD_CLOEXEC);
    cr_assert_eq(write(file[1], "!", 1), 1);
    cr_expect_eq(read(frame.fd, &octet, 1), 1);
    close(frame.fd), close_pair(file), close_pair(fds);
}

/* What comes unasked is closed and spoils the frame, however much of it there is. */
Test(test_frame, stray_descriptors_are_closed) {
    static const struct {
        size_t n;
        bool wanted;
        enum frame_status status;
    } rows[] = {{0, false, FRAME_RECEIVED},  {0, true, FRAME_RECEIVED},   {1, true, FRAME_RECEIVED},
                {1, false, FRAME_MALFORMED}, {2, true, FRAME_MALFORMED},  {4, true, FRAME_MALFORMED},
                {4, false, FRAME_MALFORMED}, {16, true, FRAME_MALFORMED}, {16, false, FRAME_MALFORMED}};
    int fds[2], passed[16];
    pair(fds, true);
    for (size_t i = 0; i < 16; i++) passed[i] = 2;
    size_t before = open_descriptors();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct frame frame;
        send_raw(fds[0], SPAN("\x01\x02xy"), rows[i].n, passed);
        cr_expect_eq(frame_receive(fds[1], storage, rows[i].wanted, &frame), rows[i].status, "row %zu", i);
        cr_expect_eq(frame.fd >= 0, rows[i].status == FRAME_RECEIVED && rows[i].n, "row %zu", i);
        if (frame.fd >= 0) close(frame.fd);
        cr_expect_eq(open_descriptors(), before, "row %zu", i);
    }
    close_pair(fds);
}

Test(test_frame, malformed_ones_cost_no_descriptor) {
    static uint8_t long_one[FRAME_MAX + 1];
    const struct {
        struct span octets;
        enum frame_status status;
    } rows[] = {{span_of(long_one, sizeof long_one), FRAME_MALFORMED},
                {span_of(long_one, FRAME_MAX), FRAME_RECEIVED},
                {SPAN("x"), FRAME_MALFORMED},
                {SPAN("xy"), FRAME_RECEIVED},
                {{NULL, 0}, FRAME_CLOSED}}; /* an empty packet reads like the end; only a hostile peer sends one */
    int fds[2];
    pair(fds, true);
    size_t before = open_descriptors();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (size_t n = 0; n < 2; n++) {
            struct frame frame;
            send_raw(fds[0], rows[i].octets, n, &(int){2});
            cr_expect_eq(frame_receive(fds[1], storage, true, &frame), rows[i].status, "row %zu", i);
            if (rows[i].status == FRAME_RECEIVED && frame.fd >= 0) close(frame.fd);
            cr_expect_eq(open_descriptors(), before, "row %zu", i);
        }
    close_pair(fds);
}

Test(test_frame, the_kernel_names_the_sender) {
    int fds[2], on = 1, status;
    struct frame frame;
    pair(fds, false);
    cr_assert_eq(setsockopt(fds[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof on), 0);
    pid_t pid = fork();
    if (pid == 0) _exit(frame_send_plain(fds[0], 9, SPAN("me")) != 0);
    cr_assert_eq(frame_receive(fds[1], storage, false, &frame), FRAME_RECEIVED);
    cr_expect_eq(frame.sender, pid);
    cr_assert(waitpid(pid, &status, 0) == pid && status == 0);
    cr_assert_eq(frame_send_fd(fds[0], 9, SPAN("I"), 2), 0);
    cr_assert_eq(frame_receive(fds[1], storage, true, &frame), FRAME_RECEIVED);
    cr_expect_eq(frame.sender, getpid());
    cr_expect_geq(frame.fd, 0);
    close(frame.fd), close_pair(fds);
}

/* ---- dispatching */

enum { STATE_A = 1, STATE_B = 2 };

static struct { unsigned plain, keeps, refuses; } calls;

static int plain(void *peer, struct frame *frame) {
    (void)frame;
    cr_expect_eq(peer, &calls);
    calls.plain++;
    return 0;
}

static int keeps(void *peer, struct frame *frame) {
    (void)peer;
    calls.keeps++;
    close(frame->fd);
    frame->fd = -1;
    return 0;
}

static int refuses(void *peer, struct frame *frame) {
    (void)peer, (void)frame;
    calls.refuses++;
    return -1;
}

static const struct frame_row table[] = {
    {10, STATE_A, plain}, {11, STATE_A | STATE_B, keeps}, {12, STATE_B, refuses}, {13, 0, plain}};

Test(test_frame, dispatch_by_type_and_state) {
    static const struct {
        uint16_t type;
        uint32_t state;
        int result;
        unsigned plain, keeps, refuses;
    } rows[] = {{10, STATE_A, 0, 1, 0, 0},  {10, STATE_B, -1, 0, 0, 0},    {10, 0, -1, 0, 0, 0},
                {11, STATE_A, 0, 0, 1, 0},  {11, STATE_B, 0, 0, 1, 0},     {12, STATE_A, -1, 0, 0, 0},
                {12, STATE_B, -1, 0, 0, 1}, {13, STATE_A, -1, 0, 0, 0},    {9, STATE_A, -1, 0, 0, 0},
                {0, STATE_A, -1, 0, 0, 0},  {0xffff, STATE_B, -1, 0, 0, 0}};
    size_t before = open_descriptors();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct frame frame = {.type = rows[i].type, .fd = dup(2)};
        memset(&calls, 0, sizeof calls);
        cr_expect_eq(frame_dispatch(table, 4, rows[i].state, &calls, &frame), rows[i].result, "row %zu", i);
        cr_expect_eq(calls.plain, rows[i].plain, "row %zu", i);
        cr_expect_eq(calls.keeps, rows[i].keeps, "row %zu", i);
        cr_expect_eq(calls.refuses, rows[i].refuses, "row %zu", i);
        cr_expect_eq(frame.fd, -1);
        cr_expect_eq(open_descriptors(), before, "row %zu", i);
    }
}

/* ---- what waits */

static int fill(int fd) {
    int n = 0;
    while (frame_send(fd, 1, SPAN("fill")) == 0) n++;
    cr_assert_eq(errno, EAGAIN);
    return n;
}

static void take(int fd, int n) {
    struct frame frame;
    for (int i = 0; i < n; i++) cr_assert_eq(frame_receive(fd, storage, false, &frame), FRAME_RECEIVED);
}

Test(test_frame, what_waits_keeps_its_order_and_descriptors) {
    int fds[2], file[2];
    struct frame frame;
    struct frame_backlog backlog = {.cap_bytes = 10000};
    pair(fds, true);
    cr_assert_eq(pipe(file), 0);
    cr_expect_eq(frame_backlog_send(&backlog, fds[0], 2, SPAN("at once"), -1), 0);
    cr_expect(frame_backlog_empty(&backlog));
    int n = fill(fds[0]) + 1;
    for (uint16_t i = 0; i < 20; i++)
        cr_assert_eq(frame_backlog_send(&backlog, fds[0], (uint16_t)(100 + i), span_of(&i, 2), i == 3 ? file[1] : -1),
                     0);
    close(file[1]); /* the backlog has its own */
    cr_expect_not(frame_backlog_empty(&backlog));
    cr_expect_eq(frame_backlog_flush(&backlog, fds[0]), 0); /* still full: no error */
    take(fds[1], n);
    cr_assert_eq(frame_backlog_send(&backlog, fds[0], 120, (struct span){0}, -1), 0); /* may not overtake */
    cr_expect_eq(frame_backlog_flush(&backlog, fds[0]), 0);
    cr_expect(frame_backlog_empty(&backlog));
    cr_expect_eq(backlog.bytes, (size_t)0);
    for (uint16_t i = 0; i <= 20; i++) {
        cr_assert_eq(frame_receive(fds[1], storage, true, &frame), FRAME_RECEIVED);
        cr_expect_eq(frame.type, 100 + i);
        if (i < 20) cr_expect(span_equal(frame.body, span_of(&i, 2)));
        cr_expect_eq(frame.fd >= 0, i == 3);
        if (frame.fd < 0) continue;
        cr_expect_eq(write(frame.fd, "!", 1), 1);
        close(frame.fd);
    }
    close(file[0]), close_pair(fds);
}

Test(test_frame, what_waits_is_capped_also_without_bodies) {
    int fds[2], n = 0;
    struct frame_backlog backlog = {.cap_bytes = 1000};
    pair(fds, true);
    fill(fds[0]);
    size_t before = open_descriptors();
    while (n < 2000 && frame_backlog_send(&backlog, fds[0], 1, (struct span){0}, 2) == 0) n++;
    cr_expect_eq(errno, ENOBUFS);
    cr_expect(n > 0 && n < 1000, "%d", n);
    cr_expect_eq(open_descriptors(), before + (size_t)n);
    frame_backlog_free(&backlog);
    cr_expect(frame_backlog_empty(&backlog));
    cr_expect_eq(open_descriptors(), before);
    cr_expect_eq(frame_backlog_send(&backlog, fds[0], 1, span_of(storage, 1001), -1), -1);
    cr_expect_eq(frame_backlog_send(&backlog, fds[0], 1, span_of(storage, 500), -1), 0);
    frame_backlog_free(&backlog);
    close_pair(fds);
}

Test(test_frame, a_broken_channel_is_told) {
    int fds[2];
    struct frame_backlog backlog = {.cap_bytes = 1000};
    pair(fds, true);
    fill(fds[0]);
    cr_assert_eq(frame_backlog_send(&backlog, fds[0], 1, SPAN("x"), 2), 0);
    size_t before = open_descriptors();
    close(fds[1]);
    cr_expect_eq(frame_backlog_flush(&backlog, fds[0]), -1);
    frame_backlog_free(&backlog);
    cr_expect_eq(open_descriptors(), before - 2);
    cr_expect_eq(frame_backlog_send(&backlog, fds[0], 1, SPAN("x"), -1), -1);
    cr_expect(frame_backlog_empty(&backlog));
    close(fds[0]);
}

static uint8_t many[FRAMES_MAX][FRAME_MAX];

Test(test_frame, many_at_once) {
    struct frame frames[FRAMES_MAX];
    enum frame_status status;
    int fds[2], on = 1;
    pair(fds, false); /* it does not wait, whatever the socket would */
    cr_assert_eq(setsockopt(fds[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof on), 0);
    cr_expect_eq(frames_receive(fds[1], many, FRAMES_MAX, frames, &status), (size_t)0);
    cr_expect_eq(status, FRAME_NONE);
    cr_assert_eq(frame_send(fds[0], 0x0102, SPAN("one")), 0);
    size_t before = open_descriptors();
    send_raw(fds[0], SPAN("\2\1two"), 1, &fds[0]);
    send_raw(fds[0], SPAN("x"), 0, NULL);
    for (int i = 0; i < FRAMES_MAX; i++) cr_assert_eq(frame_send(fds[0], 0x0103, SPAN("more")), 0);
    cr_assert_eq(frames_receive(fds[1], many, FRAMES_MAX, frames, &status), (size_t)FRAMES_MAX);
    cr_expect_eq(status, FRAME_RECEIVED);
    cr_expect(frames[0].type == 0x0102 && span_equal(frames[0].body, SPAN("one")) && frames[0].sender == getpid());
    cr_expect(frames[1].type == 0 && frames[1].fd == -1, "descriptors are not wanted");
    cr_expect(frames[2].type == 0 && frames[2].sender == getpid(), "too short");
    cr_expect(frames[3].type == 0x0103 && span_equal(frames[FRAMES_MAX - 1].body, SPAN("more")));
    cr_expect_eq(open_descriptors(), before);
    close(fds[0]);
    cr_expect_eq(frames_receive(fds[1], many, FRAMES_MAX, frames, &status), (size_t)3);
    cr_expect_eq(frames_receive(fds[1], many, FRAMES_MAX, frames, &status), (size_t)0);
    cr_expect_eq(status, FRAME_CLOSED);
    close(fds[1]);
}

Test(test_frame, bundles) {
    uint8_t octets[32];
    struct frame_bundle bundle = {.b = BUF_OVER(octets)};
    struct frame frame = {0};
    struct span body;
    cr_assert(frame_bundle_add(&bundle, 0x0102, SPAN("first")));
    cr_expect_eq(frame_bundle_type(&bundle, &body), 0x0102, "one goes as it is");
    cr_expect(span_equal(body, SPAN("first")));
    cr_assert(frame_bundle_add(&bundle, 0x0103, (struct span){0}));
    cr_expect_not(frame_bundle_add(&bundle, 0x0104, SPAN("too much of it")));
    cr_expect_eq(frame_bundle_type(&bundle, &body), FRAME_BUNDLE);
    struct wire w = wire_over(body);
    cr_expect(frame_bundle_next(&w, &frame) && frame.type == 0x0102 && span_equal(frame.body, SPAN("first")));
    cr_expect(frame_bundle_next(&w, &frame) && frame.type == 0x0103 && frame.body.n == 0);
    cr_expect(!frame_bundle_next(&w, &frame) && wire_end(&w));
    static const struct span bad[] = {SPAN("\2"), SPAN("\2\1\5\0\0\0four"), SPAN("\1\0\0\0\0\0")};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        w = wire_over(bad[i]);
        cr_expect(!frame_bundle_next(&w, &frame) && !wire_end(&w), "%zu", i);
    }
    frame_bundle_clear(&bundle);
    cr_expect_eq(bundle.b.n, (size_t)0);
}
