/* body.h - a message's octets from the client to the queue. */
#ifndef SERVER_INBOUND_BODY_H
#define SERVER_INBOUND_BODY_H

#include "server/inbound/client.h"
#include "server/inbound/smtp.h"

/* Takes the body (DATA) or one chunk (BDAT, smtp->chunk_bytes) to its very end, also of a message that is refused.
 * Each wait lasts data_ms at most. CLIENT_FINE: the machine may go on. */
enum client_status body_take(struct smtp *smtp, bool chunk, uint64_t data_ms, uint64_t session_deadline_ms) MUST_USE;

#endif
