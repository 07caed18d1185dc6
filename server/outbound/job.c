/* job.c - receiving messages from the queue and reporting on them.
 * Runs in: agents. Trusts: the queue's frames to be whole, not what the texts in them hold. Never: reads further than
 * the next whole message. */
#include "server/outbound/job.h"

#include "store/disk.h"
#include "store/envelope.h"
#include "store/log.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

void job_free(struct job *job) {
    if (!job) return;
    if (job->fd >= 0) close(job->fd);
    free(job->recipients);
    free(job->body);
    free(job->head);
    free(job);
}

static void read_recipients(struct job *job, struct wire *w) {
    job->n_recipients = wire_get_u16(w);
    if (job->n_recipients == 0 || job->n_recipients > w->rest.n) log_bug("job without a sound number of recipients");
    if (!(job->recipients = calloc(job->n_recipients, sizeof *job->recipients))) log_bug("no memory for a job");
    for (size_t i = 0; i < job->n_recipients && !w->bad; i++) {
        struct job_recipient *recipient = &job->recipients[i];
        recipient->index = wire_get_u16(w);
        recipient->address = wire_get_span(w, ENVELOPE_TEXT_MAX);
        recipient->original = wire_get_span(w, ENVELOPE_TEXT_MAX);
        recipient->notify = wire_get_u8(w);
        recipient->orcpt = wire_get_span(w, ENVELOPE_TEXT_MAX);
    }
}

static struct job *read_open(struct frame *frame) {
    struct job *job = calloc(1, sizeof *job);
    if (!job || !(job->head = malloc(frame->body.n + 1))) log_bug("no memory for a job");
    memcpy(job->head, frame->body.p, frame->body.n);
    struct wire w = wire_over(span_of(job->head, frame->body.n));
    job->number = wire_get_u64(&w);
    job->maybe_delivered = wire_get_u8(&w) != 0;
    job->arrival = wire_get_u64(&w);
    job->name = wire_get_span(&w, MESSAGE_NAME_MAX);
    job->flags = wire_get_u8(&w);
    job->dsn_return = wire_get_u8(&w);
    job->envid = wire_get_span(&w, ENVELOPE_TEXT_MAX);
    job->sender = wire_get_span(&w, ENVELOPE_TEXT_MAX);
    job->body_bytes = wire_get_u64(&w);
    read_recipients(job, &w);
    if (!wire_end(&w)) log_bug("job does not parse");
    job->fd = frame->fd;
    frame->fd = -1;
    if (job->fd < 0 && job->body_bytes > JOB_BODY_BYTES_MAX) log_bug("job too large for frames");
    if (job->fd < 0 && !(job->body = malloc((size_t)job->body_bytes + 1))) log_bug("no memory for a job");
    return job;
}

static struct job **find(struct job_inbox *inbox, uint64_t number) {
    for (size_t i = 0; i < JOB_OPEN_MAX; i++)
        if (inbox->open[i] && inbox->open[i]->number == number) return &inbox->open[i];
    return NULL;
}

static struct job **find_free(struct job_inbox *inbox) {
    for (size_t i = 0; i < JOB_OPEN_MAX; i++)
        if (!inbox->open[i]) return &inbox->open[i];
    return NULL;
}

/* The place of the job that the frame belongs to. */
static struct job **take_frame(struct job_inbox *inbox, struct frame *frame) {
    if (frame->type == JOB_OPEN) {
        struct job *job = read_open(frame);
        struct job **place = find(inbox, job->number) ? NULL : find_free(inbox);
        if (!place) log_bug("job opened twice, or too many jobs");
        *place = job;
        return place;
    }
    struct wire w = wire_over(frame->body);
    struct job **place = find(inbox, wire_get_u64(&w));
    struct span octets = wire_get_span(&w, FRAME_MAX);
    if (frame->type != JOB_BODY || frame->fd >= 0 || !wire_end(&w) || !place || !(*place)->body ||
        octets.n > (*place)->body_bytes - (*place)->body_read)
        log_bug("frame from the queue out of turn");
    if (octets.n) memcpy((*place)->body + (*place)->body_read, octets.p, octets.n);
    (*place)->body_read += octets.n;
    return place;
}

static bool is_whole(const struct job *job) {
    return job->fd >= 0 || job->body_read == job->body_bytes;
}

/* Whether whoever forked us is gone, or wants us to leave. */
static bool is_cut(const struct job_inbox *inbox) {
    struct pollfd wait = {inbox->lifeline, 0, 0};
    return poll(&wait, 1, 0) > 0;
}

/* The next frame, of a bundle or by itself. */
static enum frame_status next_frame(struct job_inbox *inbox, struct frame *out) {
    static uint8_t storage[FRAME_MAX];
    for (;;) {
        if (frame_bundle_next(&inbox->rest, out)) return FRAME_RECEIVED;
        if (!wire_end(&inbox->rest)) return FRAME_MALFORMED;
        enum frame_status status = frame_receive(inbox->channel, storage, true, out);
        if (status != FRAME_RECEIVED || out->type != FRAME_BUNDLE) return status;
        if (out->fd >= 0) log_bug("bundle with a descriptor");
        inbox->rest = wire_over(out->body);
    }
}

