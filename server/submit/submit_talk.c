/* submit_talk.c - lines to the server, and its replies.
 * Runs in: the command line. Trusts: who owns the socket's directory. Never: waits for ever. */
#include "server/submit/submit_talk.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

enum {
    CONNECT_TRIES = 30,
    ABSENT_TRIES = 3,
    CONNECT_PAUSE_MS = 100,
    PLACE_SECONDS = 30,       /* in the queue of those who connect */
    REPLY_MS = 10 * 60 * 1000 /* RFC 5321 4.5.3.2.6 */
};

static int connect_once(const struct sockaddr_un *address) {
    struct timeval wait = {.tv_sec = PLACE_SECONDS};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return -1;
    if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait) == 0 &&
        connect(fd, (const struct sockaddr *)address, sizeof *address) == 0) {
        wait.tv_sec = REPLY_MS / 1000;
        if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait) == 0) return fd;
    }
    int error = errno;
    close(fd);
    errno = error;
    return -1;
}

int submit_talk_connect(const char *path) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(address.sun_path, path, strlen(path) + 1);
    for (int tries = 1;; tries++) {
        int fd = connect_once(&address);
        if (fd >= 0) return fd;
        /* The socket is there, and nobody listens: the server is down, or is started again at this moment; a new
         * socket takes the old one's place in a moment in which there is none. */
        int most = errno == ECONNREFUSED ? CONNECT_TRIES : errno == ENOENT ? ABSENT_TRIES : 0;
        if (tries >= most) return -1;
        nanosleep(&(struct timespec){.tv_nsec = CONNECT_PAUSE_MS * 1000000L}, NULL);
    }
}

static bool wait_for(int fd, short events) {
    struct pollfd wait = {fd, events, 0};
    int n;
    do n = poll(&wait, 1, REPLY_MS);
    while (n < 0 && errno == EINTR);
    return n > 0;
}

