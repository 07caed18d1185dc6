/* journal.c - appending to the queue's log.
 * Runs in: queue. Trusts: the disk for nothing but what a sync has confirmed. Never: syncs a descriptor again whose
 * sync has failed, reuses a segment's number. */
#include "store/journal.h"

#include "store/clock.h"
#include "store/disk.h"
#include "store/log.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

enum { PAGE_BYTES = 4096 };

void journal_name(uint64_t segment, char name_out[JOURNAL_NAME_MAX]) {
    snprintf(name_out, JOURNAL_NAME_MAX, "%016llx.log", (unsigned long long)segment);
}

/* A segment begins with 64 octets, and its layout is fixed for all versions to come:
 *    0  8 octets "gatepost"   16  u64 segment
 *    8  u32 version           24  u64 greatest message number when it began
 *   12  u32 zero              32  MAC over octets 0 to 31; then zeros */
void journal_header(const uint8_t key[RECORD_KEY_BYTES], uint64_t segment, uint64_t floor, uint32_t version,
                    uint8_t header_out[JOURNAL_HEADER_BYTES]) {
    struct buf b = buf_over(header_out, JOURNAL_HEADER_BYTES);
    memset(header_out, 0, JOURNAL_HEADER_BYTES);
    wire_put_bytes(&b, "gatepost", 8);
    wire_put_u32(&b, version);
    wire_put_u32(&b, 0);
    wire_put_u64(&b, segment);
    wire_put_u64(&b, floor);
    record_mac(key, span_of(header_out, 32), (struct span){0}, header_out + 32);
}

static int has_segment(void *context, const char *name) {
    size_t n = strlen(name);
    (void)context;
    return n > 4 && strcmp(name + n - 4, ".log") == 0 ? 1 : 0;
}

/* Makes the key: it and its directory entry are durable before the first segment is. */
static int make_key(struct journal *journal, int directory) {
    const struct disk_calls *disk = disk_calls();
    int fd = disk->open(directory, "key.new", O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (fd < 0) return -1;
    randombytes_buf(journal->key, sizeof journal->key);
    int result =
        disk_write_span(fd, span_of(journal->key, sizeof journal->key), 0) == 0 && disk->fsync(fd) == 0 ? 0 : -1;
    if (disk->close(fd) != 0) result = -1;
    if (result == 0) result = disk->rename(directory, "key.new", directory, "key");
    return result == 0 ? disk->fsync(directory) : -1;
}

static int read_key(struct journal *journal, int directory) {
    uint8_t octets[RECORD_KEY_BYTES + 1];
    int fd = disk_calls()->open(directory, "key", O_RDONLY, 0);
    if (fd < 0) return -1;
    ssize_t n = disk_read(fd, octets, sizeof octets, 0);
    (void)disk_calls()->close(fd);
    if (n >= 0 && n != RECORD_KEY_BYTES) errno = EBADMSG;
    if (n == RECORD_KEY_BYTES) memcpy(journal->key, octets, sizeof journal->key);
    explicit_bzero(octets, sizeof octets);
    return n == RECORD_KEY_BYTES ? 0 : -1;
}

int journal_open(struct journal *journal, int directory, uint64_t segment_bytes) {
    memset(journal, 0, sizeof *journal);
    journal->fd = -1;
    journal->segment_bytes = segment_bytes;
    journal->directory = sodium_init() < 0 ? -1 : disk_directory(directory, "log");
    if (journal->directory < 0) {
        log_fault("the log's directory cannot be opened", errno);
        return -1;
    }
    if (read_key(journal, directory) == 0) return 0;
    if (errno != ENOENT) {
        log_fault("the key of the queue cannot be read", errno);
        return -1;
    }
    if (disk_list(journal->directory, has_segment, NULL) != 0) {
        log_fault("there is a log without its key: restore the file \"key\" from a backup", ENOENT);
        return -1;
    }
    if (make_key(journal, directory) == 0) return 0;
    log_fault("the key of the queue cannot be made", errno);
    return -1;
}

struct journal_segment *journal_segment(struct journal *journal, uint64_t number) {
    size_t low = 0, high = journal->n;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (journal->segments[middle].number < number)
            low = middle + 1;
        else
            high = middle;
    }
    return low < journal->n && journal->segments[low].number == number ? &journal->segments[low] : NULL;
}

