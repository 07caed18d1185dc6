/* test_queue_process.c - the queue process between an auth, sessions and a delivery of the test's.
 * Runs in: the test runner. Trusts: nothing. Never: asserts a time. */
#include "tests/unit/queue_driver.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static struct queue_driver driver;
static struct drive_job job;

static void setup(void) {
    drive_make(&driver);
}
static void teardown(void) {
    drive_remove(&driver);
}

TestSuite(queue_process, .init = setup, .fini = teardown, .timeout = 120);

static bool holds(struct span s, const char *text) {
    return memmem(s.p, s.n, text, strlen(text)) != NULL;
}

/* One agent for that destination, one job, one answer. */
static void deliver(enum job_outcome outcome, const char *destination) {
    char wanted[256];
    int agent = drive_agent(&driver, 20000, wanted);
    cr_assert(agent >= 0);
    cr_assert_str_eq(wanted, destination);
    cr_assert(drive_job(agent, 20000, &job));
    drive_answer(agent, &job, outcome, outcome == JOB_FAILED ? 550 : 0, outcome == JOB_FAILED ? "5.1.1" : "2.0.0",
                 "words");
    struct frame frame;
    /* The queue closes the channel when the agent has had nothing to do; the test need not wait for that. */
    (void)drive_frame(agent, 50, &frame);
    close(agent);
}

Test(queue_process, accepts_and_delivers) {
    char name[256];
    drive_start(&driver);
    int session = drive_session(&driver, 7);
    cr_assert_eq(drive_submit(&driver, session, 1, 7, "a@client.example", "alice@example.test",
                              "Subject: x\r\n\r\nhello\r\n", name),
                 BODY_DURABLE);
    cr_assert_eq(strlen(name), MESSAGE_NAME_CHARS);
    deliver(JOB_DELIVERED, "alice@example.test");
    cr_assert_str_eq(job.name, name);
    cr_assert_str_eq(job.sender, "a@client.example");
    cr_assert_eq(job.again, 0);
    struct span body = buf_span(&job.body);
    cr_assert(holds(body, "Received: from client.example ([192.0.2.7])\r\n\tby mx.example.test with ESMTP"));
    cr_assert(holds(body, "for <alice@example.test>"));
    cr_assert(holds(body, "Subject: x\r\n\r\nhello\r\n"));
    cr_assert_not(holds(body, "Message-ID")); /* a stranger's mail is left as it is */
    cr_assert_eq(drive_end(&driver, false), 0);
    drive_start(&driver); /* the mark was written: nothing is delivered again */
    cr_assert_eq(drive_agent(&driver, 300, name), -1);
    drive_end(&driver, true);
}

Test(queue_process, survives_kill) {
    char name[256];
    drive_start(&driver);
    int session = drive_session(&driver, 7);
    for (uint8_t t = 1; t <= 20; t++)
        cr_assert_eq(drive_submit(&driver, session, t, 7, "a@client.example", "bob@example.test", "x\r\n", name),
                     BODY_DURABLE);
    drive_end(&driver, true);
    drive_start(&driver);
    int agent = drive_agent(&driver, 20000, name), n = 0;
    for (; n < 20 && drive_job(agent, 20000, &job); n++) {
        cr_assert_eq(job.again, 1); /* nobody knows whether the mark was lost */
        drive_answer(agent, &job, JOB_DELIVERED, 0, "2.0.0", "");
    }
    cr_assert_eq(n, 20);
    cr_assert_eq(drive_end(&driver, false), 0);
}

Test(queue_process, large_body_has_its_own_file) {
    static char body[600000];
    char name[256];
    memset(body, 'x', sizeof body - 1);
    for (int kill_it = 0; kill_it < 2; kill_it++) {
        drive_start(&driver);
        int session = drive_session(&driver, 7);
        cr_assert_eq(drive_submit(&driver, session, 1, 7, "a@client.example", "bob@example.test", body, name),
                     BODY_DURABLE);
        if (kill_it) {
            drive_end(&driver, true);
            drive_start(&driver);
        }
        deliver(JOB_DELIVERED, "bob@example.test");
        cr_assert(job.fd >= 0);
        cr_assert(job.body.n > sizeof body - 1);
        cr_assert(memcmp(job.body.p + job.body.n - (sizeof body - 1), body, sizeof body - 1) == 0);
        cr_assert_eq(drive_end(&driver, false), 0);
    }
    char path[128];
    snprintf(path, sizeof path, "ls -A %s/body | grep -c .", driver.path);
    FILE *files = popen(path, "r");
    int left = -1;
    cr_assert(files && fscanf(files, "%d", &left) == 1);
    pclose(files);
    cr_assert_eq(left, 0);
}

