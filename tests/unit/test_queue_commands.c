/* test_queue_commands.c - choosing, holding, counting and removing messages, with a queue process of its own.
 * Runs in: the test runner. Trusts: nothing. Never: asserts a time. */
#include "tests/unit/queue_driver.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static struct queue_driver driver;
static struct drive_job job;
static char answer[1 << 20]; /* " name=value" of each row's values, rows parted by line ends */
static size_t rows;

static void setup(void) {
    drive_make(&driver);
}
static void teardown(void) {
    drive_remove(&driver);
}

TestSuite(queue_commands, .init = setup, .fini = teardown, .timeout = 120);

static void alone(bool is_alone) {
    driver.setup.stand_alone = is_alone;
    drive_start(&driver);
    cr_assert(driver.ready);
}

static void read_row(struct span body, FILE *out) {
    struct wire w = wire_over(body);
    char name[64];
    while (w.rest.n && !w.bad) {
        wire_get_text(&w, name, sizeof name);
        uint8_t kind = wire_get_u8(&w);
        fprintf(out, " %s=", name);
        if (kind == CONTROL_TEXT || kind == CONTROL_LINE) {
            struct span value = wire_get_span(&w, FRAME_BODY_MAX);
            fwrite(value.p, 1, value.n, out);
        } else {
            fprintf(out, "%llu", (unsigned long long)wire_get_u64(&w));
        }
    }
    fputc('\n', out);
    cr_assert(wire_end(&w));
}

static void send_request(const char *verb, va_list words) {
    static uint8_t storage[4096];
    struct buf b = BUF_OVER(storage);
    wire_put_text(&b, verb);
    for (const char *word; (word = va_arg(words, const char *));) wire_put_text(&b, word);
    cr_assert(buf_ok(&b) && frame_send(driver.command, CONTROL_REQUEST, buf_span(&b)) == 0);
}

/* Names and values in turn, NULL ends them. The exit code. */
static int ask(const char *verb, ...) {
    struct frame frame;
    va_list words;
    FILE *out = fmemopen(answer, sizeof answer, "w");
    va_start(words, verb);
    send_request(verb, words);
    va_end(words);
    for (rows = 0; drive_frame(driver.command, 20000, &frame) && frame.type == CONTROL_ROW;)
        if (frame.body.n) read_row(frame.body, out), rows++;
    fclose(out);
    return frame.type == CONTROL_END && frame.body.n ? frame.body.p[0] : -1;
}

static bool says(const char *text) {
    return strstr(answer, text) != NULL;
}

static void submit(int session, uint8_t t, const char *sender, const char *recipient, char name_out[32]) {
    char name[256];
    cr_assert_eq(drive_submit(&driver, session, t, 7, sender, recipient, "Subject: x\r\n\r\nx\r\n", name),
                 BODY_DURABLE);
    memcpy(name_out, name, 14);
}

/* Four messages: a, b, a, "" to bob, bob, eve, eve. */
static char names[4][32];
static void begin(void) {
    static const char *const senders[] = {"a@client.example", "b@other.example", "a@client.example", ""};
    static const char *const recipients[] = {"bob@example.test", "bob@example.test", "eve@example.test",
                                             "eve@example.test"};
    alone(false);
    int session = drive_session(&driver, 7);
    for (uint8_t i = 0; i < 4; i++) submit(session, (uint8_t)(i + 1), senders[i], recipients[i], names[i]);
    drive_end(&driver, true);
    alone(true);
}

