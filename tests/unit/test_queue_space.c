/* test_queue_space.c - the reserve of octets and of inodes: nothing is accepted below it, and again above it.
 * Runs in: the test runner. Trusts: nothing. Never: fills a real disk. */
#include "store/disk.h"
#include "tests/unit/queue_driver.h"

#include <criterion/criterion.h>
#include <sys/mman.h>

static struct queue_driver driver;

static void setup(void) {
    drive_make(&driver);
}
static void teardown(void) {
    drive_remove(&driver);
}

TestSuite(queue_space, .init = setup, .fini = teardown, .timeout = 120);

/* Shared with the queue's process. */
static struct { volatile uint64_t bytes, inodes; } * left;

static int told_bytes(int directory, uint64_t *bytes_out, uint64_t *inodes_out) {
    (void)directory;
    *bytes_out = left->bytes, *inodes_out = left->inodes;
    return 0;
}

static void start(void) {
    static struct disk_calls told;
    left = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    cr_assert_neq((void *)left, MAP_FAILED);
    left->bytes = left->inodes = 1 << 30;
    told = disk_system;
    told.free_bytes = told_bytes;
    disk_use(&told);
    driver.setup.reserve_bytes = 100 << 20;
    drive_start(&driver);
    disk_use(NULL);
}

/* What auth hears next of space: 0 or 1. */
static int heard(void) {
    struct frame frame;
    do cr_assert(drive_frame(driver.auth, 20000, &frame));
    while (frame.type != QUEUE_SPACE);
    return frame.body.p[0];
}

Test(queue_space, acceptance_comes_back_by_itself) {
    const struct { uint64_t bytes, inodes; } rows[] = {{(100 << 20) - 1, 1 << 30}, {1 << 30, 999}, {0, 0}};
    char name[256];
    start();
    int session = drive_session(&driver, 7);
    uint8_t t = 0;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        cr_expect_eq(drive_submit(&driver, session, ++t, 7, "a@client.example", "bob@example.test", "x\r\n", name),
                     BODY_DURABLE);
        left->bytes = rows[i].bytes, left->inodes = rows[i].inodes;
        cr_expect_eq(heard(), 0, "row %zu", i);
        cr_expect_eq(drive_submit(&driver, session, ++t, 7, "a@client.example", "bob@example.test", "x\r\n", name),
                     BODY_NO_SPACE);
        left->bytes = 100 << 20, left->inodes = 1000;
        cr_expect_eq(heard(), 1, "row %zu", i);
    }
    cr_expect_eq(drive_submit(&driver, session, ++t, 7, "a@client.example", "bob@example.test", "x\r\n", name),
                 BODY_DURABLE);
    drive_end(&driver, true);
}
