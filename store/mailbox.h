/* mailbox.h - what the mailbox agent says of a message, as it stands in MAILBOX_ENTRIES (frames.h). */
#ifndef STORE_MAILBOX_H
#define STORE_MAILBOX_H

#include "store/frames.h"
#include "store/wire.h"

struct mailbox_entry {
    uint64_t bytes;        /* as MAILBOX_READ brings it: with CRLF line ends, dots not stuffed */
    struct span unique_id; /* a view */
};

/* As much of a frame as one entry takes at most. */
enum { MAILBOX_ENTRY_BYTES_MAX = 8 + 4 + MAILBOX_UNIQUE_ID_MAX };

void mailbox_entry_put(struct buf *b, const struct mailbox_entry *entry);

/* False, and w->bad, when it is not whole or its id is none (RFC 1939 7). */
bool mailbox_entry_get(struct wire *w, struct mailbox_entry *out) MUST_USE;

/* Whether `id` may be a unique id: 1 to MAILBOX_UNIQUE_ID_MAX octets 0x21 to 0x7e. */
bool mailbox_unique_id(struct span id);

#endif
