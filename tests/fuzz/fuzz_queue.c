/* fuzz_queue.c - the queue's receivers of sessions' frames, beside auth's sound ones.
 * Runs in: fuzzing. Trusts: nothing. Never: says "durable" to a session for what auth did not open for it. */
#include "store/disk.h"
#include "store/queue_state.h"
#include "tests/fuzz/fuzz.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SESSIONS = 3 };

static struct queue queue;
static struct role_start start;
static int sessions[SESSIONS], auth_end;
static uint64_t numbers[SESSIONS], last_number;
static uint8_t last_name;
static uint8_t body[FRAME_MAX], storage[FRAME_MAX];

static int no_sync(int fd) {
    (void)fd;
    return 0;
}

int LLVMFuzzerInitialize(int *argc, char ***argv) {
    static struct disk_calls calls;
    int ends[2];
    (void)argc, (void)argv;
    fuzz_quiet();
    fuzz_directory();
    calls = disk_system;
    calls.fsync = calls.fdatasync = no_sync;
    disk_use(&calls);
    queue.start = &start;
    queue.last_commit = &queue.first_commit;
    queue.setup = (struct queue_setup){.hostname = SPAN("mx.example.test"),
                                       .retry_ms = {1000},
                                       .n_retry = 1,
                                       .expire_ms = 100000,
                                       .reserve_bytes = 1,
                                       .in_flight_bytes = 300000,
                                       .segment_bytes = 1 << 20,
                                       .agents_max = 1};
    HOLDS(loop_open(&queue.loop) == 0);
    HOLDS(queue_store_open(&queue) == 0 && queue_recover(&queue) == 0 && frame_pair(ends, true) == 0);
    for (size_t i = 0; i < QUEUE_LINKS; i++) queue.links[i] = (struct queue_link){.queue = &queue, .watch.fd = -1};
    auth_end = ends[0];
    queue.links[0].watch.fd = ends[1];
    queue.links[0].role = ROLE_AUTH;
    queue.links[0].backlog.cap_bytes = 1 << 20;
    return 0;
}

static void auth_says(enum frame_type type, const struct buf *b, int fd) {
    struct frame frame = {.type = (uint16_t)type, .body = buf_span(b), .fd = fd < 0 ? -1 : dup(fd)};
    queue_auth_frame(&queue, &frame);
}

static void put_name(struct buf *b, uint8_t name) {
    uint8_t octets[TRANSACTION_BYTES] = {name, 1};
    wire_put_bytes(b, octets, sizeof octets);
}

static void new_session(size_t i) {
    struct buf b = buf_over(body, FRAME_BODY_MAX);
    int ends[2];
    HOLDS(frame_pair(ends, true) == 0);
    numbers[i] = ++last_number;
    wire_put_u64(&b, numbers[i]);
    auth_says(TRANSACTION_CHANNEL, &b, ends[1]);
    close(ends[1]);
    sessions[i] = ends[0];
}

static void open_transaction(size_t i, uint8_t recipients) {
    struct buf b = buf_over(body, FRAME_BODY_MAX);
    struct envelope envelope = {.session_number = numbers[i],
                                .session_name = SPAN("abcdefghjk"),
                                .role = 1,
                                .helo = SPAN("x"),
                                .sender = SPAN("a@b.example"),
                                .limit_bytes = 400000,
                                .recipients_max = 3};
    uint8_t octets[TRANSACTION_BYTES] = {++last_name, 1};
    if (queue_transaction_find(&queue, octets)) return;
    put_name(&b, last_name);
    envelope_put(&b, &envelope);
    auth_says(TRANSACTION_OPEN, &b, -1);
    for (uint8_t n = 0; n < (recipients & 3); n++) {
        buf_clear(&b);
        put_name(&b, last_name);
        wire_put_u32(&b, n);
        recipient_put(&b, &(struct recipient){.kind = DESTINATION_MAILDIR,
                                              .destination = SPAN("alice@example.test"),
                                              .address = SPAN("alice@example.test"),
                                              .original = SPAN("alice@example.test")});
        auth_says(TRANSACTION_RCPT, &b, -1);
    }
}

static void session_says(int fd, uint8_t what, uint8_t name, struct span line) {
    struct buf b = buf_over(body, FRAME_BODY_MAX);
    uint16_t type = (uint16_t)(BODY_DATA + what % 4);
    static const uint8_t filler[50000];
    if (what & 128) {
        if (line.n) buf_put_span(&b, line); /* as it comes */
    } else {
        put_name(&b, name);
        if (type == BODY_DATA) wire_put_span(&b, what & 64 ? span_of(filler, sizeof filler) : line);
        if (type == BODY_COMMIT) wire_put_u32(&b, what >> 4 & 3);
    }
    if (frame_send(fd, type, buf_span(&b)) != 0) return;
}

static void drain(void) {
    struct frame frame;
    for (size_t i = 0; i < SESSIONS; i++)
        while (sessions[i] >= 0 && frame_receive(sessions[i], storage, false, &frame) == FRAME_RECEIVED)
            HOLDS(frame.type == BODY_RESULT);
    while (frame_receive(auth_end, storage, false, &frame) == FRAME_RECEIVED) continue;
}

static void round_end(void) {
    HOLDS(loop_round(&queue.loop, 0) == 0);
    queue_commit_round(&queue);
    queue_sessions_sweep(&queue);
    drain();
}

static void begin_again(void) {
    for (size_t i = 0; i < SESSIONS; i++)
        if (sessions[i] >= 0) close(sessions[i]);
    queue_auth_lost(&queue);
    queue_sessions_sweep(&queue);
    while (queue.oldest) {
        queue_mark_gone(&queue, queue.oldest->number, false);
        queue_finish(&queue, queue.oldest);
    }
    (void)queue_marks_flush(&queue);
    queue_maintain(&queue);
    HOLDS(!queue.n_transactions && !queue.n_sessions && !queue.in_flight && !queue.first_commit && !queue.n_messages);
    drain();
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n) {
    struct span in = span_of(p, n < 2000 ? n : 2000);
    last_name = 0;
    for (size_t i = 0; i < SESSIONS; i++) new_session(i);
    while (in.n) {
        uint8_t which = fuzz_octet(&in), what = fuzz_octet(&in), name = (uint8_t)(fuzz_octet(&in) % 8);
        struct span line = fuzz_line(&in);
        size_t i = which % SESSIONS;
        uint64_t accepted = queue.accepted;
        if (sessions[i] < 0) continue;
        if (which & 64) {
            open_transaction(i, what);
        } else if (which & 32) {
            struct buf b = buf_over(body, FRAME_BODY_MAX);
            put_name(&b, name);
            auth_says(TRANSACTION_CLOSE, &b, -1);
        } else if ((which & 24) == 24) {
            close(sessions[i]);
            sessions[i] = -1;
        } else {
            session_says(sessions[i], what, name, line);
        }
        if (!(which & 4)) round_end();
        HOLDS(queue.accepted <= accepted + 8 && queue.in_flight <= queue.setup.in_flight_bytes);
    }
    round_end();
    begin_again();
    return 0;
}
