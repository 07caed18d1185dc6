/* master.h - `gatepost serve`: starts, watches, reloads and stops all other processes. It reads no byte of the
 * network. */
#ifndef SERVER_PROCESS_MASTER_H
#define SERVER_PROCESS_MASTER_H

#include "server/process/faults.h"

struct master_options {
    bool log_json;             /* --json-log */
    bool background;           /* return to the shell once ready */
    const char *pid_file;      /* NULL: none */
    const char *announce_file; /* its text is printed to standard output once ready; NULL: none */
    struct faults_option faults;
};

/* Serves until SIGTERM or SIGINT. Owns `conf`. `path` is read again at SIGHUP. Returns the exit status. */
int master_serve(struct conf *conf, const char *path, const struct master_options *options);

#endif
