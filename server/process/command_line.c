/* command_line.c - argv by the table: words, options, operands; and what was probably meant.
 * Runs in: the command line. Trusts: the table. Never: guesses what to do, only what to suggest. */
#include "server/process/command_line.h"

#include "store/word.h"

#include <stdlib.h>

static const struct command_option global_options[] = {
    {"config", "FILE", "configuration (else $GATEPOST_CONFIG, else " COMMAND_CONFIG ")", false},
    {"json", NULL, "output as JSON", false},
    {"help", NULL, "this help", false},
    {"version", NULL, "version of gatepost and of the OpenSSL in it", false},
    {NULL, NULL, NULL, false},
};

const char *command_value(const struct command_line *line, const char *name) {
    for (size_t i = 0; i < line->n; i++)
        if (strcmp(line->values[i].name, name) == 0) return line->values[i].text;
    return NULL;
}

/* ---- what was meant */

struct guess {
    const char *word;
    char best[48]; /* empty: nothing is near */
    size_t distance;
};

static void guess_try(struct guess *guess, const char *candidate, size_t n) {
    char word[sizeof guess->best];
    size_t n_meant = strlen(guess->word);
    snprintf(word, sizeof word, "%.*s", (int)n, candidate);
    size_t distance = word_distance(guess->word, word);
    if (n_meant >= 2 && strncmp(word, guess->word, n_meant) == 0) distance = 1;
    if (distance > 2 || distance >= n || (*guess->best && distance >= guess->distance)) return;
    memcpy(guess->best, word, sizeof word);
    guess->distance = distance;
}

/* ---- words */

/* Whether the command's name begins with `words`, and as a word of its own; *rest_out is what follows, "" at the end.
 * Every name begins with no word. */
static bool name_begins(const struct command *command, const char *words, const char **rest_out) {
    size_t n = strlen(words);
    if (strncmp(command->name, words, n) != 0) return false;
    bool gap = n && command->name[n] == ' ';
    *rest_out = command->name + n + gap;
    return n == 0 || command->name[n] == 0 || gap;
}

static bool is_group(const struct command_table *table, const char *words) {
    const char *rest;
    for (size_t i = 0; i < table->n; i++)
        if (name_begins(&table->commands[i], words, &rest) && *rest) return true;
    return false;
}

static int unknown_command(const struct command_table *table, const char *group, const char *word, FILE *errors) {
    struct guess guess = {.word = word};
    const char *gap = *group ? " " : "", *rest;
    for (size_t i = 0; i < table->n; i++)
        if (name_begins(&table->commands[i], group, &rest)) guess_try(&guess, rest, strcspn(rest, " "));
    fprintf(errors, "gatepost: no command '%s%s%s'", group, gap, word);
    if (*guess.best)
        fprintf(errors, "; did you mean '%s%s%s'?\n", group, gap, guess.best);
    else
        fprintf(errors, ". See gatepost %s%s--help\n", group, gap);
    return CONTROL_USAGE;
}

/* Takes one word of the command's name. */
static int take_word(const struct command_table *table, const char *word, struct command_line *out, FILE *errors) {
    char words[sizeof out->group];
    int n = snprintf(words, sizeof words, "%s%s%s", out->group, *out->group ? " " : "", word);
    if (*word == 0 || n < 0 || (size_t)n >= sizeof words) return unknown_command(table, out->group, word, errors);
    for (size_t i = 0; i < table->n; i++) {
        if (strcmp(table->commands[i].name, words) != 0) continue;
        out->command = &table->commands[i];
        return 0;
    }
    if (!is_group(table, words)) return unknown_command(table, out->group, word, errors);
    memcpy(out->group, words, sizeof words);
    return 0;
}

/* ---- options and operands */

static int add_value(struct command_line *out, const char *name, const char *text, FILE *errors) {
    if (out->n + 1 >= COMMAND_VALUES) { /* one is kept for --json */
        fprintf(errors, "gatepost: more than %d values in one command\n", COMMAND_VALUES - 1);
        return CONTROL_USAGE;
    }
    out->values[out->n++] = (struct command_value){name, text};
    return 0;
}

static const struct command_option *find_option(const struct command_option *options, const char *name, size_t n) {
    for (; options && options->name; options++)
        if (strncmp(options->name, name, n) == 0 && !options->name[n]) return options;
    return NULL;
}

