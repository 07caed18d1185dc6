/* test_role.c - a child's side of its channel to the master, over a socketpair in the place of descriptor 3.
 * Runs in: the test runner. Trusts: the test in the master's place. Never: keeps a descriptor between tests. */
#include "store/log.h"
#include "store/role.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static int master;
static struct role_start start;

/* Descriptor 3 belongs to the test runner: each test runs in a process of its own and says by its status how it
 * went. */
static void failed(int line, const char *what) {
    fprintf(stderr, "test_role.c:%d: %s\n", line, what);
    _exit(1);
}
#define expect(condition, ...) ((condition) ? (void)0 : failed(__LINE__, #condition))
#define expect_eq(a, b, ...) expect((a) == (b))
#define expect_neq(a, b, ...) expect((a) != (b))
#define expect_geq(a, b, ...) expect((a) >= (b))

static void begin(void) {
    int ends[2];
    close_range(3, ~0U, 0);
    expect_eq(frame_pair(ends, true), 0);
    expect_eq(ends[0], ROLE_CONTROL_FD);
    master = fcntl(ends[1], F_DUPFD_CLOEXEC, 100);
    close(ends[1]);
    log_use(open("/dev/null", O_RDWR | O_CLOEXEC));
}

static void in_a_process(void (*test)(void)) {
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        begin();
        test();
        _exit(0);
    }
    cr_assert(pid > 0 && waitpid(pid, &status, 0) == pid);
    cr_assert_eq(status, 0);
}

#define ROLE_TEST(name)                                                                                              \
    static void name(void);                                                                                          \
    Test(test_role, name) {                                                                                          \
        in_a_process(name);                                                                                          \
    }                                                                                                                \
    static void name(void)

static size_t open_descriptors(void) {
    size_t n = 0;
    DIR *directory = opendir("/proc/self/fd");
    expect(directory);
    while (readdir(directory)) n++;
    closedir(directory);
    return n;
}

static int memory_of(struct span octets) {
    int fd = memfd_create("setup", MFD_CLOEXEC);
    expect(fd >= 0 && write(fd, octets.p, octets.n) == (ssize_t)octets.n);
    return fd;
}

static void say(enum frame_type type, struct span body, int fd) {
    expect_eq(frame_send_fd(master, (uint16_t)type, body, fd), 0);
    if (fd > 2) close(fd);
}

static struct role_start example(const char *payload) {
    return (struct role_start){.common = {.role = ROLE_QUEUE,
                                          .as_root = 1,
                                          .directory_is_empty = 1,
                                          .uid = 1000,
                                          .gid = 100,
                                          .files_max = 64,
                                          .file_bytes_max = ROLE_LIMIT_NONE,
                                          .memory_bytes_max = 1ULL << 33,
                                          .filter = SPAN("12345678"),
                                          .child_filter = SPAN("87654321")},
                               .payload = span_text(payload)};
}

static void say_setup(const char *payload) {
    static uint8_t storage[4096];
    struct buf b = BUF_OVER(storage);
    struct role_start setup = example(payload);
    role_setup_put(&b, &setup);
    expect(buf_ok(&b));
    say(MASTER_SETUP, (struct span){0}, memory_of(buf_span(&b)));
}

static int a_link(void) {
    int fd = fcntl(2, F_DUPFD_CLOEXEC, 100);
    expect_geq(fd, 100);
    return fd;
}

ROLE_TEST(names) {
    expect(strcmp(role_name(ROLE_LISTENER), "listener") == 0);
    expect(strcmp(role_name(ROLE_COMMAND), "command") == 0);
    expect(strcmp(role_name(ROLE_COUNT), "none") == 0);
    for (int i = 0; i < ROLE_COUNT; i++) expect(role_name((enum role)i) && role_name((enum role)i)[0]);
}

