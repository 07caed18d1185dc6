/* test_queue_faults.c - the queue process on a disk that fails once, at every point of accepting mail.
 * Runs in: the test runner. Trusts: nothing. Never: asserts a time. */
#include "store/disk.h"
#include "store/log.h"
#include "tests/unit/queue_driver.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MESSAGES = 4, POINTS = 14 };

static struct queue_driver driver;
static struct drive_job job;

/* What fails, and from which call on, how often; counted in the queue's process. */
static enum operation { OPEN, WRITE, SYNC, DATASYNC, ALLOCATE, RENAME, OPERATIONS } failing;
static int first, last, error, calls;

static bool fails(enum operation operation) {
    if (operation != failing) return false;
    calls++;
    errno = error;
    return calls >= first && calls <= last;
}

static int faulty_open(int directory, const char *name, int flags, mode_t mode) {
    return fails(OPEN) ? -1 : disk_system.open(directory, name, flags, mode);
}
static ssize_t faulty_pwritev(int fd, const struct iovec *parts, int n, off_t offset) {
    return fails(WRITE) ? -1 : disk_system.pwritev(fd, parts, n, offset);
}
static int faulty_fsync(int fd) {
    return fails(SYNC) ? -1 : disk_system.fsync(fd);
}
static int faulty_fdatasync(int fd) {
    return fails(DATASYNC) ? -1 : disk_system.fdatasync(fd);
}
static int faulty_fallocate(int fd, int mode, off_t offset, off_t n) {
    return fails(ALLOCATE) ? -1 : disk_system.fallocate(fd, mode, offset, n);
}
static int faulty_rename(int from, const char *name, int to, const char *new_name) {
    return fails(RENAME) ? -1 : disk_system.rename(from, name, to, new_name);
}

static void start(bool with_faults) {
    static struct disk_calls faulty;
    faulty = disk_system;
    faulty.open = faulty_open, faulty.pwritev = faulty_pwritev, faulty.fsync = faulty_fsync;
    faulty.fdatasync = faulty_fdatasync, faulty.fallocate = faulty_fallocate, faulty.rename = faulty_rename;
    disk_use(with_faults ? &faulty : NULL);
    drive_start(&driver);
    disk_use(NULL);
}

static char names[MESSAGES][32];
static int outcomes[MESSAGES];

static bool accepted(const char *name) {
    for (int i = 0; i < MESSAGES; i++)
        if (outcomes[i] == BODY_DURABLE && strcmp(names[i], name) == 0) return true;
    return false;
}

/* Submits (the third has a body of its own file), kills, starts on a good disk: what was accepted comes out, and as
 * each refused message was marked void by the one after it, nothing else. */
static int run(void) {
    static char large[300000], text[256];
    int durable = 0, came = 0;
    memset(large, 'x', sizeof large - 1);
    drive_make(&driver);
    start(true);
    memset(outcomes, 0, sizeof outcomes);
    int session = driver.ready ? drive_session(&driver, 7) : -1;
    for (int i = 0; driver.ready && i < MESSAGES; i++) {
        outcomes[i] = drive_submit(&driver, session, (uint8_t)(i + 1), 7, "a@client.example", "bob@example.test",
                                   i == 2 ? large : "x\r\n", names[i]);
        durable += outcomes[i] == BODY_DURABLE;
    }
    drive_end(&driver, true);
    start(false);
    cr_assert(driver.ready, "operation %d, call %d: it does not start again", failing, first);
    int agent = durable ? drive_agent(&driver, 20000, text) : -1;
    for (int i = 0; i < durable; i++) {
        cr_assert(drive_job(agent, 20000, &job), "operation %d, call %d: accepted %d, delivered %d", failing, first,
                  durable, came);
        cr_assert(accepted(job.name), "operation %d, call %d: %s was not accepted", failing, first, job.name);
        drive_answer(agent, &job, JOB_DELIVERED, 0, "2.0.0", "");
        came++;
    }
    cr_assert_eq(drive_end(&driver, false), 0);
    drive_remove(&driver);
    return durable;
}