static int unknown_option(const struct command_line *line, const char *word, FILE *errors) {
    char name[80];
    snprintf(name, sizeof name, "%.*s", (int)strcspn(word, "="), word);
    const char *bare = name + strspn(name, "-");
    struct guess guess = {.word = bare};
    const struct command_option *option = line->command ? line->command->options : NULL;
    for (; option && option->name; option++) guess_try(&guess, option->name, strlen(option->name));
    for (option = global_options; option->name; option++) guess_try(&guess, option->name, strlen(option->name));
    if (line->command)
        fprintf(errors, "gatepost: '%s' has no option %s", line->command->name, name);
    else
        fprintf(errors, "gatepost: no option %s before the command", name);
    if (*guess.best)
        fprintf(errors, "; did you mean --%s?\n", guess.best);
    else
        fprintf(errors, ". See gatepost %s%s--help\n", line->command ? line->command->name : "",
                line->command ? " " : "");
    return CONTROL_USAGE;
}

static int set_global(const struct command_option *option, const char *value, struct command_line *out) {
    if (option == &global_options[0]) out->config = value;
    if (option == &global_options[1]) out->json = true;
    if (option == &global_options[2]) out->help = true;
    if (option == &global_options[3]) out->version = true;
    return 0;
}

/* Takes the option at argv[*at] and its value. */
static int take_option(int argc, char *const *argv, int *at, struct command_line *out, FILE *errors) {
    const char *word = argv[*at], *name = word + 2;
    if (strcmp(word, "-c") == 0)
        name = "config";
    else if (strcmp(word, "-h") == 0)
        name = "help";
    else if (word[1] != '-')
        return unknown_option(out, word, errors);
    size_t n = strcspn(name, "=");
    const struct command_option *global = find_option(global_options, name, n);
    const struct command_option *option = global;
    if (!option && out->command) option = find_option(out->command->options, name, n);
    if (!option) return unknown_option(out, word, errors);
    const char *value = name[n] ? name + n + 1 : NULL;
    if (value && !option->value) {
        fprintf(errors, "gatepost: --%s takes no value\n", option->name);
        return CONTROL_USAGE;
    }
    if (!value && option->value) {
        if (*at + 1 >= argc) {
            fprintf(errors, "gatepost: --%s needs a value: --%s %s\n", option->name, option->name, option->value);
            return CONTROL_USAGE;
        }
        value = argv[++*at];
    }
    if (global) return set_global(option, value, out);
    if (command_value(out, option->name)) {
        fprintf(errors, "gatepost: --%s is given twice\n", option->name);
        return CONTROL_USAGE;
    }
    return add_value(out, option->name, value ? value : "yes", errors);
}

/* What operand number `i` (from 0) is, or NULL when there may be no such. */
static const struct command_operand *operand_at(const struct command *command, size_t i) {
    size_t last = 0;
    while (last + 1 < COMMAND_OPERANDS && command->operands[last + 1].name) last++;
    const struct command_operand *operand = &command->operands[i < last ? i : last];
    return operand->name && (i <= last || operand->many) ? operand : NULL;
}

static int take_operand(const char *word, size_t i, struct command_line *out, FILE *errors) {
    const struct command_operand *operand = operand_at(out->command, i);
    if (operand) return add_value(out, operand->name, word, errors);
    fprintf(errors, "gatepost: '%s' does not know what to do with '%s'\n", out->command->name, word);
    return CONTROL_USAGE;
}

/* ADDRESS, TARGET... */
static void put_operand(const struct command_operand *operand, FILE *out) {
    for (const char *p = operand->name; *p; p++) fputc(*p >= 'a' && *p <= 'z' ? *p - 32 : *p, out);
    if (operand->many) fputs("...", out);
}

