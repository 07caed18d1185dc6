/* trace.h - the header lines that the queue puts before a message: Received, and for submissions what is missing. */
#ifndef STORE_TRACE_H
#define STORE_TRACE_H

#include "store/message.h"

enum { TRACE_MAX = 4096 };

enum { TRACE_HAS_DATE = 1, TRACE_HAS_MESSAGE_ID = 2 };

/* Which of the fields the header block at the beginning of `body` has. */
unsigned trace_fields(struct span body);

/* Appends Received (RFC 5321 4.4), and for mail with a principal Date and Message-ID where `fields` lacks them (RFC
 * 6409 8). `only` is the one recipient's address as the client wrote it, empty when there are several. Nothing of the
 * envelope can end a line. */
void trace_put(struct buf *b, const struct message *message, struct span hostname, struct span only, unsigned fields);

#endif
