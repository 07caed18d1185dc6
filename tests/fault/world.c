/* world.c - auth, a session, delivery and the clock, around a queue in this process.
 * Runs in: tests. Trusts: nothing that the queue says to be in order. Never: waits. */
#include "tests/fault/world.h"

#include "server/outbound/agent_maildir.h"
#include "store/clock.h"
#include "store/log.h"
#include "store/queue_state.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { SESSION_NUMBER = 7, HIGH_FD = 20, QUIET_ROUNDS = 3, ROUNDS_MAX = 400, WANTED_MAX = 16, CHUNK = 60000 };

const char *const who_names[] = {"", "alice", "bob", "later", "never"};

/* A session commits one letter at a time. */
enum channel { AUTH = 0, DELIVERY, COMMAND, SESSION, HEARD = SESSION + 5 };

static struct {
    struct world *world;
    struct queue *queue;
    struct role_start start;
    int heard[HEARD];
    struct wanted {
        uint32_t agent;
        char name[64];
    } wanted[WANTED_MAX];
    size_t n_wanted;
    /* the agent that works */
    bool busy, is_maildir, broken;
    char name[64];
    struct job_inbox inbox;
    struct agent_maildir agent;
    unsigned marks_seen;
    pid_t agent_pid;
    uint64_t random;
} self;

/* ---- what is made up: the linker's --wrap */

uint64_t __wrap_clock_ms(void);
uint64_t __wrap_clock_ms(void) {
    return 1000000 + self.world->report->now_ms;
}

uint64_t __wrap_clock_wall_ms(void);
uint64_t __wrap_clock_wall_ms(void) {
    return 1790000000000U + self.world->report->now_ms;
}

static uint8_t draw(void) {
    self.random ^= self.random << 13, self.random ^= self.random >> 7, self.random ^= self.random << 17;
    return (uint8_t)(self.random >> 32);
}

ssize_t __wrap_getrandom(void *p, size_t n, unsigned flags);
ssize_t __wrap_getrandom(void *p, size_t n, unsigned flags) {
    (void)flags;
    for (size_t i = 0; i < n; i++) ((uint8_t *)p)[i] = draw();
    return (ssize_t)n;
}

void __wrap_randombytes_buf(void *p, size_t n);
void __wrap_randombytes_buf(void *p, size_t n) {
    (void)__wrap_getrandom(p, n, 0);
}

pid_t __wrap_getpid(void);
pid_t __wrap_getpid(void) {
    return self.agent_pid;
}

static void note_line(struct span body) {
    struct wire w = wire_over(body);
    struct report *report = self.world->report;
    uint16_t event = wire_get_u16(&w);
    bool trouble = event == LOG_FAULT || event == LOG_BUG || event == LOG_DAMAGED || event == LOG_STORAGE_FULL ||
                   event == LOG_QUEUE_REFUSED || event == LOG_DROPPED || event == LOG_BAD_FRAME;
    if (!trouble && event != LOG_DEFERRED) return;
    if (!trouble && !self.broken) return;
    if (self.world->tape->has_struck || !self.world->tape->target) report->lines_of_trouble++;
    char *line = report->lines[report->n_lines++ % WORLD_LINES];
    int n = snprintf(line, sizeof report->lines[0], "%u:", event);
    while (w.rest.n && !w.bad && n < 140) {
        (void)wire_get_u16(&w);
        struct span value = wire_get_span(&w, LOG_VALUE_MAX);
        n += snprintf(line + n, sizeof report->lines[0] - (size_t)n, " %.*s", (int)span_part(value, 0, 60).n,
                      (const char *)value.p);
    }
}

int __wrap_frame_send_plain(int fd, uint16_t type, struct span body);
int __wrap_frame_send_plain(int fd, uint16_t type, struct span body) {
    (void)fd;
    struct wire w = wire_over(body);
    struct frame frame;
    if (type == LOG_LINE) note_line(body);
    while (type == FRAME_BUNDLE && frame_bundle_next(&w, &frame))
        if (frame.type == LOG_LINE) note_line(frame.body);
    return 0;
}

