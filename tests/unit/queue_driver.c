/* queue_driver.c - playing everybody around the queue.
 * Runs in: the test runner. Trusts: nothing. Never: touches anything outside its directory. */
#include "tests/unit/queue_driver.h"

#include "store/log.h"
#include "store/queue.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define MUST(condition) cr_assert((condition), "%s failed", #condition)

void drive_make(struct queue_driver *driver) {
    *driver = (struct queue_driver){.pid = -1, .master = -1, .auth = -1, .delivery = -1, .command = -1, .log = -1};
    scratch_make(driver->path);
    driver->setup = (struct queue_setup){.hostname = SPAN("mx.example.test"),
                                         .retry_ms = {200, 400},
                                         .n_retry = 2,
                                         .expire_ms = 3600000,
                                         .in_flight_bytes = 64 << 20,
                                         .segment_bytes = 4 << 20,
                                         .agents_max = 8,
                                         .sessions_max = 100,
                                         .stand_alone = 0};
}

static int setup_file(const struct queue_driver *driver) {
    static uint8_t storage[4096], payload[2048];
    struct buf b = BUF_OVER(storage), p = BUF_OVER(payload);
    queue_setup_put(&p, &driver->setup);
    struct role_start start = {.payload = buf_span(&p)};
    start.common.role = ROLE_QUEUE;
    start.common.uid = getuid();
    role_setup_put(&b, &start);
    int fd = memfd_create("setup", MFD_CLOEXEC);
    MUST(fd >= 0 && write(fd, b.p, b.n) == (ssize_t)b.n);
    return fd;
}

static void send_link(int master, uint16_t type, uint8_t kind, int fd) {
    uint8_t storage[2] = {kind, 0};
    MUST(frame_send_fd(master, type, span_of(storage, 2), fd) == 0);
    close(fd);
}

static struct sockaddr_un control_address(const struct queue_driver *driver) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int n = snprintf(address.sun_path, sizeof address.sun_path, "%s/control", driver->path);
    MUST(n > 0 && (size_t)n < sizeof address.sun_path);
    return address;
}

static int control_socket(const struct queue_driver *driver) {
    struct sockaddr_un address = control_address(driver);
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    (void)unlink(address.sun_path);
    MUST(fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof address) == 0 && listen(fd, 4) == 0);
    return fd;
}

int drive_connect(struct queue_driver *driver) {
    struct sockaddr_un address = control_address(driver);
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    MUST(fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0);
    return fd;
}

static int channel(int master, uint8_t role) {
    int pair[2];
    MUST(frame_pair(pair, false) == 0 && fcntl(pair[1], F_SETFL, O_NONBLOCK) == 0);
    send_link(master, MASTER_CHANNEL, role, pair[1]);
    return pair[0];
}

static void be_queue(int master, int log) {
    static struct role_start start;
    int high_master = fcntl(master, F_DUPFD, 50), high_log = fcntl(log, F_DUPFD, 50);
    dup2(high_master, ROLE_CONTROL_FD);
    dup2(high_log, LOG_FD);
    close_range(5, ~0U, 0);
    if (role_receive(&start) != 0) _exit(99);
    int code = queue_run(&start, 0);
    _exit(code);
}

void drive_start(struct queue_driver *driver) {
    int master[2], log[2];
    struct frame frame;
    MUST(frame_pair(master, false) == 0 && socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, log) == 0);
    driver->pid = fork();
    fcntl(log[1], F_SETFL, O_NONBLOCK); /* a log that nobody reads holds nobody up */
    if (driver->pid == 0) be_queue(master[1], log[1]);
    close(master[1]);
    close(log[1]);
    driver->master = master[0], driver->log = log[0];
    fcntl(driver->log, F_SETFL, O_NONBLOCK);
    int setup = setup_file(driver);
    MUST(frame_send_fd(driver->master, MASTER_SETUP, (struct span){0}, setup) == 0);
    close(setup);
    send_link(driver->master, MASTER_DESCRIPTOR, DESCRIPTOR_DIRECTORY, open(driver->path, O_RDONLY | O_DIRECTORY));
    send_link(driver->master, MASTER_DESCRIPTOR, DESCRIPTOR_CONTROL, control_socket(driver));
    driver->auth = channel(driver->master, ROLE_AUTH);
    driver->delivery = channel(driver->master, ROLE_DELIVERY);
    driver->command = channel(driver->master, ROLE_COMMAND);
    MUST(frame_send(driver->master, MASTER_START, (struct span){0}) == 0);
    driver->ready = drive_frame(driver->master, 20000, &frame) && frame.type == CHILD_READY;
}

int drive_end(struct queue_driver *driver, bool kill_it) {
    int status = 0;
    if (kill_it)
        kill(driver->pid, SIGKILL);
    else
        MUST(frame_send(driver->master, MASTER_DRAIN, (struct span){0}) == 0);
    waitpid(driver->pid, &status, 0);
    int fds[] = {driver->master, driver->auth, driver->delivery, driver->command, driver->log};
    for (size_t i = 0; i < 5; i++) close(fds[i]);
    return status;
}

