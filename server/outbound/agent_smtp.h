/* agent_smtp.h - the process that sends to the smarthost, or to one LMTP server. */
#ifndef SERVER_OUTBOUND_AGENT_SMTP_H
#define SERVER_OUTBOUND_AGENT_SMTP_H

#include "server/outbound/dialer.h"
#include "server/outbound/smtp_client.h"
#include "server/outbound/smtp_dial.h"
#include "store/role.h"

struct agent_smtp {
    const struct role_start *start;
    const struct outbound_setup *setup;
    struct tls_client *tls;
    struct smtp_addresses addresses; /* to connect to, */
    struct dialer_line line;         /* or how a Unix socket is had; fd -1: by the addresses */
    struct span host;                /* as it is reported */
    struct span destination;         /* for the log; empty: the smarthost */
    bool lmtp;
};

/* Confines the process, then sends until the queue or the parent is gone; the exit status. */
int agent_smtp_run(struct agent_smtp *agent, struct job_inbox *inbox);

#endif
