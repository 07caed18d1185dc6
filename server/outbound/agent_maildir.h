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

/* Opens the Maildir of the process's one agent, making what is missing; *directory is taken, and becomes the user's.
 * 0, -1 when no mailbox can have the name, or errno. */
int agent_maildir_open(const struct agent_maildir *agent, struct job_inbox *inbox, int *directory) MUST_USE;
/* Takes a message when one comes within wait_ms (-1: for ever); commits the batch when none does or it is full.
 * With -1, a small batch waits a few ms for more. False: the queue or the parent is gone. */
bool agent_maildir_round(int wait_ms) MUST_USE;

/* Confines the process to the Maildir, then delivers until the queue or the parent is gone; the exit status. */
int agent_maildir_run(const struct agent_maildir *agent, struct job_inbox *inbox, int directory);

#endif