Test(queue_commands, filters) {
    static const struct {
        const char *name, *value, *name2, *value2;
        size_t rows;
    } cases[] = {
        {"from", "A@client.example", NULL, NULL, 2},
        {"from", "@client.example", NULL, NULL, 2},
        {"from", "*@*.example", NULL, NULL, 3},
        {"from", "", NULL, NULL, 1},
        {"from", "<>", NULL, NULL, 1},
        {"to", "eve@example.test", NULL, NULL, 2},
        {"to", "?ob@example.test", "from", "b@other.example", 1},
        {"to", "eve@example.test", "from", "b@other.example", 0},
        {"destination", "bob@example.test", NULL, NULL, 2},
        {"destination", "maildir", NULL, NULL, 4},
        {"destination", "smarthost", NULL, NULL, 0},
        {"destination", "@example.test", "from", "a@client.example", 2},
        {"younger-than", "1h", NULL, NULL, 4},
        {"older-than", "1h", NULL, NULL, 0},
        {"state", "ready", NULL, NULL, 4},
        {"state", "held", NULL, NULL, 0},
        {"limit", "3", NULL, NULL, 3},
        {"id", names[2], NULL, NULL, 1},
        {"id", names[2], "from", "a@client.example", 1},
    };
    begin();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        cr_expect_eq(ask("queue list", cases[i].name, cases[i].value, cases[i].name2, cases[i].value2, NULL),
                     CONTROL_OK, "case %zu", i);
        cr_expect_eq(rows, cases[i].rows, "case %zu: %zu rows", i, rows);
    }
    cr_expect_eq(ask("queue list", "id", names[2], "from", "b@other.example", NULL), CONTROL_NOT_FOUND);
    cr_expect_eq(ask("queue list", "id", "nonsense", NULL), CONTROL_NOT_FOUND);
    cr_expect_eq(ask("queue list", "state", "hold", NULL), CONTROL_USAGE);
    cr_expect_eq(ask("queue hold", NULL), CONTROL_USAGE, "nothing chosen");
    cr_expect_eq(ask("queue remove", "id", "nonsense", NULL), CONTROL_NOT_FOUND);
    cr_expect_eq(ask("queue cat", "from", "a@client.example", NULL), CONTROL_USAGE, "only one");
    drive_end(&driver, false);
}

Test(queue_commands, held_over_restarts) {
    char wanted[256];
    begin();
    cr_assert_eq(ask("queue hold", "from", "@client.example", NULL), CONTROL_OK);
    cr_expect(says(" held=2 active=0 left=0"), "%s", answer);
    cr_expect_eq(ask("queue hold", "id", names[0], NULL), CONTROL_FAILED, "it is held already");
    drive_end(&driver, true);
    alone(true);
    cr_assert_eq(ask("queue list", "state", "held", NULL), CONTROL_OK);
    cr_expect(rows == 2 && says(names[0]) && says(names[2]), "%s", answer);
    cr_assert_eq(ask("queue show", "id", names[0], NULL), CONTROL_OK);
    cr_expect(says(" state=held") && says(" expires=0"), "%s", answer);
    cr_expect_eq(ask("queue retry", "id", names[0], NULL), CONTROL_FAILED, "a held one is not tried");
    drive_end(&driver, true);

    alone(false); /* the other two go, one to each of the two */
    for (int i = 0; i < 2; i++) {
        int agent = drive_agent(&driver, 20000, wanted);
        cr_assert(agent >= 0 && drive_job(agent, 20000, &job));
        cr_expect(strcmp(job.name, names[1]) == 0 || strcmp(job.name, names[3]) == 0, "%s was held", job.name);
        drive_answer(agent, &job, JOB_DELIVERED, 0, "2.0.0", "");
        cr_expect_not(drive_job(agent, 300, &job), "a second job");
    }
    usleep(600000); /* marks are written within a second */
    drive_end(&driver, true);

    alone(true);
    cr_assert_eq(ask("queue release", "id", names[0], NULL), CONTROL_OK);
    cr_expect(says(" released=1 "), "%s", answer);
    cr_expect_eq(ask("queue release", "id", names[0], NULL), CONTROL_FAILED, "it is not held");
    drive_end(&driver, true);
    alone(false);
    int agent = drive_agent(&driver, 20000, wanted);
    cr_assert(agent >= 0 && drive_job(agent, 20000, &job));
    cr_expect_str_eq(job.name, names[0]);
    drive_answer(agent, &job, JOB_DELIVERED, 0, "2.0.0", "");
    drive_end(&driver, false);
}

