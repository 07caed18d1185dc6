/* command_user.c - credentials: a new password becomes hashes and keys here, and only these travel.
 * Runs in: the command line. Trusts: the owner's terminal. Never: keeps or sends a password. */
#include "server/process/command_ask.h"
#include "server/process/command_derive.h"
#include "server/process/command_run.h"
#include "server/process/command_secret.h"
#include "server/process/stand_alone.h"

#include "store/base64.h"

#include <errno.h>
#include <sys/random.h>
#include <unistd.h>

/* ---- where the password comes from */

/* Whose password it is: that of a separate name, or the user's. */
static const char *owner(const struct command_line *line) {
    const char *name = command_value(line, "name");
    return name ? name : command_value(line, "login");
}

static int read_stdin(struct secret *out) {
    if (command_secret_read(STDIN_FILENO, out) == 0) return 0;
    if (errno == EMSGSIZE)
        fprintf(stderr, "gatepost: the password is longer than %d octets\n", SECRET_MAX);
    else
        fprintf(stderr, "gatepost: no password on standard input%s%s\n", errno ? ": " : "",
                errno ? strerror(errno) : "");
    return CONTROL_FAILED;
}

static int draw(struct secret *out) {
    if (command_secret_generate(out) == 0) return 0;
    fprintf(stderr, "gatepost: no random numbers: %s\n", strerror(errno));
    return CONTROL_FAILED;
}

static bool is_drawn(const struct command_line *line, bool app) {
    return app || command_value(line, "generate");
}

/* 0, or the exit code after saying why there is no password. */
static int get_password(const struct command_line *line, bool app, struct secret *out) {
    int code = 0;
    if (is_drawn(line, app))
        code = draw(out);
    else if (command_value(line, "password-stdin"))
        code = read_stdin(out);
    else if (command_secret_ask(owner(line), out) != 0)
        code = CONTROL_FAILED;
    if (code) return code;
    const char *fault = command_secret_fault(out);
    if (fault) fprintf(stderr, "gatepost: this password is not taken: %s\n", fault);
    return fault ? CONTROL_REFUSED : 0;
}

/* ---- whom it is for */

struct answer {
    struct command_enrolment *enrolment;
    bool login, salt;
};

/* The row of "user enrolment". */
static bool take_row(void *context, struct span row) {
    struct answer *answer = context;
    struct command_enrolment *to = answer->enrolment;
    struct buf salt = BUF_OVER(to->salt);
    struct wire w = wire_over(row);
    while (w.rest.n && !w.bad) {
        char name[32];
        wire_get_text(&w, name, sizeof name);
        bool text = wire_get_u8(&w) == CONTROL_TEXT;
        struct span value = text ? wire_get_span(&w, FRAME_BODY_MAX) : span_of(NULL, 0);
        uint64_t number = text ? 0 : wire_get_u64(&w);
        if (strcmp(name, "login") == 0 && value.n < sizeof to->login) {
            memcpy(to->login, value.p, value.n);
            answer->login = value.n > 0;
        }
        if (strcmp(name, "salt") == 0) answer->salt = base64_decode(value, &salt) && salt.n == salt.cap;
        if (strcmp(name, "spa") == 0) to->spa = number == 1;
    }
    return true;
}

/* Asked before the password is: there may be no such user. */
static int ask_enrolment(const struct command_line *line, const struct conf *conf, struct command_enrolment *out) {
    bool separate = strncmp(line->command->name, "user login ", 11) == 0;
    struct command_value values[] = {{"login", command_value(line, "login")}, {"name", command_value(line, "name")}};
    struct answer answer = {.enrolment = out};
    struct command_print print;
    command_print_open(&print, stdout, PRINT_OCTETS);
    print.take = take_row;
    print.context = &answer;
    int fd = command_reach(conf, ROLE_AUTH);
    if (fd < 0) return CONTROL_UNAVAILABLE;
    int code = command_exchange(fd, "user enrolment", values, separate ? 2 : 1, &print);
    stand_alone_end(fd);
    if (code || (answer.login && answer.salt)) return code;
    fputs("gatepost: the server's answer is malformed\n", stderr);
    return CONTROL_FAILED;
}

static int make_enrolment(struct command_enrolment *out) {
    if (getrandom(out->salt, sizeof out->salt, 0) == (ssize_t)sizeof out->salt) return 0;
    fprintf(stderr, "gatepost: no random numbers: %s\n", strerror(errno));
    return CONTROL_FAILED;
}

/* ---- the change */

static int send_derived(const struct command_line *line, const struct conf *conf, bool drawn,
                        const struct command_derived *derived) {
    struct command_value values[COMMAND_VALUES];
    enum print_form form = line->json ? PRINT_JSON : PRINT_TABLE;
    size_t n = 0;
    for (size_t i = 0; i < line->n && n + 4 < COMMAND_VALUES; i++)
        if (strcmp(line->values[i].name, "generate") != 0 && strcmp(line->values[i].name, "password-stdin") != 0)
            values[n++] = line->values[i];
    values[n++] = (struct command_value){"hash", derived->hash};
    values[n++] = (struct command_value){"salt", derived->salt};
    values[n++] = (struct command_value){"scram", derived->scram};
    if (*derived->nt) values[n++] = (struct command_value){"nt", derived->nt};
    if (line->json && drawn) form = PRINT_OCTETS; /* the password is the answer */
    return command_ask_values(line, conf, values, n, form);
}

static void show_json(const char *key, const char *value) {
    fprintf(stdout, "\"%s\": ", key);
    command_print_json(span_text(value), stdout);
    fputs(", ", stdout);
}

/* The one time that it is shown. */
static void show(const struct command_line *line, const struct secret *password) {
    const char *name = command_value(line, "name");
    if (line->json) {
        fputs("[\n  {", stdout);
        show_json("login", command_value(line, "login"));
        if (name) show_json("name", name);
        fputs("\"password\": \"", stdout);
    }
    fwrite(password->octets, 1, password->n, stdout);
    fputs(line->json ? "\"}\n]\n" : "\n", stdout);
}

static int run(const struct command_line *line, const struct conf *conf, bool app, struct secret *password,
               struct command_derived *derived) {
    struct command_enrolment enrolment = {0};
    int code = strcmp(line->command->name, "user add") == 0 ? make_enrolment(&enrolment)
                                                            : ask_enrolment(line, conf, &enrolment);
    /* Who is to be enrolled is not yet. */
    if (strcmp(line->command->name, "user spa enable") == 0) enrolment.spa = true;
    if (!code) code = get_password(line, app, password);
    if (!code && command_derive(conf, &enrolment, password, app, derived) != 0) code = CONTROL_FAILED;
    if (!code) code = send_derived(line, conf, is_drawn(line, app), derived);
    if (!code && is_drawn(line, app)) show(line, password);
    return code;
}

int command_run_password(const struct command_line *line) {
    bool app = strcmp(line->command->name, "user app-password add") == 0;
    struct secret password = {0};
    struct command_derived derived = {0};
    if (command_value(line, "generate") && command_value(line, "password-stdin")) {
        fputs("gatepost: --generate and --password-stdin exclude each other\n", stderr);
        return CONTROL_USAGE;
    }
    struct conf *conf = conf_read(line->config, stderr);
    if (!conf) return CONTROL_FAILED;
    int code = run(line, conf, app, &password, &derived);
    secret_wipe(&password);
    explicit_bzero(&derived, sizeof derived);
    conf_free(conf);
    return code;
}
