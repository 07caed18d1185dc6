/* test_log_writer.c - the log writer as a process: who is believed, and that nothing is lost at the end. */
#include "store/log.h"
#include "store/log_people.h"
#include "store/log_setup.h"
#include "store/log_writer.h"
#include "tests/unit/driver.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static int error_pipe[2], log_pair[2];

static int run(struct role_start *start, uint32_t missing) {
    return log_run(start, missing);
}

static struct driver start_writer_with(struct log_setup setup, int crowd) {
    uint8_t octets[128];
    struct buf b = BUF_OVER(octets);
    int on = 1, saved = dup(2);
    log_setup_put(&b, &setup);
    cr_assert(pipe(error_pipe) == 0 && frame_pair(log_pair, true) == 0);
    cr_assert_eq(setsockopt(log_pair[0], SOL_SOCKET, SO_PASSCRED, &on, sizeof on), 0);
    dup2(error_pipe[1], 2);
    close(error_pipe[1]);
    struct driver_link links[] = {{true, {ROLE_LOG, 0, log_pair[0]}}, {true, {ROLE_LOG, 1, crowd}}};
    struct driver driver = driver_start(run, ROLE_LOG, buf_span(&b), links, crowd < 0 ? 1 : 2);
    dup2(saved, 2);
    close(saved), close(log_pair[0]);
    log_use(log_pair[1]);
    return driver;
}

static struct driver start_writer_of(struct log_setup setup) {
    return start_writer_with(setup, -1);
}

static struct driver start_writer(bool json) {
    return start_writer_of((struct log_setup){.json = json});
}

static void say_role(uint32_t pid, uint8_t role) {
    uint8_t octets[8];
    struct buf b = BUF_OVER(octets);
    wire_put_u32(&b, pid);
    wire_put_u8(&b, role);
    cr_assert_eq(frame_send_plain(log_pair[1], LOG_ROLE, buf_span(&b)), 0);
}

static void say_session(uint32_t pid) {
    uint8_t octets[128];
    struct buf b = BUF_OVER(octets);
    struct netaddr client = {.port = 9};
    wire_put_u32(&b, pid);
    wire_put_text(&b, "SESSION1");
    wire_put_netaddr(&b, &client);
    cr_assert_eq(frame_send_plain(log_pair[1], LOG_SESSION, buf_span(&b)), 0);
}

static void say(enum log_event event, const char *what) {
    struct log_line line;
    log_open(&line, event);
    log_text(&line, KEY_WHAT, what);
    log_send(&line);
}

/* A process of its own that waits for its turn; what it then says comes under its own pid. */
struct speaker {
    pid_t pid;
    int turn;
};
static struct speaker fork_speaker(void (*speak)(uint32_t), uint32_t about) {
    int turn[2];
    char c;
    cr_assert_eq(pipe(turn), 0);
    struct speaker speaker = {fork(), turn[1]};
    if (speaker.pid == 0) {
        close(turn[1]);
        if (read(turn[0], &c, 1) == 1) speak(about);
        _exit(0);
    }
    close(turn[0]);
    return speaker;
}
static void take_turn(struct speaker speaker) {
    cr_assert_eq(write(speaker.turn, "", 1), 1);
    close(speaker.turn);
    waitpid(speaker.pid, NULL, 0);
}

static void speak_auth(uint32_t session) {
    say_session(session);
    say(LOG_LOGIN, "by-auth");
}
static void speak_session(uint32_t other) {
    say_session(other); /* may not */
    say(LOG_TLS, "by-session");
    say(LOG_LOGIN, "forged-login");
}
static void speak_agent(uint32_t other) {
    say_role(other, ROLE_AUTH); /* may not */
    say(LOG_AGENT, "by-agent");
    say(LOG_TLS, "forged-tls");
}

