/* mailbox_sizes.h - what messages were measured to be, remembered in a file of the Maildir, so that 100,000 of them
 * are not read at each login. A cache: where it is missing, torn or stale, what it lacks is measured again. */
#ifndef SERVER_OUTBOUND_MAILBOX_SIZES_H
#define SERVER_OUTBOUND_MAILBOX_SIZES_H

#include "server/outbound/mailbox.h"

/* Gives messages the size that the file has for them, whatever their names say. */
void mailbox_sizes_load(struct mailbox *mailbox);

/* Writes what was measured. Where it cannot be written, a full disk say, the next login measures again. */
void mailbox_sizes_save(const struct mailbox *mailbox);

#endif
