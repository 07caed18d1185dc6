/* fill_queue.c - writes a queue directory with many messages, as the queue itself would have left it.
 * Runs in: measurements and tests. Trusts: its command line. Never: adds to a log that is there. */
#include "store/clock.h"
#include "store/disk.h"
#include "store/journal.h"
#include "store/log.h"
#include "store/message.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { BATCH = 128, PAYLOAD_MAX = 1 << 20, MARKS_MAX = 64 << 10, NAME_MAX_BYTES = 64 };

struct fill {
    uint64_t messages, destinations, senders, body_bytes, age_seconds, wait_seconds;
    uint8_t kind;
    const char *directory, *said;
};

static const char usage[] =
    "fill_queue [options] DIRECTORY - fills an empty queue directory (state_directory/queue)\n"
    "  -n MESSAGES      1000000    -d DESTINATIONS  1000    -s SENDERS  1000    -b BODY_BYTES  1024\n"
    "  -k KIND          maildir, capture, smarthost or lmtp: smarthost\n"
    "  -a SECONDS       the oldest arrived so long ago, the others evenly since then: 3600\n"
    "  -w SECONDS       all have been tried once and wait until then; 0, never tried: 0\n"
    "  -m TEXT          what was said at that attempt\n"
    "Message number i is from sender<i % SENDERS>@example.test; it goes to destination i % DESTINATIONS: that of a\n"
    "maildir is user<n>@example.test, else d<n>.example (one alone has no name), the address user<i>@d<n>.example.\n";

static int no_sync(int fd) {
    (void)fd;
    return 0;
}

static int fail(const char *what) {
    perror(what);
    return 1;
}

static uint64_t number_of(const char *text) {
    uint64_t value;
    if (span_number(span_text(text), UINT32_MAX, &value)) return value;
    fprintf(stderr, "fill_queue: %s is not a number\n", text);
    exit(2);
}

static uint8_t kind_of(const char *text) {
    static const char *const names[] = {"maildir", "capture", "smarthost", "lmtp"};
    for (uint8_t i = 0; i < 4; i++)
        if (strcmp(text, names[i]) == 0) return (uint8_t)(DESTINATION_MAILDIR + i);
    fprintf(stderr, "fill_queue: no kind %s\n", text);
    exit(2);
}

static void put_recipient(struct buf *b, const struct fill *fill, uint64_t i) {
    char destination[NAME_MAX_BYTES] = "", address[2 * NAME_MAX_BYTES];
    unsigned long long n = i % fill->destinations;
    if (fill->kind == DESTINATION_MAILDIR)
        snprintf(destination, sizeof destination, "user%llu@example.test", n);
    else if (fill->destinations > 1)
        snprintf(destination, sizeof destination, "d%llu.example", n);
    snprintf(address, sizeof address, "user%llu@%s", (unsigned long long)i,
             *destination ? destination : "d0.example");
    struct span to = span_text(fill->kind == DESTINATION_MAILDIR ? destination : address);
    struct recipient recipient = {fill->kind, span_text(destination), to, to, 0, {0}, {0}};
    recipient_put(b, &recipient);
}

static void put_message(struct buf *b, const struct fill *fill, uint64_t i, uint64_t number, uint64_t arrival_ms) {
    uint8_t recipients[1024];
    char sender[NAME_MAX_BYTES];
    struct buf r = BUF_OVER(recipients);
    put_recipient(&r, fill, i);
    snprintf(sender, sizeof sender, "sender%llu@example.test", (unsigned long long)(i % fill->senders));
    struct message message = {.number = number, .arrival_ms = arrival_ms, .body_bytes = fill->body_bytes};
    message.n_recipients = 1, message.recipients = buf_span(&r);
    message.envelope = (struct envelope){.session_name = SPAN("FILLED0000"),
                                         .role = 1,
                                         .flags = ENVELOPE_ESMTP,
                                         .helo = SPAN("client.example"),
                                         .sender = span_text(sender),
                                         .limit_bytes = 10 << 20,
                                         .recipients_max = 100};
    if (!netaddr_parse(&message.envelope.client, SPAN("192.0.2.7")) ||
        !netaddr_parse(&message.envelope.local, SPAN("192.0.2.1")))
        abort();
    message_put(b, &message);
    size_t head_end = b->n;
    buf_put_text(b, "Subject: message ");
    buf_put_number(b, i);
    buf_put_text(b, "\r\n\r\n");
    while (b->n - head_end + 2 < fill->body_bytes) buf_put_octet(b, (b->n - head_end) % 72 ? 'x' : '\n');
    buf_put_text(b, "\r\n");
    b->n = head_end + fill->body_bytes; /* a shorter one is cut */
    if (!buf_ok(b)) abort();
}

