/* test_log.c - building lines, and a log writer that does not read.
 * Runs in: the test runner. Trusts: nothing. Never: writes to the real log. */
#include "store/log.h"

#include "store/clock.h"
#include "store/frames.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static int ends[2];
static uint8_t storage[FRAME_MAX];
static struct log_line line;

static void begin(void) {
    signal(SIGPIPE, SIG_IGN);
    cr_assert_eq(frame_pair(ends, true), 0);
    log_use(ends[1]);
}

TestSuite(test_log, .init = begin);

static struct wire receive(uint16_t type) {
    struct frame frame;
    cr_assert_eq(frame_receive(ends[0], storage, false, &frame), FRAME_RECEIVED);
    cr_expect_eq(frame.type, type);
    return wire_over(frame.body);
}

static void expect_value(struct wire *w, enum log_key key, struct span value) {
    cr_expect_eq(wire_get_u16(w), key);
    struct span got = wire_get_span(w, LOG_VALUE_MAX);
    cr_expect(span_equal(got, value), "key %d: %.*s", key, (int)got.n, (const char *)got.p);
}

Test(test_log, a_line) {
    struct netaddr address;
    cr_assert(netaddr_parse_port(&address, SPAN("[2001:db8::1]:25")));
    log_open(&line, LOG_QUEUED);
    log_text(&line, KEY_WHAT, "text");
    log_span(&line, KEY_FROM, SPAN("a\0\n\"b"));
    log_span(&line, KEY_TO, (struct span){0});
    log_number(&line, KEY_BYTES, UINT64_MAX);
    log_number(&line, KEY_COUNT, 0);
    log_client(&line, &address);
    errno = ENOENT;
    log_send(&line);
    cr_expect_eq(errno, ENOENT);
    struct wire w = receive(LOG_LINE);
    cr_expect_eq(wire_get_u16(&w), LOG_QUEUED);
    expect_value(&w, KEY_WHAT, SPAN("text"));
    expect_value(&w, KEY_FROM, SPAN("a\0\n\"b"));
    expect_value(&w, KEY_TO, SPAN(""));
    expect_value(&w, KEY_BYTES, SPAN("18446744073709551615"));
    expect_value(&w, KEY_COUNT, SPAN("0"));
    expect_value(&w, KEY_CLIENT, SPAN("2001:db8::1"));
    expect_value(&w, KEY_PORT, SPAN("25"));
    cr_expect(wire_end(&w));
}

Test(test_log, long_values_are_cut) {
    static uint8_t value[LOG_VALUE_MAX + 1];
    memset(value, 'v', sizeof value);
    for (size_t n = LOG_VALUE_MAX - 1; n <= LOG_VALUE_MAX + 1; n++) {
        log_open(&line, LOG_FAULT);
        log_span(&line, KEY_WHAT, span_of(value, n));
        log_send(&line);
        struct wire w = receive(LOG_LINE);
        (void)wire_get_u16(&w);
        expect_value(&w, KEY_WHAT, span_of(value, n > LOG_VALUE_MAX ? LOG_VALUE_MAX : n));
        cr_expect(wire_end(&w));
    }
}

/* What does not fit is left out whole; what is there stays well formed, and a short value may still follow. */
Test(test_log, a_full_line) {
    static uint8_t value[LOG_VALUE_MAX];
    memset(value, 'v', sizeof value);
    log_open(&line, LOG_FAULT);
    for (size_t i = 0; i < 100; i++) log_span(&line, KEY_WHAT, span_of(value, sizeof value));
    log_number(&line, KEY_COUNT, 7);
    for (size_t i = 0; i < LOG_LINE_MAX; i++) log_span(&line, KEY_WHY, (struct span){0});
    log_text(&line, KEY_ERROR, "no room");
    cr_expect(buf_ok(&line.b));
    log_send(&line);
    struct wire w = receive(LOG_LINE);
    size_t n = 0, count = 0;
    cr_expect_eq(wire_get_u16(&w), LOG_FAULT);
    while (w.rest.n && !w.bad) {
        uint16_t key = wire_get_u16(&w);
        struct span got = wire_get_span(&w, LOG_VALUE_MAX);
        cr_expect_neq(key, KEY_ERROR);
        if (key == KEY_WHAT) n += got.n == LOG_VALUE_MAX;
        if (key == KEY_COUNT) count++;
    }
    cr_expect(wire_end(&w));
    cr_expect_eq(n, (size_t)(LOG_LINE_MAX / (LOG_VALUE_MAX + 6)));
    cr_expect_eq(count, (size_t)1);
}

