/* command_sendmail.c - a message from standard input to our own server: all of its recipients, or nothing.
 * Runs in: the command line, as any user of this host. Trusts: who owns the run directory. Never: says that it was
 * sent before the server has; needs a right that its caller has not. */
#include "server/process/command_sendmail.h"

#include "server/process/command.h"
#include "server/process/command_run.h"
#include "server/process/sockets.h"
#include "server/submit/submit_address.h"
#include "server/submit/submit_header.h"
#include "server/submit/submit_options.h"
#include "server/submit/submit_read.h"
#include "server/submit/submit_talk.h"

#include <errno.h>
#include <pwd.h>
#include <signal.h>
#include <stdlib.h>
#include <sysexits.h>
#include <unistd.h>

static const char *base_name(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

int command_sendmail_at(int argc, char *const *argv) {
    const char *name = argc > 0 ? base_name(argv[0]) : "";
    if (strcmp(name, "sendmail") == 0 || strcmp(name, "mailq") == 0 || strcmp(name, "newaliases") == 0) return 0;
    int at = 1;
    while (at < argc && argv[at][0] == '-')
        at += strcmp(argv[at], "-c") == 0 || strcmp(argv[at], "--config") == 0 ? 2 : 1;
    return at < argc && strcmp(argv[at], "sendmail") == 0 ? at : -1;
}

int command_run_sendmail(const struct command_line *line) {
    (void)line; /* its options are its own: what stands between gatepost and sendmail is one of ours, and of no use */
    fputs("sendmail: takes no option of gatepost's but --config before its name\n", stderr);
    return EX_USAGE;
}

static const char *config_of(char *const *before) {
    const char *config = getenv("GATEPOST_CONFIG");
    for (int i = 1; before && before[i] && strcmp(before[i], "sendmail") != 0; i++) {
        if (strncmp(before[i], "--config=", 9) == 0) config = before[i] + 9;
        if (strcmp(before[i], "-c") == 0 || strcmp(before[i], "--config") == 0) config = before[++i];
    }
    return config && *config ? config : COMMAND_CONFIG;
}

/* ---- the way to the server */

/* Nobody loses a message by a status that is not 0: who called still has it. */
static int say(int status, const char *what, const char *why) {
    fprintf(stderr, "sendmail: %s%s%s\n", what, *why ? ": " : "", why);
    return status;
}

static int connect_to(const char *config, struct submit_talk *talk) {
    char path[4096], why[4400];
    struct buf b = BUF_OVER(path);
    char directory[4000];
    if (!conf_run_directory(config, directory, sizeof directory))
        return say(EX_CONFIG, config, "run_directory is too long");
    buf_put_format(&b, "%s/%s", directory, SOCKETS_SUBMIT);
    buf_put_octet(&b, 0);
    talk->fd = submit_talk_connect(path);
    if (talk->fd >= 0) return EX_OK;
    snprintf(why, sizeof why, "%s: %s", path, strerrordesc_np(errno));
    if (errno == EACCES || errno == EPERM) return say(EX_NOPERM, "this user may not send", why);
    return say(EX_TEMPFAIL, "the server is not running; nothing was sent, try again later", why);
}

/* What the server said, and what that comes to. */
static int refused(const struct submit_talk *talk, const char *what) {
    char text[sizeof talk->reply];
    snprintf(text, sizeof text, "%s", talk->reply);
    for (size_t n = strlen(text); n && text[n - 1] == '\n'; n--) text[n - 1] = 0;
    for (char *p = text; *p; p++)
        if (*p == '\n') *p = ' ';
    if (!talk->code) return say(EX_TEMPFAIL, "the server left before its answer; nothing is known to be sent", what);
    int status = say(submit_talk_status(talk), what, text);
    /* The reply is written for mail programs elsewhere. */
    if (strstr(text, "(relay-denied)"))
        fputs("sendmail: mail of this host stays on it: see delivery.foreign and local.relay in gatepost.conf(5)\n",
              stderr);
    return status;
}

/* ---- the message */

static int read_message(const struct submit_options *options, struct submit_text *message, bool *eight_bit_out) {
    uint8_t octets[16 << 10];
    struct submit_reader reader = {.out = message, .dots_are_text = options->dots_are_text};
    ssize_t n;
    while (!reader.ended && ((n = read(STDIN_FILENO, octets, sizeof octets)) > 0 || (n < 0 && errno == EINTR)))
        if (n > 0) submit_read(&reader, span_of(octets, (size_t)n));
    if (!reader.ended && n < 0) return say(EX_IOERR, "reading the message", strerrordesc_np(errno));
    submit_read_end(&reader);
    *eight_bit_out = reader.eight_bit;
    if (message->failed)
        return say(EX_OSERR, "the message does not fit into memory, or is too large for any mail", "");
    if (reader.nul)
        return say(EX_DATAERR, "the message holds a NUL octet, which no mail can (RFC 5322)", "encode it");
    return EX_OK;
}

/* The field of /etc/passwd that names people; & is the login, capitalized or not. */
static struct span full_name(const struct submit_options *options) {
    if (options->name) return span_text(options->name);
    const struct passwd *user = getpwuid(getuid());
    const char *gecos = user && user->pw_gecos && !strchr(user->pw_gecos, '&') ? user->pw_gecos : "";
    return span_trim(span_of(gecos, strcspn(gecos, ",")));
}

struct submission {
    const struct submit_options *options;
    struct submit_talk talk;
    struct span domain;                 /* of addresses that have none */
    uint8_t user[SUBMIT_ADDRESS_MAX];   /* who the server says that we are */
    uint8_t sender[SUBMIT_ADDRESS_MAX]; /* may be empty */
    size_t user_n, sender_n;
    bool eight_bit, utf8;
    struct submit_text message, ready;
    struct submit_recipients recipients;
};

static int greet(struct submission *s) {
    if (!submit_talk_hear(&s->talk) || s->talk.code != 220) return refused(&s->talk, "not welcome");
    if (!submit_talk_say(&s->talk, SPAN("EHLO localhost")) || s->talk.code != 250) return refused(&s->talk, "EHLO");
    struct span user = submit_talk_keyword(&s->talk, "XUSER");
    if (!user.n || user.n > sizeof s->user)
        return say(EX_NOPERM, "the server knows no user of this host with your uid", "");
    memcpy(s->user, user.p, user.n);
    s->user_n = user.n;
    size_t at = user.n;
    while (at > 0 && s->user[at - 1] != '@') at--;
    s->domain = span_of(s->user + at, s->user_n - at);
    return EX_OK;
}

/* -f, completed; the caller's own address without. */
static int find_sender(struct submission *s) {
    struct submit_recipients one = {0};
    const char *given = s->options->sender;
    int status = EX_OK;
    if (!given) {
        memcpy(s->sender, s->user, s->user_n);
        s->sender_n = s->user_n;
        return EX_OK;
    }
    submit_header_addresses(&one, span_text(given), s->domain);
    if (one.n == 1 && !one.too_long && !one.text.failed && one.text.n - 1 <= sizeof s->sender) {
        s->sender_n = one.text.n - 1;
        memcpy(s->sender, one.text.p, s->sender_n);
    } else if (one.n || given[strspn(given, " \t<>")]) {
        status = say(EX_DATAERR, "-f", "not one address");
    }
    submit_text_free(&one.text);
    return status;
}

static int prepare(struct submission *s) {
    struct submit_header header = {.domain = s->domain,
                                   .from_name = full_name(s->options),
                                   .from =
                                       s->sender_n ? span_of(s->sender, s->sender_n) : span_of(s->user, s->user_n),
                                   .take_recipients = s->options->from_headers};
    for (size_t i = 0; i < s->options->n_recipients; i++)
        submit_header_addresses(&s->recipients, span_text(s->options->recipients[i]), s->domain);
    submit_header_put(&header, submit_text_span(&s->message), &s->ready, &s->recipients);
    if (s->ready.failed || s->recipients.text.failed) return say(EX_OSERR, "no memory for the message", "");
    if (s->recipients.too_long) return say(EX_DATAERR, "a recipient is longer than any address", "");
    if (s->recipients.n == 0) return say(EX_DATAERR, "no recipient was named, nor is one in the header", "");
    s->utf8 =
        !span_is_ascii(span_of(s->sender, s->sender_n)) || !span_is_ascii(submit_text_span(&s->recipients.text));
    return EX_OK;
}

/* RFC 3461 4: xtext. */
static void put_xtext(struct buf *b, const char *text) {
    for (; *text; text++) {
        uint8_t c = (uint8_t)*text;
        if (c > ' ' && c < 127 && c != '+' && c != '=')
            buf_put_octet(b, c);
        else
            buf_put_format(b, "+%02X", c);
    }
}

static int say_sender(struct submission *s) {
    char line[2048];
    struct buf b = BUF_OVER(line);
    const struct submit_options *options = s->options;
    buf_put_text(&b, "MAIL FROM:<");
    buf_put_span(&b, span_of(s->sender, s->sender_n));
    buf_put_format(&b, "> SIZE=%zu", s->ready.n);
    if (s->eight_bit || options->eight_bit) buf_put_text(&b, " BODY=8BITMIME");
    if (s->utf8) buf_put_text(&b, " SMTPUTF8");
    if (options->returned) buf_put_format(&b, " RET=%s", options->returned);
    if (options->envid) buf_put_text(&b, " ENVID="), put_xtext(&b, options->envid);
    if (!submit_talk_say(&s->talk, buf_span(&b)) || s->talk.code != 250) {
        snprintf(line, sizeof line, "sender %.*s", (int)s->sender_n, (const char *)s->sender);
        return refused(&s->talk, line);
    }
    return EX_OK;
}

/* All, or none: a status that is not 0 means that nobody was sent anything. */
static int say_recipients(struct submission *s) {
    const char *recipient = (const char *)s->recipients.text.p;
    for (size_t i = 0; i < s->recipients.n; i++, recipient += strlen(recipient) + 1) {
        char line[1024];
        struct buf b = BUF_OVER(line);
        buf_put_format(&b, "RCPT TO:<%s>", recipient);
        if (s->options->notify) buf_put_format(&b, " NOTIFY=%s", s->options->notify);
        if (submit_talk_say(&s->talk, buf_span(&b)) && s->talk.code == 250) continue;
        snprintf(line, sizeof line, "recipient %s", recipient);
        return refused(&s->talk, line);
    }
    return EX_OK;
}

/* As one chunk (RFC 3030): no dot is special in it. */
static int say_message(struct submission *s) {
    char line[64];
    struct buf b = BUF_OVER(line);
    buf_put_format(&b, "BDAT %zu LAST\r\n", s->ready.n);
    if (s->talk.trace) fprintf(s->talk.trace, ">>> %.*s", (int)b.n, line);
    bool sent = submit_talk_send(&s->talk, buf_span(&b)) && submit_talk_send(&s->talk, submit_text_span(&s->ready));
    bool heard = submit_talk_hear(&s->talk); /* it may have said why it left */
    return sent && heard && s->talk.code == 250 ? EX_OK : refused(&s->talk, "message");
}

static int deliver(const struct submit_options *options, const char *config) {
    struct submission s = {.options = options, .talk = {.fd = -1, .trace = options->verbose ? stderr : NULL}};
    /* First all of it: who writes may take hours, and no connection lasts so long. */
    int status = read_message(options, &s.message, &s.eight_bit);
    if (!status) status = connect_to(config, &s.talk);
    if (!status) status = greet(&s);
    if (!status) status = find_sender(&s);
    if (!status) status = prepare(&s);
    if (!status) status = say_sender(&s);
    if (!status) status = say_recipients(&s);
    if (!status) status = say_message(&s);
    if (s.talk.fd >= 0) {
        if (s.talk.code && s.talk.code != 421) (void)!submit_talk_say(&s.talk, SPAN("QUIT")); /* it is decided */
        close(s.talk.fd);
    }
    submit_text_free(&s.message);
    submit_text_free(&s.ready);
    submit_text_free(&s.recipients.text);
    return status;
}

static int speak_smtp(const char *config) {
    struct submit_talk talk = {.fd = -1};
    int status = connect_to(config, &talk);
    if (status) {
        puts("421 4.3.2 The server cannot be reached, please try again later\r");
        return status;
    }
    bool fine = submit_talk_pipe(&talk, STDIN_FILENO, STDOUT_FILENO);
    close(talk.fd);
    return fine ? EX_OK : say(EX_TEMPFAIL, "the dialogue broke off", "");
}

static int run_command(const char *config, const char *word, const char *option) {
    char *argv[] = {(char *)(uintptr_t) "gatepost",
                    (char *)(uintptr_t) "--config",
                    (char *)(uintptr_t)config,
                    (char *)(uintptr_t) "queue",
                    (char *)(uintptr_t)word,
                    (char *)(uintptr_t)option,
                    NULL};
    return command_main(option ? 6 : 5, argv);
}

int command_sendmail(int argc, char **argv, char *const *before) {
    struct submit_options options;
    const char *config = config_of(before);
    int status = submit_options_parse(argc, argv, &options, stderr);
    signal(SIGPIPE, SIG_IGN);
    if (status) return status;
    switch (options.mode) {
    case SUBMIT_DELIVER:
        return deliver(&options, config);
    case SUBMIT_SMTP:
        return speak_smtp(config);
    case SUBMIT_LIST:
        return run_command(config, "list", NULL);
    case SUBMIT_FLUSH:
        return run_command(config, "retry", "--all");
    case SUBMIT_ALIASES:
        puts("aliases are in the server's database: gatepost alias list");
        return EX_OK;
    case SUBMIT_HELP:
        submit_options_help(stdout);
        return EX_OK;
    }
    return EX_SOFTWARE;
}
