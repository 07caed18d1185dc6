/* command_line.h - the table of subcommands, and reading argv by it. */
#ifndef SERVER_PROCESS_COMMAND_LINE_H
#define SERVER_PROCESS_COMMAND_LINE_H

#include "store/control.h"
#include "store/role.h"

#include <stdio.h>

enum { COMMAND_OPERANDS = 2, COMMAND_VALUES = CONTROL_ARGUMENTS };

#define COMMAND_CONFIG "/etc/gatepost/gatepost.conf"

/* A value that was given, under the name that the asked process knows: the option's without its hyphens, or the
 * operand's. A switch has the value "yes". */
struct command_value {
    const char *name, *text;
};

struct command;
struct command_line {
    const struct command *command; /* NULL with help: about all of them */
    char group[32];                /* with help: "user" alone, or "user login"; else empty */
    const char *config;
    bool json, help, version;
    struct command_value values[COMMAND_VALUES];
    size_t n;
};

struct command_option {
    const char *name;  /* without hyphens */
    const char *value; /* what help calls its value; NULL: a switch */
    const char *help;
    bool required;
};

struct command_operand {
    const char *name; /* lower case */
    bool optional, many;
};

struct command {
    const char *name; /* "user add", "user login add": also the verb that is asked */
    const char *help; /* one line */
    const char *more; /* further lines for its own help, or NULL */
    struct command_operand operands[COMMAND_OPERANDS];
    const struct command_option *options; /* ended by a name NULL; may be NULL */
    enum role asks;                       /* who answers, for command_run_ask */
    bool json;                            /* its output is data */
    bool tall;                            /* one value per line, not a table */
    bool lines;                           /* with --json an object per line, not an array */
    int (*run)(const struct command_line *line);
};

struct command_table {
    const struct command *commands;
    size_t n;
};

extern const struct command_table command_table; /* in command.c */

/* Reads argv. 0, or CONTROL_USAGE after saying to `errors` what is wrong and the likely meant word. Views into
 * argv. */
int command_parse(const struct command_table *table, int argc, char *const *argv, struct command_line *out,
                  FILE *errors) MUST_USE;

/* The value of that name, or NULL. */
const char *command_value(const struct command_line *line, const char *name);

/* The help that the line asks for. */
void command_help(const struct command_table *table, const struct command_line *line, FILE *out);

#endif
