/* master.h - `gatepost serve`: starts, watches, reloads and stops all other processes. It reads no byte of the
 * network. */
#ifndef SERVER_PROCESS_MASTER_H
#define SERVER_PROCESS_MASTER_H

#include "conf/conf.h"

struct master_options {
    bool log_json;             /* --json-log */
    bool background;           /* return to the shell once ready */
    const char *pid_file;      /* NULL: none */
    const char *announce_file; /* its text is printed to standard output once ready; NULL: none */
};

/* Serves until SIGTERM or SIGINT. Owns `conf`. `path` is read again at SIGHUP. Returns the exit status. */
int master_serve(struct conf *conf, const char *path, const struct master_options *options);

/* Where no server runs: starts the program of `role` (ROLE_AUTH or ROLE_QUEUE) alone, as its user and under its lock.
 * Returns the control channel to it, or -1 after printing why. Its warnings go to standard error. */
int master_stand_alone(const struct conf *conf, int role) MUST_USE;

/* Closes the channel. The process, if there is one, ends then and is waited for, so that it has said what it has to
 * say. */
void master_stand_alone_end(int channel);

#endif