/* PLANT_MARK */
void __real_queue_mark(struct queue *queue, struct queue_message *message, uint32_t index);
void __wrap_queue_mark(struct queue *queue, struct queue_message *message, uint32_t index);
void __wrap_queue_mark(struct queue *queue, struct queue_message *message, uint32_t index) {
    if (self.world->tape->plant == PLANT_MARK && ++self.marks_seen % 5 == 0) return;
    __real_queue_mark(queue, message, index);
}

/* ---- letters */

size_t letter_body(unsigned id, bool crlf, uint8_t *out, size_t cap) {
    static const char digits[] = "0123456789abcdefghijklmnopqrstuvwxyz";
    const char *end = crlf ? "\r\n" : "\n";
    int head = snprintf((char *)out, cap, "X-Letter: %u%sSubject: of letter %u%s%s", id, end, id, end, end);
    size_t n = (size_t)head;
    uint64_t r = 0x9e3779b97f4a7c15U * (id + 1);
    for (size_t line = 0; line * 64 < letters[id].bytes; line++) {
        for (int i = 0; i < 62; i++) {
            r = r * 6364136223846793005U + 1442695040888963407U;
            out[n++] = (uint8_t)digits[(r >> 33) % 36];
        }
        if (crlf) out[n++] = '\r';
        out[n++] = '\n';
    }
    if (n > cap) abort();
    return n;
}

/* ---- auth and the session */

static void put_name(struct buf *b, unsigned id) {
    const uint8_t name[TRANSACTION_BYTES] = {(uint8_t)id, (uint8_t)(id >> 8), 3};
    wire_put_bytes(b, name, sizeof name);
}

static void say(int fd, uint16_t type, struct span body, int passed) {
    /* Whoever is gone hears nothing. */
    if (passed >= 0 ? frame_send_fd(fd, type, body, passed) != 0 : frame_send(fd, type, body) != 0)
        if (errno == EAGAIN) abort();
}

static void put_recipient(struct buf *b, const char *local, char *storage, size_t cap) {
    snprintf(storage, cap, "%s@example.test", local);
    const struct recipient recipient = {.kind = DESTINATION_MAILDIR,
                                        .destination = span_text(storage),
                                        .address = span_text(storage),
                                        .original = span_text(storage)};
    recipient_put(b, &recipient);
}

static void open_transaction(unsigned id) {
    uint8_t storage[2048];
    char sender[80] = "", address[80];
    struct buf b = BUF_OVER(storage);
    const struct letter *letter = &letters[id];
    if (letter->sender[0]) snprintf(sender, sizeof sender, "%s@example.test", letter->sender);
    struct envelope envelope = {.session_number = SESSION_NUMBER + id % (HEARD - SESSION),
                                .session_name = SPAN("SESSION"),
                                .role = 1,
                                .flags = ENVELOPE_ESMTP | ENVELOPE_PRINCIPAL,
                                .helo = SPAN("client.example"),
                                .sender = span_text(sender),
                                .limit_bytes = 32 << 20,
                                .recipients_max = 100};
    if (!netaddr_parse(&envelope.client, SPAN("192.0.2.7")) || !netaddr_parse(&envelope.local, SPAN("192.0.2.1")))
        abort();
    if (!letter->sender[0]) envelope.flags = ENVELOPE_ESMTP;
    put_name(&b, id);
    envelope_put(&b, &envelope);
    say(self.heard[AUTH], TRANSACTION_OPEN, buf_span(&b), -1);
    for (uint32_t i = 0; i < WORLD_RECIPIENTS && letter->to[i]; i++) {
        buf_clear(&b);
        put_name(&b, id);
        wire_put_u32(&b, i);
        put_recipient(&b, who_names[letter->to[i]], address, sizeof address);
        say(self.heard[AUTH], TRANSACTION_RCPT, buf_span(&b), -1);
    }
}

static int session_of(unsigned id) {
    return self.heard[SESSION + id % (HEARD - SESSION)];
}

