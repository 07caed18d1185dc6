/* main_pop3_login.c - the program gatepost-pop3-login: tells gatepost that a user has logged in at another server,
 * and becomes the program that it was called with, whatever came of it (gatepost-pop3-login.8). Runs in: where a POP3
 * or IMAP server calls it, as that server's user. Trusts: who calls it, for name and address. Never: reads or writes
 * a descriptor that it did not open, prints where there is a program to become, waits longer than WAIT_MS. */
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

/* The contract says 200 ms; what is left is for the machine to be busy. */
enum { WAIT_MS = 100, RECORD_MAX = 1024, ANSWER_MAX = 256 };

/* As sysexits.h and the command line of gatepost have it; 111 is "try again" to tcpserver and its like. */
enum { EXIT_REFUSED = 1, EXIT_USAGE = 2, EXIT_UNAVAILABLE = 69, EXIT_NO_PROGRAM = 111 };

struct call {
    const char *socket, *user, *address, *service;
    char **program; /* and its arguments; NULL: none */
    bool wrong;     /* it was called with something that is no option */
};

/* ---- who logged in, from where */

static const char *filled(const char *name) {
    const char *value = getenv(name);
    return value && *value ? value : NULL;
}

/* What the caller's environment says and the command line does not: IP and USER of Dovecot's script-login;
 * TCPREMOTEIP (tcpserver; couriertcpd; Dovecot's checkpassword) or TCP6REMOTEIP with AUTHUSER or USER of what checked
 * the password. Dovecot's master users log in as others: it is not the user who is at that address. */
static void ask_environment(struct call *call) {
    const char *dovecot = filled("IP"), *tcp = filled("TCPREMOTEIP");
    bool master = filled("MASTER_USER");
    if (!tcp) tcp = filled("TCP6REMOTEIP");
    if (!call->user && !dovecot && !master) call->user = filled("AUTHUSER");
    if (!call->user && !master) call->user = filled("USER");
    if (!call->address) call->address = dovecot ? dovecot : tcp;
    if (!call->service) call->service = filled("SERVICE");
    if (!call->service) call->service = "pop3";
}

/* The value of an option, from the same argument or the next. */
static bool takes(const char *name, char ***at, const char **value_out) {
    size_t n = strlen(name);
    if (strncmp(**at, name, n) != 0) return false;
    if ((**at)[n] == '=') {
        *value_out = **at + n + 1;
        return true;
    }
    if ((**at)[n] || !(*at)[1]) return false;
    *value_out = *++*at;
    return true;
}

static void read_arguments(struct call *call, char **at) {
    for (; *at && **at == '-'; at++) {
        if (strcmp(*at, "--") == 0) {
            at++;
            break;
        }
        if (!takes("--socket", &at, &call->socket) && !takes("--user", &at, &call->user) &&
            !takes("--address", &at, &call->address) && !takes("--service", &at, &call->service))
            call->wrong = true; /* nothing is told; the program is run all the same */
    }
    if (*at) call->program = at;
}

/* ---- telling */

static bool put(char *record, size_t *n, const char *text) {
    size_t more = strlen(text) + 1;
    if (more > RECORD_MAX - *n) return false;
    memcpy(record + *n, text, more);
    *n += more;
    return true;
}

static long long now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

/* The answer, as long as there is time for one. */
static ssize_t hear(int fd, char *answer, long long deadline_ms) {
    for (;;) {
        struct pollfd wait = {fd, POLLIN, 0};
        long long left_ms = deadline_ms - now_ms();
        if (left_ms <= 0) return -1;
        int ready = poll(&wait, 1, (int)left_ms);
        if (ready > 0) return recv(fd, answer, ANSWER_MAX - 1, MSG_DONTWAIT);
        if (ready < 0 && errno != EINTR) return -1;
    }
}

/* 0, EXIT_REFUSED, or EXIT_UNAVAILABLE. The answer is text, or empty. */
static int tell(const struct call *call, char answer[ANSWER_MAX]) {
    long long deadline_ms = now_ms() + WAIT_MS;
    struct sockaddr_un where = {.sun_family = AF_UNIX};
    char record[RECORD_MAX];
    size_t n = 0;
    ssize_t heard = -1;
    answer[0] = 0;
    if (strlen(call->socket) >= sizeof where.sun_path) return EXIT_UNAVAILABLE;
    memcpy(where.sun_path, call->socket, strlen(call->socket));
    if (!put(record, &n, "gatepost-login 1") || !put(record, &n, call->user) || !put(record, &n, call->address) ||
        !put(record, &n, call->service))
        return EXIT_REFUSED;
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) return EXIT_UNAVAILABLE;
    if (connect(fd, (struct sockaddr *)&where, sizeof where) == 0 &&
        send(fd, record, n, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)n)
        heard = hear(fd, answer, deadline_ms);
    close(fd);
    answer[heard > 0 ? heard : 0] = 0;
    if (heard <= 0) return EXIT_UNAVAILABLE;
    return strcmp(answer, "ok") == 0 ? 0 : EXIT_REFUSED;
}

/* ---- without a program: somebody waits for words */

static int explain(const struct call *call, int status, const char *answer) {
    if (call->wrong) {
        fputs("usage: gatepost-pop3-login [--socket PATH] [--user NAME] [--address ADDRESS] [--service NAME]\n"
              "                           [--] [program [argument ...]]\n",
              stderr);
        return EXIT_USAGE;
    }
    if (!call->user || !call->address) {
        fputs("gatepost-pop3-login: there is no user or no address; give --user and --address\n", stderr);
        return EXIT_USAGE;
    }
    if (status == EXIT_UNAVAILABLE)
        fprintf(stderr, "gatepost-pop3-login: no answer at %s\n", call->socket);
    else if (status != 0)
        fprintf(stderr, "gatepost-pop3-login: %s\n", *answer ? answer : "the name is too long");
    return status;
}

int main(int argc, char **argv) {
    struct call call = {.socket = "/run/gatepost/login.sock"};
    char answer[ANSWER_MAX] = "";
    int status = EXIT_USAGE;
    read_arguments(&call, argc ? argv + 1 : argv);
    ask_environment(&call);
    if (!call.wrong && call.user && call.address) status = tell(&call, answer);
    if (!call.program) return explain(&call, status, answer);
    execvp(call.program[0], call.program);
    return EXIT_NO_PROGRAM;
}
