/* agent_smtp.c - messages from the queue to the smarthost or to an LMTP server, over one connection while they come.
 * Runs in: an SMTP or LMTP agent. Trusts: the queue's frames, not the texts in them. Never: reads a file but a
 * message's own, connects elsewhere than it was told. */
#include "server/outbound/agent_smtp.h"

#include "server/outbound/smtp_transaction.h"
#include "server/process/confine.h"
#include "store/log.h"

#include <errno.h>

enum { IDLE_MS = 3000 };

static struct smtp_client client;

static void log_connection_fault(struct span destination) {
    struct log_line line;
    log_open(&line, LOG_AGENT);
    if (destination.n) log_span(&line, KEY_DESTINATION, destination);
    log_text(&line, KEY_REMOTE, client.host);
    log_text(&line, KEY_STATUS, client.fault.status);
    log_span(&line, KEY_WHY, span_of(client.fault.text, client.fault.n));
    log_send(&line);
}

int agent_smtp_run(struct agent_smtp *agent, struct job_inbox *inbox) {
    struct job *job;
    struct buf host = BUF_OVER(client.host);
    client.setup = agent->setup, client.tls = agent->tls, client.limits = &smtp_limits_default;
    client.dial = smtp_dial, client.context = &agent->addresses, client.lmtp = agent->lmtp;
    if (agent->line.fd >= 0) client.dial = dialer_dial, client.context = &agent->line;
    agent->addresses.limit_ms = agent->line.limit_ms = client.limits->connect_ms;
    buf_put_span(&host, agent->host);
    buf_put_octet(&host, 0);
    if (!buf_ok(&host) || confine_agent(agent->start) != 0) {
        log_fault("confining an agent", errno);
        return 1;
    }
    smtp_client_open(&client);
    for (;;) {
        enum job_status status = job_receive(inbox, client.stream.fd >= 0 ? IDLE_MS : -1, &job);
        if (status != JOB_COMPLETE) smtp_client_quit(&client);
        if (status == JOB_GONE) return 0;
        if (status == JOB_IDLE) continue;
        uint64_t before = client.fault_until_ms;
        smtp_transaction_run(&client, inbox, job);
        if (client.fault_until_ms != before) log_connection_fault(agent->destination);
        job_free(job);
    }
}