void world_send(struct world *world, unsigned id, size_t bytes) {
    static uint8_t body[LETTER_MAX], storage[FRAME_BODY_MAX];
    size_t n = letter_body(id, true, body, sizeof body);
    (void)world;
    open_transaction(id);
    if (n > bytes) n = bytes;
    for (size_t at = 0; at < n; at += CHUNK) {
        struct buf b = BUF_OVER(storage);
        put_name(&b, id);
        wire_put_span(&b, span_part(span_of(body, n), at, CHUNK));
        say(session_of(id), BODY_DATA, buf_span(&b), -1);
        if (n > CHUNK) queue_round(self.queue, 0); /* the channel holds little */
    }
}

static uint32_t n_recipients(unsigned id) {
    uint32_t n = 0;
    while (n < WORLD_RECIPIENTS && letters[id].to[n]) n++;
    return n;
}

void world_commit(struct world *world, unsigned id) {
    uint8_t storage[64];
    struct buf b = BUF_OVER(storage);
    struct told *told = &world->report->told[id];
    put_name(&b, id);
    wire_put_u32(&b, n_recipients(id));
    *told = (struct told){.whole = true, .whole_step = world->tape->n_steps};
    say(session_of(id), BODY_COMMIT, buf_span(&b), -1);
}

void world_abort(struct world *world, unsigned id) {
    uint8_t storage[64];
    struct buf b = BUF_OVER(storage);
    (void)world;
    put_name(&b, id);
    say(session_of(id), BODY_ABORT, buf_span(&b), -1);
}

void world_submit(struct world *world, unsigned id) {
    world_send(world, id, SIZE_MAX);
    world_commit(world, id);
    world_turn(world);
}

/* The next frame of a channel; bundles come apart here. */
static bool hear(enum channel which, struct frame *frame) {
    static struct {
        struct wire w;
        uint8_t storage[FRAME_MAX];
    } rests[HEARD];
    if (frame_bundle_next(&rests[which].w, frame)) return true;
    int fd = self.heard[which];
    if (fd < 0 || frame_receive(fd, rests[which].storage, true, frame) != FRAME_RECEIVED) return false;
    if (frame->type != FRAME_BUNDLE) return true;
    rests[which].w = wire_over(frame->body);
    return frame_bundle_next(&rests[which].w, frame);
}

static bool hear_session(struct world *world, enum channel session) {
    struct frame frame;
    if (!hear(session, &frame)) return false;
    struct wire w = wire_over(frame.body);
    uint8_t name[TRANSACTION_BYTES];
    wire_get_bytes(&w, name, sizeof name);
    uint8_t outcome = wire_get_u8(&w);
    if (frame.type != BODY_RESULT || name[2] != 3) abort();
    struct told *told = &world->report->told[name[0]];
    told->outcome = (uint8_t)(outcome + 1);
    told->told_step = world->tape->n_steps;
    if (outcome == BODY_DURABLE) world->report->accepted++;
    return true;
}

static bool hear_auth(void) {
    uint8_t storage[512];
    char address[80], local[80], again[80];
    struct buf b = BUF_OVER(storage);
    struct frame frame;
    if (!hear(AUTH, &frame)) return false;
    if (frame.type != ROUTE_REQUEST) return true;
    struct wire w = wire_over(frame.body);
    uint64_t request = wire_get_u64(&w);
    (void)wire_get_u8(&w);
    wire_get_text(&w, address, sizeof address);
    snprintf(local, sizeof local, "%s", address[0] ? address : "postmaster");
    local[strcspn(local, "@")] = 0;
    wire_put_u64(&b, request);
    wire_put_u8(&b, ROUTE_WHOLE);
    put_recipient(&b, local, again, sizeof again);
    say(self.heard[AUTH], ROUTE_RESULT, buf_span(&b), -1);
    return true;
}

/* ---- delivery */

static bool hear_delivery(void) {
    struct frame frame;
    if (!hear(DELIVERY, &frame)) return false;
    struct wire w = wire_over(frame.body);
    if (frame.type != AGENT_WANTED || self.n_wanted == WANTED_MAX) abort();
    struct wanted *wanted = &self.wanted[self.n_wanted++];
    wanted->agent = wire_get_u32(&w);
    (void)wire_get_u8(&w);
    wire_get_text(&w, wanted->name, sizeof wanted->name);
    return true;
}