ROLE_TEST(setup_channels_and_descriptors_until_start) {
    struct role_start wanted = example("what the room wants");
    say(MASTER_DESCRIPTOR, SPAN("\1\0"), a_link());
    say_setup("what the room wants");
    say(MASTER_CHANNEL, SPAN("\3\0"), a_link());
    say(MASTER_CHANNEL, SPAN("\4\7"), a_link());
    say(MASTER_START, (struct span){0}, -1);
    expect_eq(role_receive(&start), 0);
    expect_eq(start.common.role, ROLE_QUEUE);
    expect(start.common.as_root == 1 && start.common.directory_is_empty == 1 && start.common.dumpable == 0);
    expect(start.common.uid == 1000 && start.common.gid == 100);
    expect_eq(start.common.files_max, (uint64_t)64);
    expect_eq(start.common.file_bytes_max, ROLE_LIMIT_NONE);
    expect_eq(start.common.memory_bytes_max, 1ULL << 33);
    expect(span_equal(start.common.filter, wanted.common.filter));
    expect(span_equal(start.common.child_filter, wanted.common.child_filter));
    expect(span_equal(start.payload, wanted.payload));
    expect_geq(role_descriptor(&start, DESCRIPTOR_DIRECTORY, 0), 0);
    expect_geq(role_channel(&start, ROLE_AUTH, 0), 0);
    expect_geq(role_channel(&start, ROLE_VERIFIER, 7), 0);
    expect_eq(role_channel(&start, ROLE_VERIFIER, 0), -1);
    expect_eq(role_channel(&start, ROLE_LISTENER, 0), -1);
    expect_eq(role_descriptor(&start, DESCRIPTOR_DIRECTORY, 1), -1);
    expect_eq(role_descriptor(&start, DESCRIPTOR_SOCKET, 7), -1);
}

/* Before the start nothing of these may come: the process ends instead. */
ROLE_TEST(a_start_that_is_not_in_order) {
    static const struct {
        enum frame_type type;
        struct span body;
        bool fd;
    } rows[] = {
        {MASTER_START, {0}, false}, /* without a setup */
        {MASTER_DRAIN, {0}, false},          {MASTER_FORGET, SPAN("\0\0\0\0"), false},
        {MASTER_SETUP, {0}, false},          {MASTER_CHANNEL, SPAN("\3\0"), false},
        {MASTER_CHANNEL, SPAN("\3"), true},  {MASTER_CHANNEL, SPAN("\3\0x"), true},
        {MASTER_DESCRIPTOR, SPAN(""), true}, {CHILD_READY, SPAN("\0\0\0\0"), false},
        {(enum frame_type)0, {0}, false},    {LOG_LINE, {0}, true},
    };
    size_t before = open_descriptors();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        say(rows[i].type, rows[i].body, rows[i].fd ? a_link() : -1);
        expect_eq(role_receive(&start), -1, "row %zu", i);
        expect_eq(open_descriptors(), before, "row %zu", i);
    }
    close(master);
    expect_eq(role_receive(&start), -1);
}

ROLE_TEST(a_setup_that_is_not_whole) {
    uint8_t storage[512];
    struct buf b = BUF_OVER(storage);
    struct role_start setup = example("payload");
    role_setup_put(&b, &setup);
    wire_put_u8(&b, 0); /* and one octet too many */
    for (size_t n = 0; n <= b.n; n++) {
        if (n == b.n - 1) continue;
        say(MASTER_SETUP, (struct span){0}, memory_of(span_part(buf_span(&b), 0, n)));
        expect_eq(role_receive(&start), -1, "%zu octets", n);
    }
}

static int old;
static uint32_t number;
static struct role_link link_of_event;

static enum role_event listen_once(void) {
    return role_listen(&start, &link_of_event, &old, &number);
}

static void begin_running(void) {
    say_setup("first");
    say(MASTER_CHANNEL, SPAN("\3\0"), a_link());
    say(MASTER_START, (struct span){0}, -1);
    expect_eq(role_receive(&start), 0);
}

ROLE_TEST(a_channel_replaces_the_one_before) {
    begin_running();
    int before = role_channel(&start, ROLE_AUTH, 0);
    size_t open_before = open_descriptors();
    say(MASTER_CHANNEL, SPAN("\3\0"), a_link());
    expect_eq(listen_once(), ROLE_EVENT_CHANNEL);
    expect_eq(old, before);
    expect(link_of_event.kind == ROLE_AUTH && link_of_event.index == 0);
    expect_eq(role_channel(&start, ROLE_AUTH, 0), link_of_event.fd);
    expect_neq(link_of_event.fd, before);
    expect(fcntl(before, F_GETFD) < 0 && errno == EBADF);
    expect_eq(open_descriptors(), open_before);
    say(MASTER_CHANNEL, SPAN("\3\1"), a_link());
    expect_eq(listen_once(), ROLE_EVENT_CHANNEL);
    expect_eq(old, -1);
    expect_eq(open_descriptors(), open_before + 1);
    say(MASTER_DESCRIPTOR, SPAN("\3\1"), a_link()); /* the same numbers, another kind of thing */
    expect_eq(listen_once(), ROLE_EVENT_DESCRIPTOR);
    expect_eq(old, -1);
}

