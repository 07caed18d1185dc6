/* submit_options.c - sendmail's options: what is meant for a mailer of today is done, what is not is borne.
 * Runs in: the command line. Trusts: whoever calls. Never: takes an option behind the first recipient, where an
 * address from a web form could pass for one. */
#include "server/submit/submit_options.h"

#include <stdlib.h>
#include <sysexits.h>

static int usage(FILE *errors, const char *option, const char *why) {
    fprintf(errors, "sendmail: %s: %s\n", option, why);
    return EX_USAGE;
}

/* -bX */
static int set_mode(char letter, struct submit_options *out, FILE *errors) {
    char option[] = {'-', 'b', letter, 0};
    switch (letter) {
    case 'm':
        out->mode = SUBMIT_DELIVER;
        return 0;
    case 's':
        out->mode = SUBMIT_SMTP;
        return 0;
    case 'p':
        out->mode = SUBMIT_LIST;
        return 0;
    case 'i':
        out->mode = SUBMIT_ALIASES;
        return 0;
    case 'd':
    case 'D':
        return usage(errors, option, "the server is started by gatepost serve");
    case 'v':
    case 't':
        return usage(errors, option, "ask gatepost explain what would become of a mail");
    default:
        return usage(errors, option, "no such mode; -bm, -bs, -bp or -bi");
    }
}

/* -N: what of success, failure and delay, or never (RFC 3461 4.1). */
static bool is_notify(const char *text) {
    if (strcasecmp(text, "never") == 0) return true;
    for (;;) {
        size_t n = strcspn(text, ",");
        bool known = (n == 7 && strncasecmp(text, "success", n) == 0) ||
                     (n == 7 && strncasecmp(text, "failure", n) == 0) ||
                     (n == 5 && strncasecmp(text, "delay", n) == 0);
        if (!known) return false;
        if (!text[n]) return true;
        text += n + 1;
    }
}

static int set_value(char letter, const char *value, struct submit_options *out, FILE *errors) {
    switch (letter) {
    case 'f':
    case 'r':
        out->sender = value;
        return 0;
    case 'F':
        out->name = value;
        return 0;
    case 'b':
        return value[0] && !value[1] ? set_mode(value[0], out, errors)
                                     : usage(errors, "-b", "one letter belongs to it");
    case 'B':
        out->eight_bit = strcasecmp(value, "8BITMIME") == 0;
        return out->eight_bit || strcasecmp(value, "7BIT") == 0 ? 0 : usage(errors, "-B", "8BITMIME or 7BIT");
    case 'N':
        out->notify = value;
        return is_notify(value) ? 0 : usage(errors, "-N", "never, or some of success,failure,delay");
    case 'R':
        out->returned = value;
        return strcasecmp(value, "full") == 0 || strcasecmp(value, "hdrs") == 0 ? 0
                                                                                : usage(errors, "-R", "full or hdrs");
    case 'V':
        out->envid = value;
        return strlen(value) <= 100 ? 0 : usage(errors, "-V", "longer than 100 characters"); /* RFC 3461 4.4 */
    case 'o':
        if (strcmp(value, "i") == 0) out->dots_are_text = true;
        return 0;
    case 'O':
        if (strncasecmp(value, "IgnoreDots=t", 12) == 0) out->dots_are_text = true;
        return 0;
    default:
        return 0; /* -A -C -L -X -h -p -e: of another mailer's insides */
    }
}

/* Letters that take what follows, or the next word. */
static const char valued[] = "ABCFLNORVXbefhopr";

/* One word of options. */
static int take_word(int argc, char *const *argv, int *at, struct submit_options *out, FILE *errors) {
    for (const char *p = argv[*at] + 1; *p; p++) {
        char option[] = {'-', *p, 0};
        if (strchr(valued, *p)) {
            const char *value = p[1] ? p + 1 : NULL;
            if (!value && *at + 1 >= argc) return usage(errors, option, "needs a value");
            return set_value(*p, value ? value : argv[++*at], out, errors);
        }
        switch (*p) {
        case 't':
            out->from_headers = true;
            break;
        case 'i':
            out->dots_are_text = true;
            break;
        case 'v':
            out->verbose = true;
            break;
        case 'q':
            out->mode = SUBMIT_FLUSH;
            return p[1] ? usage(errors, argv[*at], "the server tries again by itself; -q alone tries all now") : 0;
        case 'd':
            return 0; /* -dX: debugging */
        case 'G':
        case 'U':
        case 'I':
        case 'm':
        case 'n':
        case 's':
        case 'x':
            break;
        default:
            return usage(errors, option, "no such option");
        }
    }
    return 0;
}

/* "mailq" and "newaliases" are this program too. */
static enum submit_mode mode_of_name(const char *path) {
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    if (strcmp(name, "mailq") == 0) return SUBMIT_LIST;
    return strcmp(name, "newaliases") == 0 ? SUBMIT_ALIASES : SUBMIT_DELIVER;
}

int submit_options_parse(int argc, char *const *argv, struct submit_options *out, FILE *errors) {
    int at = 1;
    *out = (struct submit_options){.mode = mode_of_name(argv[0])};
    for (; at < argc && argv[at][0] == '-' && argv[at][1]; at++) {
        if (strcmp(argv[at], "--") == 0) {
            at++;
            break;
        }
        if (strcmp(argv[at], "--help") == 0) out->mode = SUBMIT_HELP;
        if (out->mode == SUBMIT_HELP) return 0;
        int error = take_word(argc, argv, &at, out, errors);
        if (error) return error;
    }
    out->recipients = argv + at;
    out->n_recipients = (size_t)(argc - at);
    if (out->mode == SUBMIT_DELIVER && !out->from_headers && out->n_recipients == 0)
        return usage(errors, "no recipient", "name some, or take them from the header with -t");
    return 0;
}

void submit_options_help(FILE *out) {
    fputs("sendmail [-t] [-i] [-f SENDER] [-F NAME] [-N WHEN] [-R full|hdrs] [-V ID] [-v] [--] [RECIPIENT...]\n"
          "sendmail -bs | -bp | -q\n\n"
          "Sends the message on standard input as the user who calls. See gatepost-sendmail(8).\n",
          out);
}