static void sweep(enum operation operation, int number, int length) {
    int whole = 0;
    failing = operation, error = number;
    for (first = 1; first <= POINTS; first++) {
        last = first + length - 1;
        whole += run() == MESSAGES;
    }
    cr_assert_lt(whole, POINTS, "no call of operation %d was met", operation);
}

TestSuite(queue_faults, .timeout = 300);

Test(queue_faults, write_fails_once) {
    sweep(WRITE, ENOSPC, 1);
}
Test(queue_faults, fdatasync_fails_once) {
    sweep(DATASYNC, EIO, 1);
}
Test(queue_faults, fsync_fails_once) {
    sweep(SYNC, EIO, 1);
}
Test(queue_faults, no_segment_twice) {
    sweep(ALLOCATE, ENOSPC, 2);
}
Test(queue_faults, open_fails_once) {
    sweep(OPEN, EMFILE, 1);
}

Test(queue_faults, two_failed_syncs_stop_acceptance) {
    char name[32];
    struct frame frame;
    failing = DATASYNC, error = EIO, first = 1, last = 1000000;
    drive_make(&driver);
    start(true);
    int session = drive_session(&driver, 7);
    for (uint8_t t = 1; t <= 4; t++)
        cr_assert_eq(drive_submit(&driver, session, t, 7, "", "bob@example.test", "x\r\n", name), BODY_REFUSED);
    bool told = false;
    while (!told && drive_frame(driver.auth, 20000, &frame)) told = frame.type == QUEUE_SPACE && frame.body.p[0] == 0;
    cr_assert(told);
    drive_end(&driver, true);
    drive_remove(&driver);
}

/* Only the file of a large body is between these sizes. */
static int no_sync_of_bodies(int fd) {
    struct stat status;
    if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && status.st_size > 300000 && status.st_size < 400000) {
        errno = EIO;
        return -1;
    }
    return disk_system.fsync(fd);
}

Test(queue_faults, a_body_that_cannot_be_synced_is_refused) {
    static char large[320000];
    static struct disk_calls faulty;
    char name[32];
    memset(large, 'x', sizeof large - 1);
    faulty = disk_system, faulty.fsync = no_sync_of_bodies;
    drive_make(&driver);
    disk_use(&faulty);
    drive_start(&driver);
    disk_use(NULL);
    int session = drive_session(&driver, 7);
    cr_assert_eq(drive_submit(&driver, session, 1, 7, "", "bob@example.test", large, name), BODY_REFUSED);
    cr_assert_eq(drive_submit(&driver, session, 2, 7, "", "bob@example.test", "x\r\n", name), BODY_DURABLE);
    drive_end(&driver, true);
    drive_remove(&driver);
}

/* Only one message's record is of that size; recovery reads more at once. */
static ssize_t no_read_of_one(int fd, void *octets, size_t n, off_t offset) {
    if (n > 5000 && n < 7000) {
        errno = EIO;
        return -1;
    }
    return disk_system.pread(fd, octets, n, offset);
}

static int lines(enum log_event event) {
    uint8_t storage[4096];
    int count = 0;
    for (ssize_t n; (n = recv(driver.log, storage, sizeof storage, MSG_DONTWAIT)) > 0;) {
        struct wire w = wire_over(span_of(storage, (size_t)n));
        count += wire_get_u16(&w) == LOG_LINE && wire_get_u16(&w) == event;
    }
    return count;
}

Test(queue_faults, a_message_that_cannot_be_read_is_said_once) {
    static char body[5001], command[160];
    static struct disk_calls faulty;
    char name[32];
    int rows, files = 0;
    memset(body, 'x', sizeof body - 1);
    drive_make(&driver);
    drive_start(&driver);
    int session = drive_session(&driver, 7);
    cr_assert_eq(drive_submit(&driver, session, 1, 7, "", "bob@example.test", body, name), BODY_DURABLE);
    cr_assert_eq(drive_submit(&driver, session, 2, 7, "", "bob@example.test", "x\r\n", name), BODY_DURABLE);
    drive_end(&driver, true);
    driver.setup.stand_alone = 1;
    faulty = disk_system, faulty.pread = no_read_of_one;
    disk_use(&faulty);
    drive_start(&driver);
    disk_use(NULL);
    snprintf(command, sizeof command, "find %s/deferred -type f | grep -c .", driver.path);
    for (int i = 0; i < 200 && !files; i++) {
        FILE *output = popen(command, "r");
        cr_assert(output && fscanf(output, "%d", &files) == 1);
        pclose(output);
        usleep(50000);
    }
    cr_expect_eq(files, 1, "the other moves out of the log");
    usleep(3000000); /* some rounds of maintenance */
    cr_expect_eq(drive_control(&driver, "queue list", NULL, NULL, &rows), CONTROL_OK);
    cr_expect_eq(rows, 2);
    cr_expect_eq(lines(LOG_DAMAGED), 1);
    drive_end(&driver, true);
    drive_remove(&driver);
}

