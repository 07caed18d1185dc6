/* mailbox.h - the messages of one Maildir as a POP3 session sees them: a list that stays as it was when it was made,
 * whatever others deliver, read, mark or remove meanwhile. A message is known by its file's base name, the part
 * before the ':' of the flags, which stays when the file moves from new to cur. */
#ifndef SERVER_OUTBOUND_MAILBOX_H
#define SERVER_OUTBOUND_MAILBOX_H

#include "server/outbound/maildir.h"
#include "store/mailbox.h"

#include <time.h>

struct mailbox_message {
    uint64_t bytes; /* as it is read, or MAILBOX_UNMEASURED */
    uint32_t name;  /* where its file's name begins in `names` */
    uint8_t name_n, base_n;
    bool in_cur;
    bool lf_only;  /* a delivery of ours: its line ends are LF, a CR before one is text */
    bool measured; /* its size comes from its octets, not from its name */
};
#define MAILBOX_UNMEASURED UINT64_MAX

struct mailbox {
    const struct maildir *maildir;
    struct mailbox_message *messages; /* the oldest first */
    size_t n, room;
    char *names; /* NUL-terminated */
    size_t names_n, names_room;
    struct timespec listed[2], changed[2]; /* new, cur: when they were read last, and their own time then */
};

/* Lists new and cur; at most MAILBOX_MESSAGES_MAX messages. Sizes are those that names of ours say. 0, or -1 with
 * errno. */
int mailbox_list(struct mailbox *mailbox, const struct maildir *maildir) MUST_USE;
void mailbox_free(struct mailbox *mailbox);

/* The order of messages, that of their arrival as their base names tell it. */
int mailbox_order(struct span base, struct span other);
struct span mailbox_base(const struct mailbox *mailbox, size_t i);

/* Its unique id (RFC 1939 7), the same for as long as the message is there: its base name, or where that cannot be
 * one a hash of it. */
void mailbox_id(const struct mailbox *mailbox, size_t i, struct buf *out);

/* Its file, to read, wherever it has moved. -1 with errno; ENOENT: somebody removed it. */
int mailbox_open(struct mailbox *mailbox, size_t i) MUST_USE;

/* Removes its file. 0, also where it was gone, or -1 with errno. Durable after mailbox_sync. */
int mailbox_remove(struct mailbox *mailbox, size_t i) MUST_USE;
int mailbox_sync(const struct mailbox *mailbox) MUST_USE;

/* Takes those whose size is not known off the list; only before the list is told to anybody. */
void mailbox_drop_unmeasured(struct mailbox *mailbox);

#endif
