/* command_ask.h - asking a running auth, queue or master, or one started for the purpose when no server runs. */
#ifndef SERVER_PROCESS_COMMAND_ASK_H
#define SERVER_PROCESS_COMMAND_ASK_H

#include "conf/conf.h"
#include "server/process/command_line.h"
#include "server/process/command_print.h"

/* How long an answer, or its next row, may take. */
extern unsigned command_patience_seconds;

/* Asks `role` (ROLE_AUTH, ROLE_QUEUE; ROLE_MASTER for the status socket) for the line's verb with its values, and
 * prints rows to stdout and a message to stderr. Without a server auth and queue are started alone. The exit code. */
int command_ask(const struct command_line *line, enum print_form form);

/* The same with a configuration that has been read, and values of the caller's. */
int command_ask_values(const struct command_line *line, const struct conf *conf, const struct command_value *values,
                       size_t n, enum print_form form);

/* The same, into a print of the caller's. */
int command_ask_print(const struct command_line *line, const struct conf *conf, const struct command_value *values,
                      size_t n, struct command_print *print);

/* For one of several questions: connects to the control socket of a running server. The descriptor, or -1 with errno:
 * ENOENT or ECONNREFUSED when no server runs, EAGAIN when it does not answer. */
int command_connect(const struct conf *conf, enum role role) MUST_USE;

/* The same, or to a process started alone when no server runs; to be ended with stand_alone_end. -1 after
 * saying why. */
int command_reach(const struct conf *conf, enum role role) MUST_USE;

/* The words for what command_connect failed with. */
const char *command_why(int error);

/* Sends one request over a connected descriptor and prints the rows of its answer. The exit code; what went wrong
 * has been said to stderr. */
int command_exchange(int fd, const char *verb, const struct command_value *values, size_t n,
                     struct command_print *print);

#endif
