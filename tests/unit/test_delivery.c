/* test_delivery.c - delivery and its Maildir agents as processes, against a queue made up by the test. */
#include "server/outbound/delivery.h"
#include "server/outbound/outbound_setup.h"
#include "tests/unit/driver.h"
#include "tests/unit/fake_queue.h"
#include "tests/unit/scratch.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <ftw.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char root[SCRATCH_BYTES];
static struct driver driver;
static int queue;

static void start(void) {
    static uint8_t storage[256];
    struct buf b = BUF_OVER(storage);
    const struct delivery_setup setup = {.hostname = SPAN("mx.example.test"), .agents_max = 2, .mailboxes_max = 2};
    char capture[SCRATCH_BYTES + 16];
    int pair[2];
    delivery_setup_put(&b, &setup);
    scratch_make(root);
    (void)snprintf(capture, sizeof capture, "%s/capture", root);
    cr_assert(mkdir(capture, 0700) == 0 && frame_pair(pair, true) == 0);
    struct driver_link links[] = {
        {true, {ROLE_QUEUE, 0, pair[1]}},
        {false, {DESCRIPTOR_DIRECTORY, 0, open(root, O_RDONLY | O_DIRECTORY)}},
        {false, {DESCRIPTOR_DIRECTORY, 1, open(capture, O_RDONLY | O_DIRECTORY)}},
    };
    driver = driver_start(delivery_run, ROLE_DELIVERY, buf_span(&b), links, 3);
    queue = pair[0];
    for (size_t i = 0; i < 3; i++) close(links[i].link.fd);
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *walk) {
    (void)status, (void)type, (void)walk;
    return remove(path);
}