/* A held message does not expire; released, its age counts. */
Test(queue_commands, held_beyond_expiry) {
    begin();
    cr_assert_eq(ask("queue hold", "id", names[0], NULL), CONTROL_OK);
    drive_end(&driver, true);
    driver.setup.expire_ms = 1;
    char wanted[256];
    alone(false);
    for (int i = 0; i < 2; i++) {
        int agent = drive_agent(&driver, 20000, wanted);
        cr_assert(agent >= 0);
        while (drive_job(agent, 500, &job)) {
            cr_expect_str_neq(job.name, names[0]);
            drive_answer(agent, &job, JOB_DELIVERED, 0, "2.0.0", "");
        }
    }
    usleep(600000);
    drive_end(&driver, true);
    alone(true);
    cr_assert_eq(ask("queue list", NULL), CONTROL_OK);
    cr_expect(rows == 1 && says(names[0]) && says(" state=held"), "%s", answer);
    cr_assert_eq(ask("queue release", "all", "yes", NULL), CONTROL_OK);
    drive_end(&driver, true);
    alone(false);
    int agent = drive_agent(&driver, 20000, wanted);
    cr_assert(agent >= 0 && drive_job(agent, 20000, &job));
    drive_answer(agent, &job, JOB_DEFERRED, 450, "4.2.0", "busy");
    usleep(600000);
    drive_end(&driver, true);
    alone(true);
    cr_assert_eq(ask("queue show", "id", names[0], NULL), CONTROL_OK);
    cr_expect(says(" state=reporting") && says("expired in the queue"), "%s", answer);
    drive_end(&driver, false);
}

static int count_files(const char *below) {
    char command[400];
    int n = -1;
    snprintf(command, sizeof command, "find %s/%s -type f | grep -c .", driver.path, below);
    FILE *files = popen(command, "r");
    cr_assert(files && fscanf(files, "%d", &n) == 1);
    pclose(files);
    return n;
}

static void until_moved(int files) {
    for (int i = 0; i < 200 && !(count_files("deferred") == files && count_files("log") == 1); i++) usleep(100000);
    cr_assert_eq(count_files("deferred"), files);
    cr_assert_eq(count_files("log"), 1);
}

/* What was said last holds, also when a message's file says otherwise and the log that took it back is gone. */
Test(queue_commands, held_in_a_file_and_released) {
    begin();
    cr_assert_eq(ask("queue hold", "all", "yes", NULL), CONTROL_OK);
    until_moved(4);
    drive_end(&driver, true);
    alone(true);
    cr_assert_eq(ask("queue list", "state", "held", "from", "*", NULL), CONTROL_OK);
    cr_expect_eq(rows, 4u, "held, and read from their files");
    cr_assert_eq(ask("queue release", "all", "yes", NULL), CONTROL_OK);
    for (int i = 0; i < 2; i++) { /* the segment with the release goes in the next life */
        drive_end(&driver, true);
        alone(true);
        until_moved(4);
    }
    cr_assert_eq(ask("queue list", "state", "held", NULL), CONTROL_OK);
    cr_expect_eq(rows, 0u, "%s", answer);
    cr_assert_eq(ask("queue list", "state", "ready", NULL), CONTROL_OK);
    cr_expect_eq(rows, 4u, "%s", answer);
    drive_end(&driver, false);
}

Test(queue_commands, remove_and_bounce) {
    begin();
    cr_assert_eq(ask("queue remove", "to", "bob@example.test", "from", "@client.example", NULL), CONTROL_OK);
    cr_expect(says(" removed=1 active=0 left=0"), "%s", answer);
    cr_assert_eq(ask("queue remove", "id", names[1], "bounce", "yes", NULL), CONTROL_OK);
    cr_assert_eq(ask("queue list", NULL), CONTROL_OK);
    cr_expect_eq(rows, 3u, "%s", answer);
    cr_assert_eq(ask("queue list", "state", "reporting", NULL), CONTROL_OK);
    cr_expect(rows == 1 && says(names[1]) && says("by the administrator"), "%s", answer);
    drive_end(&driver, true);
    alone(true); /* it is durable */
    cr_assert_eq(ask("queue list", "id", names[0], NULL), CONTROL_NOT_FOUND);
    cr_assert_eq(ask("queue list", "state", "reporting", NULL), CONTROL_OK);
    cr_expect_eq(rows, 1u);
    drive_end(&driver, false);
}

