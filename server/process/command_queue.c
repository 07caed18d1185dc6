/* command_queue.c - queue commands that need more than a question and a table.
 * Runs in: the command line. Trusts: the queue process. Never: touches all messages unless told so. */
#include "server/process/command_ask.h"
#include "server/process/command_run.h"

#include <unistd.h>

int command_run_selected(const struct command_line *line) {
    bool all = command_value(line, "all");
    bool some = command_value(line, "id") || command_value(line, "sender") || command_value(line, "recipient");
    if (all == some) {
        fprintf(stderr, "gatepost: '%s' needs a message's id, --sender or --recipient; or else --all\n",
                line->command->name);
        return CONTROL_USAGE;
    }
    return command_run_ask(line);
}

int command_run_export(const struct command_line *line) {
    if (isatty(STDOUT_FILENO)) {
        fputs("gatepost: this would send the message's octets to the terminal: redirect them into a file\n", stderr);
        return CONTROL_USAGE;
    }
    return command_ask(line, PRINT_OCTETS);
}
