/* fake_queue.c - orders, jobs and answers as the queue sends and takes them.
 * Runs in: tests. Trusts: the test. */
#include "tests/unit/fake_queue.h"

#include "tests/unit/driver.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PART_BYTES = 60000 };

static void send_frame(int fd, uint16_t type, const struct buf *b, int passed) {
    cr_assert(buf_ok(b));
    while (frame_send_fd(fd, type, buf_span(b), passed) != 0) {
        struct pollfd wait = {fd, POLLOUT, 0};
        cr_assert(errno == EAGAIN && poll(&wait, 1, 30000) == 1, "the channel is broken or full");
    }
}

int fake_queue_agent(int channel, uint32_t agent, uint8_t kind, const char *destination) {
    static uint8_t storage[FRAME_MAX];
    struct buf b = BUF_OVER(storage);
    struct frame frame;
    wire_put_u32(&b, agent);
    wire_put_u8(&b, kind);
    wire_put_text(&b, destination);
    send_frame(channel, AGENT_WANTED, &b, -1);
    cr_assert(driver_receive(channel, storage, &frame));
    struct wire w = wire_over(frame.body);
    cr_assert_eq(wire_get_u32(&w), agent);
    return frame.type == AGENT_READY ? frame.fd : -1;
}

void fake_queue_send(int agent, const struct fake_job *job) {
    static uint8_t storage[FRAME_BODY_MAX];
    struct buf b = BUF_OVER(storage);
    int fd = -1;
    wire_put_u64(&b, job->number);
    wire_put_u8(&b, job->maybe_delivered);
    wire_put_u64(&b, 1700000000);
    wire_put_text(&b, job->name);
    wire_put_u8(&b, job->flags);
    wire_put_u8(&b, job->dsn_return);
    wire_put_text(&b, job->envid);
    wire_put_text(&b, job->sender);
    wire_put_u64(&b, job->body.n);
    wire_put_u16(&b, (uint16_t)job->n);
    for (size_t i = 0; i < job->n; i++) {
        wire_put_u16(&b, (uint16_t)(10 + i));
        wire_put_text(&b, job->recipients[i].address);
        wire_put_text(&b, job->recipients[i].address);
        wire_put_u8(&b, job->recipients[i].notify);
        wire_put_text(&b, job->recipients[i].orcpt);
    }
    if (job->as_file) {
        fd = memfd_create("body", MFD_CLOEXEC);
        cr_assert(fd >= 0 && write(fd, job->body.p, job->body.n) == (ssize_t)job->body.n);
    }
    send_frame(agent, JOB_OPEN, &b, fd);
    if (fd >= 0) close(fd);
    for (size_t at = 0; fd < 0 && at < job->body.n; at += PART_BYTES) {
        buf_clear(&b);
        wire_put_u64(&b, job->number);
        wire_put_span(&b, span_part(job->body, at, PART_BYTES));
        send_frame(agent, JOB_BODY, &b, -1);
    }
}

bool fake_queue_answer(int agent, struct fake_answer *out) {
    static uint8_t storage[FRAME_MAX];
    static struct wire rest; /* of a bundle */
    static int of;
    struct frame frame = {0};
    *out = (struct fake_answer){.index = -1};
    do {
        if (of != agent || !frame_bundle_next(&rest, &frame)) {
            if (!driver_receive(agent, storage, &frame)) return false;
            of = agent;
            if (frame.type == FRAME_BUNDLE) {
                rest = wire_over(frame.body);
                cr_assert(frame_bundle_next(&rest, &frame));
            }
        }
        out->sending |= frame.type == JOB_SENDING;
    } while (frame.type == JOB_SENDING);
    struct wire w = wire_over(frame.body);
    out->number = wire_get_u64(&w);
    if (frame.type == JOB_RESULT) {
        out->index = wire_get_u16(&w);
        out->outcome = wire_get_u8(&w);
        out->code = wire_get_u16(&w);
        wire_get_text(&w, out->status, sizeof out->status);
        wire_get_text(&w, out->diagnostic, sizeof out->diagnostic);
        wire_get_text(&w, out->remote, sizeof out->remote);
    } else
        cr_assert_eq(frame.type, JOB_DONE);
    cr_assert(wire_end(&w));
    return true;
}
