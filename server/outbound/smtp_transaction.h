/* smtp_transaction.h - one message over a connection: MAIL, RCPT, DATA, and what became of each recipient. */
#ifndef SERVER_OUTBOUND_SMTP_TRANSACTION_H
#define SERVER_OUTBOUND_SMTP_TRANSACTION_H

#include "server/outbound/smtp_client.h"

/* Sends the job, connecting where needed, and answers every recipient; then the job is done (but not freed). */
void smtp_transaction_run(struct smtp_client *client, struct job_inbox *inbox, struct job *job);

/* Whether `address` can be put between "<" and ">" of a command: no control octets; spaces and angle brackets only
 * in a quoted local part. The empty one can. */
bool smtp_transaction_address(struct span address);

#endif
