/* agent_mailbox.h - the process that serves one Maildir to one POP3 session (frames.h, MAILBOX_LIST and on). */
#ifndef SERVER_OUTBOUND_AGENT_MAILBOX_H
#define SERVER_OUTBOUND_AGENT_MAILBOX_H

#include "store/span.h"

struct agent_mailbox {
    struct span filter;      /* of system calls, which names what is left */
    struct span session;     /* its name, for the log */
    struct span destination; /* "local@domain" */
    int channel;             /* to the session, non-blocking */
    int lifeline;            /* hangs up when the process that forked us is gone */
    int directory;           /* the mail directory; is closed */
};

/* Confines the process to the Maildir, locks that against others of its kind and serves it until the session has had
 * its last answer or is gone; the exit status. */
int agent_mailbox_run(const struct agent_mailbox *agent);

#endif