static int remove_entry(const char *path, const struct stat *status, int kind, struct FTW *place) {
    (void)status, (void)kind, (void)place;
    return remove(path);
}

void drive_remove(struct queue_driver *driver) {
    nftw(driver->path, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

static void put_t(struct buf *b, uint8_t t) {
    uint8_t name[TRANSACTION_BYTES] = {t, 1, 2, 3};
    wire_put_bytes(b, name, sizeof name);
}

void drive_open_flags(struct queue_driver *driver, uint8_t t, uint64_t session, const char *sender,
                      const char *const *recipients, uint8_t flags, uint8_t notify, uint64_t limit_bytes) {
    static uint8_t storage[FRAME_BODY_MAX];
    struct buf b = BUF_OVER(storage);
    struct envelope envelope = {.session_number = session,
                                .session_name = SPAN("SESSION"),
                                .role = 1,
                                .flags = flags,
                                .helo = SPAN("client.example"),
                                .sender = span_text(sender),
                                .principal = driver->principal ? span_text(driver->principal) : (struct span){0},
                                .limit_bytes = limit_bytes,
                                .recipients_max = 100,
                                .dsn_return = driver->dsn_return};
    MUST(netaddr_parse(&envelope.client, SPAN("192.0.2.7")) && netaddr_parse(&envelope.local, SPAN("192.0.2.1")));
    put_t(&b, t);
    envelope_put(&b, &envelope);
    MUST(buf_ok(&b) && frame_send(driver->auth, TRANSACTION_OPEN, buf_span(&b)) == 0);
    for (uint32_t i = 0; recipients[i]; i++) {
        struct recipient recipient = {.kind = DESTINATION_MAILDIR,
                                      .destination = span_text(recipients[i]),
                                      .address = span_text(recipients[i]),
                                      .original = span_text(recipients[i]),
                                      .notify = notify};
        buf_clear(&b);
        put_t(&b, t);
        wire_put_u32(&b, i);
        recipient_put(&b, &recipient);
        MUST(frame_send(driver->auth, TRANSACTION_RCPT, buf_span(&b)) == 0);
    }
}

void drive_open(struct queue_driver *driver, uint8_t t, uint64_t session, const char *sender,
                const char *const *recipients) {
    drive_open_flags(driver, t, session, sender, recipients, ENVELOPE_ESMTP, 0, 32 << 20);
}

int drive_session(struct queue_driver *driver, uint64_t session) {
    uint8_t storage[8];
    struct buf b = BUF_OVER(storage);
    int pair[2];
    MUST(frame_pair(pair, false) == 0 && fcntl(pair[1], F_SETFL, O_NONBLOCK) == 0);
    wire_put_u64(&b, session);
    MUST(frame_send_fd(driver->auth, TRANSACTION_CHANNEL, buf_span(&b), pair[1]) == 0);
    close(pair[1]);
    return pair[0];
}

void drive_data(int fd, uint8_t t, struct span octets) {
    static uint8_t storage[FRAME_BODY_MAX];
    for (size_t at = 0; at < octets.n || at == 0; at += 60000) {
        struct buf b = BUF_OVER(storage);
        put_t(&b, t);
        wire_put_span(&b, span_part(octets, at, 60000));
        if (frame_send(fd, BODY_DATA, buf_span(&b)) != 0) return;
    }
}

void drive_commit(int fd, uint8_t t, uint32_t recipients) {
    uint8_t storage[64];
    struct buf b = BUF_OVER(storage);
    put_t(&b, t);
    wire_put_u32(&b, recipients);
    if (frame_send(fd, BODY_COMMIT, buf_span(&b)) != 0) return;
}

/* What is left of a bundle that came over a channel; a test reads a few channels at a time. */
static struct rest {
    int fd;
    ino_t channel;
    struct wire w;
    uint8_t storage[FRAME_MAX];
} rests[8];

static struct rest *rest_of(int fd) {
    static size_t next;
    struct stat status;
    MUST(fstat(fd, &status) == 0);
    for (size_t i = 0; i < 8; i++)
        if (rests[i].fd == fd && rests[i].channel == status.st_ino) return &rests[i];
    for (size_t i = 0; i < 8; i++, next++)
        if (!rests[next % 8].w.rest.n || i == 7) break;
    rests[next % 8].fd = fd, rests[next % 8].channel = status.st_ino, rests[next % 8].w = (struct wire){0};
    return &rests[next % 8];
}

bool drive_frame(int fd, int wait_ms, struct frame *out) {
    struct rest *rest = rest_of(fd);
    struct pollfd wait = {fd, POLLIN, 0};
    if (frame_bundle_next(&rest->w, out)) return true;
    if (poll(&wait, 1, wait_ms) <= 0) return false;
    if (frame_receive(fd, rest->storage, true, out) != FRAME_RECEIVED) return false;
    if (out->type != FRAME_BUNDLE) return true;
    rest->w = wire_over(out->body);
    return frame_bundle_next(&rest->w, out);
}

int drive_result(int fd, char name_out[32]) {
    struct frame frame;
    uint8_t t[TRANSACTION_BYTES];
    if (!drive_frame(fd, 20000, &frame)) return -1;
    struct wire w = wire_over(frame.body);
    wire_get_bytes(&w, t, sizeof t);
    int outcome = wire_get_u8(&w);
    wire_get_text(&w, name_out, 32);
    MUST(frame.type == BODY_RESULT && wire_end(&w));
    return outcome;
}

int drive_submit(struct queue_driver *driver, int fd, uint8_t t, uint64_t session, const char *sender,
                 const char *recipient, const char *body, char name_out[32]) {
    const char *recipients[] = {recipient, NULL};
    drive_open(driver, t, session, sender, recipients);
    drive_data(fd, t, span_text(body));
    drive_commit(fd, t, 1);
    return drive_result(fd, name_out);
}

int drive_agent(struct queue_driver *driver, int wait_ms, char destination_out[256]) {
    struct frame frame;
    uint8_t storage[4];
    struct buf b = BUF_OVER(storage);
    int pair[2];
    if (!drive_frame(driver->delivery, wait_ms, &frame)) return -1;
    struct wire w = wire_over(frame.body);
    uint32_t agent = wire_get_u32(&w);
    uint8_t kind = wire_get_u8(&w);
    wire_get_text(&w, destination_out, 256);
    MUST(frame.type == AGENT_WANTED && (kind == DESTINATION_MAILDIR || kind == DESTINATION_CAPTURE) && wire_end(&w));
    MUST(frame_pair(pair, true) == 0);
    wire_put_u32(&b, agent);
    MUST(frame_send_fd(driver->delivery, AGENT_READY, buf_span(&b), pair[1]) == 0);
    close(pair[1]);
    return pair[0];
}

bool drive_job(int agent, int wait_ms, struct drive_job *out) {
    struct frame frame;
    if (!drive_frame(agent, wait_ms, &frame) || frame.type != JOB_OPEN) return false;
    struct wire w = wire_over(frame.body);
    out->body = BUF_OVER(out->storage);
    out->fd = frame.fd;
    out->number = wire_get_u64(&w);
    out->again = wire_get_u8(&w);
    (void)wire_get_u64(&w);
    wire_get_text(&w, out->name, sizeof out->name);
    (void)wire_get_u8(&w);
    (void)wire_get_u8(&w);
    (void)wire_get_span(&w, 1024);
    wire_get_text(&w, out->sender, sizeof out->sender);
    out->body_bytes = wire_get_u64(&w);
    out->n = wire_get_u16(&w);
    for (uint16_t i = 0; i < out->n && i < 16; i++) {
        out->index[i] = wire_get_u16(&w);
        wire_get_text(&w, out->address[i], sizeof out->address[i]);
        (void)wire_get_span(&w, 1024);
        (void)wire_get_u8(&w);
        (void)wire_get_span(&w, 1024);
    }
    MUST(wire_end(&w));
    if (out->fd >= 0) {
        ssize_t n = pread(out->fd, out->storage, sizeof out->storage, 0);
        out->body.n = n < 0 ? 0 : (size_t)n;
        close(out->fd);
    }
    while (out->body.n < out->body_bytes && out->fd < 0) {
        if (!drive_frame(agent, wait_ms, &frame) || frame.type != JOB_BODY) return false;
        w = wire_over(frame.body);
        MUST(wire_get_u64(&w) == out->number);
        buf_put_span(&out->body, wire_get_span(&w, FRAME_MAX));
        MUST(wire_end(&w) && buf_ok(&out->body));
    }
    return out->body.n == out->body_bytes;
}

void drive_answer(int agent, const struct drive_job *job, enum job_outcome outcome, uint16_t code, const char *status,
                  const char *diagnostic) {
    uint8_t storage[1024];
    for (uint16_t i = 0; i < job->n; i++) {
        struct buf b = BUF_OVER(storage);
        wire_put_u64(&b, job->number);
        wire_put_u16(&b, job->index[i]);
        wire_put_u8(&b, (uint8_t)outcome);
        wire_put_u16(&b, code);
        wire_put_text(&b, status);
        wire_put_text(&b, diagnostic);
        wire_put_text(&b, "next.example");
        MUST(frame_send(agent, JOB_RESULT, buf_span(&b)) == 0);
    }
    struct buf b = BUF_OVER(storage);
    wire_put_u64(&b, job->number);
    MUST(frame_send(agent, JOB_DONE, buf_span(&b)) == 0);
}

int drive_control(struct queue_driver *driver, const char *verb, const char *argument, const char *value,
                  int *rows_out) {
    uint8_t storage[1024];
    struct buf b = BUF_OVER(storage);
    struct frame frame;
    wire_put_text(&b, verb);
    if (argument) wire_put_text(&b, argument), wire_put_text(&b, value);
    MUST(frame_send(driver->command, CONTROL_REQUEST, buf_span(&b)) == 0);
    for (*rows_out = 0; drive_frame(driver->command, 10000, &frame) && frame.type == CONTROL_ROW; ++*rows_out)
        continue;
    return frame.type == CONTROL_END && frame.body.n ? frame.body.p[0] : -1;
}
