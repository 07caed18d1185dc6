/* mailbox_session.c - the other sides of mailbox agents.
 * Runs in: tests. Trusts: the test. Never: waits without a limit. */
#include "tests/unit/mailbox_session.h"

#include "server/outbound/delivery.h"
#include "server/outbound/outbound_setup.h"
#include "server/process/sandbox.h"
#include "store/log.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static uint8_t storage[FRAME_MAX];

void mailbox_world_start(struct mailbox_world *world, uint32_t mailboxes_max) {
    uint8_t octets[8192], filter[4096];
    struct buf b = BUF_OVER(octets), f = BUF_OVER(filter);
    int queue[2], auth[2];
    /* Under valgrind a filter cannot be installed. */
    if (!getenv("GATEPOST_THIN")) cr_assert_eq(sandbox_mailbox_filter(&f), 0);
    delivery_setup_put(&b, &(struct delivery_setup){SPAN("mx.example.test"), 4, mailboxes_max, buf_span(&f)});
    scratch_make(world->root);
    cr_assert(buf_ok(&b) && frame_pair(queue, true) == 0 && frame_pair(auth, true) == 0);
    struct driver_link links[] = {
        {true, {ROLE_QUEUE, 0, queue[1]}},
        {true, {ROLE_AUTH, 0, auth[1]}},
        {false, {DESCRIPTOR_DIRECTORY, 0, open(world->root, O_RDONLY | O_DIRECTORY)}},
    };
    world->driver = driver_start(delivery_run, ROLE_DELIVERY, buf_span(&b), links, 3);
    world->queue = queue[0], world->auth = auth[0];
    for (size_t i = 0; i < 3; i++) close(links[i].link.fd);
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *walk) {
    (void)status, (void)type, (void)walk;
    return remove(path);
}

/* Whether delivery said that an agent ended badly. */
static bool said_bad_end(int log) {
    bool said = false;
    struct frame frame;
    while (frame_receive(log, storage, false, &frame) == FRAME_RECEIVED) {
        struct wire w = wire_over(frame.body);
        said = said || (frame.type == LOG_LINE && wire_get_u16(&w) == LOG_CHILD_EXITED);
    }
    return said;
}

