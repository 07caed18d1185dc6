/* command_run.h - what each subcommand does: handlers of the table in command.c. Each returns the exit code. */
#ifndef SERVER_PROCESS_COMMAND_RUN_H
#define SERVER_PROCESS_COMMAND_RUN_H

#include "server/process/command_line.h"

/* Asks the command's process by the command's name. */
int command_run_ask(const struct command_line *line);

int command_run_serve(const struct command_line *line);
int command_run_check(const struct command_line *line);
int command_run_backup(const struct command_line *line);
int command_run_restore(const struct command_line *line);

/* user add, user passwd and others with a new password: what is derived of it is made here, and it does not leave
 * this process. */
int command_run_password(const struct command_line *line);

/* user import: a password file of another server's; user export: one for another server. */
int command_run_import(const struct command_line *line);
int command_run_user_export(const struct command_line *line);

/* queue retry, hold, release, remove: only with a selection or --all. */
int command_run_selected(const struct command_line *line);
/* queue cat: the octets of one message. */
int command_run_cat(const struct command_line *line);
/* queue export: a file for each message, and one with what is known of it. */
int command_run_export(const struct command_line *line);

/* autoconfig: settings for mail programs, in the form that one of the options names. */
int command_run_autoconfig(const struct command_line *line);

int command_run_status(const struct command_line *line);

/* In the table for its help: command_main hands sendmail its own arguments. */
int command_run_sendmail(const struct command_line *line);

#endif
