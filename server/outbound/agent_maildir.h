/* agent_maildir.h - the process that delivers into one Maildir. */
#ifndef SERVER_OUTBOUND_AGENT_MAILDIR_H
#define SERVER_OUTBOUND_AGENT_MAILDIR_H

#include "server/outbound/job.h"
#include "store/role.h"

struct agent_maildir {
    const struct role_start *start;
    struct span hostname;
    struct span destination; /* "local@domain"; unused for capture */
    bool capture;            /* `directory` itself is the Maildir, else the mail directory */
};

/* Confines the process to the Maildir, then delivers until the queue or the parent is gone; the exit status. */
int agent_maildir_run(const struct agent_maildir *agent, struct job_inbox *inbox, int directory);

#endif
