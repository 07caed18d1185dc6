/* smtp_stream.h - lines and octets over a non-blocking socket, in the clear or by TLS, with a deadline. The first
 * fault stays: everything after it fails at once. */
#ifndef SERVER_OUTBOUND_SMTP_STREAM_H
#define SERVER_OUTBOUND_SMTP_STREAM_H

#include "server/outbound/tls_client.h"
#include "store/buf.h"

enum { SMTP_STREAM_BYTES = 16 << 10, SMTP_LINE_MAX = 2048 };

struct smtp_stream {
    int fd; /* -1: closed */
    struct tls_client_session *tls;
    uint64_t deadline_ms;
    const char *fault; /* why it is broken, else NULL */
    bool timed_out;
    size_t at, n, n_out;
    uint8_t in[SMTP_STREAM_BYTES], out[SMTP_STREAM_BYTES];
};

/* Owns the socket from then on. */
void smtp_stream_open(struct smtp_stream *stream, int fd);
/* Closes, and wipes what was buffered. */
void smtp_stream_close(struct smtp_stream *stream);

/* From now on, what waits ends after so many ms. */
void smtp_stream_limit(struct smtp_stream *stream, uint64_t ms);

/* Turns TLS on. False with the words in *why_out; *certificate_out: it was the certificate. */
bool smtp_stream_secure(struct smtp_stream *stream, struct tls_client *client, const char *host, bool verify,
                        const char **why_out, bool *certificate_out) MUST_USE;

/* Buffers, sending where the buffer is full. */
void smtp_stream_put(struct smtp_stream *stream, struct span octets);
bool smtp_stream_flush(struct smtp_stream *stream);
/* The same, and wipes the buffer: for secrets. */
bool smtp_stream_flush_secret(struct smtp_stream *stream);

/* One line without its line end, valid until the next call. A line that ends in LF alone is taken; one longer than
 * SMTP_LINE_MAX is a fault. */
bool smtp_stream_line(struct smtp_stream *stream, struct span *line_out) MUST_USE;

/* Whether something came that was not read yet, or the other side has closed. */
bool smtp_stream_stirred(struct smtp_stream *stream);

#endif