Test(queue_process, commit_rules) {
    static const char *const two[] = {"alice@example.test", "bob@example.test", NULL};
    char name[256];
    drive_start(&driver);
    int mine = drive_session(&driver, 7), other = drive_session(&driver, 8);
    drive_commit(mine, 99, 1); /* unknown T */
    cr_assert_eq(drive_result(mine, name), BODY_REFUSED);
    drive_open(&driver, 1, 7, "a@client.example", two);
    drive_data(other, 1, SPAN("stolen\r\n"));
    drive_commit(other, 1, 2); /* another session's */
    cr_assert_eq(drive_result(other, name), BODY_REFUSED);
    drive_open(&driver, 5, 9, "a@client.example", two); /* a session whose channel is not there yet */
    drive_commit(other, 5, 2);
    cr_assert_eq(drive_result(other, name), BODY_REFUSED);
    drive_data(mine, 1, SPAN("mine\r\n"));
    drive_commit(mine, 1, 1); /* another number than was accepted */
    cr_assert_eq(drive_result(mine, name), BODY_REFUSED);
    drive_commit(mine, 1, 2); /* that was its end */
    cr_assert_eq(drive_result(mine, name), BODY_REFUSED);
    drive_open(&driver, 2, 7, "a@client.example", two);
    drive_data(mine, 2, SPAN("good\r\n"));
    drive_commit(mine, 2, 2);
    drive_commit(mine, 2, 2); /* a used one */
    int first = drive_result(mine, name), second = drive_result(mine, name);
    cr_assert((first == BODY_DURABLE) + (second == BODY_DURABLE) == 1);
    cr_assert(first + second == BODY_DURABLE + BODY_REFUSED);
    drive_open(&driver, 3, 7, "a@client.example", two);
    uint8_t t[TRANSACTION_BYTES] = {3, 1, 2, 3};
    cr_assert_eq(frame_send(driver.auth, TRANSACTION_CLOSE, span_of(t, sizeof t)), 0); /* RSET */
    drive_commit(mine, 3, 2);
    cr_assert_eq(drive_result(mine, name), BODY_REFUSED);
    drive_open_flags(&driver, 4, 7, "a@client.example", two, 0, 0, 10);
    drive_data(mine, 4, SPAN("more than ten octets\r\n"));
    drive_commit(mine, 4, 2);
    cr_assert_eq(drive_result(mine, name), BODY_TOO_LARGE);
    int rows;
    drive_end(&driver, true);
    driver.setup.stand_alone = 1;
    drive_start(&driver);
    cr_assert_eq(drive_control(&driver, "queue list", NULL, NULL, &rows), 0);
    cr_assert_eq(rows, 1);
    drive_end(&driver, false);
}

/* As often as it is named it counts, and it gets one copy. */
Test(queue_process, one_copy_for_each) {
    static const char *names[101];
    static char storage[100][32];
    char name[256];
    for (size_t i = 0; i < 100; i++) {
        snprintf(storage[i], sizeof storage[i], "user%zu@example.test", i % 40);
        names[i] = storage[i];
    }
    drive_start(&driver);
    int session = drive_session(&driver, 7);
    drive_open(&driver, 1, 7, "a@client.example", (const char *const[]){"x@example.test", "x@example.test", NULL});
    drive_data(session, 1, SPAN("one copy\r\n"));
    drive_commit(session, 1, 1);
    cr_assert_eq(drive_result(session, name), BODY_REFUSED, "two commands were accepted");
    drive_open(&driver, 2, 7, "a@client.example", (const char *const[]){"x@example.test", "x@example.test", NULL});
    drive_data(session, 2, SPAN("one copy\r\n"));
    drive_commit(session, 2, 2);
    cr_assert_eq(drive_result(session, name), BODY_DURABLE);
    deliver(JOB_DELIVERED, "x@example.test");
    cr_expect_eq(job.n, 1, "%u copies", job.n);
    drive_open(&driver, 3, 7, "a@client.example", names);
    drive_data(session, 3, SPAN("forty copies\r\n"));
    drive_commit(session, 3, 100);
    cr_assert_eq(drive_result(session, name), BODY_DURABLE);
    int copies = 0;
    for (int agent; copies < 40 && (agent = drive_agent(&driver, 20000, name)) >= 0; close(agent)) {
        cr_assert(drive_job(agent, 20000, &job));
        copies += job.n;
        drive_answer(agent, &job, JOB_DELIVERED, 0, "2.0.0", "");
    }
    cr_expect_eq(copies, 40);
    cr_expect_eq(drive_agent(&driver, 100, name), -1, "and no more");
    drive_end(&driver, true);
}

/* As auth says it: the transaction, its recipient and the session's channel in one packet, with the descriptor; and
 * as the session says it: the last octets with the commit. */
Test(queue_process, in_one_packet) {
    static uint8_t together[FRAME_BODY_MAX], storage[2048];
    static const char expected[] = "first\r\nlast\r\n";
    struct frame_bundle bundle = {.b = BUF_OVER(together)};
    const uint8_t t[TRANSACTION_BYTES] = {1, 1, 2, 3};
    char name[256];
    int pair[2];
    drive_start(&driver);
    int other = drive_session(&driver, 8);
    struct envelope envelope = {.session_number = 7,
                                .session_name = SPAN("SESSION"),
                                .role = 1,
                                .flags = ENVELOPE_ESMTP,
                                .helo = SPAN("client.example"),
                                .sender = SPAN("a@client.example"),
                                .limit_bytes = 1 << 20,
                                .recipients_max = 100};
    struct recipient bob = {.kind = DESTINATION_MAILDIR,
                            .destination = SPAN("bob@example.test"),
                            .address = SPAN("bob@example.test"),
                            .original = SPAN("bob@example.test")};
    struct buf b = BUF_OVER(storage);
    wire_put_bytes(&b, t, sizeof t);
    envelope_put(&b, &envelope);
    cr_assert(frame_bundle_add(&bundle, TRANSACTION_OPEN, buf_span(&b)));
    b.n = 0;
    wire_put_bytes(&b, t, sizeof t);
    wire_put_u32(&b, 0);
    recipient_put(&b, &bob);
    cr_assert(frame_bundle_add(&bundle, TRANSACTION_RCPT, buf_span(&b)));
    b.n = 0;
    wire_put_u64(&b, 7);
    cr_assert(frame_bundle_add(&bundle, TRANSACTION_CHANNEL, buf_span(&b)));
    cr_assert(frame_pair(pair, false) == 0 && fcntl(pair[1], F_SETFL, O_NONBLOCK) == 0);
    cr_assert_eq(frame_send_fd(driver.auth, FRAME_BUNDLE, buf_span(&bundle.b), pair[1]), 0);
    close(pair[1]);
    b.n = 0;
    wire_put_bytes(&b, t, sizeof t);
    wire_put_u32(&b, 1);
    buf_put_text(&b, "stolen\r\n");
    cr_assert_eq(frame_send(other, BODY_COMMIT, buf_span(&b)), 0);
    cr_expect_eq(drive_result(other, name), BODY_REFUSED);
    drive_data(pair[0], 1, SPAN("first\r\n"));
    b.n = sizeof t + 4;
    buf_put_text(&b, "last\r\n");
    cr_assert_eq(frame_send(pair[0], BODY_COMMIT, buf_span(&b)), 0);
    cr_assert_eq(drive_result(pair[0], name), BODY_DURABLE);
    int agent = drive_agent(&driver, 20000, name);
    cr_assert(drive_job(agent, 20000, &job));
    struct span body = buf_span(&job.body);
    size_t n = sizeof expected - 1;
    cr_expect(body.n > n && memcmp(body.p + body.n - n, expected, n) == 0 && !holds(body, "stolen"), "%.*s",
              (int)body.n, (const char *)body.p);
    drive_answer(agent, &job, JOB_DELIVERED, 0, "2.0.0", "");
    cr_assert_eq(drive_end(&driver, false), 0);
}