void mailbox_world_stop(struct mailbox_world *world) {
    cr_expect(world->kills || !said_bad_end(world->driver.log), "an agent ended badly");
    int status = driver_stop(&world->driver);
    cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %d", status);
    close(world->queue), close(world->auth);
    (void)nftw(world->root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

int mailbox_session_begin(const struct mailbox_world *world, const char *user) {
    uint8_t octets[1024];
    struct buf b = BUF_OVER(octets);
    int ends[2];
    cr_assert_eq(frame_pair(ends, true), 0);
    wire_put_text(&b, "session1");
    wire_put_text(&b, user);
    cr_assert_eq(frame_send_fd(world->auth, MAILBOX_WANTED, buf_span(&b), ends[0]), 0);
    close(ends[0]);
    return ends[1];
}

/* The next frame, of this type; false when the agent is gone. */
static bool receive(int session, uint16_t type, struct wire *out) {
    struct frame frame;
    if (!driver_receive(session, storage, &frame)) return false;
    cr_assert(frame.type == type && frame.fd < 0, "frame %#x, not %#x", frame.type, type);
    *out = wire_over(frame.body);
    return true;
}

bool mailbox_session_opened(int session, struct mailbox_opened *out) {
    struct wire w;
    if (!receive(session, MAILBOX_OPENED, &w)) return false;
    *out = (struct mailbox_opened){(enum mailbox_answer)wire_get_u8(&w), wire_get_u32(&w), wire_get_u64(&w)};
    cr_assert(wire_end(&w));
    return true;
}

int mailbox_session(const struct mailbox_world *world, const char *user, struct mailbox_opened *opened_out) {
    int session = mailbox_session_begin(world, user);
    cr_assert(mailbox_session_opened(session, opened_out));
    return session;
}

void mailbox_session_say(int session, uint16_t type, const void *p, size_t n) {
    struct pollfd wait = {session, POLLOUT, 0};
    while (frame_send(session, type, span_of(p, n)) != 0 && errno == EAGAIN) cr_assert_eq(poll(&wait, 1, 30000), 1);
}

int mailbox_session_list(int session, uint32_t first, uint16_t most,
                         struct mailbox_session_entry out[SESSION_IDS_MAX]) {
    uint8_t octets[6];
    struct buf b = BUF_OVER(octets);
    struct mailbox_entry entry;
    struct wire w;
    wire_put_u32(&b, first);
    wire_put_u16(&b, most);
    mailbox_session_say(session, MAILBOX_LIST, b.p, b.n);
    if (!receive(session, MAILBOX_ENTRIES, &w)) return -1;
    cr_assert_eq(wire_get_u32(&w), first);
    int n = wire_get_u16(&w);
    for (int i = 0; i < n; i++) {
        cr_assert(mailbox_entry_get(&w, &entry));
        if (i >= SESSION_IDS_MAX) continue;
        out[i].bytes = entry.bytes;
        memcpy(out[i].id, entry.unique_id.p, entry.unique_id.n);
        out[i].id[entry.unique_id.n] = 0;
    }
    cr_assert(wire_end(&w));
    return n;
}

ssize_t mailbox_session_read(int session, uint32_t index, uint32_t lines, uint8_t *out, size_t room) {
    uint8_t octets[8];
    struct buf b = BUF_OVER(octets);
    size_t n = 0;
    wire_put_u32(&b, index);
    wire_put_u32(&b, lines);
    mailbox_session_say(session, MAILBOX_READ, b.p, b.n);
    for (;;) {
        struct frame frame;
        if (!driver_receive(session, storage, &frame)) return -2;
        if (frame.type == MAILBOX_END) {
            cr_assert_eq(frame.body.n, 1);
            return frame.body.p[0] ? (ssize_t)n : -1;
        }
        cr_assert(frame.type == MAILBOX_BODY && frame.body.n && frame.body.n <= room - n);
        memcpy(out + n, frame.body.p, frame.body.n);
        n += frame.body.n;
    }
}

bool mailbox_session_quit(int session, uint64_t marks) {
    uint8_t octets[12];
    struct buf b = BUF_OVER(octets);
    wire_put_u32(&b, 0);
    wire_put_u64(&b, marks);
    while (b.n > 4 && octets[b.n - 1] == 0) b.n--;
    if (marks) mailbox_session_say(session, MAILBOX_MARK, b.p, b.n);
    buf_clear(&b);
    wire_put_u32(&b, (uint32_t)__builtin_popcountll(marks));
    return frame_send(session, MAILBOX_QUIT, buf_span(&b)) == 0;
}

bool mailbox_session_done(int session, uint32_t *removed_out, uint32_t *failed_out) {
    struct wire w;
    if (!receive(session, MAILBOX_DONE, &w)) return false;
    *removed_out = wire_get_u32(&w), *failed_out = wire_get_u32(&w);
    cr_assert(wire_end(&w));
    return true;
}

bool mailbox_session_ended(int session) {
    struct frame frame;
    return !driver_receive(session, storage, &frame);
}

void mailbox_kill_agents(struct mailbox_world *world) {
    char path[64];
    int pid;
    (void)snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)world->driver.pid, (int)world->driver.pid);
    world->kills = true;
    FILE *children = fopen(path, "r");
    while (children && fscanf(children, "%d", &pid) == 1) kill(pid, SIGKILL);
    if (children) fclose(children);
}

void mailbox_put(const struct mailbox_world *world, const char *user, const char *path, struct span octets) {
    char place[512], *at;
    (void)snprintf(place, sizeof place, "%s/example.test/%s/%s", world->root, user, path);
    for (at = place + strlen(world->root) + 1; (at = strchr(at, '/')); *at++ = '/') {
        *at = 0;
        cr_assert(mkdir(place, 0700) == 0 || errno == EEXIST);
    }
    int fd = open(place, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    cr_assert(fd >= 0 && write(fd, octets.p, octets.n) == (ssize_t)octets.n, "%s", place);
    close(fd);
}
