/* command_user.c - accounts: a new password becomes a hash here, and only the hash travels.
 * Runs in: the command line. Trusts: the owner's terminal. Never: keeps or sends a password. */
#include "server/process/command_ask.h"
#include "server/process/command_run.h"
#include "server/process/command_secret.h"

#include "auth/password.h"

#include <errno.h>
#include <unistd.h>

/* 0, or the exit code after saying why there is no password. */
static int get_password(const struct command_line *line, struct secret *out) {
    bool generate = command_value(line, "generate"), from_stdin = command_value(line, "password-stdin");
    if (generate && from_stdin) {
        fputs("gatepost: --generate and --password-stdin exclude each other\n", stderr);
        return CONTROL_USAGE;
    }
    if (generate && command_secret_generate(out) != 0) {
        fprintf(stderr, "gatepost: no random numbers: %s\n", strerror(errno));
        return CONTROL_FAILED;
    }
    if (from_stdin && command_secret_read(STDIN_FILENO, out) != 0) {
        if (errno == EMSGSIZE)
            fprintf(stderr, "gatepost: the password is longer than %d octets\n", SECRET_MAX);
        else
            fprintf(stderr, "gatepost: no password on standard input%s%s\n", errno ? ": " : "",
                    errno ? strerror(errno) : "");
        return CONTROL_FAILED;
    }
    if (!generate && !from_stdin && command_secret_ask(command_value(line, "login"), out) != 0) return CONTROL_FAILED;
    const char *fault = command_secret_fault(out);
    if (fault) fprintf(stderr, "gatepost: this password is not taken: %s\n", fault);
    return fault ? CONTROL_REFUSED : 0;
}

static int send_hash(const struct command_line *line, const struct conf *conf, const char *hash) {
    struct command_value values[] = {{"login", command_value(line, "login")}, {"hash", hash}};
    enum print_form form = line->json ? PRINT_JSON : PRINT_TABLE;
    if (line->json && command_value(line, "generate")) form = PRINT_OCTETS; /* the password is the answer */
    return command_ask_values(line, conf, values, 2, form);
}

/* The one time that it is shown. */
static void show(const struct command_line *line, const struct secret *password) {
    if (line->json) fputs("[\n  {\"login\": ", stdout);
    if (line->json) command_print_json(span_text(command_value(line, "login")), stdout);
    if (line->json) fputs(", \"password\": \"", stdout);
    fwrite(password->octets, 1, password->n, stdout);
    fputs(line->json ? "\"}\n]\n" : "\n", stdout);
}

int command_run_password(const struct command_line *line) {
    struct secret password = {0};
    char hash[VERIFY_HASH_BYTES] = "";
    struct conf *conf = conf_read(line->config, stderr);
    if (!conf) return CONTROL_FAILED;
    int code = get_password(line, &password);
    if (!code &&
        password_hash(secret_span(&password), conf->auth.argon2_memory_bytes, conf->auth.argon2_passes, hash) != 0) {
        fputs("gatepost: the password could not be hashed: too little memory\n", stderr);
        code = CONTROL_FAILED;
    }
    if (!code) code = send_hash(line, conf, hash);
    if (!code && command_value(line, "generate")) show(line, &password);
    secret_wipe(&password);
    explicit_bzero(hash, sizeof hash);
    conf_free(conf);
    return code;
}