static int check_complete(const struct command_table *table, const struct command_line *line, FILE *errors) {
    const struct command *command = line->command;
    if (!command && *line->group) {
        fprintf(errors, "gatepost: what about '%s'?\n", line->group);
        command_help(table, line, errors);
    } else if (!command) {
        command_help(table, line, errors);
    }
    if (!command) return CONTROL_USAGE;
    for (size_t i = 0; i < COMMAND_OPERANDS && command->operands[i].name; i++)
        if (!command->operands[i].optional && !command_value(line, command->operands[i].name)) {
            fprintf(errors, "gatepost: '%s' needs ", command->name);
            put_operand(&command->operands[i], errors);
            fprintf(errors, ". See gatepost %s --help\n", command->name);
            return CONTROL_USAGE;
        }
    for (const struct command_option *option = command->options; option && option->name; option++)
        if (option->required && !command_value(line, option->name)) {
            fprintf(errors, "gatepost: '%s' needs --%s %s. See gatepost %s --help\n", command->name, option->name,
                    option->value ? option->value : "", command->name);
            return CONTROL_USAGE;
        }
    if (line->json && !command->json) {
        fprintf(errors, "gatepost: '%s' has no output for --json\n", command->name);
        return CONTROL_USAGE;
    }
    return 0;
}

int command_parse(const struct command_table *table, int argc, char *const *argv, struct command_line *out,
                  FILE *errors) {
    bool options = true;
    size_t operands = 0;
    *out = (struct command_line){0};
    for (int at = 1; at < argc; at++) {
        const char *word = argv[at];
        int error = 0;
        if (options && strcmp(word, "--") == 0)
            options = false;
        else if (options && word[0] == '-' && word[1])
            error = take_option(argc, argv, &at, out, errors);
        else if (!out->command)
            error = take_word(table, word, out, errors);
        else
            error = take_operand(word, operands++, out, errors);
        if (error) return error;
    }
    if (!out->config) out->config = getenv("GATEPOST_CONFIG");
    if (!out->config || !*out->config) out->config = COMMAND_CONFIG;
    return out->help || out->version ? 0 : check_complete(table, out, errors);
}

/* ---- help */

static void help_option(const struct command_option *option, FILE *out) {
    char head[64];
    snprintf(head, sizeof head, "%s--%s%s%s", strcmp(option->name, "config") == 0 ? "-c, " : "", option->name,
             option->value ? " " : "", option->value ? option->value : "");
    fprintf(out, "  %-24s %s\n", head, option->help);
}

static void help_command(const struct command *command, FILE *out) {
    fprintf(out, "gatepost %s", command->name);
    for (size_t i = 0; i < COMMAND_OPERANDS && command->operands[i].name; i++) {
        const struct command_operand *operand = &command->operands[i];
        fputs(operand->optional ? " [" : " ", out);
        put_operand(operand, out);
        if (operand->optional) fputc(']', out);
    }
    const struct command_option *option = command->options;
    for (; option && option->name; option++)
        fprintf(out, option->required ? " --%s%s%s" : " [--%s%s%s]", option->name, option->value ? " " : "",
                option->value ? option->value : "");
    fprintf(out, "\n\n%s.\n%s\n", command->help, command->more ? command->more : "");
    for (option = command->options; option && option->name; option++) help_option(option, out);
    for (option = global_options; option->name; option++)
        if (command->json || strcmp(option->name, "json") != 0) help_option(option, out);
}

static void help_list(const struct command_table *table, const char *group, FILE *out) {
    const char *rest;
    for (size_t i = 0; i < table->n; i++)
        if (name_begins(&table->commands[i], group, &rest))
            fprintf(out, "  %-24s %s\n", table->commands[i].name, table->commands[i].help);
}

void command_help(const struct command_table *table, const struct command_line *line, FILE *out) {
    if (line->command) {
        help_command(line->command, out);
        return;
    }
    if (*line->group) {
        help_list(table, line->group, out);
        return;
    }
    fputs("gatepost: a small mail server that does not relay for strangers\n\n"
          "  gatepost [-c FILE] COMMAND ...       gatepost COMMAND --help\n\nCommands:\n",
          out);
    help_list(table, "", out);
    fputs("\nOptions:\n", out);
    for (const struct command_option *option = global_options; option->name; option++) help_option(option, out);
    fprintf(out,
            "\nExit codes:\n  %d done, %d failed, %d wrong command line, %d not found, %d exists already,\n"
            "  %d refused, %d the server or its data cannot be reached\n",
            CONTROL_OK, CONTROL_FAILED, CONTROL_USAGE, CONTROL_NOT_FOUND, CONTROL_EXISTS, CONTROL_REFUSED,
            CONTROL_UNAVAILABLE);
}