static bool is_next_hop(const char *name) {
    return strncmp(name, "never@", 6) == 0 || (strncmp(name, "later@", 6) == 0 && !self.world->later_works);
}

static void end_agent(void) {
    close(self.inbox.channel);
    for (size_t i = 0; i < JOB_OPEN_MAX; i++) job_free(self.inbox.open[i]);
    self.busy = false;
    tape_agent(NULL);
}

static bool begin_agent(void) {
    uint8_t storage[4];
    struct buf b = BUF_OVER(storage);
    int pair[2];
    if (self.busy || !self.n_wanted || !self.world->deliver) return false;
    if (frame_pair(pair, true) != 0) abort();
    struct wanted wanted = self.wanted[0];
    memmove(self.wanted, self.wanted + 1, --self.n_wanted * sizeof wanted);
    self.inbox = (struct job_inbox){.channel = pair[0], .lifeline = -1};
    memcpy(self.name, wanted.name, sizeof self.name);
    self.busy = true, self.is_maildir = !is_next_hop(self.name), self.broken = false;
    wire_put_u32(&b, wanted.agent);
    say(self.heard[DELIVERY], AGENT_READY, buf_span(&b), pair[1]);
    close(pair[1]);
    if (!self.is_maildir) return true;
    static jmp_buf place;
    self.agent_pid++;
    self.agent = (struct agent_maildir){.hostname = SPAN("mx.example.test"), .destination = span_text(self.name)};
    int directory = tape_root(TAPE_MAIL);
    if (setjmp(place) != 0) {
        end_agent();
        return true;
    }
    tape_agent(&place);
    int error = agent_maildir_open(&self.agent, &self.inbox, &directory);
    tape_agent(NULL);
    if (!error) return true;
    log_fault("opening a Maildir", error);
    self.is_maildir = false, self.broken = true;
    return true;
}

/* A next hop's words, or those of an agent whose Maildir cannot be had. */
static bool answer_job(void) {
    struct job *job;
    if (job_receive(&self.inbox, 0, &job) != JOB_COMPLETE) return false;
    bool never = strncmp(self.name, "never@", 6) == 0 && !self.broken;
    const struct job_answer refused = {
        .outcome = JOB_FAILED, .code = 550, .status = "5.1.1", .diagnostic = SPAN("nobody here")};
    const struct job_answer later = {
        .outcome = JOB_DEFERRED, .code = self.broken ? 0 : 450, .status = "4.3.0", .diagnostic = SPAN("not now")};
    job_finish(&self.inbox, job, never ? &refused : &later);
    job_free(job);
    return true;
}

static bool something_there(void) {
    if (self.inbox.rest.rest.n) return true;
    struct pollfd wait = {self.inbox.channel, POLLIN, 0};
    return poll(&wait, 1, 0) > 0;
}

static bool run_agent(void) {
    static jmp_buf place;
    if (!self.busy) return false;
    if (!something_there()) {
        end_agent();
        return true;
    }
    if (setjmp(place) != 0) {
        end_agent();
        return true;
    }
    tape_agent(&place);
    bool gone = false;
    if (self.is_maildir) {
        while (!gone && something_there()) gone = !agent_maildir_round(0);
        if (!gone) gone = !agent_maildir_round(0); /* nothing more: commits */
    } else {
        while (answer_job()) continue;
        if (something_there()) gone = true;
    }
    tape_agent(NULL);
    if (gone) end_agent();
    return true;
}

/* ---- rounds */

void world_turn(struct world *world) {
    int quiet = 0;
    for (int i = 0; i < ROUNDS_MAX && quiet < QUIET_ROUNDS; i++) {
        bool busy = false;
        queue_round(self.queue, 0);
        for (enum channel session = SESSION; session < HEARD; session++)
            while (hear_session(world, session)) busy = true;
        while (hear_auth()) busy = true;
        while (hear_delivery()) busy = true;
        busy |= begin_agent();
        if (self.busy) {
            for (int k = 0; k < QUIET_ROUNDS && (k == 0 || !something_there()); k++) queue_round(self.queue, 0);
            busy |= run_agent();
        }
        quiet = busy ? 0 : quiet + 1;
    }
    world->report->messages = (uint32_t)self.queue->n_messages;
    world->report->marks = (uint32_t)self.queue->marks.n;
    world->report->jobs = (uint32_t)self.queue->last_job;
}

