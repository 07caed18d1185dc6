/* job.h - an agent's side of its channel to the queue: messages in, one result per recipient out. */
#ifndef SERVER_OUTBOUND_JOB_H
#define SERVER_OUTBOUND_JOB_H

#include "store/frame.h"
#include "store/frames.h"

enum { JOB_OPEN_MAX = 256, JOB_BODY_BYTES_MAX = 8 << 20, JOB_DIAGNOSTIC_MAX = 400 };

struct job_recipient {
    uint16_t index;
    struct span address, original, orcpt;
    uint8_t notify; /* DSN_NOTIFY_ bits */
    bool answered;
};

struct job {
    uint64_t number, arrival, body_bytes;
    bool maybe_delivered;
    uint8_t flags, dsn_return;
    struct span name, envid, sender;
    struct job_recipient *recipients;
    size_t n_recipients;
    int fd;        /* body in a file of its own, or -1 */
    uint8_t *body; /* else in memory, body_bytes of it once it is whole */
    size_t body_read;
    uint8_t *head; /* the frame that the spans above point into */
    struct job *next;
};

/* Where an agent receives. Zero it, then set the descriptors. */
struct job_inbox {
    int channel;  /* to the queue, non-blocking */
    int lifeline; /* hangs up when the process that forked the agent is gone, or -1 */
    struct job *open[JOB_OPEN_MAX];
    struct wire rest;             /* of a bundle that came */
    struct frame_bundle outgoing; /* with a place for octets, results wait here for job_flush */
};

enum job_status {
    JOB_GONE = 0, /* the queue or our parent is gone: leave */
    JOB_COMPLETE, /* *out is a whole message; the caller owns it (job_free) */
    JOB_IDLE      /* nothing whole came in time */
};

/* Waits at most wait_ms (-1: for ever, 0: takes only what is there). A malformed frame is a bug of the queue's:
 * abort. */
enum job_status job_receive(struct job_inbox *inbox, int wait_ms, struct job **out) MUST_USE;

/* Reads octets of the body at `offset`, up to n of them; 0 at its end, -1 with errno. */
ssize_t job_body_read(const struct job *job, uint64_t offset, uint8_t *out, size_t n) MUST_USE;

struct job_answer {
    enum job_outcome outcome;
    uint16_t code;          /* the remote's reply code, or 0 */
    const char *status;     /* "4.4.1" */
    struct span diagnostic; /* cut and cleaned to printable characters when it is sent */
    struct span remote;     /* host name */
};

/* Reports one recipient, once: later answers for it are ignored. */
void job_answer(struct job_inbox *inbox, struct job *job, size_t recipient, const struct job_answer *answer);

/* From now on results go together: job_flush sends them, or their number does. */
void job_gather(struct job_inbox *inbox, void *storage, size_t n);
void job_flush(struct job_inbox *inbox);

/* Says that the message may soon be elsewhere: until it is answered nobody may think that it is not. */
void job_sending(struct job_inbox *inbox, const struct job *job);

/* Answers every recipient that has none yet, and says that the job is done. */
void job_finish(struct job_inbox *inbox, struct job *job, const struct job_answer *answer);

void job_free(struct job *job);

#endif
