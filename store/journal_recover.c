/* journal_recover.c - reading the log after a start, past whatever has become of it.
 * Runs in: queue. Trusts: a MAC that fits, and nothing else in a segment. Never: writes. */
#include "store/disk.h"
#include "store/journal.h"
#include "store/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

enum { READ_BYTES = 1 << 20, PAGE_BYTES = 4096 };

static int take_name(void *context, const char *name) {
    struct journal *journal = context;
    char again[JOURNAL_NAME_MAX], *end;
    uint64_t number = strtoull(name, &end, 16);
    journal_name(number, again);
    if (!number || number == RECORD_FILE || strcmp(again, name) != 0) return 0; /* not ours */
    if (journal->n == journal->cap) {
        size_t cap = journal->cap ? 2 * journal->cap : 16;
        void *grown = realloc(journal->segments, cap * sizeof *journal->segments);
        if (!grown) return -1;
        journal->segments = grown, journal->cap = cap;
    }
    journal->segments[journal->n++] = (struct journal_segment){.number = number};
    return 0;
}

static int by_number(const void *a, const void *b) {
    const struct journal_segment *x = a, *y = b;
    return x->number < y->number ? -1 : x->number > y->number;
}

static void report(uint64_t segment, uint64_t offset, uint64_t n, const char *why) {
    struct log_line line;
    log_open(&line, LOG_DAMAGED);
    log_number(&line, KEY_SEGMENT, segment);
    log_number(&line, KEY_OFFSET, offset);
    log_number(&line, KEY_BYTES, n);
    log_text(&line, KEY_WHY, why);
    log_send(&line);
}

/* What the disk does not give at once is asked for again, page by page, so that no more is missed than must be; it
 * reads as zeros and is reported. */
static void load_pages(int fd, struct journal_segment *segment, uint8_t *octets, size_t at, size_t end) {
    size_t bad = 0;
    for (; at < end; at += PAGE_BYTES) {
        size_t n = end - at < PAGE_BYTES ? end - at : PAGE_BYTES;
        bool given = disk_read(fd, octets + at, n, at) >= 0;
        if (!given) memset(octets + at, 0, n), bad += n;
        if (bad && (given || at + n == end)) {
            size_t to = given ? at : end;
            report(segment->number, to - bad, bad, "the disk does not give it back");
            bad = 0;
            segment->unreadable = true;
        }
    }
}

/* The whole segment in memory. NULL with errno. */
static uint8_t *load(struct journal *journal, struct journal_segment *segment, size_t *n_out) {
    char name[JOURNAL_NAME_MAX];
    struct stat status;
    uint8_t *octets = NULL;
    journal_name(segment->number, name);
    int fd = disk_calls()->open(journal->directory, name, O_RDONLY, 0);
    if (fd < 0 || disk_calls()->status(fd, &status) != 0) goto out;
    *n_out = (size_t)status.st_size;
    if (!(octets = calloc(1, *n_out + 1))) goto out;
    for (size_t at = 0; at < *n_out; at += READ_BYTES) {
        size_t n = *n_out - at < READ_BYTES ? *n_out - at : READ_BYTES;
        if (disk_read(fd, octets + at, n, at) >= 0) continue;
        log_fault("reading the log; again, page by page", errno);
        load_pages(fd, segment, octets, at, at + n);
    }
out:
    if (fd >= 0) (void)disk_calls()->close(fd);
    return octets;
}

/* 0, or -1 when the segment was written by a newer gatepost. A header that is damaged says nothing. */
static int check_header(struct journal *journal, const struct journal_segment *segment, struct span s) {
    uint8_t expected[JOURNAL_HEADER_BYTES];
    struct wire w = wire_over(span_part(s, 8, 24));
    uint32_t version = wire_get_u32(&w);
    (void)wire_get_u32(&w);
    (void)wire_get_u64(&w);
    uint64_t floor = wire_get_u64(&w);
    journal_header(journal->key, segment->number, floor, version, expected);
    if (s.n < sizeof expected || memcmp(s.p, expected, sizeof expected) != 0) {
        report(segment->number, 0, JOURNAL_HEADER_BYTES, "the header of the segment does not hold");
        return 0;
    }
    if (version > JOURNAL_VERSION) {
        log_fault("the log was written by a newer gatepost", EPROTONOSUPPORT);
        return -1;
    }
    if (floor > journal->floor) journal->floor = floor;
    return 0;
}

static bool all_zero(struct span s) {
    return s.n == 0 || (s.p[0] == 0 && memcmp(s.p, s.p + 1, s.n - 1) == 0);
}

/* Walks the records of one segment. Where none begins, the search goes on in steps of 8 octets: a record is taken
 * only where its MAC fits the place and its sequence is later than what came before. */
static int walk(struct journal *journal, uint64_t segment, struct span s,
                int (*visit)(void *context, const struct record *record), void *context) {
    size_t at = JOURNAL_HEADER_BYTES, good = at;
    uint64_t sequence = 0;
    struct record record;
    while (at + RECORD_HEAD_BYTES <= s.n) {
        if (!record_open(journal->key, span_from(s, at), (struct record_place){segment, at}, &record) ||
            record.sequence <= sequence) {
            at += RECORD_ALIGN;
            continue;
        }
        bool missing = sequence && record.sequence != sequence + 1;
        if (at != good)
            report(segment, good, at - good, "damaged; whole records follow");
        else if (missing)
            report(segment, good, 0, "records are missing");
        journal->damaged |= at != good || missing;
        sequence = record.sequence;
        if (sequence > journal->sequence) journal->sequence = sequence;
        if (visit(context, &record) != 0) return -1;
        at += record_bytes(record.payload.n);
        good = at;
    }
    /* The last batch before a crash may be torn; it was never acknowledged. */
    if (good < s.n && !all_zero(span_from(s, good))) report(segment, good, s.n - good, "the end is torn or damaged");
    return 0;
}

int journal_recover(struct journal *journal, int (*visit)(void *context, const struct record *record),
                    void *context) {
    journal->n = 0;
    if (disk_list(journal->directory, take_name, journal) != 0) {
        log_fault("the log's directory cannot be read", errno);
        return -1;
    }
    if (journal->n) qsort(journal->segments, journal->n, sizeof *journal->segments, by_number);
    for (size_t i = 0; i < journal->n; i++) {
        size_t n = 0;
        uint64_t number = journal->segments[i].number;
        uint8_t *octets = load(journal, &journal->segments[i], &n);
        if (!octets) {
            log_fault("a segment of the log cannot be read", errno);
            return -1;
        }
        journal->last_segment = number;
        journal->segments[i].bytes = n;
        int result = check_header(journal, &journal->segments[i], span_of(octets, n));
        journal->damaged |= journal->segments[i].unreadable;
        if (result == 0) result = walk(journal, number, span_of(octets, n), visit, context);
        free(octets);
        if (result != 0) return -1;
    }
    return 0;
}