void world_pass(struct world *world, unsigned ms) {
    for (unsigned passed = 0; passed < ms; passed += 500) {
        world->report->now_ms += 500;
        world_turn(world);
    }
}

void world_drain(struct world *world) {
    world->later_works = world->deliver = true;
    for (int i = 0; i < 120 && (i < 2 || self.queue->n_messages || self.queue->marks.n); i++) world_pass(world, 500);
}

static int high(int fd) {
    int made = fcntl(fd, F_DUPFD_CLOEXEC, HIGH_FD);
    if (made < 0) abort();
    close(fd);
    return made;
}

static int connect_to(enum role peer) {
    int pair[2];
    if (frame_pair(pair, true) != 0) abort();
    self.start.channels[self.start.n_channels++] = (struct role_link){(uint8_t)peer, 0, high(pair[1])};
    return high(pair[0]);
}

static void open_session(unsigned number) {
    uint8_t storage[8];
    struct buf b = BUF_OVER(storage);
    int pair[2];
    wire_put_u64(&b, SESSION_NUMBER + number);
    if (frame_pair(pair, true) != 0) abort();
    self.heard[SESSION + number] = high(pair[0]);
    say(self.heard[AUTH], TRANSACTION_CHANNEL, buf_span(&b), pair[1]);
    close(pair[1]);
}

bool world_begin(struct world *world, int queue, int mail) {
    static uint8_t payload[1024];
    struct buf b = BUF_OVER(payload);
    int control[2];
    const struct queue_setup setup = {.hostname = SPAN("mx.example.test"),
                                      .retry_ms = {2000},
                                      .n_retry = 1,
                                      .expire_ms = 86400000,
                                      .in_flight_bytes = 64 << 20,
                                      .segment_bytes = world->segment_bytes,
                                      .agents_max = 8,
                                      .sessions_max = 100};
    struct report *report = world->report;
    (void)signal(SIGPIPE, SIG_IGN);
    self.world = world;
    report->life++;
    report->began = report->ended = false;
    report->messages = report->marks = report->jobs = report->lines_of_trouble = report->n_lines = 0;
    report->now_ms += 5000;
    self.random = 0x2545f4914f6cdd1dU * (report->life + 1);
    self.agent_pid = (pid_t)(1000 * report->life);
    for (size_t i = 0; i < HEARD; i++) self.heard[i] = -1;
    if (frame_pair(control, false) != 0) abort();
    control[0] = high(control[0]);
    if (control[1] != ROLE_CONTROL_FD && dup2(control[1], ROLE_CONTROL_FD) < 0) abort();
    queue_setup_put(&b, &setup);
    self.start.payload = buf_span(&b);
    self.heard[AUTH] = connect_to(ROLE_AUTH);
    self.heard[DELIVERY] = connect_to(ROLE_DELIVERY);
    self.heard[COMMAND] = connect_to(ROLE_COMMAND);
    tape_use(world->tape, queue, mail);
    self.start.descriptors[self.start.n_descriptors++] = (struct role_link){DESCRIPTOR_DIRECTORY, 0, queue};
    self.queue = queue_begin(&self.start);
    if (!self.queue) return false;
    report->began = true;
    for (unsigned i = 0; i < HEARD - SESSION; i++) open_session(i);
    world_turn(world);
    return true;
}

void world_end(struct world *world) {
    world->report->ended = true;
    _exit(0);
}

void world_backup(struct world *world, bool begin) {
    uint8_t storage[64];
    struct buf b = BUF_OVER(storage);
    struct frame frame;
    if (begin) {
        wire_put_text(&b, "queue backup");
        say(self.heard[COMMAND], CONTROL_REQUEST, buf_span(&b), -1);
    } else {
        close(self.heard[COMMAND]);
        self.heard[COMMAND] = -1;
    }
    world_turn(world);
    while (hear(COMMAND, &frame)) continue;
}