Test(queue_process, bad_frames_drop_the_session_only) {
    static const struct {
        uint16_t type;
        size_t n;
    } frames[] = {{BODY_DATA, 3},         {BODY_COMMIT, 16}, {BODY_ABORT, 17},
                  {TRANSACTION_OPEN, 40}, {MASTER_DRAIN, 0}, {0, 0}};
    static const uint8_t zeros[64];
    char name[256];
    drive_start(&driver);
    for (size_t i = 0; i < sizeof frames / sizeof frames[0]; i++) {
        int session = drive_session(&driver, 100 + i);
        cr_assert_eq(frame_send(session, frames[i].type, span_of(zeros, frames[i].n)), 0);
        cr_assert_eq(drive_result(session, name), -1, "frame %zu", i);
        close(session);
    }
    int session = drive_session(&driver, 7);
    cr_assert_eq(drive_submit(&driver, session, 1, 7, "", "bob@example.test", "x\r\n", name), BODY_DURABLE);
    cr_assert_eq(drive_end(&driver, false), 0);
}

Test(queue_process, defers_and_tries_again) {
    char name[256];
    drive_start(&driver);
    int session = drive_session(&driver, 7);
    cr_assert_eq(drive_submit(&driver, session, 1, 7, "a@client.example", "bob@example.test", "x\r\n", name),
                 BODY_DURABLE);
    int agent = drive_agent(&driver, 20000, name);
    cr_assert(drive_job(agent, 20000, &job));
    drive_answer(agent, &job, JOB_DEFERRED, 450, "4.2.0", "busy");
    cr_assert(drive_job(agent, 20000, &job));
    drive_answer(agent, &job, JOB_DEFERRED, 0, "4.4.1", "no answer"); /* the destination as a whole */
    close(agent);
    agent = drive_agent(&driver, 20000, name);
    cr_assert(drive_job(agent, 20000, &job));
    close(agent); /* an agent that died with it */
    agent = drive_agent(&driver, 20000, name);
    cr_assert(drive_job(agent, 20000, &job));
    cr_assert_eq(job.again, 1);
    drive_answer(agent, &job, JOB_DELIVERED, 0, "2.0.0", "");
    cr_assert_eq(drive_end(&driver, false), 0);
}

static void answer_route(uint64_t request, enum route_outcome outcome, const char *to) {
    static uint8_t storage[2048];
    struct buf b = BUF_OVER(storage);
    struct recipient recipient = {.kind = DESTINATION_MAILDIR,
                                  .destination = span_text(to),
                                  .address = span_text(to),
                                  .original = span_text(to)};
    wire_put_u64(&b, request);
    wire_put_u8(&b, (uint8_t)outcome);
    recipient_put(&b, &recipient);
    cr_assert_eq(frame_send(driver.auth, ROUTE_RESULT, buf_span(&b)), 0);
}

/* Answers a ROUTE_REQUEST with that recipient, and with the other before it; returns its purpose. */
static int route_both(const char *to, const char *other, char address_out[256]) {
    struct frame frame;
    do cr_assert(drive_frame(driver.auth, 20000, &frame));
    while (frame.type != ROUTE_REQUEST);
    struct wire w = wire_over(frame.body);
    uint64_t request = wire_get_u64(&w);
    int purpose = wire_get_u8(&w);
    wire_get_text(&w, address_out, 256);
    cr_assert(wire_end(&w));
    if (other) {
        answer_route(request + 1, ROUTE_MORE, "gone@example.test"); /* one that broke off */
        answer_route(request, ROUTE_MORE, other);
    }
    answer_route(request, ROUTE_WHOLE, to);
    return purpose;
}

static int route(const char *to, char address_out[256]) {
    return route_both(to, NULL, address_out);
}

Test(queue_process, bounces_once_then_tells_the_postmaster) {
    char name[256], address[256];
    driver.dsn_return = DSN_RETURN_FULL; /* which a stranger may ask for and does not get */
    drive_start(&driver);
    int session = drive_session(&driver, 7);
    cr_assert_eq(drive_submit(&driver, session, 1, 7, "a@client.example", "bob@example.test",
                              "Subject: secret\r\n\r\nthe text\r\n", name),
                 BODY_DURABLE);
    deliver(JOB_FAILED, "bob@example.test");
    cr_assert_eq(route("a@client.example", address), ROUTE_BOUNCE);
    cr_assert_str_eq(address, "a@client.example");
    deliver(JOB_FAILED, "a@client.example");
    cr_assert_str_eq(job.sender, "");
    cr_assert(holds(buf_span(&job.body),
                    "Final-Recipient: rfc822; bob@example.test\r\nAction: failed\r\nStatus: 5.1.1\r\n"));
    cr_assert(holds(buf_span(&job.body), "Subject: secret"));
    cr_assert_not(holds(buf_span(&job.body), "the text")); /* a stranger gets headers only */
    cr_assert_eq(route("postmaster@example.test", address), ROUTE_NOTICE);
    cr_assert_str_eq(address, "");
    deliver(JOB_FAILED, "postmaster@example.test");
    cr_assert_eq(drive_agent(&driver, 500, address), -1); /* and that is the end */
    cr_assert_eq(drive_end(&driver, false), 0);
    int rows;
    driver.setup.stand_alone = 1;
    drive_start(&driver);
    cr_assert_eq(drive_control(&driver, "queue list", NULL, NULL, &rows), 0);
    cr_assert_eq(rows, 0);
    drive_end(&driver, false);
}

