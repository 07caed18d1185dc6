/* message.h - the accepted message and what becomes of it, as they lie in the log; and messages' names. */
#ifndef STORE_MESSAGE_H
#define STORE_MESSAGE_H

#include "store/envelope.h"

enum { MESSAGE_NAME_CHARS = 13, MESSAGE_NAME_SIZE = 14, MESSAGE_RECIPIENTS_MAX = 10000 };

/* A message's number is its name: milliseconds since 1970 (48 bits) and 16 random ones, written in Crockford's base
 * 32, so that names sort by time. */
void message_name(uint64_t number, char name_out[MESSAGE_NAME_SIZE]);
/* Reads a name, upper or lower case. */
bool message_number(struct span name, uint64_t *number_out) MUST_USE;

enum message_flags {
    MESSAGE_OWN_FILE = 1, /* the body is body/NAME */
    MESSAGE_NOTICE = 2    /* to the postmaster, by the queue: nothing is said when it fails */
};

struct message {
    uint64_t number;
    uint64_t arrival_ms; /* wall clock */
    uint64_t body_bytes;
    uint8_t flags;
    uint32_t n_recipients;
    struct envelope envelope;
    struct span recipients; /* n_recipients times recipient_put */
    struct span marks;      /* of other messages, mark_put: what this one, a report, is about; durable with it */
};

/* What goes before the body. */
void message_put(struct buf *b, const struct message *message);
/* Room that message_put needs at most. */
size_t message_bytes(const struct message *message);
/* Reads a payload of RECORD_MESSAGE; the body, when it is in there, begins at *body_at_out. Views into the
 * payload. */
bool message_get(struct span payload, struct message *out, size_t *body_at_out) MUST_USE;
/* The same of what goes before the body alone, which is all that the wire must hold. */
bool message_get_head(struct wire *w, struct message *out) MUST_USE;

enum recipient_state {
    RECIPIENT_WAITING = 0,
    RECIPIENT_DELIVERED, /* a report is due */
    RECIPIENT_RELAYED,   /* a report is due */
    RECIPIENT_FAILED,    /* a report is due */
    RECIPIENT_DONE,
    RECIPIENT_STATES
};

enum { MARK_ALL = UINT32_MAX, MARK_TEXT_MAX = 400, MARK_STATUS_MAX = 12 };

/* What has become of one recipient of one message (or of all: index MARK_ALL, the message is gone). */
enum { MARK_DELAY_TOLD = 0x80 }; /* in `again`, about the whole message: its sender knows that it waits */

/* Further bits there, about the whole message too: what was said last of holding it. Neither: nothing. */
enum { MARK_HELD = 0x40, MARK_RELEASED = 0x20, MARK_AGAIN = 0x0f /* what is left for `again` */ };

/* And one about a recipient: a report whose sync failed does not count, nor do its marks, should they be there. */
enum { MARK_REOPENED = 0x10 };

struct mark {
    uint64_t number;
    uint32_t index;
    uint8_t state;
    uint8_t again; /* may have been delivered already */
    uint16_t attempts;
    uint64_t next_ms; /* wall clock */
    struct span status, diagnostic, remote;
};

void mark_put(struct buf *b, const struct mark *mark);
void mark_get(struct wire *w, struct mark *out);

#endif
