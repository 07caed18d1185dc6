/* ask_channel.h - what the files ask*.c share, and nobody else uses: the channel to auth, and the one that auth
 * handed out. */
#ifndef SERVER_INBOUND_ASK_CHANNEL_H
#define SERVER_INBOUND_ASK_CHANNEL_H

#include "server/inbound/ask.h"
#include "store/frame.h"

/* An empty buffer for a question; the answer takes its place. */
struct buf ask_question(void);

/* Asks auth and hears the answer, which must be of that type; a descriptor is kept only where one may come. */
bool ask_auth_for(enum frame_type type, const struct buf *body, enum frame_type answer_type, bool fd_wanted,
                  struct frame *out) MUST_USE;

/* Sends a frame, when the channel takes it; to auth. */
bool ask_tell(int fd, enum frame_type type, struct span body) MUST_USE;
bool ask_tell_auth(enum frame_type type, struct span body) MUST_USE;

/* The next frame, of whatever type, into `storage` (FRAME_MAX octets). `there`: it may have come already. */
bool ask_hear(int fd, bool there, uint64_t wait_ms, uint8_t *storage, bool fd_wanted, struct frame *out) MUST_USE;

/* The next frame of the channel that auth handed out, which must be of that type. */
bool ask_hear_other(enum frame_type type, struct frame *out) MUST_USE;

/* Takes over the channel that auth handed out (-1: none came), in place of the one before. */
void ask_keep_other(int fd);

enum reason ask_get_reason(struct wire *w);

#endif