Test(queue_process, a_report_to_more_than_one_frame_holds) {
    char name[256], first[256], second[256];
    drive_start(&driver);
    int session = drive_session(&driver, 7);
    cr_assert_eq(drive_submit(&driver, session, 1, 7, "team@example.test", "bob@example.test", "x\r\n", name),
                 BODY_DURABLE);
    deliver(JOB_FAILED, "bob@example.test");
    cr_assert_eq(route_both("one@example.test", "two@example.test", name), ROUTE_BOUNCE);
    int agents[2] = {drive_agent(&driver, 20000, first), drive_agent(&driver, 20000, second)};
    cr_assert(agents[0] >= 0 && agents[1] >= 0);
    cr_expect_eq(strcmp(first, "one@example.test") == 0, strcmp(second, "two@example.test") == 0);
    cr_expect_eq(drive_agent(&driver, 300, name), -1, "%s", name);
    drive_end(&driver, true);
}

/* What an alias forwards abroad goes under its owner's name, who gets its bounce; the others' sender gets theirs. */
Test(queue_process, a_copy_may_have_its_own_sender) {
    static uint8_t storage[4096];
    static const char *const senders[] = {"", "owner-x@example.test", "", "owner-x@example.test"};
    static const char *const addresses[] = {"a@far.example", "b@far.example", "c@far.example", "a@far.example"};
    const uint8_t t[TRANSACTION_BYTES] = {1, 1, 2, 3};
    char name[256], address[256];
    drive_start(&driver);
    int session = drive_session(&driver, 7);
    drive_open(&driver, 1, 7, "a@client.example", (const char *const[]){NULL});
    for (uint32_t i = 0; i < 4; i++) {
        struct buf b = BUF_OVER(storage);
        wire_put_bytes(&b, t, sizeof t);
        wire_put_u32(&b, i);
        recipient_put(&b, &(struct recipient){.kind = DESTINATION_CAPTURE,
                                              .address = span_text(addresses[i]),
                                              .original = span_text(addresses[i]),
                                              .sender = span_text(senders[i])});
        cr_assert_eq(frame_send(driver.auth, TRANSACTION_RCPT, buf_span(&b)), 0);
    }
    drive_data(session, 1, SPAN("Subject: x\r\n\r\nx\r\n"));
    drive_commit(session, 1, 4);
    cr_assert_eq(drive_result(session, name), BODY_DURABLE);
    int agent = drive_agent(&driver, 20000, name);
    for (int i = 0; i < 2; i++) {
        cr_assert(drive_job(agent, 20000, &job));
        cr_assert_str_eq(job.sender, i ? "owner-x@example.test" : "a@client.example");
        cr_assert_eq(job.n, 2);
        cr_expect_str_eq(job.address[0], i ? "b@far.example" : "a@far.example");
        cr_expect_str_eq(job.address[1], i ? "a@far.example" : "c@far.example");
        drive_answer(agent, &job, JOB_FAILED, 550, "5.1.1", "no");
    }
    close(agent);
    for (int i = 0; i < 2; i++) {
        const char *to = i ? "owner-x@example.test" : "a@client.example";
        cr_assert_eq(route(to, address), ROUTE_BOUNCE);
        cr_expect_str_eq(address, to);
        deliver(JOB_DELIVERED, to);
        cr_expect_eq(holds(buf_span(&job.body), "Final-Recipient: rfc822; c@far.example"), !i);
        cr_expect_eq(holds(buf_span(&job.body), "Final-Recipient: rfc822; b@far.example"), i);
        cr_expect(holds(buf_span(&job.body), "Final-Recipient: rfc822; a@far.example"));
    }
    int rows;
    cr_assert_eq(drive_end(&driver, false), 0);
    driver.setup.stand_alone = 1;
    drive_start(&driver);
    cr_assert_eq(drive_control(&driver, "queue list", NULL, NULL, &rows), 0);
    cr_expect_eq(rows, 0, "nothing is left");
    drive_end(&driver, false);
}

Test(queue_process, null_sender_and_never_are_silent) {
    static const char *const one[] = {"bob@example.test", NULL};
    char name[256];
    drive_start(&driver);
    int session = drive_session(&driver, 7);
    cr_assert_eq(drive_submit(&driver, session, 1, 7, "", "bob@example.test", "x\r\n", name), BODY_DURABLE);
    deliver(JOB_FAILED, "bob@example.test");
    drive_open_flags(&driver, 2, 7, "a@client.example", one, ENVELOPE_PRINCIPAL, DSN_NOTIFY_NEVER, 1000);
    drive_data(session, 2, SPAN("x\r\n"));
    drive_commit(session, 2, 1);
    cr_assert_eq(drive_result(session, name), BODY_DURABLE);
    deliver(JOB_FAILED, "bob@example.test");
    cr_assert(holds(buf_span(&job.body), "Message-ID: <")); /* a submission without one */
    struct frame frame;
    while (drive_frame(driver.auth, 300, &frame)) cr_assert_neq(frame.type, ROUTE_REQUEST);
    cr_assert_eq(drive_end(&driver, false), 0);
}

Test(queue_process, success_is_reported_where_asked) {
    static const char *const one[] = {"bob@example.test", NULL};
    char name[256], address[256];
    drive_start(&driver);
    int session = drive_session(&driver, 7);
    drive_open_flags(&driver, 2, 7, "a@example.test", one, ENVELOPE_PRINCIPAL, DSN_NOTIFY_SUCCESS, 1000);
    drive_data(session, 2, SPAN("x\r\n"));
    drive_commit(session, 2, 1);
    cr_assert_eq(drive_result(session, name), BODY_DURABLE);
    deliver(JOB_DELIVERED, "bob@example.test");
    cr_assert_eq(route("a@example.test", address), ROUTE_BOUNCE);
    deliver(JOB_DELIVERED, "a@example.test");
    cr_assert(holds(buf_span(&job.body), "Action: delivered\r\nStatus: 2.0.0\r\n"));
    cr_assert_eq(drive_end(&driver, false), 0);
}