bool submit_talk_send(struct submit_talk *talk, struct span octets) {
    while (octets.n) {
        ssize_t n = send(talk->fd, octets.p, octets.n, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return false;
        octets = span_from(octets, (size_t)n);
    }
    return true;
}

static bool next_octet(struct submit_talk *talk, uint8_t *out) {
    if (talk->from == talk->to) {
        if (!wait_for(talk->fd, POLLIN)) return false;
        ssize_t n = read(talk->fd, talk->buffer, sizeof talk->buffer);
        if (n <= 0) return false;
        talk->from = 0;
        talk->to = (size_t)n;
    }
    *out = talk->buffer[talk->from++];
    return true;
}

bool submit_talk_hear(struct submit_talk *talk) {
    size_t n = 0, line = 0;
    uint8_t c, start[4];
    talk->code = 0;
    talk->reply[0] = 0;
    for (;;) {
        if (!next_octet(talk, &c)) return false;
        if (c == '\n') {
            if (line < 3) return false;
            if (n + 1 < sizeof talk->reply) talk->reply[n++] = '\n', talk->reply[n] = 0;
            if (line == 3 || start[3] != '-') break;
            line = 0;
            continue;
        }
        if (c == '\r') continue;
        if (line < sizeof start) start[line] = c;
        line++;
        bool shown = c >= ' ' && c != 127;
        if (n + 1 < sizeof talk->reply) talk->reply[n++] = (char)(shown ? c : '?'), talk->reply[n] = 0;
    }
    uint64_t code;
    if (!span_number(span_of(start, 3), 599, &code) || code < 200) return false;
    talk->code = (unsigned)code;
    if (talk->trace) fputs(talk->reply, talk->trace);
    return true;
}

bool submit_talk_say(struct submit_talk *talk, struct span line) {
    if (talk->trace) fprintf(talk->trace, ">>> %.*s\n", (int)line.n, (const char *)line.p);
    return submit_talk_send(talk, line) && submit_talk_send(talk, SPAN("\r\n")) && submit_talk_hear(talk);
}

struct span submit_talk_keyword(const struct submit_talk *talk, const char *word) {
    size_t n = strlen(word);
    for (const char *line = talk->reply; *line; line += strcspn(line, "\n") + 1) {
        size_t all = strcspn(line, "\n");
        if (all > 4 + n && strncmp(line + 4, word, n) == 0 && line[4 + n] == ' ')
            return span_of(line + 5 + n, all - 5 - n);
        if (!line[all]) break;
    }
    return span_of(NULL, 0);
}

/* By the status code of the last line (RFC 3463), else by the reply's class. */
int submit_talk_status(const struct submit_talk *talk) {
    static const struct {
        const char *status;
        int exit;
    } rows[] = {{"5.1.1 ", EX_NOUSER}, {"5.1.2 ", EX_NOHOST}, {"5.1.3 ", EX_DATAERR}, {"5.1.7 ", EX_DATAERR},
                {"5.7.", EX_NOPERM},   {"5.6.", EX_DATAERR},  {"5.5.", EX_SOFTWARE}};
    if (talk->code / 100 == 2 || talk->code / 100 == 3) return EX_OK;
    if (talk->code == 0 || talk->code / 100 == 4) return EX_TEMPFAIL;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (strncmp(talk->reply + 4, rows[i].status, strlen(rows[i].status)) == 0) return rows[i].exit;
    return EX_UNAVAILABLE;
}

/* ---- -bs */

/* A line's end is CRLF on its way to the server, until chunks are sent: their octets are counted. */
static bool pump_up(struct submit_talk *talk, int in, struct submit_text *line, bool *raw, bool *open) {
    uint8_t octets[4096];
    ssize_t n = read(in, octets, sizeof octets);
    if (n < 0 && errno == EINTR) return true;
    if (n <= 0) {
        *open = false;
        bool sent = submit_talk_send(talk, submit_text_span(line));
        return shutdown(talk->fd, SHUT_WR) == 0 && sent;
    }
    if (*raw) return submit_talk_send(talk, span_of(octets, (size_t)n));
    for (struct span rest = span_of(octets, (size_t)n); rest.n;) {
        size_t end = span_find(rest, '\n');
        submit_text_put(line, span_part(rest, 0, end));
        rest = span_from(rest, end);
        if (!rest.n) break;
        if (line->n && line->p[line->n - 1] == '\r') line->n--;
        *raw = *raw || span_starts_nocase(submit_text_span(line), SPAN("BDAT "));
        submit_text_put(line, SPAN("\r\n"));
        rest = span_from(rest, 1);
        if (*raw) submit_text_put(line, rest), rest.n = 0;
        if (line->failed || !submit_talk_send(talk, submit_text_span(line))) return false;
        line->n = 0;
    }
    return true;
}

static bool pump_down(const struct submit_talk *talk, int out, bool *open) {
    uint8_t octets[4096];
    ssize_t n = read(talk->fd, octets, sizeof octets);
    if (n < 0 && errno == EINTR) return true;
    *open = n > 0;
    for (ssize_t at = 0; at < n;) {
        ssize_t written = write(out, octets + at, (size_t)(n - at));
        if (written < 0 && errno != EINTR) return false;
        at += written > 0 ? written : 0;
    }
    return n >= 0;
}

bool submit_talk_pipe(struct submit_talk *talk, int in, int out) {
    struct submit_text line = {0};
    bool raw = false, up = true, down = true, fine = true;
    while (down && fine) {
        struct pollfd waits[] = {{up ? in : -1, POLLIN, 0}, {talk->fd, POLLIN, 0}};
        if (poll(waits, 2, -1) < 0 && errno != EINTR) fine = false;
        if (fine && waits[1].revents) fine = pump_down(talk, out, &down);
        /* What the server says last is shown, whatever becomes of what is still sent. */
        if (fine && down && waits[0].revents && !pump_up(talk, in, &line, &raw, &up)) up = false;
    }
    submit_text_free(&line);
    return fine;
}