static int write_batch(struct journal *journal, const struct fill *fill, uint64_t from, uint64_t n, uint64_t now) {
    static uint8_t storage[BATCH][PAYLOAD_MAX / 16], marks[MARKS_MAX];
    struct buf m = BUF_OVER(marks);
    struct record_place place;
    for (uint64_t i = 0; i < n; i++) {
        struct buf b = buf_over(storage[i], sizeof storage[i]);
        uint64_t at = from + i, arrival = now - fill->age_seconds * 1000 * (fill->messages - at) / fill->messages;
        uint64_t number = arrival << 16;
        if (number <= journal->floor) number = journal->floor + 1;
        journal->floor = number;
        put_message(&b, fill, at, number, arrival);
        struct mark mark = {.number = number, .attempts = 1, .next_ms = now + fill->wait_seconds * 1000};
        mark.diagnostic = span_text(fill->said), mark.status = mark.diagnostic.n ? SPAN("4.4.1") : (struct span){0};
        if (fill->wait_seconds) mark_put(&m, &mark);
        if (journal_add(journal, RECORD_MESSAGE, buf_span(&b), &place) != JOURNAL_ADDED) return -1;
    }
    if (!buf_ok(&m)) abort();
    if (m.n && journal_add(journal, RECORD_MARKS, buf_span(&m), &place) != JOURNAL_ADDED) return -1;
    return journal_flush(journal);
}

static bool take_options(struct fill *fill, int argc, char **argv) {
    for (int option; (option = getopt(argc, argv, "n:d:s:b:k:a:w:m:")) != -1;) {
        if (option == 'n')
            fill->messages = number_of(optarg);
        else if (option == 'd')
            fill->destinations = number_of(optarg);
        else if (option == 's')
            fill->senders = number_of(optarg);
        else if (option == 'b')
            fill->body_bytes = number_of(optarg);
        else if (option == 'k')
            fill->kind = kind_of(optarg);
        else if (option == 'a')
            fill->age_seconds = number_of(optarg);
        else if (option == 'w')
            fill->wait_seconds = number_of(optarg);
        else if (option == 'm')
            fill->said = optarg;
        else
            return false;
    }
    fill->directory = argv[optind];
    return optind + 1 == argc && fill->messages && fill->destinations && fill->senders && fill->body_bytes >= 4 &&
           fill->body_bytes <= PAYLOAD_MAX / 32 && strlen(fill->said) <= MARK_TEXT_MAX;
}

static int is_there(void *context, const char *name) {
    (void)context;
    (void)name;
    return 1;
}

int main(int argc, char **argv) {
    static struct journal journal;
    struct fill fill = {1000000, 1000, 1000, 1024, 3600, 0, DESTINATION_SMARTHOST, NULL, ""};
    struct disk_calls calls = disk_system;
    if (!take_options(&fill, argc, argv)) {
        fputs(usage, stderr);
        return 2;
    }
    int directory = open(fill.directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (directory < 0) return fail(fill.directory);
    calls.fdatasync = no_sync; /* once, at the end */
    disk_use(&calls);
    (void)log_use(-1);
    if (journal_open(&journal, directory, 64 << 20) != 0) return fail("the log cannot be made");
    if (disk_list(journal.directory, is_there, NULL) != 0) {
        fprintf(stderr, "fill_queue: %s has a log already\n", fill.directory);
        return 1;
    }
    uint64_t now = clock_wall_ms();
    for (uint64_t at = 0; at < fill.messages; at += BATCH) {
        uint64_t n = fill.messages - at < BATCH ? fill.messages - at : BATCH;
        if (write_batch(&journal, &fill, at, n, now) != 0) return fail("the log cannot be written");
    }
    journal_close(&journal);
    return syncfs(directory) == 0 ? 0 : fail("sync");
}