/* Submits for one recipient who cannot be reached yet. */
static void leave_waiting(int session, uint8_t t, const char *sender, uint8_t flags, uint8_t notify,
                          const char *recipient) {
    const char *const one[] = {recipient, NULL};
    char name[256];
    drive_open_flags(&driver, t, 7, sender, one, flags, notify, 1000);
    drive_data(session, t, SPAN("Subject: long\r\n\r\nx\r\n"));
    drive_commit(session, t, 1);
    cr_assert_eq(drive_result(session, name), BODY_DURABLE);
    deliver(JOB_DEFERRED, recipient);
}

/* RFC 3461 4.1: once, to who has logged in and did not ask for other reports only; not again after a crash. */
Test(queue_process, a_delay_is_told_once) {
    char address[256];
    struct frame frame;
    driver.setup.retry_ms[0] = 3600000, driver.setup.n_retry = 1, driver.setup.expire_ms = 7200000;
    driver.setup.delay_ms = 1000;
    driver.dsn_return = DSN_RETURN_FULL; /* which is about failures */
    drive_start(&driver);
    int session = drive_session(&driver, 7);
    leave_waiting(session, 1, "stranger@client.example", 0, DSN_NOTIFY_DEFAULT, "r1@example.test");
    leave_waiting(session, 2, "", ENVELOPE_PRINCIPAL, DSN_NOTIFY_DEFAULT, "r2@example.test");
    leave_waiting(session, 3, "failure@example.test", ENVELOPE_PRINCIPAL, DSN_NOTIFY_FAILURE, "r3@example.test");
    leave_waiting(session, 4, "never@example.test", ENVELOPE_PRINCIPAL, DSN_NOTIFY_NEVER, "r4@example.test");
    leave_waiting(session, 5, "delay@example.test", ENVELOPE_PRINCIPAL, DSN_NOTIFY_DELAY, "r5@example.test");
    cr_assert_eq(route("delay@example.test", address), ROUTE_BOUNCE);
    cr_assert_str_eq(address, "delay@example.test");
    deliver(JOB_DELIVERED, "delay@example.test");
    struct span body = buf_span(&job.body);
    cr_expect(holds(body, "Subject: Your message is delayed\r\n"));
    cr_expect(holds(body, "Final-Recipient: rfc822; r5@example.test\r\nAction: delayed\r\nStatus: 4.0.0\r\n"));
    cr_expect(holds(body, "Will-Retry-Until: ") && holds(body, "Subject: long"));
    cr_expect_not(holds(body, "\r\nx\r\n"), "more than the header");
    leave_waiting(session, 6, "default@example.test", ENVELOPE_PRINCIPAL, DSN_NOTIFY_DEFAULT, "r6@example.test");
    cr_assert_eq(route("default@example.test", address), ROUTE_BOUNCE);
    cr_assert_str_eq(address, "default@example.test");
    deliver(JOB_DELIVERED, "default@example.test");
    usleep(600000); /* marks are written */
    drive_end(&driver, true);
    drive_start(&driver);
    while (drive_frame(driver.auth, 2500, &frame))
        cr_assert_neq(frame.type, ROUTE_REQUEST, "told again, or somebody else");
    cr_assert_eq(drive_end(&driver, false), 0);
}

/* DESIGN.md 3: over the limit of a domain nothing goes there, and the postmaster hears how much. */
Test(queue_process, kept_back_reports_are_counted) {
    char name[256], address[256];
    struct frame frame;
    drive_start(&driver);
    int session = drive_session(&driver, 7);
    for (uint8_t i = 0; i < 22; i++) {
        drive_submit(&driver, session, i, 7, "forged@client.example", "bob@example.test", "x\r\n", name);
        deliver(JOB_FAILED, "bob@example.test");
        if (i < 20) {
            cr_assert_eq(route("a@client.example", address), ROUTE_BOUNCE);
            deliver(JOB_DELIVERED, "a@client.example");
        } else if (i == 20) {
            cr_assert_eq(route("postmaster@example.test", address), ROUTE_NOTICE);
            deliver(JOB_DELIVERED, "postmaster@example.test");
            cr_expect(holds(buf_span(&job.body), "\r\n\r\n1 reports on mail from strangers"));
            cr_expect_str_eq(job.sender, "");
        }
        while (recv(driver.log, name, sizeof name, MSG_DONTWAIT | MSG_TRUNC) > 0) continue;
    }
    while (drive_frame(driver.auth, 1500, &frame))
        cr_assert_neq(frame.type, ROUTE_REQUEST, "more than one in an hour");
    cr_assert_eq(drive_end(&driver, false), 0);
}

/* What auth wants the postmaster to be told: acknowledged when it is on the disk, and not before. */
static void want_notice(uint64_t number, const char *about) {
    uint8_t storage[512];
    struct buf b = BUF_OVER(storage);
    wire_put_u64(&b, number);
    wire_put_u8(&b, NOTICE_SUSPENDED);
    wire_put_text(&b, about);
    wire_put_text(&b, "5 messages were refused\r\nX-Forged: yes");
    cr_assert_eq(frame_send(driver.auth, NOTICE_WANTED, buf_span(&b)), 0);
}

/* Skips frames of no matter; 1 queued, 0 not. */
static int notice_result(uint64_t number) {
    struct frame frame;
    do cr_assert(drive_frame(driver.auth, 20000, &frame));
    while (frame.type != NOTICE_RESULT);
    struct wire w = wire_over(frame.body);
    cr_assert_eq(wire_get_u64(&w), number);
    int queued = wire_get_u8(&w);
    cr_assert(wire_end(&w));
    return queued;
}

