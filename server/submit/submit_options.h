/* submit_options.h - the command line of sendmail, as programs have called it since 1983. */
#ifndef SERVER_SUBMIT_SUBMIT_OPTIONS_H
#define SERVER_SUBMIT_SUBMIT_OPTIONS_H

#include "store/span.h"

#include <stdio.h>

enum submit_mode {
    SUBMIT_DELIVER = 0, /* -bm */
    SUBMIT_SMTP,        /* -bs */
    SUBMIT_LIST,        /* -bp, mailq */
    SUBMIT_FLUSH,       /* -q */
    SUBMIT_ALIASES,     /* -bi, newaliases */
    SUBMIT_HELP
};

struct submit_options {
    enum submit_mode mode;
    bool from_headers;                     /* -t */
    bool dots_are_text;                    /* -i, -oi */
    bool verbose;                          /* -v */
    bool eight_bit;                        /* -B 8BITMIME */
    const char *sender;                    /* -f, -r; NULL: the caller's own */
    const char *name;                      /* -F; NULL: of /etc/passwd */
    const char *notify, *returned, *envid; /* -N, -R, -V; NULL: not given */
    char *const *recipients;
    size_t n_recipients;
};

/* Reads argv, argv[0] included. 0, or EX_USAGE after saying to `errors` why. Views into argv. */
int submit_options_parse(int argc, char *const *argv, struct submit_options *out, FILE *errors) MUST_USE;

void submit_options_help(FILE *out);

#endif