ROLE_TEST(a_new_setup_replaces_the_one_before) {
    begin_running();
    for (int i = 0; i < 200; i++) {
        say_setup(i % 2 ? "second" : "third, and longer");
        expect_eq(listen_once(), ROLE_EVENT_SETUP);
        expect(span_equal(start.payload, span_text(i % 2 ? "second" : "third, and longer")));
    }
}

ROLE_TEST(events) {
    begin_running();
    expect_eq(listen_once(), ROLE_EVENT_NONE);
    size_t before = open_descriptors();
    say(MASTER_DRAIN, (struct span){0}, -1);
    expect_eq(listen_once(), ROLE_EVENT_DRAIN);
    say(MASTER_FORGET, SPAN("\4\3\2\1"), -1);
    expect_eq(listen_once(), ROLE_EVENT_FORGET);
    expect_eq(number, 0x01020304u);
    say(MASTER_START, (struct span){0}, -1);
    expect_eq(listen_once(), ROLE_EVENT_NONE);
    say(MASTER_DRAIN, (struct span){0}, a_link()); /* a descriptor that nobody asked for */
    expect_eq(listen_once(), ROLE_EVENT_DRAIN);
    expect_eq(open_descriptors(), before);
    close(master);
    expect_eq(listen_once(), ROLE_EVENT_GONE);
}

/* The master is trusted: nonsense from it is a bug, which ends the process. */
static int end_of(enum frame_type type, struct span body, bool fd) {
    int status;
    pid_t pid = fork();
    expect_geq(pid, 0);
    if (pid == 0) {
        signal(SIGABRT, SIG_DFL);
        if (frame_send_fd(master, (uint16_t)type, body, fd ? 2 : -1) != 0) _exit(9);
        _exit(listen_once() == ROLE_EVENT_NONE ? 1 : 0);
    }
    expect_eq(waitpid(pid, &status, 0), pid);
    return status;
}

ROLE_TEST(nonsense_ends_the_process) {
    begin_running();
    expect(WIFEXITED(end_of(MASTER_DRAIN, (struct span){0}, false)));
    expect(WIFSIGNALED(end_of(MASTER_CHANNEL, SPAN("\3\0"), false)));
    expect(WIFSIGNALED(end_of(MASTER_CHANNEL, SPAN("\3\0\0"), true)));
    expect(WIFSIGNALED(end_of(MASTER_DESCRIPTOR, SPAN("\3"), true)));
    expect(WIFSIGNALED(end_of(MASTER_SETUP, (struct span){0}, false)));
    expect(WIFSIGNALED(end_of(MASTER_SETUP, (struct span){0}, true)));
    expect(WIFSIGNALED(end_of(MASTER_FORGET, SPAN("\1"), false)));
    expect(WIFSIGNALED(end_of(CHILD_READY, SPAN("\0\0\0\0"), false)));
    expect(WIFSIGNALED(end_of((enum frame_type)0xffff, (struct span){0}, false)));
}

/* Auth has the most: every verifier there may be, sixty listeners, keys and queue. */
ROLE_TEST(room_for_all_of_auths_channels) {
    begin_running();
    for (unsigned i = 0; i < 64 + 60 + 2; i++) {
        uint8_t body[2] = {i < 64 ? ROLE_VERIFIER : i < 124 ? ROLE_LISTENER : ROLE_QUEUE, (uint8_t)i};
        say(MASTER_CHANNEL, span_of(body, 2), a_link());
        expect_eq(listen_once(), ROLE_EVENT_CHANNEL, "%u", i);
    }
    expect_geq(role_channel(&start, ROLE_LISTENER, 123), 0);
}

ROLE_TEST(what_it_says) {
    static uint8_t storage[FRAME_MAX];
    struct frame frame;
    role_ready(MISSING_USER | MISSING_ROOT);
    expect_eq(frame_receive(master, storage, true, &frame), FRAME_RECEIVED);
    expect(frame.type == CHILD_READY && span_equal(frame.body, SPAN("\3\0\0\0")));
    role_say(CHILD_RENEW, (struct span){0});
    expect_eq(frame_receive(master, storage, true, &frame), FRAME_RECEIVED);
    expect(frame.type == CHILD_RENEW && frame.body.n == 0);
    signal(SIGPIPE, SIG_IGN);
    close(master);
    role_ready(0); /* a master that is gone is no reason to die here */
}
