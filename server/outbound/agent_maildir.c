/* agent_maildir.c - messages from the queue into one Maildir, in batches of what has come.
 * Runs in: a Maildir agent, one per user. Trusts: the queue's frames, not the texts in them. Never: sees another
 * mailbox, reports a message before it is durable. */
#include "server/outbound/agent_maildir.h"

#include "server/outbound/maildir.h"
#include "server/process/confine.h"
#include "store/log.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

enum { READ_BYTES = 64 << 10, BROKEN_WAIT_MS = 1000, NO_NAME = -1, GATHER_FILES = 12, GATHER_MS = 3 };

static struct {
    const struct agent_maildir *agent;
    struct job_inbox *inbox;
    struct maildir maildir;
    struct maildir_batch batch;
    struct waiting { /* whose file it is; jobs are owned by their last file */
        struct job *job;
        size_t recipient;
        bool last;
    } waiting[MAILDIR_BATCH];
} room;

static struct job_answer answer_of(int error) {
    switch (error) {
    case 0:
        return (struct job_answer){.outcome = JOB_DELIVERED, .status = "2.0.0"};
    case EDQUOT:
        return (struct job_answer){.status = "4.2.2", .diagnostic = SPAN("mailbox is full")};
    case ENOSPC:
        return (struct job_answer){.status = "4.3.1", .diagnostic = SPAN("no space for mail")};
    default:
        return (struct job_answer){.status = "4.3.0", .diagnostic = span_text(strerrordesc_np(error))};
    }
}

static void commit(void) {
    struct maildir_batch *batch = &room.batch;
    int told = 0; /* what was logged of this batch: mostly all fail alike */
    maildir_commit(batch);
    for (size_t i = 0; i < batch->n; i++) {
        struct waiting *waiting = &room.waiting[i];
        int error = batch->files[i].error;
        struct job_answer answer = answer_of(error);
        if (error && error != told) log_fault("delivering into a Maildir", told = error);
        job_answer(room.inbox, waiting->job, waiting->recipient, &answer);
        if (!waiting->last) continue;
        job_finish(room.inbox, waiting->job, &answer);
        job_free(waiting->job);
    }
    job_flush(room.inbox);
    batch->n = 0;
}

/* An address in a header line: what could end the line is shown as '?'. */
static void write_address(size_t file, struct span text) {
    for (size_t i = 0; i < text.n; i++) {
        uint8_t c = text.p[i] < 0x20 || text.p[i] == 0x7f ? '?' : text.p[i];
        maildir_write(&room.batch, file, &c, 1);
    }
}

/* RFC 5321 4.4: the return path is added at final delivery. */
static void write_head(size_t file, const struct job *job, size_t recipient) {
    maildir_write(&room.batch, file, "Return-Path: <", 14);
    write_address(file, job->sender);
    maildir_write(&room.batch, file, ">\nDelivered-To: ", 16);
    write_address(file, job->recipients[recipient].address);
    maildir_write(&room.batch, file, "\n", 1);
}

/* Files of a Maildir have bare LF at the line ends; a CR elsewhere stays. */
static void write_body(size_t file, const struct job *job) {
    static uint8_t octets[READ_BYTES];
    bool held = false; /* a CR, until it is known what follows */
    ssize_t n;
    for (uint64_t at = 0; (n = job_body_read(job, at, octets, sizeof octets)) > 0; at += (uint64_t)n) {
        struct span rest = span_of(octets, (size_t)n);
        if (held && rest.p[0] != '\n') maildir_write(&room.batch, file, "\r", 1);
        held = rest.p[rest.n - 1] == '\r';
        if (held) rest.n--;
        while (rest.n) {
            size_t line = span_find(rest, '\r');
            bool end = line + 1 < rest.n && rest.p[line + 1] == '\n';
            maildir_write(&room.batch, file, rest.p, end || line == rest.n ? line : line + 1);
            rest = span_from(rest, line + 1);
        }
    }
    if (n < 0) maildir_abandon(&room.batch, file, errno);
    if (held) maildir_write(&room.batch, file, "\r", 1);
}

static void take_job(struct job *job) {
    for (size_t i = 0; i < job->n_recipients; i++) {
        const struct maildir_key key = {job->arrival, job->name, room.agent->hostname, job->recipients[i].index};
        if (room.batch.n == MAILDIR_BATCH) commit();
        bool last = i + 1 == job->n_recipients;
        size_t file = maildir_begin(&room.batch, &key, job->maybe_delivered);
        room.waiting[file] = (struct waiting){job, i, last};
        write_head(file, job, i);
        write_body(file, job);
        maildir_end(&room.batch, file);
    }
}

/* Answers everything alike: the mailbox cannot be had. Ends when the queue has nothing more for a while, so that
 * the next agent tries again; but a name that can never exist is final. */
static int refuse_all(const struct job_answer *answer) {
    struct job *job;
    enum job_status status;
    while ((status = job_receive(room.inbox, BROKEN_WAIT_MS, &job)) == JOB_COMPLETE) {
        job_finish(room.inbox, job, answer);
        job_flush(room.inbox);
        job_free(job);
    }
    return 0;
}

int agent_maildir_open(const struct agent_maildir *agent, struct job_inbox *inbox, int *directory) {
    static char domain[MAILDIR_NAME_SIZE], local[MAILDIR_NAME_SIZE];
    static uint8_t results[16 << 10];
    room.agent = agent, room.inbox = inbox, room.batch.maildir = &room.maildir, room.batch.n = 0;
    job_gather(inbox, results, sizeof results);
    if (!agent->capture) {
        if (!maildir_path(agent->destination, domain, local)) return NO_NAME;
        *directory = maildir_user(*directory, domain, local);
    }
    return *directory < 0 || maildir_open(&room.maildir, *directory) != 0 ? errno : 0;
}

/* A batch that is small waits a moment, once, for more: a flush of the disk costs much, and the same for all. */
static bool wait_for_more(void) {
    static bool waited;
    waited = room.batch.n < GATHER_FILES && !waited;
    if (waited) (void)poll(NULL, 0, GATHER_MS);
    return waited;
}

bool agent_maildir_round(int wait_ms) {
    struct job *job;
    enum job_status status = job_receive(room.inbox, room.batch.n ? 0 : wait_ms, &job);
    if (status == JOB_COMPLETE)
        take_job(job);
    else if (room.batch.n && (status == JOB_GONE || wait_ms >= 0 || !wait_for_more()))
        commit();
    if (room.batch.n == MAILDIR_BATCH) commit();
    return status != JOB_GONE;
}

int agent_maildir_run(const struct agent_maildir *agent, struct job_inbox *inbox, int directory) {
    int error = agent_maildir_open(agent, inbox, &directory);
    bool named = error != NO_NAME;
    if ((!error && confine_directory(directory) != 0) || confine_agent(agent->start) != 0) {
        log_fault("confining an agent", errno);
        return 1;
    }
    if (!named)
        return refuse_all(&(struct job_answer){
            .outcome = JOB_FAILED, .status = "5.1.3", .diagnostic = SPAN("no mailbox can have this name")});
    if (error) {
        struct job_answer answer = answer_of(error);
        log_fault("opening a Maildir", error);
        return refuse_all(&answer);
    }
    while (agent_maildir_round(-1)) continue;
    return 0;
}