static void stop(void) {
    int status = driver_stop(&driver);
    cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %d", status);
    (void)nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void expect_done(int agent, uint64_t number, size_t n, uint8_t outcome, const char *status) {
    struct fake_answer answer;
    for (size_t i = 0; i < n; i++) {
        cr_assert(fake_queue_answer(agent, &answer));
        cr_expect(answer.number == number && answer.index == (int)(10 + i) && answer.outcome == outcome);
        cr_expect_str_eq(answer.status, status);
    }
    cr_assert(fake_queue_answer(agent, &answer));
    cr_expect(answer.number == number && answer.index == -1);
}

static char *only_file(const char *pattern, size_t count, size_t *n_out) {
    static char text[1 << 20];
    char path[256];
    glob_t found;
    (void)snprintf(path, sizeof path, "%s/%s", root, pattern);
    int status = glob(path, 0, NULL, &found);
    cr_assert_eq(status == 0 ? found.gl_pathc : 0, count, "%s", path);
    int fd = open(found.gl_pathv[0], O_RDONLY);
    ssize_t n = read(fd, text, sizeof text - 1);
    cr_assert(n >= 0);
    text[n] = 0, *n_out = (size_t)n;
    close(fd);
    globfree(&found);
    return text;
}

Test(delivery, one_message_two_recipients, .init = start, .fini = stop) {
    size_t n;
    int agent = fake_queue_agent(queue, 1, DESTINATION_MAILDIR, "alice@example.test");
    cr_assert(agent >= 0);
    struct fake_job job = {.number = 5,
                           .name = "MSG5",
                           .sender = "bob\n@sender.example",
                           .body = SPAN("Received: x\r\nSubject: y\r\n\r\na\rb\r\n.\r\nend\r"),
                           .n = 2,
                           .recipients = {{.address = "alice@example.test"}, {.address = "alice+tag@example.test"}}};
    fake_queue_send(agent, &job);
    expect_done(agent, 5, 2, JOB_DELIVERED, "2.0.0");
    const char *text = only_file("example.test/alice/new/1700000000.MSG5R10.mx.example.test,S=*", 1, &n);
    cr_expect_str_eq(text, "Return-Path: <bob?@sender.example>\nDelivered-To: alice@example.test\n"
                           "Received: x\nSubject: y\n\na\rb\n.\nend\r");
    text = only_file("example.test/alice/new/*R11*", 1, &n);
    cr_expect(strstr(text, "Delivered-To: alice+tag@example.test\n"));
    job.maybe_delivered = true, job.number = 6;
    fake_queue_send(agent, &job);
    expect_done(agent, 6, 2, JOB_DELIVERED, "2.0.0");
    only_file("example.test/alice/new/*", 2, &n);
    close(agent);
}

/* Line ends that fall between two reads of a large body, from a file and from frames. */
Test(delivery, large_bodies, .init = start, .fini = stop) {
    static uint8_t body[300000];
    size_t n, head = strlen("Return-Path: <>\nDelivered-To: c@elsewhere.example\n");
    for (size_t i = 0; i + 1 < sizeof body; i += 5) memcpy(body + i, "abc\r\n", 5);
    int agent = fake_queue_agent(queue, 1, DESTINATION_CAPTURE, "");
    cr_assert(agent >= 0);
    for (int as_file = 0; as_file < 2; as_file++) {
        struct fake_job job = {.number = 1,
                               .as_file = as_file,
                               .name = as_file ? "FILE" : "FRAMES",
                               .body = span_of(body, sizeof body),
                               .n = 1,
                               .recipients = {{.address = "c@elsewhere.example"}}};
        fake_queue_send(agent, &job);
        expect_done(agent, 1, 1, JOB_DELIVERED, "2.0.0");
        const char *text = only_file(as_file ? "capture/new/*.FILER*" : "capture/new/*.FRAMESR*", 1, &n);
        cr_expect_eq(n, head + sizeof body / 5 * 4);
        cr_expect_not(memchr(text, '\r', n));
    }
    close(agent);
}

Test(delivery, refusals, .init = start, .fini = stop) {
    int broken = fake_queue_agent(queue, 1, DESTINATION_MAILDIR, "alice@../etc");
    cr_assert(broken >= 0);
    struct fake_job job = {
        .number = 5, .name = "MSG5", .body = SPAN("x"), .n = 1, .recipients = {{.address = "a@b"}}};
    fake_queue_send(broken, &job);
    expect_done(broken, 5, 1, JOB_FAILED, "5.1.3");
    cr_expect_eq(fake_queue_agent(queue, 2, DESTINATION_SMARTHOST, "x"), -1);
    close(broken);
}

Test(delivery, so_many_agents_and_no_more, .init = start, .fini = stop) {
    int first = fake_queue_agent(queue, 3, DESTINATION_MAILDIR, "bob@example.test");
    int second = fake_queue_agent(queue, 4, DESTINATION_MAILDIR, "carol@example.test");
    cr_expect(first >= 0 && second >= 0);
    cr_expect_eq(fake_queue_agent(queue, 5, DESTINATION_MAILDIR, "dave@example.test"), -1);
    /* Who is leaving counts no more, whether it has left or not. */
    for (uint32_t i = 6; i < 16; i++) {
        close(first);
        first = fake_queue_agent(queue, i, DESTINATION_MAILDIR, "dave@example.test");
        cr_expect(first >= 0, "%u", i);
    }
    close(first), close(second);
}

Test(delivery, mailbox_that_cannot_be_opened, .init = start, .fini = stop) {
    char path[128];
    (void)snprintf(path, sizeof path, "%s/example.test", root);
    close(open(path, O_CREAT | O_WRONLY, 0600));
    int agent = fake_queue_agent(queue, 1, DESTINATION_MAILDIR, "alice@example.test");
    struct fake_job job = {
        .number = 5, .name = "MSG5", .body = SPAN("x"), .n = 1, .recipients = {{.address = "a@b"}}};
    struct fake_answer answer;
    fake_queue_send(agent, &job);
    expect_done(agent, 5, 1, JOB_DEFERRED, "4.3.0");
    cr_expect_not(fake_queue_answer(agent, &answer), "it ends, so that the next one tries again");
    close(agent);
}

/* Agents leave with the process that forked them. */
Test(delivery, agents_do_not_outlive_their_parent, .init = start, .fini = stop) {
    struct fake_answer answer;
    int agent = fake_queue_agent(queue, 1, DESTINATION_MAILDIR, "alice@example.test");
    cr_assert(agent >= 0);
    close(driver.control);
    driver.control = open("/dev/null", O_RDONLY);
    cr_expect_not(fake_queue_answer(agent, &answer));
}