static int make_segment(struct journal *journal, const char *name, uint64_t number) {
    const struct disk_calls *disk = disk_calls();
    uint8_t header[JOURNAL_HEADER_BYTES];
    int fd = disk->open(journal->directory, name, O_RDWR | O_CREAT | O_EXCL, 0600);
    if (fd < 0) return -1;
    journal_header(journal->key, number, journal->floor, JOURNAL_VERSION, header);
    if (disk->fallocate(fd, 0, 0, (off_t)journal->segment_bytes) == 0 &&
        disk_write_span(fd, span_of(header, sizeof header), 0) == 0 && disk->fsync(fd) == 0 &&
        disk->fsync(journal->directory) == 0) {
        journal->dropped = false;
        return fd;
    }
    int saved = errno;
    (void)disk->close(fd);
    (void)disk->unlink(journal->directory, name);
    errno = saved;
    return -1;
}

/* No more is written to the current segment. */
static void end_segment(struct journal *journal) {
    if (journal->fd < 0) return;
    (void)disk_calls()->close(journal->fd);
    journal->fd = -1;
    journal->segments[journal->n - 1].closed_ms = clock_ms();
    journal->segments[journal->n - 1].bytes = journal->offset;
}

int journal_begin(struct journal *journal) {
    char name[JOURNAL_NAME_MAX];
    end_segment(journal);
    if (journal->n == journal->cap) {
        size_t cap = journal->cap ? 2 * journal->cap : 16;
        void *grown = realloc(journal->segments, cap * sizeof *journal->segments);
        if (!grown) return -1;
        journal->segments = grown, journal->cap = cap;
    }
    uint64_t number = ++journal->last_segment;
    journal_name(number, name);
    journal->fd = make_segment(journal, name, number);
    if (journal->fd < 0) return -1;
    journal->segments[journal->n++] = (struct journal_segment){.number = number, .bytes = journal->segment_bytes};
    journal->offset = journal->zeroed = JOURNAL_HEADER_BYTES;
    return 0;
}

enum journal_add journal_add(struct journal *journal, enum record_type type, struct span payload,
                             struct record_place *place_out) {
    static const uint8_t zeros[RECORD_ALIGN];
    if (journal->n_records == JOURNAL_BATCH_RECORDS || journal->batch_bytes > JOURNAL_BATCH_BYTES)
        return JOURNAL_FULL;
    if (payload.n > RECORD_PAYLOAD_MAX) return JOURNAL_FAILED;
    if (!journal->n_records && (journal->fd < 0 || journal->offset >= journal->segment_bytes) &&
        journal_begin(journal) != 0) {
        log_fault("a segment of the log cannot be made", errno);
        return JOURNAL_FAILED;
    }
    *place_out = (struct record_place){journal->last_segment, journal->offset + journal->batch_bytes};
    struct record record = {*place_out, journal->sequence + journal->n_records + 1, type, payload};
    uint8_t *head = journal->heads[journal->n_records++];
    record_seal(journal->key, &record, head);
    size_t padding = record_bytes(payload.n) - RECORD_HEAD_BYTES - payload.n;
    journal->parts[journal->n_parts++] = (struct iovec){head, RECORD_HEAD_BYTES};
    if (payload.n) journal->parts[journal->n_parts++] = (struct iovec){(void *)(uintptr_t)payload.p, payload.n};
    if (padding) journal->parts[journal->n_parts++] = (struct iovec){(void *)(uintptr_t)zeros, padding};
    journal->batch_bytes += record_bytes(payload.n);
    return JOURNAL_ADDED;
}

