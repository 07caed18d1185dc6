/* fake_smarthost.c - scripts played over a socket.
 * Runs in: tests. Trusts: the test. */
#include "tests/unit/fake_smarthost.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LINE_BYTES = 8192 };

/* Octet by octet, so that nothing is read that TLS needs. */
static bool read_line(int fd, char *line, size_t size) {
    size_t n = 0;
    while (n + 1 < size && read(fd, line + n, 1) == 1)
        if (line[n++] == '\n') {
            line[n] = 0;
            return true;
        }
    line[n] = 0;
    return false;
}

static bool read_data(int fd, char *text, size_t size) {
    char line[LINE_BYTES];
    size_t n = 0;
    while (read_line(fd, line, sizeof line)) {
        if (strcmp(line, ".\r\n") == 0) return text[n] = 0, true;
        size_t length = strlen(line);
        if (length < 2 || line[length - 2] != '\r' || n + length >= size) return false;
        memcpy(text + n, line, length - 2);
        n += length - 2;
        text[n++] = '|';
    }
    return false;
}

static void complain(const char *wanted, size_t length, const char *got) {
    (void)fprintf(stderr, "smarthost wanted [%.*s], got [%s]\n", (int)length, wanted, got);
    _exit(1);
}

/* "|" is a line end; all in one write. */
static void say_raw(int fd, const char *text, size_t n) {
    char octets[LINE_BYTES];
    size_t length = 0;
    for (size_t i = 0; i < n && length + 2 < sizeof octets; i++) {
        if (text[i] == '|') octets[length++] = '\r';
        octets[length++] = text[i] == '|' ? '\n' : text[i];
    }
    if (write(fd, octets, length) < 0) _exit(0);
}

_Noreturn void fake_smarthost_play(int fd, const char *script, void (*take_tls)(int, int *, int *)) {
    static char text[1 << 20];
    int in = fd, out = fd;
    for (const char *line = script; *line;) {
        size_t length = strcspn(line, "\n");
        const char *argument = length > 1 ? line + 2 : line + 1;
        size_t n = length > 1 ? length - 2 : 0;
        switch (*line) {
        case 'S':
            if (dprintf(out, "%.*s\r\n", (int)n, argument) < 0) _exit(0);
            break;
        case 'R':
            say_raw(out, argument, n);
            break;
        case 'C':
            if (!read_line(in, text, sizeof text)) complain(argument, n, text);
            if (strlen(text) != n + 2 || memcmp(text, argument, n) != 0 || strcmp(text + n, "\r\n") != 0)
                complain(argument, n, text);
            break;
        case 'D':
            if (!read_data(in, text, sizeof text)) complain(argument, n, text);
            if (n && (strlen(text) != n || memcmp(text, argument, n) != 0)) complain(argument, n, text);
            break;
        case 'T':
            take_tls(fd, &in, &out);
            break;
        case 'W':
            while (read(in, text, sizeof text) > 0) continue;
            break;
        default:
            _exit(0);
        }
        line += length + (line[length] == '\n');
    }
    _exit(0);
}

int fake_smarthost_dial(void *context, const char **why_out) {
    struct fake_smarthost *smarthost = context;
    int pair[2];
    *why_out = "no more scripts";
    if (smarthost->at == FAKE_CONNECTIONS || !smarthost->scripts[smarthost->at]) return -1;
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    pid_t pid = fork();
    if (pid == 0) {
        close(pair[0]);
        fake_smarthost_play(pair[1], smarthost->scripts[smarthost->at], smarthost->take_tls);
    }
    close(pair[1]);
    smarthost->pids[smarthost->at++] = pid;
    cr_assert_eq(fcntl(pair[0], F_SETFL, O_NONBLOCK), 0);
    return pair[0];
}

void fake_smarthost_end(struct fake_smarthost *smarthost, const char *name) {
    for (size_t i = 0; i < smarthost->at; i++) {
        int status = -1;
        cr_assert_eq(waitpid(smarthost->pids[i], &status, 0), smarthost->pids[i]);
        cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%s: connection %zu left its script", name, i);
    }
    cr_expect(smarthost->at == FAKE_CONNECTIONS || !smarthost->scripts[smarthost->at], "%s: too few connections",
              name);
}
