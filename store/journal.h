/* journal.h - the queue's log: segments of records, appended in batches that are durable or void as a whole. */
#ifndef STORE_JOURNAL_H
#define STORE_JOURNAL_H

#include "store/record.h"

#include <sys/uio.h>

enum { JOURNAL_BATCH_RECORDS = 256, JOURNAL_NAME_MAX = 32 };
#define JOURNAL_BATCH_BYTES ((size_t)16 << 20)
#define JOURNAL_HEADER_BYTES 64
/* Zeros that are written ahead: a 64th of a segment, and no more than this; they go in so many parts. */
enum { JOURNAL_AHEAD_PART = 64, JOURNAL_AHEAD_BYTES = 1 << 20, JOURNAL_ZEROS_PARTS = 32 };
enum { JOURNAL_VERSION = 1 };

struct journal_segment {
    uint64_t number, bytes;
    uint64_t live_bytes; /* the owner's account: what messages that are not done take */
    uint64_t marked;     /* the owner's account: messages whose oldest marks it has */
    uint64_t closed_ms;  /* clock_ms when it stopped being the current one */
    uint64_t changed_ms; /* the owner's account: clock_ms when something last ended that lives in it */
    bool unreadable;     /* the disk did not give all of it back at recovery */
};

struct journal {
    int directory; /* of the segments; the journal's own */
    uint8_t key[RECORD_KEY_BYTES];
    uint64_t segment_bytes;
    struct journal_segment *segments; /* ascending; the last is the current one while fd >= 0 */
    size_t n, cap;
    int fd;
    uint64_t offset, sequence, last_segment;
    uint64_t zeroed;   /* up to here the current segment has been written; beyond, it is only allocated */
    uint64_t floor;    /* the greatest message number so far: goes into segment headers */
    unsigned failures; /* failed flushes in a row */
    bool damaged;      /* recovery has passed over something */
    bool held;         /* the owner's: no segment is to go in this life unless there are many */
    bool dropped;      /* a segment, and the directory has not been synced since */
    /* the batch */
    size_t n_records, n_parts, batch_bytes;
    struct iovec parts[3 * JOURNAL_BATCH_RECORDS + JOURNAL_ZEROS_PARTS];
    uint8_t heads[JOURNAL_BATCH_RECORDS][RECORD_HEAD_BYTES];
};

/* Reads or makes the key `key` and the directory `log` below `directory`. -1 when that fails, or when there are
 * segments and no key (it has been logged). Writes nothing else. */
int journal_open(struct journal *journal, int directory, uint64_t segment_bytes) MUST_USE;

/* Calls `visit` with every whole record, oldest first; payloads are views that end with the call. Damage is logged
 * and passed over. -1 when a segment cannot be read at all or is of a newer version (logged), or when visit returns
 * non-zero. */
int journal_recover(struct journal *journal, int (*visit)(void *context, const struct record *record),
                    void *context) MUST_USE;

/* Begins a new segment: allocated, synced, and its directory synced. -1 with errno; then there is no current
 * segment. */
int journal_begin(struct journal *journal) MUST_USE;

enum journal_add { JOURNAL_FAILED = 0, JOURNAL_ADDED, JOURNAL_FULL };

/* Adds a record to the batch; the payload must stay until the flush. JOURNAL_FULL: flush first. JOURNAL_FAILED: no
 * segment can be had (logged). */
enum journal_add journal_add(struct journal *journal, enum record_type type, struct span payload,
                             struct record_place *place_out) MUST_USE;

/* Makes the batch durable: one write, one sync. -1: nothing of it counts (though a crash may bring it back); that
 * segment is closed for ever. The batch is empty afterwards. */
int journal_flush(struct journal *journal) MUST_USE;

/* Reads a record back into `storage`, `n` octets (record_bytes of its payload). False when it is not there or
 * damaged. */
bool journal_read(struct journal *journal, struct record_place place, void *storage, size_t n,
                  struct record *out) MUST_USE;

/* The entry of a segment, or NULL when it is gone. */
struct journal_segment *journal_segment(struct journal *journal, uint64_t number);

/* Removes the oldest segment, which must not be the current one; one that could not be read is set aside as
 * NAME.damaged (logged). */
int journal_drop_oldest(struct journal *journal) MUST_USE;

void journal_close(struct journal *journal);

/* "0000000000000001.log" */
void journal_name(uint64_t segment, char name_out[JOURNAL_NAME_MAX]);

/* The header of a segment, for its writer and its reader. */
void journal_header(const uint8_t key[RECORD_KEY_BYTES], uint64_t segment, uint64_t floor, uint32_t version,
                    uint8_t header_out[JOURNAL_HEADER_BYTES]);

#endif
