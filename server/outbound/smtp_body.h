/* smtp_body.h - a message's octets on their way to another server. */
#ifndef SERVER_OUTBOUND_SMTP_BODY_H
#define SERVER_OUTBOUND_SMTP_BODY_H

#include "server/outbound/job.h"
#include "server/outbound/smtp_stream.h"

struct smtp_body {
    uint64_t bytes; /* with CRLF line ends, without dots added */
    bool has_8bit;
};

/* Reads the whole body once. False with errno when it cannot be read. */
bool smtp_body_survey(const struct job *job, struct smtp_body *out) MUST_USE;

/* Sends the body with every line end as CRLF, dots stuffed (RFC 5321 4.5.2), and the final dot; limit_ms for each
 * block. False with *read_error_out (errno) when it could not be read, or 0 when the stream broke. The final dot
 * is then not sent. */
bool smtp_body_send(const struct job *job, struct smtp_stream *stream, uint64_t limit_ms,
                    int *read_error_out) MUST_USE;

#endif