static int *early; /* marks that were synced before the lines that tell of them were sent */
static int sync_behind_lines(int fd) {
    *early += log_waiting();
    return disk_system.fdatasync(fd);
}

Test(queue_faults, marks_are_synced_behind_their_lines) {
    static struct disk_calls watched;
    char name[32];
    int rows;
    early = mmap(NULL, sizeof *early, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    cr_assert_neq(early, MAP_FAILED);
    drive_make(&driver);
    watched = disk_system, watched.fdatasync = sync_behind_lines;
    disk_use(&watched);
    drive_start(&driver);
    disk_use(NULL);
    int session = drive_session(&driver, 7);
    cr_assert_eq(drive_submit(&driver, session, 1, 7, "", "bob@example.test", "x\r\n", name), BODY_DURABLE);
    (void)lines(LOG_QUEUED);
    *early = 0;
    drive_end(&driver, true);
    driver.setup.stand_alone = 1;
    disk_use(&watched);
    drive_start(&driver);
    disk_use(NULL);
    cr_expect_eq(drive_control(&driver, "queue remove", "all", "yes", &rows), CONTROL_OK);
    cr_expect_eq(*early, 0);
    drive_end(&driver, true);
    drive_remove(&driver);
}

static int count_deferred(void) {
    char command[160];
    int n = -1;
    snprintf(command, sizeof command, "find %s/deferred -type f | grep -c .", driver.path);
    FILE *output = popen(command, "r");
    cr_assert(output && fscanf(output, "%d", &n) == 1);
    pclose(output);
    return n;
}

/* A message whose file is there, and the log could not say so, ends: with it goes the file, which would come back
 * when the log has forgotten the end. */
Test(queue_faults, a_move_that_was_not_said) {
    char name[256];
    int left = -1;
    drive_make(&driver);
    start(false);
    int session = drive_session(&driver, 7);
    cr_assert_eq(drive_submit(&driver, session, 1, 7, "", "bob@example.test", "x\r\n", name), BODY_DURABLE);
    drive_end(&driver, true);
    failing = DATASYNC, error = EIO, first = last = 1; /* that of the record that says so */
    start(true);
    int agent = drive_agent(&driver, 20000, name);
    cr_assert(drive_job(agent, 20000, &job));
    drive_answer(agent, &job, JOB_DELIVERED, 0, "2.0.0", "");
    for (int i = 0; i < 100 && (left = count_deferred()) != 0; i++) usleep(50000);
    cr_expect_eq(left, 0);
    drive_end(&driver, true);
    drive_remove(&driver);
}

static int no_new_file(int directory, const char *name, int flags, mode_t mode) {
    if (flags & O_EXCL && strlen(name) == MESSAGE_NAME_CHARS) {
        errno = EDQUOT;
        return -1;
    }
    return disk_system.open(directory, name, flags, mode);
}

Test(queue_faults, a_body_without_a_file_is_said) {
    static char large[320000];
    static struct disk_calls faulty;
    char name[32];
    memset(large, 'x', sizeof large - 1);
    faulty = disk_system, faulty.open = no_new_file;
    drive_make(&driver);
    disk_use(&faulty);
    drive_start(&driver);
    disk_use(NULL);
    int session = drive_session(&driver, 7);
    cr_assert_eq(drive_submit(&driver, session, 1, 7, "", "bob@example.test", large, name), BODY_REFUSED);
    cr_expect_eq(lines(LOG_FAULT), 1);
    drive_end(&driver, true);
    drive_remove(&driver);
}
