/* smtp_stream.c - buffered input and output with deadlines.
 * Runs in: SMTP agents. Trusts: nothing that it reads. Never: waits longer than its deadline. */
#include "server/outbound/smtp_stream.h"

#include "store/clock.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

void smtp_stream_open(struct smtp_stream *stream, int fd) {
    stream->fd = fd;
    stream->tls = NULL;
    stream->fault = NULL;
    stream->timed_out = false;
    stream->at = stream->n = stream->n_out = 0;
}

void smtp_stream_close(struct smtp_stream *stream) {
    tls_client_session_free(stream->tls);
    if (stream->fd >= 0) close(stream->fd);
    explicit_bzero(stream->in, sizeof stream->in);
    explicit_bzero(stream->out, sizeof stream->out);
    smtp_stream_open(stream, -1);
}

void smtp_stream_limit(struct smtp_stream *stream, uint64_t ms) {
    stream->deadline_ms = clock_ms() + ms;
}

static bool fail(struct smtp_stream *stream, const char *why) {
    if (!stream->fault) stream->fault = why;
    return false;
}

static bool wait_for(struct smtp_stream *stream, short events) {
    for (;;) {
        uint64_t now = clock_ms();
        struct pollfd wait = {stream->fd, events, 0};
        if (now < stream->deadline_ms) {
            uint64_t left = stream->deadline_ms - now;
            int n = poll(&wait, 1, left > 3600000 ? 3600000 : (int)left);
            if (n > 0) return true;
            if (n == 0 || errno == EINTR) continue;
            return fail(stream, "waiting failed");
        }
        stream->timed_out = true;
        return fail(stream, "timed out");
    }
}

/* What a step of TLS asks for: true to call it again. */
static bool wait_tls(struct smtp_stream *stream, enum tls_client_status status) {
    switch (status) {
    case TLS_CLIENT_WANTS_READ:
        return wait_for(stream, POLLIN);
    case TLS_CLIENT_WANTS_WRITE:
        return wait_for(stream, POLLOUT);
    case TLS_CLIENT_DONE:
        return true;
    case TLS_CLIENT_CLOSED:
    case TLS_CLIENT_FAILED:
        break;
    }
    return fail(stream, "the connection was closed");
}

bool smtp_stream_secure(struct smtp_stream *stream, struct tls_client *client, const char *host, bool verify,
                        const char **why_out, bool *certificate_out) {
    enum tls_client_status status;
    *certificate_out = false;
    *why_out = "TLS cannot be had";
    if (!client || !(stream->tls = tls_client_session_new(client, stream->fd, host, verify)))
        return fail(stream, *why_out);
    while ((status = tls_client_handshake(stream->tls)) != TLS_CLIENT_DONE)
        if (!wait_tls(stream, status)) {
            *why_out = status == TLS_CLIENT_FAILED ? tls_client_why(stream->tls, certificate_out) : stream->fault;
            return false;
        }
    return true;
}

/* One write; how much went, 0: wait was needed, or it is broken. */
static size_t write_some(struct smtp_stream *stream, const uint8_t *p, size_t n) {
    size_t done = 0;
    if (stream->tls) {
        enum tls_client_status status = tls_client_write(stream->tls, p, n, &done);
        return wait_tls(stream, status) && status == TLS_CLIENT_DONE ? done : 0;
    }
    ssize_t written = write(stream->fd, p, n);
    if (written > 0) return (size_t)written;
    if (written < 0 && errno == EAGAIN)
        wait_for(stream, POLLOUT);
    else if (written < 0 && errno != EINTR)
        fail(stream, "the connection was closed");
    return 0;
}

bool smtp_stream_flush(struct smtp_stream *stream) {
    for (size_t at = 0; at < stream->n_out && !stream->fault;)
        at += write_some(stream, stream->out + at, stream->n_out - at);
    stream->n_out = 0;
    return !stream->fault;
}

bool smtp_stream_flush_secret(struct smtp_stream *stream) {
    bool sent = smtp_stream_flush(stream);
    explicit_bzero(stream->out, sizeof stream->out);
    return sent;
}

void smtp_stream_put(struct smtp_stream *stream, struct span octets) {
    while (octets.n && !stream->fault) {
        struct span part = span_part(octets, 0, sizeof stream->out - stream->n_out);
        if (part.n) memcpy(stream->out + stream->n_out, part.p, part.n);
        stream->n_out += part.n;
        octets = span_from(octets, part.n);
        if (stream->n_out == sizeof stream->out) smtp_stream_flush(stream);
    }
}

static bool read_some(struct smtp_stream *stream) {
    size_t done = 0;
    if (stream->at) memmove(stream->in, stream->in + stream->at, stream->n - stream->at);
    stream->n -= stream->at;
    stream->at = 0;
    if (stream->tls) {
        enum tls_client_status status =
            tls_client_read(stream->tls, stream->in + stream->n, sizeof stream->in - stream->n, &done);
        if (!wait_tls(stream, status)) return false;
        if (status == TLS_CLIENT_DONE) stream->n += done;
        return true;
    }
    ssize_t got = read(stream->fd, stream->in + stream->n, sizeof stream->in - stream->n);
    if (got > 0)
        stream->n += (size_t)got;
    else if (got < 0 && errno == EAGAIN)
        return wait_for(stream, POLLIN);
    else if (got == 0 || errno != EINTR)
        return fail(stream, "the connection was closed");
    return true;
}

bool smtp_stream_line(struct smtp_stream *stream, struct span *line_out) {
    while (!stream->fault) {
        struct span held = span_of(stream->in + stream->at, stream->n - stream->at);
        size_t end = span_find(held, '\n');
        if (end > SMTP_LINE_MAX) return fail(stream, "a reply line is too long");
        if (end < held.n) {
            stream->at += end + 1;
            *line_out = span_part(held, 0, end && held.p[end - 1] == '\r' ? end - 1 : end);
            return true;
        }
        if (clock_ms() >= stream->deadline_ms) {
            stream->timed_out = true;
            return fail(stream, "timed out");
        }
        if (!read_some(stream)) return false;
    }
    return false;
}

bool smtp_stream_stirred(struct smtp_stream *stream) {
    struct pollfd wait = {stream->fd, POLLIN, 0};
    return stream->fault || stream->at < stream->n || poll(&wait, 1, 0) != 0;
}