enum job_status job_receive(struct job_inbox *inbox, int wait_ms, struct job **out) {
    struct frame frame;
    /* Also while there is more to do: the queue gives it to another. */
    if (!inbox->rest.rest.n && is_cut(inbox)) return JOB_GONE;
    for (;;) {
        enum frame_status status = next_frame(inbox, &frame);
        if (status == FRAME_RECEIVED) {
            struct job **place = take_frame(inbox, &frame);
            if (!is_whole(*place)) continue;
            *out = *place;
            *place = NULL;
            return JOB_COMPLETE;
        }
        if (status == FRAME_MALFORMED) log_bug("malformed frame from the queue");
        if (status != FRAME_NONE) return JOB_GONE;
        if (wait_ms == 0) return JOB_IDLE;
        struct pollfd waits[2] = {{inbox->channel, POLLIN, 0}, {inbox->lifeline, 0, 0}};
        int n = poll(waits, 2, wait_ms);
        if (n < 0 && errno != EINTR) return JOB_GONE;
        if (n > 0 && waits[1].revents) return JOB_GONE;
        if (n == 0) wait_ms = 0;
    }
}

ssize_t job_body_read(const struct job *job, uint64_t offset, uint8_t *out, size_t n) {
    if (offset >= job->body_bytes) return 0;
    if (n > job->body_bytes - offset) n = (size_t)(job->body_bytes - offset);
    if (job->fd < 0) {
        memcpy(out, job->body + offset, n);
        return (ssize_t)n;
    }
    ssize_t got;
    do got = disk_calls()->pread(job->fd, out, n, (off_t)offset);
    while (got < 0 && errno == EINTR);
    if (got == 0) { /* the file ends before the message does */
        errno = EIO;
        return -1;
    }
    return got;
}

/* The queue reads what agents send whatever else it does; it is waited for unless it is gone. */
static void send_frame(struct job_inbox *inbox, uint16_t type, struct span body) {
    while (frame_send(inbox->channel, type, body) != 0 && errno == EAGAIN) {
        struct pollfd waits[2] = {{inbox->channel, POLLOUT, 0}, {inbox->lifeline, 0, 0}};
        if (poll(waits, 2, -1) < 0 && errno != EINTR) return;
        if (waits[1].revents) return;
    }
}

void job_gather(struct job_inbox *inbox, void *storage, size_t n) {
    inbox->outgoing = (struct frame_bundle){.b = buf_over(storage, n)};
}

void job_flush(struct job_inbox *inbox) {
    struct span body;
    if (!inbox->outgoing.frames) return;
    uint16_t type = frame_bundle_type(&inbox->outgoing, &body);
    send_frame(inbox, type, body);
    frame_bundle_clear(&inbox->outgoing);
}

static void say(struct job_inbox *inbox, uint16_t type, struct span body) {
    if (inbox->outgoing.b.p && frame_bundle_add(&inbox->outgoing, type, body)) return;
    job_flush(inbox);
    if (!inbox->outgoing.b.p || !frame_bundle_add(&inbox->outgoing, type, body)) send_frame(inbox, type, body);
}

static void put_printable(struct buf *b, struct span text) {
    uint8_t storage[JOB_DIAGNOSTIC_MAX];
    struct buf clean = BUF_OVER(storage);
    text = span_part(text, 0, JOB_DIAGNOSTIC_MAX);
    for (size_t i = 0; i < text.n; i++)
        buf_put_octet(&clean, text.p[i] >= 0x20 && text.p[i] < 0x7f ? text.p[i] : '?');
    wire_put_span(b, buf_span(&clean));
}

void job_answer(struct job_inbox *inbox, struct job *job, size_t recipient, const struct job_answer *answer) {
    uint8_t storage[2 * JOB_DIAGNOSTIC_MAX + 128];
    struct buf b = BUF_OVER(storage);
    if (job->recipients[recipient].answered) return;
    job->recipients[recipient].answered = true;
    wire_put_u64(&b, job->number);
    wire_put_u16(&b, job->recipients[recipient].index);
    wire_put_u8(&b, (uint8_t)answer->outcome);
    wire_put_u16(&b, answer->code);
    wire_put_text(&b, answer->status);
    put_printable(&b, answer->diagnostic);
    put_printable(&b, answer->remote);
    say(inbox, JOB_RESULT, buf_span(&b));
}

void job_sending(struct job_inbox *inbox, const struct job *job) {
    uint8_t storage[8];
    struct buf b = BUF_OVER(storage);
    wire_put_u64(&b, job->number);
    send_frame(inbox, JOB_SENDING, buf_span(&b));
}

void job_finish(struct job_inbox *inbox, struct job *job, const struct job_answer *answer) {
    uint8_t storage[8];
    struct buf b = BUF_OVER(storage);
    for (size_t i = 0; i < job->n_recipients; i++) job_answer(inbox, job, i, answer);
    wire_put_u64(&b, job->number);
    say(inbox, JOB_DONE, buf_span(&b));
}
