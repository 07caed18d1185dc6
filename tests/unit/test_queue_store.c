/* test_queue_store.c - marks on their way to the disk.
 * Runs in: the test runner. Trusts: nothing. Never: leaves a file behind. */
#include "store/queue_state.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static struct queue queue;
static struct { uint64_t marks, sum; } found;

static int count_marks(void *context, const struct record *record) {
    struct wire w = wire_over(record->payload);
    struct mark mark;
    (void)context;
    while (record->type == RECORD_MARKS && w.rest.n && !w.bad) {
        mark_get(&w, &mark);
        found.marks++, found.sum += mark.number;
    }
    return w.bad ? -1 : 0;
}

static int remove_entry(const char *path, const struct stat *status, int kind, struct FTW *place) {
    (void)status, (void)kind, (void)place;
    return remove(path);
}

/* A queue that is emptied at once has more marks than a record may hold. */
Test(queue_store, more_marks_than_a_record_holds) {
    char path[] = "/tmp/gatepost-unit-marks-XXXXXX";
    const uint64_t n = 1200000;
    cr_assert(mkdtemp(path));
    int directory = open(path, O_RDONLY | O_DIRECTORY);
    cr_assert_eq(journal_open(&queue.journal, directory, 16 << 20), 0);
    for (uint64_t i = 1; i <= n; i++) queue_mark_gone(&queue, i, false);
    cr_assert_gt(queue.marks.n, RECORD_PAYLOAD_MAX);
    cr_expect_not(queue_marks_add(&queue));
    cr_expect_eq(queue_marks_flush(&queue), 0);
    cr_expect_eq(queue.marks.n, 0);
    journal_close(&queue.journal);
    cr_assert_eq(journal_open(&queue.journal, directory, 16 << 20), 0);
    cr_expect_eq(journal_recover(&queue.journal, count_marks, NULL), 0);
    cr_expect_eq(found.marks, n);
    cr_expect_eq(found.sum, n * (n + 1) / 2);
    journal_close(&queue.journal);
    close(directory);
    free(queue.marks.p);
    nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

/* However often an agent was lost, nothing is said by that but how often. */
Test(queue_store, many_losses_are_no_other_mark) {
    struct queue_part part = {0};
    struct queue_message *message = calloc(1, sizeof *message + sizeof message->recipients[0]);
    cr_assert(message);
    message->parts = &part, message->n_recipients = message->n_parts = 1;
    for (unsigned again = 0; again <= UINT8_MAX; again++) {
        part.again = (uint8_t)again;
        unsigned said = queue_mark_of(message, 0).again;
        cr_expect_eq(said & ~(unsigned)MARK_AGAIN, 0u, "%u: %x", again, said);
        cr_expect(!said == !again, "%u: %x", again, said);
    }
    free(message);
}