/* A list looks at envelopes without their MAC; nothing is removed for what such a look says. */
Test(queue_commands, a_changed_envelope_is_not_acted_on) {
    char command[600];
    begin();
    /* The log's old segment goes when all of it has moved, and that is at once. */
    for (int i = 0; i < 200 && !(count_files("deferred") == 4 && count_files("log") == 1); i++) usleep(100000);
    snprintf(command, sizeof command, "find %s/deferred -type f -exec sed -i s/b@other.example/z@other.example/ {} +",
             driver.path);
    cr_assert_eq(system(command), 0);
    cr_assert_eq(ask("queue list", "from", "z@other.example", NULL), CONTROL_OK);
    cr_assert_eq(rows, 1u, "%s", answer);
    cr_assert_eq(ask("queue remove", "from", "z@other.example", NULL), CONTROL_OK);
    cr_expect(says(" removed=0 "), "%s", answer);
    cr_assert_eq(ask("queue remove", "from", "z@other.example", "bounce", "yes", NULL), CONTROL_OK);
    cr_expect(says(" removed=0 "), "%s", answer);
    cr_assert_eq(ask("queue list", NULL), CONTROL_OK);
    cr_expect_eq(rows, 4u);
    cr_assert_eq(ask("queue remove", "id", names[1], NULL), CONTROL_OK, "by its name it can go");
    drive_end(&driver, false);
}

Test(queue_commands, counts) {
    begin();
    cr_assert_eq(ask("queue hold", "id", names[3], NULL), CONTROL_OK);
    cr_assert_eq(ask("queue stats", NULL), CONTROL_OK);
    cr_expect_eq(rows, 2u);
    cr_expect(says(" destination=eve@example.test kind=maildir messages=2 recipients=2 "), "%s", answer);
    cr_expect(says(" ready=1 deferred=0 active=0 held=1 reporting=0"), "%s", answer);
    cr_assert_eq(ask("queue stats", "by", "sender", NULL), CONTROL_OK);
    cr_expect(rows == 3 && strncmp(answer, " sender=a@client.example messages=2 ", 36) == 0, "%s", answer);
    cr_expect(says(" sender=<> messages=1"), "%s", answer);
    cr_assert_eq(ask("queue stats", "by", "domain", "from", "@client.example", NULL), CONTROL_OK);
    cr_expect(rows == 1 && says(" domain=example.test messages=2 recipients=2"), "%s", answer);
    cr_assert_eq(ask("queue stats", "by", "age", NULL), CONTROL_OK);
    cr_expect(rows == 1 && says(" age=under 5m messages=4"), "%s", answer);
    cr_assert_eq(ask("queue stats", "by", "sender", "limit", "1", NULL), CONTROL_OK);
    cr_expect_eq(rows, 1u);
    cr_expect_eq(ask("queue stats", "by", "weight", NULL), CONTROL_USAGE);
    drive_end(&driver, false);
}

Test(queue_commands, octets_and_export) {
    begin();
    cr_assert_eq(ask("queue cat", "id", names[0], NULL), CONTROL_OK);
    cr_expect(rows == 1 && says("Received: from") && says("Subject: x\r\n\r\nx\r\n"), "%s", answer);
    cr_assert_eq(ask("queue export", "from", "@client.example", NULL), CONTROL_OK);
    cr_expect_eq(rows, 7u, "envelope, recipient and octets of two, and the count: %s", answer);
    cr_expect(says(" exported=2 unreadable=0"), "%s", answer);
    cr_expect_eq(ask("queue export", NULL), CONTROL_USAGE);
    drive_end(&driver, false);
}

/* ---- many */

enum { MANY = 3000 };