Test(test_log, a_session_is_named) {
    struct netaddr client = {.port = 4711}, got;
    log_session(12345, SPAN("0123456789"), &client);
    struct wire w = receive(LOG_SESSION);
    cr_expect_eq(wire_get_u32(&w), 12345u);
    cr_expect(span_equal(wire_get_span(&w, SESSION_NAME_MAX), SPAN("0123456789")));
    wire_get_netaddr(&w, &got);
    cr_expect(wire_end(&w) && got.port == 4711);
}

Test(test_log, a_fault_names_the_error) {
    log_fault("opening the door", ENOENT);
    struct wire w = receive(LOG_LINE);
    cr_expect_eq(wire_get_u16(&w), LOG_FAULT);
    expect_value(&w, KEY_WHAT, SPAN("opening the door"));
    expect_value(&w, KEY_ERROR, SPAN("No such file or directory"));
}

Test(test_log, a_bug_is_logged_and_ends_the_process) {
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        signal(SIGABRT, SIG_DFL);
        log_bug("impossible");
    }
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    cr_expect(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    struct wire w = receive(LOG_LINE);
    cr_expect_eq(wire_get_u16(&w), LOG_BUG);
    expect_value(&w, KEY_WHAT, SPAN("impossible"));
}

static void say(uint64_t number) {
    log_open(&line, LOG_FAULT);
    log_number(&line, KEY_COUNT, number);
    log_send(&line);
}

static size_t drain(void) {
    struct frame frame;
    size_t n = 0;
    while (frame_receive(ends[0], storage, false, &frame) == FRAME_RECEIVED) n++;
    return n;
}

/* The first line that does not fit waits a second, the thousands after it do not; and all is well when it reads
 * again. */
Test(test_log, a_writer_that_hangs_holds_nobody_up, .timeout = 120) {
    struct frame frame;
    while (frame_send_plain(ends[1], LOG_LINE, SPAN("\1\0")) == 0) continue;
    uint64_t before = clock_ms();
    for (uint64_t i = 0; i < 5000; i++) say(i);
    cr_expect_lt(clock_ms() - before, (uint64_t)60000, "a second for one line, not for each");
    while (frame_receive(ends[0], storage, false, &frame) == FRAME_RECEIVED) cr_expect_eq(frame.body.n, (size_t)2);
    say(42);
    cr_expect_eq(drain(), (size_t)1);
}

/* Lines that are gathered come in one frame, in their order; a fault takes them along at once. */
Test(test_log, gathered_lines) {
    struct frame one = {0};
    log_gather();
    say(1);
    log_flush();
    struct wire w = receive(LOG_LINE);
    for (uint64_t i = 0; i < 3; i++) say(i);
    cr_expect_eq(drain(), (size_t)0);
    log_fault("a fault", EIO);
    w = receive(FRAME_BUNDLE);
    for (int i = 0; i < 4; i++) {
        cr_assert(frame_bundle_next(&w, &one));
        cr_expect_eq(one.type, LOG_LINE);
        w.bad = w.bad || one.body.n < 2;
        cr_expect_eq(one.body.p[0], i < 3 ? one.body.p[0] : LOG_FAULT);
    }
    cr_expect(!frame_bundle_next(&w, &one) && wire_end(&w));
    log_flush();
    cr_expect_eq(drain(), (size_t)0, "nothing waits any more");
    for (uint64_t i = 0; i < 2000; i++) {
        say(i);
        if (i % 100 == 0) (void)drain();
    }
    log_session(7, SPAN("SESSION1"), &(struct netaddr){0});
    log_flush();
    cr_expect_geq(drain(), (size_t)1);
}

Test(test_log, no_writer_at_all) {
    close(ends[0]);
    say(1);
    log_use(-1);
    say(2);
}
