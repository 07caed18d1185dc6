/* command_ask.c - one request, rows, an end.
 * Runs in: the command line. Trusts: whoever owns the control sockets' directory. Never: waits longer than
 * command_patience_seconds for the next row. */
#include "server/process/command_ask.h"

#include "server/process/stand_alone.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/un.h>
#include <unistd.h>

unsigned command_patience_seconds = 60;

static const char *socket_name(enum role role) {
    if (role == ROLE_AUTH) return "auth";
    if (role == ROLE_QUEUE) return "queue";
    return role == ROLE_MASTER ? "status" : NULL;
}

static int be_patient(int fd) {
    struct timeval wait = {.tv_sec = command_patience_seconds};
    if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait) != 0) return -1;
    return setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait);
}

int command_connect(const struct conf *conf, enum role role) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const char *name = socket_name(role);
    if (!name) abort();
    int n = snprintf(address.sun_path, sizeof address.sun_path, "%s/%s.sock", conf->run_directory, name);
    if (n < 0 || (size_t)n >= sizeof address.sun_path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (fd < 0) return -1;
    /* Where nobody accepts, connect(2) waits for a place, as long as a send may wait. */
    if (be_patient(fd) == 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0) return fd;
    int error = errno;
    close(fd);
    errno = error;
    return -1;
}

static int send_request(int fd, const char *verb, const struct command_value *values, size_t n) {
    static uint8_t storage[FRAME_BODY_MAX];
    struct buf b = BUF_OVER(storage);
    wire_put_text(&b, verb);
    for (size_t i = 0; i < n; i++) {
        wire_put_text(&b, values[i].name);
        wire_put_text(&b, values[i].text);
    }
    int result = -1;
    if (!buf_ok(&b))
        errno = EMSGSIZE;
    else
        result = frame_send(fd, CONTROL_REQUEST, buf_span(&b));
    buf_wipe(&b);
    return result;
}

static int say_end(struct span body, struct command_print *print) {
    struct wire w = wire_over(body);
    int code = wire_get_u8(&w);
    struct span message = wire_get_span(&w, FRAME_BODY_MAX);
    if (!wire_end(&w)) {
        fputs("gatepost: the server's answer is malformed\n", stderr);
        return CONTROL_FAILED;
    }
    if (!message.n) return code;
    /* What was asked to be data stays data. */
    bool warns = span_starts_nocase(message, SPAN("warning: "));
    bool plain = code == CONTROL_OK && !warns && (print->form == PRINT_TABLE || print->form == PRINT_TALL);
    FILE *out = plain ? print->out : stderr;
    if (!plain)
        fputs("gatepost: ", out);
    else if (print->rows)
        fputc('\n', out);
    command_print_clean(message, out);
    fputc('\n', out);
    return code;
}

/* The answer until its end: 0, or an exit code. */
static int receive_answer(int fd, struct command_print *print, struct frame *end) {
    static uint8_t storage[FRAME_MAX];
    char late[80];
    snprintf(late, sizeof late, "no answer from the server within %u seconds", command_patience_seconds);
    for (;;) {
        enum frame_status status = frame_receive(fd, storage, false, end);
        if (status == FRAME_RECEIVED && end->type == CONTROL_END) return 0;
        if (status == FRAME_RECEIVED && end->type == CONTROL_ROW && command_print_row(print, end->body)) {
            if (print->stop || ferror(print->out)) return CONTROL_FAILED; /* the output is why, and main says so */
            continue;
        }
        const char *why = "the server's answer is malformed";
        if (status == FRAME_NONE) why = late;
        if (status == FRAME_CLOSED) why = "the server ended the connection before its answer was complete";
        if (status == FRAME_ERROR) why = strerror(errno);
        fprintf(stderr, "gatepost: %s\n", why);
        return CONTROL_UNAVAILABLE;
    }
}

int command_exchange(int fd, const char *verb, const struct command_value *values, size_t n,
                     struct command_print *print) {
    struct frame end;
    if (be_patient(fd) != 0 || send_request(fd, verb, values, n) != 0) {
        fprintf(stderr, "gatepost: cannot ask the server: %s\n", strerror(errno));
        return CONTROL_UNAVAILABLE;
    }
    int result = receive_answer(fd, print, &end);
    command_print_close(print);
    return result == 0 ? say_end(end.body, print) : result;
}

const char *command_why(int error) {
    return error == EAGAIN ? "the server takes no question; it is stopped, or has too many to answer"
                           : strerror(error);
}

int command_reach(const struct conf *conf, enum role role) {
    int fd = command_connect(conf, role);
    if (fd >= 0) return fd;
    if (errno == ENOENT || errno == ECONNREFUSED) return stand_alone_start(conf, role);
    const char *hint = errno == EACCES ? " (it answers root and the user that it was started as)" : "";
    fprintf(stderr, "gatepost: %s/%s.sock: %s%s\n", conf->run_directory, socket_name(role), command_why(errno), hint);
    return -1;
}

int command_ask_values(const struct command_line *line, const struct conf *conf, const struct command_value *values,
                       size_t n, enum print_form form) {
    struct command_print print;
    command_print_open(&print, stdout, form);
    return command_ask_print(line, conf, values, n, &print);
}

int command_ask_print(const struct command_line *line, const struct conf *conf, const struct command_value *values,
                      size_t n, struct command_print *print) {
    int fd = command_reach(conf, line->command->asks);
    if (fd < 0) return CONTROL_UNAVAILABLE;
    int code = command_exchange(fd, line->command->name, values, n, print);
    if (print->form == PRINT_JSON) fputc('\n', print->out);
    fflush(print->out);
    stand_alone_end(fd);
    return code;
}

int command_ask(const struct command_line *line, enum print_form form) {
    struct conf *conf = conf_read(line->config, stderr);
    if (!conf) return CONTROL_FAILED;
    struct command_value values[COMMAND_VALUES];
    size_t n = line->n;
    if (n) memcpy(values, line->values, n * sizeof values[0]);
    /* Who answers in sentences otherwise (explain) is to send data. */
    if (line->json && n < COMMAND_VALUES) values[n++] = (struct command_value){"json", "yes"};
    int code = command_ask_values(line, conf, values, n, form);
    conf_free(conf);
    return code;
}
