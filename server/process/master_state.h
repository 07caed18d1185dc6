/* master_state.h - what the files of the master share; for them alone. */
#ifndef SERVER_PROCESS_MASTER_STATE_H
#define SERVER_PROCESS_MASTER_STATE_H

#include "server/process/family.h"
#include "server/process/master.h"
#include "store/log.h"

enum phase { PHASE_STARTING = 0, PHASE_SERVING, PHASE_LISTENERS_END, PHASE_OTHERS_END, PHASE_LOG_ENDS, PHASE_OVER };

struct master {
    struct loop loop;
    struct family family;
    struct conf *conf;
    const char *path;
    struct master_options options;
    struct sockets sockets;
    struct control_server status;
    struct loop_watch signals, passwd;
    enum phase phase;
    uint64_t deadline_ms; /* of the phase */
    int background_fd;    /* told once ready; -1: none */
    int exit_status;
    bool reload_wanted;
};

extern struct master master; /* one per process: signal and loop callbacks find it here */

/* One line of the log. `what` may be NULL. */
void master_say(enum log_event event, const char *what);

/* master_hear.c: one frame of a child's. */
void master_hear(struct child *child, const struct frame *frame);
/* master.c: every child serves. */
void master_ready(void);

/* master_stop.c */
void master_to_phase(enum phase phase, uint64_t limit_ms);
/* Begins the end; once. */
void master_stop(const char *why);
/* A child has gone: the next phase of the end may begin. */
void master_advance(void);
/* When the phase took too long, what still runs is killed. */
void master_overdue(void);

#endif
