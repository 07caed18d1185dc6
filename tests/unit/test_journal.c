/* test_journal.c - batches, recovery past damage, forged records in bodies, and disks that fail.
 * Runs in: the test runner. Trusts: nothing. Never: touches anything outside its directory. */
#include "store/disk.h"
#include "store/journal.h"
#include "store/log.h"
#include "tests/unit/scratch.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SEGMENT = 1 << 16, SEEN_MAX = 4096 };

static char path[SCRATCH_BYTES];
static int directory;
static struct journal journal;
static struct {
    size_t n;
    struct record_place places[SEEN_MAX];
    char texts[SEEN_MAX][24];
} seen;

static int remove_entry(const char *name, const struct stat *status, int kind, struct FTW *place) {
    (void)status, (void)kind, (void)place;
    return remove(name);
}

static void setup(void) {
    scratch_make(path);
    directory = open(path, O_RDONLY | O_DIRECTORY);
    log_use(open("/dev/null", O_WRONLY));
    cr_assert_eq(journal_open(&journal, directory, SEGMENT), 0);
}

static void teardown(void) {
    disk_use(NULL);
    journal_close(&journal);
    nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

TestSuite(journal, .init = setup, .fini = teardown);

static int visit(void *context, const struct record *record) {
    (void)context;
    cr_assert_lt(seen.n, SEEN_MAX);
    seen.places[seen.n] = record->place;
    snprintf(seen.texts[seen.n++], 24, "%.*s", (int)(record->payload.n < 20 ? record->payload.n : 20),
             (const char *)record->payload.p);
    return 0;
}

/* Starts again, as after a crash. */
static void again(void) {
    journal_close(&journal);
    seen.n = 0;
    cr_assert_eq(journal_open(&journal, directory, SEGMENT), 0);
    cr_assert_eq(journal_recover(&journal, visit, NULL), 0);
}

static struct record_place append(const char *text) {
    struct record_place place = {0};
    cr_assert_eq(journal_add(&journal, RECORD_MESSAGE, span_text(text), &place), JOURNAL_ADDED);
    cr_assert_eq(journal_flush(&journal), 0);
    return place;
}

static bool was_seen(const char *text) {
    for (size_t i = 0; i < seen.n; i++)
        if (strcmp(seen.texts[i], text) == 0) return true;
    return false;
}

static int open_segment(uint64_t number) {
    char name[JOURNAL_NAME_MAX];
    journal_name(number, name);
    int fd = openat(journal.directory, name, O_RDWR);
    cr_assert(fd >= 0);
    return fd;
}

static void damage(struct record_place place, const void *octets, size_t n) {
    int fd = open_segment(place.segment);
    cr_assert_eq(pwrite(fd, octets, n, (off_t)place.offset), (ssize_t)n);
    close(fd);
}

Test(journal, batches_come_back_in_order) {
    struct record_place place;
    static char texts[300][16];
    for (int i = 0; i < 300; i++) {
        snprintf(texts[i], sizeof texts[i], "record %d", i);
        enum journal_add added = journal_add(&journal, RECORD_MESSAGE, span_text(texts[i]), &place);
        if (added == JOURNAL_FULL) {
            cr_assert_eq(journal_flush(&journal), 0);
            added = journal_add(&journal, RECORD_MESSAGE, span_text(texts[i]), &place);
        }
        cr_assert_eq(added, JOURNAL_ADDED);
    }
    cr_assert_eq(journal_flush(&journal), 0);
    again();
    cr_assert_eq(seen.n, 300);
    for (int i = 0; i < 300; i++) cr_assert_str_eq(seen.texts[i], texts[i]);
}

Test(journal, a_start_begins_a_new_segment_and_numbers_go_on) {
    struct record_place first = append("one");
    uint64_t sequence = journal.sequence;
    again();
    struct record_place second = append("two");
    cr_assert_gt(second.segment, first.segment);
    cr_assert_gt(journal.sequence, sequence);
    again();
    cr_assert_eq(seen.n, 2);
}

Test(journal, segments_change_when_full) {
    static char large[SEGMENT / 3];
    memset(large, 'x', sizeof large - 1);
    for (int i = 0; i < 10; i++) append(large);
    cr_assert_gt(journal.n, 2);
    uint64_t last = journal.last_segment;
    cr_assert_eq(journal_drop_oldest(&journal), 0);
    again();
    cr_assert(seen.n >= 6 && seen.n < 10);
    append("x");
    cr_assert_eq(journal.last_segment, last + 1);
}

Test(journal, reads_back_and_sees_damage) {
    static uint8_t storage[256];
    struct record record;
    struct record_place place = append("text");
    cr_assert(journal_read(&journal, place, storage, record_bytes(4), &record));
    cr_assert(span_equal(record.payload, SPAN("text")));
    place.offset += RECORD_HEAD_BYTES;
    damage(place, "T", 1);
    place.offset -= RECORD_HEAD_BYTES;
    cr_assert_not(journal_read(&journal, place, storage, record_bytes(4), &record));
}

Test(journal, damage_costs_only_what_it_hits) {
    struct record_place places[3] = {append("one"), append("two"), append("three")};
    static const size_t at[] = {0, 4, 8, 24, 39, 40, 55, RECORD_HEAD_BYTES};
    for (size_t i = 0; i < sizeof at / sizeof at[0]; i++) {
        uint8_t octet;
        struct record_place place = {places[1].segment, places[1].offset + at[i]};
        int fd = open_segment(place.segment);
        cr_assert_eq(pread(fd, &octet, 1, (off_t)place.offset), 1);
        close(fd);
        octet ^= 0x40;
        damage(place, &octet, 1);
        again();
        cr_assert(was_seen("one") && was_seen("three") && !was_seen("two"), "octet %zu", at[i]);
        octet ^= 0x40;
        damage(place, &octet, 1);
    }
    again();
    cr_assert_eq(seen.n, 3);
}

Test(journal, every_torn_tail_keeps_what_went_before) {
    append("one");
    struct record_place last = append("two");
    int fd = open_segment(last.segment);
    static uint8_t zeros[128];
    for (size_t n = record_bytes(3); n-- > 0;) {
        damage((struct record_place){last.segment, last.offset + n}, zeros, 1);
        again();
        cr_assert(was_seen("one"));
        /* the padding is covered by nothing and needs no cover */
        cr_assert_eq(was_seen("two"), n >= RECORD_HEAD_BYTES + 3, "cut at %zu", n);
        cr_assert_eq(ftruncate(fd, (off_t)(last.offset + n)), 0);
    }
    close(fd);
}

/* A body that is full of records made with the real key, for every place but those where they come to lie, and for
 * the right places in other segments. Damage before it makes recovery walk through it. */
static size_t forge(uint8_t *body, size_t n, struct record_place base) {
    size_t count = 0;
    for (size_t at = 0; at + 80 <= n; at += 80, count++) {
        struct record_place place = {base.segment, base.offset + RECORD_HEAD_BYTES + at};
        if (count % 3 == 0)
            place.segment++;
        else if (count % 3 == 1)
            place.offset += 8;
        else
            place.offset = at + JOURNAL_HEADER_BYTES, place.segment = count;
        struct record record = {place, 1000 + count, RECORD_MESSAGE, SPAN("forged record")};
        record_seal(journal.key, &record, body + at);
        memcpy(body + at + RECORD_HEAD_BYTES, "forged record", 13);
    }
    return count;
}

Test(journal, records_in_bodies_are_not_records) {
    static uint8_t body[8000];
    append("before");
    struct record_place place = {journal.last_segment, journal.offset};
    cr_assert_gt(forge(body, sizeof body, place), 90);
    struct record_place where;
    cr_assert_eq(journal_add(&journal, RECORD_MESSAGE, span_of(body, sizeof body), &where), JOURNAL_ADDED);
    cr_assert_eq(journal_flush(&journal), 0);
    cr_assert_eq(where.offset, place.offset);
    append("after");
    again();
    cr_assert_eq(seen.n, 3); /* undamaged: the body is a payload */
    static const size_t hits[] = {0, 5, 9, 17, 25, 33, 41, 3000};
    for (size_t i = 0; i < sizeof hits / sizeof hits[0]; i++) {
        damage((struct record_place){where.segment, where.offset + hits[i]}, "\xff", 1);
        again();
        cr_assert_eq(seen.n, 2, "after damage at %zu: %zu records", hits[i], seen.n);
        cr_assert(was_seen("before") && was_seen("after"));
    }
}

Test(journal, an_old_copy_of_the_own_segment_is_not_taken) {
    static uint8_t old[512];
    struct record_place first = append("first"), second = append("second");
    int fd = open_segment(first.segment);
    size_t n = record_bytes(5);
    cr_assert_eq(pread(fd, old, n, (off_t)first.offset), (ssize_t)n);
    cr_assert_eq(pwrite(fd, old, n, (off_t)second.offset), (ssize_t)n);
    close(fd);
    again();
    cr_assert_eq(seen.n, 1);
}

Test(journal, without_its_key_it_does_not_start) {
    append("x");
    journal_close(&journal);
    cr_assert_eq(unlinkat(directory, "key", 0), 0);
    cr_assert_eq(journal_open(&journal, directory, SEGMENT), -1);
}

Test(journal, a_newer_version_is_refused) {
    uint8_t header[JOURNAL_HEADER_BYTES];
    struct record_place place = append("x");
    journal_header(journal.key, place.segment, 0, JOURNAL_VERSION + 1, header);
    damage((struct record_place){place.segment, 0}, header, sizeof header);
    journal_close(&journal);
    cr_assert_eq(journal_open(&journal, directory, SEGMENT), 0);
    cr_assert_eq(journal_recover(&journal, visit, NULL), -1);
    header[8] ^= 1; /* a version that only damage made is no version */
    damage((struct record_place){place.segment, 0}, header, sizeof header);
    again();
    cr_assert_eq(seen.n, 1);
}

/* ---- a disk that fails */

static struct disk_calls faulty;
static unsigned calls_left; /* until the fault */
static int fault_error;
static bool cut_short;

static int failing_sync(int fd) {
    if (calls_left && --calls_left == 0) {
        errno = fault_error;
        return -1;
    }
    return fdatasync(fd);
}

static ssize_t failing_write(int fd, const struct iovec *parts, int n, off_t offset) {
    if (calls_left && --calls_left == 0) {
        errno = fault_error;
        return -1;
    }
    if (!cut_short) return pwritev(fd, parts, n, offset);
    struct iovec part = {parts[0].iov_base, parts[0].iov_len > 7 ? 7 : parts[0].iov_len};
    return pwritev(fd, &part, 1, offset);
}

static int no_space(int fd, int mode, off_t offset, off_t n) {
    (void)fd, (void)mode, (void)offset, (void)n;
    errno = ENOSPC;
    return -1;
}

Test(journal, short_writes_are_continued) {
    faulty = disk_system, faulty.pwritev = failing_write, cut_short = true;
    disk_use(&faulty);
    append("one");
    append("two");
    disk_use(NULL);
    again();
    cr_assert(was_seen("one") && was_seen("two"));
}

Test(journal, a_failed_sync_ends_the_segment) {
    struct record_place place, next;
    append("kept");
    faulty = disk_system, faulty.fdatasync = failing_sync, fault_error = EIO, calls_left = 1;
    disk_use(&faulty);
    cr_assert_eq(journal_add(&journal, RECORD_MESSAGE, SPAN("lost"), &place), JOURNAL_ADDED);
    cr_assert_eq(journal_flush(&journal), -1);
    cr_assert_eq(journal.failures, 1);
    next = append("later");
    cr_assert_eq(journal.failures, 0);
    cr_assert_gt(next.segment, place.segment);
    disk_use(NULL);
    again();
    cr_assert(was_seen("kept") && was_seen("later"));
}

Test(journal, no_space_for_a_segment_is_told_and_passes) {
    struct record_place place;
    faulty = disk_system, faulty.fallocate = no_space;
    disk_use(&faulty);
    cr_assert_eq(journal_add(&journal, RECORD_MESSAGE, SPAN("x"), &place), JOURNAL_FAILED);
    cr_assert_eq(errno, ENOSPC);
    disk_use(NULL);
    append("there is space again");
    again();
    cr_assert_eq(seen.n, 1);
}

Test(journal, a_failed_write_is_void_as_a_whole) {
    struct record_place place;
    append("kept");
    faulty = disk_system, faulty.pwritev = failing_write, fault_error = ENOSPC, calls_left = 1, cut_short = false;
    disk_use(&faulty);
    cr_assert_eq(journal_add(&journal, RECORD_MESSAGE, SPAN("a"), &place), JOURNAL_ADDED);
    cr_assert_eq(journal_add(&journal, RECORD_MESSAGE, SPAN("b"), &place), JOURNAL_ADDED);
    cr_assert_eq(journal_flush(&journal), -1);
    disk_use(NULL);
    again();
    cr_assert_eq(seen.n, 1);
}

static size_t written;
static uint64_t written_to;

static ssize_t counting_pwritev(int fd, const struct iovec *parts, int n, off_t offset) {
    ssize_t done = disk_system.pwritev(fd, parts, n, offset);
    written = done < 0 ? 0 : (size_t)done;
    written_to = (uint64_t)offset + written;
    return done;
}

/* The first write into a part of the segment writes zeros behind it, the ones after it only themselves; never beyond
 * the segment's end, and what lies there is no damage. */
Test(journal, writes_zeros_ahead) {
    static char text[8 << 10];
    struct disk_calls calls = disk_system;
    uint64_t end = (5 << 20) + 12345, ahead = end / JOURNAL_AHEAD_PART;
    size_t small = 0, large = 0, least = SIZE_MAX;
    calls.pwritev = counting_pwritev;
    disk_use(&calls);
    memset(text, 'x', sizeof text - 1);
    journal.segment_bytes = end;
    append("first");
    cr_expect(written_to >= ahead && written_to <= ahead + 8192, "%llu", (unsigned long long)written_to);
    append("second");
    cr_expect_lt(written, (size_t)200);
    for (uint64_t first = journal.last_segment; journal.offset < end && journal.last_segment == first;) {
        append(text);
        if (written < least) least = written;
        if (written < sizeof text + 200)
            small++;
        else
            large++;
        cr_expect(written_to <= end || written < sizeof text + 200, "%llu", (unsigned long long)written_to);
    }
    cr_expect_geq(least, sizeof text - 1);
    cr_expect(small > 3 * large && large >= 50, "%zu %zu", small, large);
    cr_expect_eq(journal.n, (size_t)1);
    append("in the next");
    cr_expect(written_to >= ahead && written_to <= ahead + 8192, "%llu", (unsigned long long)written_to);
    disk_use(NULL);
    again();
    cr_expect_eq(seen.n, 3 + small + large);
    cr_expect(was_seen("first") && was_seen("in the next"));
}
