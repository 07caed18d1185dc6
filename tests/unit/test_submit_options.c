/* test_submit_options.c - command lines as cron, PHP, git and others write them.
 * Runs in: the test runner. Trusts: nothing. Never: sends anything. */
#include "server/submit/submit_options.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <sysexits.h>

enum { WORDS = 16 };

static char line_copy[256];
static char *words[WORDS + 1];

/* "|" separates words, so that one may be empty. */
static int parse(const char *line, struct submit_options *out, char **errors_out) {
    size_t size;
    int n = 0;
    cr_assert(strlen(line) < sizeof line_copy);
    memcpy(line_copy, line, strlen(line) + 1);
    for (char *p = line_copy; p && n < WORDS;) words[n++] = strsep(&p, "|");
    words[n] = NULL;
    FILE *errors = open_memstream(errors_out, &size);
    cr_assert(errors);
    int status = submit_options_parse(n, words, out, errors);
    fclose(errors);
    return status;
}

static bool same(const char *a, const char *b) {
    return a && b ? strcmp(a, b) == 0 : a == b;
}

Test(submit_options, callers) {
    static const struct {
        const char *line;
        struct submit_options expected;
        const char *first; /* recipient */
    } rows[] = {
        {"sendmail|-FCronDaemon|-i|-odi|-oem|-oi|-t|-f|root",
         {.from_headers = true, .dots_are_text = true, .name = "CronDaemon", .sender = "root"},
         NULL},
        {"/usr/sbin/sendmail|-i|-FCronDaemon|-B8BITMIME|-oem|root",
         {.dots_are_text = true, .name = "CronDaemon", .eight_bit = true, .n_recipients = 1},
         "root"},
        {"sendmail|-t|-i", {.from_headers = true, .dots_are_text = true}, NULL},
        {"sendmail|-ti|-fweb@x.example",
         {.from_headers = true, .dots_are_text = true, .sender = "web@x.example"},
         NULL},
        {"sendmail|-i|-f|me@x.example|--|a@x.example|b@x.example",
         {.dots_are_text = true, .sender = "me@x.example", .n_recipients = 2},
         "a@x.example"},
        {"sendmail|-oem|-oi|-f||--|a@x.example",
         {.dots_are_text = true, .sender = "", .n_recipients = 1},
         "a@x.example"},
        {"sendmail|-r|me|a", {.sender = "me", .n_recipients = 1}, "a"},
        {"sendmail|-N|delay,failure|-R|hdrs|-V|id 1|a",
         {.notify = "delay,failure", .returned = "hdrs", .envid = "id 1", .n_recipients = 1},
         "a"},
        {"sendmail|-N|never|-v|-B|7BIT|a", {.notify = "never", .verbose = true, .n_recipients = 1}, "a"},
        {"sendmail|-G|-U|-Am|-C|/x|-O|IgnoreDots=true|-L|tag|-h|3|-om|-d8.1|a",
         {.dots_are_text = true, .n_recipients = 1},
         "a"},
        {"sendmail|-bm|a|-bs", {.n_recipients = 2}, "a"}, /* behind a recipient nothing is an option */
        {"sendmail|--|-bs", {.n_recipients = 1}, "-bs"},
        {"sendmail|-bs", {.mode = SUBMIT_SMTP}, NULL},
        {"sendmail|-bp", {.mode = SUBMIT_LIST}, NULL},
        {"mailq", {.mode = SUBMIT_LIST}, NULL},
        {"/usr/bin/newaliases", {.mode = SUBMIT_ALIASES}, NULL},
        {"sendmail|-bi", {.mode = SUBMIT_ALIASES}, NULL},
        {"sendmail|-q", {.mode = SUBMIT_FLUSH}, NULL},
        {"sendmail|--help", {.mode = SUBMIT_HELP}, NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct submit_options found;
        const struct submit_options *expected = &rows[i].expected;
        char *errors;
        cr_expect_eq(parse(rows[i].line, &found, &errors), 0, "%s: %s", rows[i].line, errors);
        free(errors);
        cr_expect_eq(found.mode, expected->mode, "%s", rows[i].line);
        cr_expect(found.from_headers == expected->from_headers && found.dots_are_text == expected->dots_are_text &&
                      found.verbose == expected->verbose && found.eight_bit == expected->eight_bit,
                  "%s", rows[i].line);
        cr_expect(same(found.sender, expected->sender) && same(found.name, expected->name) &&
                      same(found.notify, expected->notify) && same(found.returned, expected->returned) &&
                      same(found.envid, expected->envid),
                  "%s", rows[i].line);
        cr_expect_eq(found.n_recipients, expected->n_recipients, "%s", rows[i].line);
        if (rows[i].first) cr_expect_str_eq(found.recipients[0], rows[i].first);
    }
}

Test(submit_options, mistakes) {
    static const struct {
        const char *line, *said;
    } rows[] = {
        {"sendmail", "recipient"},          {"sendmail|-i", "recipient"},        {"sendmail|-bd", "serve"},
        {"sendmail|-bv|a", "explain"},      {"sendmail|-bz", "no such mode"},    {"sendmail|-q30m", "-q alone"},
        {"sendmail|-f", "needs a value"},   {"sendmail|-Z|a", "no such option"}, {"sendmail|-N|often|a", "never"},
        {"sendmail|-N|delay,|a", "never"},  {"sendmail|-R|some|a", "hdrs"},      {"sendmail|-B|9BIT|a", "8BITMIME"},
        {"sendmail|-b|xy|a", "one letter"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct submit_options found;
        char *errors;
        cr_expect_eq(parse(rows[i].line, &found, &errors), EX_USAGE, "%s", rows[i].line);
        cr_expect(strstr(errors, rows[i].said) && strncmp(errors, "sendmail: ", 10) == 0, "%s: %s", rows[i].line,
                  errors);
        free(errors);
    }
}