Test(log_writer, believes_pids_only) {
    static char text[1 << 16];
    struct driver driver = start_writer(false);
    struct speaker agent = fork_speaker(speak_agent, (uint32_t)getpid());
    struct speaker session = fork_speaker(speak_session, 12345);
    struct speaker auth = fork_speaker(speak_auth, (uint32_t)session.pid);
    say_role((uint32_t)auth.pid, ROLE_AUTH);
    say(LOG_STARTED, "by-master");
    take_turn(auth);
    take_turn(session);
    take_turn(agent);
    cr_assert_eq(frame_send_plain(log_pair[1], LOG_FLUSH, (struct span){0}), 0);
    size_t n = 0;
    for (ssize_t got; (got = read(error_pipe[0], text + n, sizeof text - 1 - n)) > 0;) n += (size_t)got;
    static const char *const wanted[] = {
        "process=master event=started what=by-master\n",
        "process=auth event=login what=by-auth\n",
        "level=info process=session event=tls session=SESSION1 client=",
        "level=warning process=session event=bad-frame session=SESSION1",
        "process=agent event=agent what=by-agent\n",
        "level=warning process=agent event=bad-frame what=log",
    };
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
        cr_expect(strstr(text, wanted[i]), "missing: %s in\n%s", wanted[i], text);
    cr_expect_not(strstr(text, "forged"));
    size_t refused = 0;
    for (const char *p = text; (p = strstr(p, "event=bad-frame")); p++) refused++;
    cr_expect_eq(refused, 4);
    int status = driver_stop(&driver);
    cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* Octets that pid may say before nobody listens, in lines of 1000. */
static size_t spend_all(uint32_t pid, uint64_t now_ms, unsigned *lasts_out) {
    size_t n = 0;
    bool last;
    for (*lasts_out = 0; n < 100000 && log_people_spend(pid, 1000, now_ms, &last); n++) *lasts_out += last;
    return n;
}

Test(log_writer, strangers_run_out_of_words) {
    const struct netaddr client = {.port = 9};
    unsigned lasts;
    log_people_role(10, ROLE_QUEUE);
    log_people_session(11, SPAN("SESSION1"), &client);
    log_people_session(12, SPAN("SESSION2"), &client);
    cr_expect_eq(spend_all(10, 5, &lasts), 100000);
    cr_expect_eq(lasts, 0);
    size_t n = spend_all(11, 5, &lasts);
    cr_expect(n > 100 && n < 1000, "%zu lines", n);
    cr_expect_eq(lasts, 1);
    cr_expect_eq(spend_all(11, 1000000, &lasts), 0, "a session's stock does not fill again");
    cr_expect_gt(spend_all(12, 5, &lasts), 100, "another has its own");
    n = spend_all(13, 1000000, &lasts);
    cr_expect(n > 100 && n < 10000, "%zu lines of agents", n);
    cr_expect_eq(spend_all(14, 1000000, &lasts), 0, "agents have one in common");
    cr_expect_gt(spend_all(14, 1100000, &lasts), 100, "which fills again");
    log_people_session(11, SPAN("SESSION3"), &client);
    cr_expect_gt(spend_all(11, 1, &lasts), 100, "the same pid is another session");
}

static int crowd_pair[2];

static void speak_in_crowd(uint32_t other) {
    (void)other;
    log_use(crowd_pair[1]);
    say(LOG_TLS, "from-the-crowd");
}

/* Who a session is comes over the one socket, what it says over the other: the first is read first. */
Test(log_writer, the_crowd_has_its_own_socket) {
    static char text[1 << 16];
    int on = 1;
    cr_assert(frame_pair(crowd_pair, true) == 0 &&
              setsockopt(crowd_pair[0], SOL_SOCKET, SO_PASSCRED, &on, sizeof on) == 0);
    struct driver driver = start_writer_with((struct log_setup){0}, crowd_pair[0]);
    struct speaker session = fork_speaker(speak_in_crowd, 0);
    struct speaker auth = fork_speaker(speak_auth, (uint32_t)session.pid);
    kill(driver.pid, SIGSTOP); /* so that both lie there when it looks */
    say_role((uint32_t)auth.pid, ROLE_AUTH);
    take_turn(auth);
    take_turn(session);
    kill(driver.pid, SIGCONT);
    int status = driver_stop(&driver);
    cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    size_t n = 0;
    for (ssize_t got; (got = read(error_pipe[0], text + n, sizeof text - 1 - n)) > 0;) n += (size_t)got;
    cr_expect(strstr(text, "process=session event=tls session=SESSION1"), "%s", text);
    cr_expect_not(strstr(text, "process=agent"), "%s", text);
}

Test(log_writer, drains_when_the_master_goes) {
    static char text[1 << 20];
    struct driver driver = start_writer(true);
    for (int i = 0; i < 100; i++) say(LOG_STARTED, "one");
    int status = driver_stop(&driver);
    cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    size_t n = 0, lines = 0;
    for (ssize_t got; (got = read(error_pipe[0], text + n, sizeof text - 1 - n)) > 0;) n += (size_t)got;
    for (size_t i = 0; i < n; i++) lines += text[i] == '\n';
    cr_expect_eq(lines, 100, "%zu lines, the last: %s", lines, n > 300 ? text + n - 300 : text);
}

static void say_session_ended(uint32_t pid) {
    log_session(pid, (struct span){0}, &(struct netaddr){0});
}

static void speak_bundle(uint32_t other) {
    uint8_t octets[8], storage[256];
    struct buf role = BUF_OVER(octets);
    struct frame_bundle bundle = {.b = BUF_OVER(storage)};
    struct log_line line;
    wire_put_u32(&role, other);
    wire_put_u8(&role, ROLE_AUTH);
    log_open(&line, LOG_AGENT);
    log_text(&line, KEY_WHAT, "in-a-bundle");
    cr_assert(frame_bundle_add(&bundle, LOG_LINE, buf_span(&line.b)) &&
              frame_bundle_add(&bundle, LOG_ROLE, buf_span(&role)) && /* may not, here neither */
              frame_bundle_add(&bundle, LOG_LINE, buf_span(&line.b)) &&
              frame_bundle_add(&bundle, LOG_FLUSH, (struct span){0}));
    cr_assert_eq(frame_send_plain(log_pair[1], FRAME_BUNDLE, buf_span(&bundle.b)), 0);
}

/* Many frames in one are each taken by what its speaker may say; what follows a frame that may not be there is not
 * read, and the writer goes on. */
Test(log_writer, bundles) {
    static char text[1 << 16];
    struct driver driver = start_writer(false);
    struct speaker agent = fork_speaker(speak_bundle, (uint32_t)getpid());
    log_gather();
    say(LOG_STARTED, "gathered-one");
    say(LOG_READY, "gathered-two");
    log_flush();
    take_turn(agent);
    say(LOG_STOPPED, "gathered-three");
    log_flush();
    cr_assert_eq(frame_send_plain(log_pair[1], LOG_FLUSH, (struct span){0}), 0);
    size_t n = 0, agents = 0, refused = 0;
    for (ssize_t got; (got = read(error_pipe[0], text + n, sizeof text - 1 - n)) > 0;) n += (size_t)got;
    for (const char *p = text; (p = strstr(p, "process=agent event=agent what=in-a-bundle\n")); p++) agents++;
    for (const char *p = text; (p = strstr(p, "event=bad-frame")); p++) refused++;
    cr_expect_eq(agents, 2, "%s", text);
    cr_expect_eq(refused, 2, "%s", text);
    const char *one = strstr(text, "process=master event=started what=gathered-one\n"),
               *two = strstr(text, "process=master event=ready what=gathered-two\n"),
               *three = strstr(text, "process=master event=stopped what=gathered-three\n");
    cr_expect(one && two && three && one < two && two < three, "%s", text);
    int status = driver_stop(&driver);
    cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* The pid of a process that has ended is nobody's until it is named again. */
Test(log_writer, the_dead_have_no_rights) {
    static char text[1 << 16];
    struct driver driver = start_writer(false);
    struct speaker once_queue = fork_speaker(speak_agent, (uint32_t)getpid());
    struct speaker once_session = fork_speaker(speak_agent, (uint32_t)getpid());
    struct speaker auth = fork_speaker(say_session, (uint32_t)once_session.pid);
    struct speaker auth_later = fork_speaker(say_session_ended, (uint32_t)once_session.pid);
    say_role((uint32_t)auth.pid, ROLE_AUTH);
    take_turn(auth);
    say_role((uint32_t)auth_later.pid, ROLE_AUTH);
    take_turn(auth_later);
    say_role((uint32_t)once_queue.pid, ROLE_QUEUE);
    say_role((uint32_t)once_queue.pid, ROLE_NONE);
    take_turn(once_queue);
    take_turn(once_session);
    cr_assert_eq(frame_send_plain(log_pair[1], LOG_FLUSH, (struct span){0}), 0);
    size_t n = 0, agents = 0;
    for (ssize_t got; (got = read(error_pipe[0], text + n, sizeof text - 1 - n)) > 0;) n += (size_t)got;
    for (const char *p = text; (p = strstr(p, "process=agent event=agent what=by-agent\n")); p++) agents++;
    cr_expect_eq(agents, 2, "%s", text);
    cr_expect_not(strstr(text, "SESSION1"), "%s", text);
    int status = driver_stop(&driver);
    cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

Test(log_writer, warnings_only_for_one_command) {
    static char text[1 << 16];
    struct driver driver = start_writer_of((struct log_setup){.warnings_only = 1});
    say(LOG_STARTED, "information");
    say(LOG_ACCOUNT_CHANGED, "a notice");
    say(LOG_DROPPED, "a warning");
    say(LOG_FAULT, "an error");
    cr_assert_eq(frame_send_plain(log_pair[1], LOG_FLUSH, (struct span){0}), 0);
    size_t n = 0;
    for (ssize_t got; (got = read(error_pipe[0], text + n, sizeof text - 1 - n)) > 0;) n += (size_t)got;
    cr_expect(strstr(text, "a warning") && strstr(text, "an error"), "%s", text);
    cr_expect_not(strstr(text, "information") || strstr(text, "a notice"), "%s", text);
    int status = driver_stop(&driver);
    cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void speak_nothing(uint32_t other) {
    (void)other;
    for (int i = 0; i < 3; i++) cr_assert_eq(send(log_pair[1], "", 0, MSG_NOSIGNAL), 0);
    say(LOG_AGENT, "after-nothing");
}

/* A packet without an octet is somebody's bad frame, and not the end: neither of the writer nor of what comes behind
 * it in one batch. */
Test(log_writer, empty_packets) {
    static char text[1 << 16];
    struct driver driver = start_writer(false);
    struct speaker agent = fork_speaker(speak_nothing, 0);
    say(LOG_STARTED, "before");
    take_turn(agent);
    say(LOG_STOPPED, "behind");
    cr_assert_eq(frame_send_plain(log_pair[1], LOG_FLUSH, (struct span){0}), 0);
    size_t n = 0, refused = 0;
    for (ssize_t got; (got = read(error_pipe[0], text + n, sizeof text - 1 - n)) > 0;) n += (size_t)got;
    for (const char *p = text; (p = strstr(p, "process=agent event=bad-frame")); p++) refused++;
    cr_expect_eq(refused, 3, "%s", text);
    cr_expect(strstr(text, "what=before") && strstr(text, "what=after-nothing") && strstr(text, "what=behind"), "%s",
              text);
    int status = driver_stop(&driver);
    cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}