static void fill(void) {
    char command[600];
    snprintf(command, sizeof command, "%s/tests/bench/fill_queue -n %d -d 10 -s 10 -w 3600 -k maildir %s",
             getenv("BUILD") ? getenv("BUILD") : "build", MANY, driver.path);
    cr_assert_eq(system(command), 0, "%s", command);
}

static long resident_kib(void) {
    char path[64], line[256];
    long kib = 0;
    snprintf(path, sizeof path, "/proc/%d/status", (int)driver.pid);
    FILE *file = fopen(path, "r");
    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, "VmRSS: %ld", &kib) == 1) break;
    if (file) fclose(file);
    return kib;
}

/* A reader stops in the middle of a list, and most of what it is about to read is removed: the list goes on with what
 * there is. */
Test(queue_commands, a_list_that_loses_its_ground) {
    uint8_t storage[64];
    struct buf b = BUF_OVER(storage);
    struct frame frame;
    size_t n = 0;
    fill();
    alone(true);
    int reader = drive_connect(&driver);
    wire_put_text(&b, "queue list");
    cr_assert_eq(frame_send(reader, CONTROL_REQUEST, buf_span(&b)), 0);
    cr_assert(drive_frame(reader, 20000, &frame) && frame.type == CONTROL_ROW);
    long before = resident_kib();
    cr_expect_gt(before, 0);
    for (int i = 0; i < 9; i++) {
        char sender[64];
        snprintf(sender, sizeof sender, "sender%d@example.test", i);
        cr_assert_eq(ask("queue remove", "from", sender, NULL), CONTROL_OK, "the queue waits for the reader");
        cr_expect(says(" removed=300 "), "%s", answer);
    }
#ifndef GATEPOST_SANITIZED /* which keeps what was freed */
    cr_expect_lt(resident_kib() - before, 2048, "the answer piles up");
#endif
    for (n = 1; drive_frame(reader, 20000, &frame) && frame.type == CONTROL_ROW;) n++;
    cr_expect(frame.type == CONTROL_END && frame.body.p[0] == CONTROL_OK);
    cr_expect(n >= MANY / 10 && n < MANY, "%zu rows", n);
    close(reader);
    cr_assert_eq(ask("queue list", NULL), CONTROL_OK);
    cr_expect_eq(rows, (size_t)MANY / 10);
    drive_end(&driver, false);
}

/* Somebody who leaves in the middle of an answer takes nothing along. */
Test(queue_commands, a_reader_who_leaves) {
    static const char *const verbs[] = {"queue list", "queue export", "queue stats", "queue hold"};
    fill();
    alone(true);
    for (size_t i = 0; i < 20; i++) {
        uint8_t storage[64];
        struct buf b = BUF_OVER(storage);
        int reader = drive_connect(&driver);
        wire_put_text(&b, verbs[i % 4]);
        wire_put_text(&b, "from");
        wire_put_text(&b, "*");
        cr_assert_eq(frame_send(reader, CONTROL_REQUEST, buf_span(&b)), 0);
        if (i > 8) usleep((useconds_t)i * 100);
        close(reader);
    }
    cr_assert_eq(ask("queue remove", "all", "yes", NULL), CONTROL_OK);
    cr_expect(says(" removed=3000 "), "%s", answer);
    drive_end(&driver, false);
}

Test(queue_commands, many_at_once) {
    fill();
    alone(true);
    cr_assert_eq(ask("queue list", "destination", "user3@example.test", NULL), CONTROL_OK);
    cr_expect_eq(rows, (size_t)MANY / 10);
    cr_assert_eq(ask("queue hold", "from", "sender7@example.test", NULL), CONTROL_OK);
    cr_expect(says(" held=300 "), "%s", answer);
    cr_assert_eq(ask("queue remove", "state", "deferred", NULL), CONTROL_OK);
    cr_expect(says(" removed=2700 "), "%s", answer);
    drive_end(&driver, true);
    alone(true);
    cr_assert_eq(ask("queue list", NULL), CONTROL_OK);
    cr_expect_eq(rows, 300u);
    drive_end(&driver, false);
}