Test(queue_process, notices_of_auth) {
    char address[256];
    struct frame frame;
    drive_start(&driver);
    want_notice(4, "bob@example.test by the credential phone");
    cr_assert_eq(route("postmaster@example.test", address), ROUTE_NOTICE);
    cr_expect_str_eq(address, "");
    cr_expect_eq(notice_result(4), 1);
    deliver(JOB_DELIVERED, "postmaster@example.test");
    struct span body = buf_span(&job.body);
    cr_expect(holds(body, "Subject: Postmaster notice: sending is suspended for bob@example.test\r\n"));
    cr_expect(holds(body, "bob@example.test by the credential phone\r\n"));
    cr_expect(holds(body, "because 5 messages were refused??X-Forged: yes.\r\n"), "no header of its own");
    cr_expect_str_eq(job.sender, "");
    /* No way to the postmaster just now: auth tries again. */
    want_notice(5, "bob@example.test");
    do cr_assert(drive_frame(driver.auth, 20000, &frame));
    while (frame.type != ROUTE_REQUEST);
    struct wire w = wire_over(frame.body);
    answer_route(wire_get_u64(&w), ROUTE_LATER, "postmaster@example.test");
    cr_expect_eq(notice_result(5), 0);
    /* A newer one takes the place of one that is not answered. */
    want_notice(6, "bob@example.test");
    want_notice(7, "carol@example.test");
    cr_assert_eq(route("postmaster@example.test", address), ROUTE_NOTICE);
    cr_expect_eq(notice_result(7), 1);
    deliver(JOB_FAILED, "postmaster@example.test"); /* nothing comes of that */
    cr_assert_eq(drive_agent(&driver, 500, address), -1);
    cr_assert_eq(drive_end(&driver, false), 0);
}

/* Each T that was opened is closed once at least, however it ends: auth gives back what it had reserved. */
Test(queue_process, every_transaction_is_closed) {
    static const char *const one[] = {"alice@example.test", NULL};
    static const char *const expected = "1:1 2:0 3:0 4:0 1:0 9:0 5:0 ";
    char name[256], found[256] = "";
    struct frame frame;
    drive_start(&driver);
    int session = drive_session(&driver, 7);
    cr_assert_eq(drive_submit(&driver, session, 1, 7, "a@client.example", "bob@example.test", "x\r\n", name),
                 BODY_DURABLE);
    drive_open(&driver, 2, 7, "a@client.example", one);
    drive_commit(session, 2, 5); /* another number of recipients */
    cr_assert_eq(drive_result(session, name), BODY_REFUSED);
    drive_open(&driver, 3, 7, "a@client.example", one);
    drive_data(session, 3, SPAN("x\r\n"));
    uint8_t t[TRANSACTION_BYTES] = {3, 1, 2, 3};
    cr_assert_eq(frame_send(session, BODY_ABORT, span_of(t, sizeof t)), 0);
    drive_open(&driver, 4, 7, "a@client.example", one);
    usleep(100000);
    /* Closed by auth: one that is open, one that was committed, one that there never was. */
    for (const char *of = "\4\1\11"; *of; of++) {
        t[0] = (uint8_t)*of;
        cr_assert_eq(frame_send(driver.auth, TRANSACTION_CLOSE, span_of(t, sizeof t)), 0);
    }
    drive_open(&driver, 5, 7, "a@client.example", one);
    drive_data(session, 5, SPAN("x\r\n"));
    usleep(100000);
    close(session);
    while (strlen(found) < strlen(expected) && drive_frame(driver.auth, 20000, &frame)) {
        struct wire frames = wire_over(frame.body);
        bool bundled = frame.type == FRAME_BUNDLE;
        for (struct frame in = frame; bundled ? frame_bundle_next(&frames, &in) : in.type != 0; in.type = 0) {
            if (in.type != TRANSACTION_CLOSED) continue;
            size_t n = strlen(found);
            snprintf(found + n, sizeof found - n, "%u:%u ", in.body.p[0], in.body.p[TRANSACTION_BYTES]);
        }
    }
    cr_expect_str_eq(found, expected);
    cr_assert_eq(drive_end(&driver, true), 9);
}

/* The same for the postmaster: what fails under the null sender is told, and not for ever. */
Test(queue_process, notices_are_limited) {
    char name[256], address[256];
    static const char *const one[] = {"bob@example.test", NULL};
    drive_start(&driver);
    int session = drive_session(&driver, 7);
    for (uint8_t i = 0; i < 22; i++) {
        drive_open_flags(&driver, i, 7, "", one, ENVELOPE_PRINCIPAL, DSN_NOTIFY_DEFAULT, 1000);
        drive_data(session, i, SPAN("x\r\n"));
        drive_commit(session, i, 1);
        cr_assert_eq(drive_result(session, name), BODY_DURABLE);
        deliver(JOB_FAILED, "bob@example.test");
        if (i > 20) break;
        cr_assert_eq(route("postmaster@example.test", address), ROUTE_NOTICE);
        deliver(JOB_DELIVERED, "postmaster@example.test");
        cr_expect_eq(i == 20, holds(buf_span(&job.body), "reports that were not sent"), "%d", i);
        while (recv(driver.log, name, sizeof name, MSG_DONTWAIT | MSG_TRUNC) > 0) continue;
    }
    struct frame frame;
    while (drive_frame(driver.auth, 1000, &frame)) cr_assert_neq(frame.type, ROUTE_REQUEST, "one more");
    cr_assert_eq(drive_end(&driver, false), 0);
}

