/* command_secret.c - passwords on their way in.
 * Runs in: the command line. Trusts: the terminal. Never: puts a password in an argument, a file or a log. */
#include "server/process/command_secret.h"

#include "auth/prepare.h"
#include "auth/sasl.h"
#include "auth/utf8.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/random.h>
#include <termios.h>
#include <unistd.h>

static const char *fault_of(struct span typed, struct secret *prepared) {
    size_t characters = 0;
    if (!utf8_clean(typed)) return "it holds control characters, or is not UTF-8";
    if (typed.n && !prepare_password(typed, prepared)) return "it holds a character that RFC 8265 does not allow";
    for (size_t i = 0; i < prepared->n; i++) characters += (prepared->octets[i] & 0xc0) != 0x80;
    if (characters < COMMAND_PASSWORD_LEAST) return "it is shorter than 8 characters";
    /* RFC 4616 2: no client can send more. */
    return prepared->n > SASL_PART_MAX ? "it is longer than 255 octets" : NULL;
}

const char *command_secret_fault(struct secret *password) {
    struct secret prepared = {0};
    const char *fault = fault_of(secret_span(password), &prepared);
    if (!fault) (void)secret_set(password, secret_span(&prepared));
    secret_wipe(&prepared);
    return fault;
}

int command_secret_generate(struct secret *out) {
    static const char alphabet[] = "abcdefghijkmnpqrstuvwxyz23456789"; /* 32: neither l, o, 0 nor 1 */
    uint8_t dice[20];
    out->n = 0;
    if (getrandom(dice, sizeof dice, 0) != (ssize_t)sizeof dice) return -1;
    for (size_t i = 0; i < sizeof dice; i++) {
        if (i && i % 5 == 0) out->octets[out->n++] = '-';
        out->octets[out->n++] = (uint8_t)alphabet[dice[i] % 32];
    }
    explicit_bzero(dice, sizeof dice);
    return 0;
}

int command_secret_read(int fd, struct secret *out) {
    uint8_t octet = 0;
    ssize_t n;
    errno = 0;
    for (out->n = 0; (n = read(fd, &octet, 1)) == 1 && octet != '\n'; out->octets[out->n++] = octet)
        if (out->n == SECRET_MAX) {
            errno = EMSGSIZE;
            return -1;
        }
    if (n < 0 || (n == 0 && !out->n)) return -1;
    if (out->n && out->octets[out->n - 1] == '\r') out->n--;
    return 0;
}

/* One line without echo. The interrupt key ends the line and arrives as an octet: the terminal is never left
 * silent. */
static int ask_once(int fd, const char *question, struct secret *out) {
    struct termios before, silent;
    if (tcgetattr(fd, &before) != 0) return -1;
    const uint8_t interrupt = before.c_cc[VINTR];
    silent = before;
    silent.c_lflag &= ~(tcflag_t)(ECHO | ISIG);
    silent.c_lflag |= ECHONL | ICANON;
    silent.c_iflag |= ICRNL;
    silent.c_cc[VEOL] = interrupt;
    if (tcsetattr(fd, TCSAFLUSH, &silent) != 0) return -1;
    dprintf(fd, "%s: ", question);
    ssize_t n = read(fd, out->octets, SECRET_MAX);
    int error = n < 0 ? errno : 0;
    if (tcsetattr(fd, TCSAFLUSH, &before) != 0) n = -1, error = errno;
    if (n > 0 && interrupt && memchr(out->octets, interrupt, (size_t)n)) n = -1, error = ECANCELED;
    if (n > 0 && out->octets[n - 1] == '\n') n--;
    if (n <= 0) dprintf(fd, "\n");
    out->n = n > 0 ? (uint16_t)n : 0;
    errno = error;
    return n > 0 ? 0 : -1;
}

int command_secret_ask(const char *login, struct secret *out) {
    struct secret again = {0};
    char question[400];
    int result = -1;
    int fd = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (fd < 0) {
        fputs("gatepost: no terminal to ask for the password: use --password-stdin or --generate\n", stderr);
        return -1;
    }
    snprintf(question, sizeof question, "Password for %s", login);
    if (ask_once(fd, question, out) != 0 || ask_once(fd, "Once more", &again) != 0) {
        fprintf(stderr, "gatepost: no password: %s\n", errno ? strerror(errno) : "nothing was typed");
    } else if (!span_equal(secret_span(out), secret_span(&again))) {
        fputs("gatepost: the two differ\n", stderr);
    } else {
        result = 0;
    }
    secret_wipe(&again);
    close(fd);
    return result;
}
