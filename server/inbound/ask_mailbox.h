/* ask_mailbox.h - what a POP3 session asks of its user's mailbox agent, over the channel that auth hands out after
 * the login (store/frames.h). As in ask.h, false means that the process behind the channel is gone. Indices are from
 * 0. */
#ifndef SERVER_INBOUND_ASK_MAILBOX_H
#define SERVER_INBOUND_ASK_MAILBOX_H

#include "store/mailbox.h"

struct ask_mailbox {
    enum mailbox_answer answer;
    uint32_t messages; /* at most MAILBOX_MESSAGES_MAX */
    uint64_t bytes;
};

/* The mailbox of who has logged in; once. */
bool ask_mailbox(struct ask_mailbox *out) MUST_USE;

/* One message's size and unique id, of which this is a view until the next question. The agent tells of many at once:
 * who asks in their order, or near it, does not wait for each. */
bool ask_mailbox_entry(uint32_t index, struct mailbox_entry *out) MUST_USE;

/* Asks for a message's text; its parts come one by one, each a view until the next question. An empty part is the
 * end: *whole_out says whether that was all. */
bool ask_mailbox_read(uint32_t index, uint32_t body_lines) MUST_USE;
bool ask_mailbox_part(struct span *part_out, bool *whole_out) MUST_USE;

/* Removes the messages whose bit is set (bit 0 of the first octet is index 0), `marked` of the `messages`. The last
 * question. *failed_out: how many are still there. */
bool ask_mailbox_quit(const uint8_t *bitmap, uint32_t messages, uint32_t marked, uint32_t *failed_out) MUST_USE;

#endif
