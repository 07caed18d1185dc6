/* smtp_reply.h - reading replies (RFC 5321 4.2), and what an answer to the queue looks like that comes from one. */
#ifndef SERVER_OUTBOUND_SMTP_REPLY_H
#define SERVER_OUTBOUND_SMTP_REPLY_H

#include "server/outbound/job.h"
#include "server/outbound/smtp_stream.h"

enum { SMTP_REPLY_LINES_MAX = 128, SMTP_STATUS_MAX = 16 };

struct smtp_reply {
    uint16_t code;
    char status[SMTP_STATUS_MAX]; /* enhanced status (RFC 2034) where the reply has one of its class, else made from
                                     the code */
    size_t n;
    uint8_t text[JOB_DIAGNOSTIC_MAX]; /* of all lines, cleaned */
};

/* Reads one reply; each line's text goes to `each` where that is not NULL. False when the stream is broken, also
 * by a reply that is none. */
bool smtp_reply_read(struct smtp_stream *stream, struct smtp_reply *out,
                     void (*each)(void *context, size_t line, struct span text), void *context) MUST_USE;

static inline bool smtp_reply_positive(const struct smtp_reply *reply) {
    return reply->code / 100 == 2;
}

/* A reply that is not positive as an answer: 5yz failed, everything else deferred. The answer points into the
 * reply. */
struct job_answer smtp_reply_answer(const struct smtp_reply *reply);

/* A reply of our own making, for faults that no reply tells of. */
void smtp_reply_make(struct smtp_reply *out, const char *status, const char *what, struct span detail);

#endif