/* Where octets are written for the first time, a sync also writes the file system's own records of that. So now and
 * then the zeros that lie behind the batch are written with it: the batches that follow go over them, and their syncs
 * cost half as much. Nothing else changes: zeros are what was there. */
static void add_zeros(struct journal *journal) {
    static const uint8_t zeros[2 * JOURNAL_AHEAD_BYTES / JOURNAL_ZEROS_PARTS];
    uint64_t end = journal->offset + journal->batch_bytes, ahead = journal->segment_bytes / JOURNAL_AHEAD_PART;
    if (end <= journal->zeroed) return;
    if (ahead > JOURNAL_AHEAD_BYTES) ahead = JOURNAL_AHEAD_BYTES;
    journal->zeroed = (end + ahead + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES;
    if (journal->zeroed > journal->segment_bytes) journal->zeroed = journal->segment_bytes;
    while (end < journal->zeroed) {
        size_t n = journal->zeroed - end < sizeof zeros ? (size_t)(journal->zeroed - end) : sizeof zeros;
        journal->parts[journal->n_parts++] = (struct iovec){(void *)(uintptr_t)zeros, n};
        end += n;
    }
}

int journal_flush(struct journal *journal) {
    if (!journal->n_records) return 0;
    add_zeros(journal);
    int result = disk_write(journal->fd, journal->parts, (int)journal->n_parts, journal->offset);
    if (result != 0)
        log_fault("the log cannot be written", errno);
    else if ((result = disk_calls()->fdatasync(journal->fd)) != 0)
        log_fault("the log cannot be synced", errno);
    journal->offset += journal->batch_bytes;
    journal->sequence += journal->n_records;
    journal->n_records = journal->n_parts = 0;
    journal->batch_bytes = 0;
    journal->failures = result == 0 ? 0 : journal->failures + 1;
    /* What the kernel could not write it may have forgotten, and a second sync would say that all is well. */
    if (result != 0) end_segment(journal);
    return result;
}

bool journal_read(struct journal *journal, struct record_place place, void *storage, size_t n, struct record *out) {
    char name[JOURNAL_NAME_MAX];
    journal_name(place.segment, name);
    int fd = disk_calls()->open(journal->directory, name, O_RDONLY, 0);
    if (fd < 0) return false;
    ssize_t have = disk_read(fd, storage, n, place.offset);
    (void)disk_calls()->close(fd);
    return have > 0 && record_open(journal->key, span_of(storage, (size_t)have), place, out);
}

int journal_drop_oldest(struct journal *journal) {
    char name[JOURNAL_NAME_MAX];
    journal_name(journal->segments[0].number, name);
    /* The one before must not come back without the marks in this one. */
    if (journal->dropped && disk_calls()->fsync(journal->directory) != 0) return -1;
    journal->dropped = true;
    if (journal->segments[0].unreadable) {
        char aside[JOURNAL_NAME_MAX + 16];
        snprintf(aside, sizeof aside, "%s.damaged", name);
        if (disk_calls()->rename(journal->directory, name, journal->directory, aside) != 0 && errno != ENOENT)
            return -1;
        log_fault("a segment that could not be read is kept, as NUMBER.log.damaged", EIO);
    } else if (disk_calls()->unlink(journal->directory, name) != 0 && errno != ENOENT) {
        return -1;
    }
    memmove(journal->segments, journal->segments + 1, --journal->n * sizeof *journal->segments);
    return 0;
}

void journal_close(struct journal *journal) {
    if (journal->fd >= 0) (void)disk_calls()->close(journal->fd);
    if (journal->directory >= 0) (void)disk_calls()->close(journal->directory);
    free(journal->segments);
    explicit_bzero(journal->key, sizeof journal->key);
    journal->fd = journal->directory = -1, journal->segments = NULL, journal->n = 0;
}
