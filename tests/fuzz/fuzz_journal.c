/* fuzz_journal.c - recovery of a log that holds anything: octets as they come, sealed records of any payload.
 * Runs in: fuzzing. Trusts: nothing. Never: writes through the journal. */
#include "store/disk.h"
#include "store/queue_state.h"
#include "tests/fuzz/fuzz.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static struct role_start start;
static int directory;
static uint8_t key[RECORD_KEY_BYTES];

static int no_sync(int fd) {
    (void)fd;
    return 0;
}

int LLVMFuzzerInitialize(int *argc, char ***argv) {
    static struct disk_calls calls;
    static struct journal journal;
    (void)argc, (void)argv;
    fuzz_quiet();
    fuzz_directory();
    calls = disk_system;
    calls.fsync = calls.fdatasync = no_sync;
    disk_use(&calls);
    directory = open(".", O_RDONLY | O_DIRECTORY);
    HOLDS(journal_open(&journal, directory, 1 << 16) == 0); /* makes the key */
    memcpy(key, journal.key, sizeof key);
    journal_close(&journal);
    return 0;
}

static void put_zeros(struct buf *b) {
    while (b->n % RECORD_ALIGN) buf_put_octet(b, 0);
}

/* A sound payload, into which the piece writes: two octets of place, one of value, and again. */
static struct span changed(struct span piece, bool marks) {
    static uint8_t storage[4096], recipient_octets[256];
    struct buf b = BUF_OVER(storage), recipients = BUF_OVER(recipient_octets);
    struct recipient to = {.kind = DESTINATION_MAILDIR,
                           .destination = SPAN("alice@example.test"),
                           .address = SPAN("alice@example.test"),
                           .original = SPAN("alice@example.test")};
    recipient_put(&recipients, &to);
    recipient_put(&recipients, &to);
    if (marks) {
        mark_put(&b, &(struct mark){.number = 77,
                                    .index = 1,
                                    .state = RECIPIENT_FAILED,
                                    .status = SPAN("5.1.1"),
                                    .diagnostic = SPAN("no")});
        mark_put(&b, &(struct mark){.number = 77, .index = MARK_ALL, .state = RECIPIENT_DONE});
    } else {
        message_put(&b, &(struct message){.number = 77,
                                          .arrival_ms = 1,
                                          .body_bytes = 5,
                                          .n_recipients = 2,
                                          .recipients = buf_span(&recipients),
                                          .envelope = {.session_name = SPAN("abcdefghjk"),
                                                       .role = 1,
                                                       .helo = SPAN("x"),
                                                       .sender = SPAN("a@b.example")}});
        buf_put_text(&b, "body!");
    }
    while (piece.n >= 3) {
        size_t at = (fuzz_octet(&piece) | (size_t)fuzz_octet(&piece) << 8) % b.n;
        storage[at] = fuzz_octet(&piece);
    }
    return buf_span(&b);
}

/* Pieces of the input: each as it is, or as the payload of a sealed record at its right or at a wrong place. */
static void write_segment(struct span in) {
    static uint8_t segment[1 << 16];
    struct buf b = BUF_OVER(segment);
    uint64_t sequence = 0;
    char name[JOURNAL_NAME_MAX], path[JOURNAL_NAME_MAX + 8];
    journal_header(key, 1, 0, JOURNAL_VERSION, segment);
    b.n = JOURNAL_HEADER_BYTES;
    if (fuzz_octet(&in) & 1) segment[9] ^= 1;
    while (in.n > 3 && buf_ok(&b)) {
        uint8_t how = fuzz_octet(&in);
        size_t n = fuzz_octet(&in) | (size_t)(fuzz_octet(&in) & 3) << 8;
        struct span piece = span_part(in, 0, n);
        in = span_from(in, n);
        if (how & 16) piece = changed(piece, (how & 7) == RECORD_MARKS);
        if (how & 128) {
            uint8_t head[RECORD_HEAD_BYTES];
            struct record record = {.place = {1, how & 64 ? b.n + 8 : b.n},
                                    .sequence = how & 32 ? sequence : ++sequence,
                                    .type = (enum record_type)((how & 7) % (RECORD_TYPES + 1)),
                                    .payload = piece};
            record_seal(key, &record, head);
            buf_put(&b, head, sizeof head);
        }
        if (piece.n) buf_put_span(&b, piece);
        put_zeros(&b);
    }
    journal_name(1, name);
    (void)snprintf(path, sizeof path, "log/%s", name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    HOLDS(fd >= 0 && write(fd, segment, b.n) == (ssize_t)b.n && close(fd) == 0);
}

static int remove_segment(void *context, const char *name) {
    char path[512];
    (void)context;
    (void)snprintf(path, sizeof path, "log/%s", name);
    (void)unlink(path);
    return 0;
}

/* Sound heads of messages and marks are rare in chance octets: parsed by themselves too. */
static void parse(struct span in) {
    struct message message;
    struct mark mark;
    struct span marks;
    size_t body_at;
    if (message_get(in, &message, &body_at)) HOLDS(body_at <= in.n && message_bytes(&message) >= body_at);
    for (struct wire w = wire_over(in); w.rest.n && !w.bad;) mark_get(&w, &mark);
    (void)queue_deferred_part(in, &marks);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n) {
    struct queue *queue = calloc(1, sizeof *queue);
    HOLDS(queue);
    queue->start = &start;
    queue->last_commit = &queue->first_commit;
    queue->setup = (struct queue_setup){.hostname = SPAN("mx.example.test"),
                                        .retry_ms = {1000},
                                        .n_retry = 1,
                                        .expire_ms = 100000,
                                        .in_flight_bytes = 1 << 20,
                                        .segment_bytes = 1 << 16,
                                        .agents_max = 1};
    for (size_t i = 0; i < QUEUE_LINKS; i++) queue->links[i] = (struct queue_link){.queue = queue, .watch.fd = -1};
    parse(span_of(p, n));
    parse(changed(span_of(p, n), n & 1));
    write_segment(span_of(p, n < 40000 ? n : 40000));
    HOLDS(loop_open(&queue->loop) == 0 && queue_store_open(queue) == 0);
    if (queue_recover(queue) == 0) (void)queue_schedule_run(queue);
    while (queue->oldest) queue_finish(queue, queue->oldest);
    journal_close(&queue->journal);
    int segments = openat(directory, "log", O_RDONLY | O_DIRECTORY);
    HOLDS(disk_list(segments, remove_segment, NULL) == 0 && close(segments) == 0);
    loop_close(&queue->loop);
    close(queue->lock), close(queue->bodies), close(queue->deferred), close(queue->directory);
    free(queue->timers.heap), free(queue->messages), free(queue->marks.p), free(queue->gone);
    free(queue);
    return 0;
}
