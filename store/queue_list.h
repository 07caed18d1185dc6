/* queue_list.h - rows about messages and their recipients, for all answers that have them. */
#ifndef STORE_QUEUE_LIST_H
#define STORE_QUEUE_LIST_H

#include "store/queue_state.h"

/* Opens the row of a list. `head` is NULL where the message cannot be read. */
void queue_list_put(struct control_row *to, const struct queue_message *message, const struct message *head);
/* The same and what else the envelope says. */
void queue_list_envelope(struct control_row *to, const struct queue *queue, const struct queue_message *message,
                         const struct message *head);
/* Opens the row of a recipient. */
void queue_list_recipient(struct control_row *to, const struct queue_message *message, uint32_t index,
                          const struct recipient *recipient);
/* What was said last of a recipient, or of the whole destination; or NULL. */
const struct queue_note *queue_note_of(const struct queue_message *message, uint32_t index);

#endif