Test(queue_process, control_verbs) {
    char name[256], other[256];
    int rows;
    driver.setup.stand_alone = 0;
    drive_start(&driver);
    int session = drive_session(&driver, 7);
    drive_submit(&driver, session, 1, 7, "a@client.example", "bob@example.test", "x\r\n", name);
    drive_submit(&driver, session, 2, 7, "b@client.example", "bob@example.test", "x\r\n", other);
    drive_end(&driver, true);
    driver.setup.stand_alone = 1;
    drive_start(&driver);
    const struct {
        const char *verb, *argument, *value;
        int code, rows;
    } cases[] = {
        {"queue list", NULL, NULL, 0, 2},
        {"queue list", "from", "A@CLIENT.example", 0, 1},
        {"queue list", "from", "@client.example", 0, 2},
        {"queue list", "to", "alice@example.test", 0, 0},
        {"queue show", "id", name, 0, 2},
        {"queue show", "id", "0000000000000", CONTROL_NOT_FOUND, 0},
        {"queue cat", "id", name, 0, 1},
        {"queue retry", "id", name, 0, 1},
        {"queue retry", NULL, NULL, CONTROL_USAGE, 0},
        {"queue status", NULL, NULL, 0, 1},
        {"queue remove", "id", name, 0, 1},
        {"queue list", NULL, NULL, 0, 1},
        {"queue nonsense", NULL, NULL, CONTROL_USAGE, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        cr_assert_eq(drive_control(&driver, cases[i].verb, cases[i].argument, cases[i].value, &rows), cases[i].code,
                     "case %zu", i);
        cr_assert_eq(rows, cases[i].rows, "case %zu: %d rows", i, rows);
    }
    drive_end(&driver, true);
    drive_start(&driver); /* what was removed stays away */
    drive_control(&driver, "queue list", NULL, NULL, &rows);
    cr_assert_eq(rows, 1);
    drive_end(&driver, false);
}

/* More than a round of the loop sends at once. */
Test(queue_process, a_long_list) {
    char name[256];
    int rows;
    drive_start(&driver);
    int session = drive_session(&driver, 7);
    for (int i = 0; i < 1201; i++) {
        const char *sender = i % 2 ? "a@client.example" : "b@client.example";
        cr_assert_eq(
            drive_submit(&driver, session, (uint8_t)(i % 250 + 1), 7, sender, "bob@example.test", "x\r\n", name),
            BODY_DURABLE, "message %d", i);
        while (recv(driver.log, name, sizeof name, MSG_DONTWAIT | MSG_TRUNC) > 0) continue;
    }
    drive_end(&driver, true);
    driver.setup.stand_alone = 1;
    drive_start(&driver);
    cr_expect_eq(drive_control(&driver, "queue list", NULL, NULL, &rows), CONTROL_OK);
    cr_expect_eq(rows, 1201);
    cr_expect_eq(drive_control(&driver, "queue list", "limit", "700", &rows), CONTROL_OK);
    cr_expect_eq(rows, 700);
    cr_expect_eq(drive_control(&driver, "queue list", "from", "b@client.example", &rows), CONTROL_OK);
    cr_expect_eq(rows, 601);
    drive_end(&driver, false);
}

/* What the disk does not give back is named as such, and can be removed. */
Test(queue_process, unreadable_message) {
    char name[256], large_name[256], command[400];
    static char large[300001];
    int rows;
    memset(large, 'x', sizeof large - 1);
    for (size_t i = 100; i + 1 < sizeof large; i += 100) large[i] = '\n', large[i - 1] = '\r';
    drive_start(&driver);
    int session = drive_session(&driver, 7);
    drive_submit(&driver, session, 1, 7, "a@client.example", "bob@example.test", "x\r\n", name);
    drive_submit(&driver, session, 2, 7, "b@client.example", "bob@example.test", large, large_name);
    drive_end(&driver, true);
    driver.setup.stand_alone = 1;
    drive_start(&driver);
    cr_assert_eq(drive_control(&driver, "queue cat", "id", large_name, &rows), CONTROL_OK);
    snprintf(command, sizeof command, "truncate -s 1000 %s/body/*", driver.path);
    cr_assert_eq(system(command), 0);
    cr_expect_eq(drive_control(&driver, "queue cat", "id", large_name, &rows), CONTROL_FAILED);
    /* In the log, or moved out of it already. */
    snprintf(command, sizeof command, "find %s/log %s/deferred -type f -exec truncate -s 64 {} +", driver.path,
             driver.path);
    cr_assert_eq(system(command), 0);
    cr_expect_eq(drive_control(&driver, "queue cat", "id", name, &rows), CONTROL_FAILED);
    cr_expect_eq(drive_control(&driver, "queue show", "id", name, &rows), CONTROL_OK);
    cr_expect_eq(rows, 1);
    cr_expect_eq(drive_control(&driver, "queue list", NULL, NULL, &rows), CONTROL_OK);
    cr_expect_eq(rows, 2);
    cr_expect_eq(drive_control(&driver, "queue remove", "id", name, &rows), CONTROL_OK);
    cr_expect_eq(drive_control(&driver, "queue list", NULL, NULL, &rows), CONTROL_OK);
    cr_expect_eq(rows, 1);
    drive_end(&driver, false);
}

static void commit_large(int session, size_t bytes) {
    static char block[60001];
    static const char *const bob[] = {"bob@example.test", NULL};
    memset(block, 'x', sizeof block - 1);
    drive_open_flags(&driver, 1, 7, "a@client.example", bob, ENVELOPE_ESMTP, 0, 1 << 30);
    for (size_t at = 0; at < bytes; at += sizeof block - 1) drive_data(session, 1, span_text(block));
    drive_commit(session, 1, 1);
}

/* More than may wait for a peer that reads slowly. */
Test(queue_process, a_large_export) {
    uint8_t storage[64];
    char name[256];
    struct buf b = BUF_OVER(storage);
    struct frame frame;
    uint64_t bytes = 0;
    int rows;
    drive_start(&driver);
    int session = drive_session(&driver, 7);
    commit_large(session, CONTROL_BACKLOG_BYTES + (1 << 20));
    cr_assert_eq(drive_result(session, name), BODY_DURABLE);
    drive_end(&driver, true);
    driver.setup.stand_alone = 1;
    drive_start(&driver);
    wire_put_text(&b, "queue cat");
    wire_put_text(&b, "id");
    wire_put_text(&b, name);
    cr_assert_eq(frame_send(driver.command, CONTROL_REQUEST, buf_span(&b)), 0);
    usleep(500000); /* a reader that takes its time */
    while (drive_frame(driver.command, 20000, &frame) && frame.type == CONTROL_ROW) bytes += frame.body.n;
    cr_expect(frame.type == CONTROL_END && frame.body.p[0] == CONTROL_OK);
    cr_expect_gt(bytes, CONTROL_BACKLOG_BYTES + (1 << 20));
    cr_expect_eq(drive_control(&driver, "queue status", NULL, NULL, &rows), CONTROL_OK, "the next question");
    drive_end(&driver, false);
}

/* Without a server it is there for one command. */
Test(queue_process, alone_it_ends_with_its_command) {
    int rows, status = -1;
    driver.setup.stand_alone = 1;
    drive_start(&driver);
    cr_assert_eq(drive_control(&driver, "queue status", NULL, NULL, &rows), CONTROL_OK);
    cr_assert_eq(shutdown(driver.command, SHUT_RDWR), 0);
    for (int i = 0; i < 400 && waitpid(driver.pid, &status, WNOHANG) == 0; i++) usleep(10000);
    cr_expect(status != -1 && WIFEXITED(status) && WEXITSTATUS(status) == 0, "it stays");
    drive_end(&driver, true);
}

/* What a backup has read in the log must still be there when it comes to the files. */
Test(queue_process, a_backup_loses_no_file) {
    static char body[600000];
    char name[256], path[512];
    int rows;
    memset(body, 'x', sizeof body - 1);
    drive_start(&driver);
    int session = drive_session(&driver, 7);
    cr_assert_eq(drive_submit(&driver, session, 1, 7, "a@client.example", "bob@example.test", body, name),
                 BODY_DURABLE);
    drive_end(&driver, true);
    driver.setup.stand_alone = 1;
    drive_start(&driver);
    snprintf(path, sizeof path, "%s/body/%s", driver.path, name);
    cr_assert_eq(access(path, F_OK), 0);
    cr_assert_eq(drive_control(&driver, "queue backup", NULL, NULL, &rows), 0);
    cr_expect_eq(drive_control(&driver, "queue backup", NULL, NULL, &rows), CONTROL_REFUSED, "one at a time");
    cr_assert_eq(drive_control(&driver, "queue remove", "id", name, &rows), 0);
    cr_expect_eq(access(path, F_OK), 0, "removed while it is being copied");
    drive_end(&driver, true); /* the connection with it */
    drive_start(&driver);
    for (int i = 0; i < 200 && access(path, F_OK) == 0; i++) {
        usleep(50000);
        (void)drive_control(&driver, "queue status", NULL, NULL, &rows);
    }
    cr_expect_neq(access(path, F_OK), 0, "it stays for ever");
    drive_end(&driver, false);
}

Test(queue_process, full_disk_is_told_to_auth) {
    static const char *const one[] = {"bob@example.test", NULL};
    char name[256];
    struct frame frame;
    driver.setup.reserve_bytes = UINT64_MAX;
    drive_start(&driver);
    cr_assert(drive_frame(driver.auth, 20000, &frame) && frame.type == QUEUE_SPACE && frame.body.p[0] == 0);
    int session = drive_session(&driver, 7);
    drive_open(&driver, 1, 7, "a@client.example", one);
    drive_data(session, 1, SPAN("x\r\n"));
    drive_commit(session, 1, 1);
    cr_assert_eq(drive_result(session, name), BODY_NO_SPACE);
    cr_assert_eq(drive_end(&driver, false), 0);
}

static int count_files(const char *below) {
    char command[160];
    int n = -1;
    snprintf(command, sizeof command, "find %s/%s -type f | grep -c .", driver.path, below);
    FILE *files = popen(command, "r");
    cr_assert(files && fscanf(files, "%d", &n) == 1);
    pclose(files);
    return n;
}

Test(queue_process, old_segments_give_way_to_files) {
    char names[12][256], name[256];
    static char body[2000];
    int rows;
    memset(body, 'x', sizeof body - 1);
    drive_start(&driver);
    int session = drive_session(&driver, 7);
    for (uint8_t t = 1; t <= 12; t++)
        cr_assert_eq(drive_submit(&driver, session, t, 7, "a@client.example",
                                  t % 2 ? "bob@example.test" : "eve@example.test", body, names[t - 1]),
                     BODY_DURABLE);
    int agent = drive_agent(&driver, 20000, name);
    cr_assert(drive_job(agent, 20000, &job)); /* something to remember */
    drive_answer(agent, &job, JOB_DEFERRED, 450, "4.2.0", "busy");
    usleep(600000); /* the mark is written within a second */
    drive_end(&driver, true);
    driver.setup.stand_alone = 1;
    drive_start(&driver); /* what was read at a start may move at once */
    for (int tries = 0; tries < 200 && !(count_files("deferred") == 12 && count_files("log") == 1); tries++)
        usleep(100000);
    cr_assert_eq(count_files("deferred"), 12);
    cr_assert_eq(count_files("log"), 1);
    drive_end(&driver, true);
    drive_start(&driver);
    cr_assert_eq(drive_control(&driver, "queue list", NULL, NULL, &rows), 0);
    cr_assert_eq(rows, 12);
    for (int i = 0; i < 12; i++) cr_assert_eq(drive_control(&driver, "queue cat", "id", names[i], &rows), 0);
    cr_assert_eq(drive_control(&driver, "queue remove", "id", names[3], &rows), 0);
    drive_end(&driver, false);
    cr_assert_eq(count_files("deferred"), 11);
    driver.setup.stand_alone = 0;
    drive_start(&driver);
    int agents[2] = {drive_agent(&driver, 20000, name), drive_agent(&driver, 20000, name)}, n = 0;
    for (int i = 0; i < 2; i++)
        for (int most = i + 5; n < most + 6 && drive_job(agents[i], 3000, &job); n++) {
            cr_assert(holds(buf_span(&job.body), "xxxx"));
            drive_answer(agents[i], &job, JOB_DELIVERED, 0, "2.0.0", "");
        }
    cr_assert_eq(n, 11);
    cr_assert_eq(drive_end(&driver, false), 0);
    cr_assert_eq(count_files("deferred"), 0);
}
