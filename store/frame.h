/* frame.h - typed frames over AF_UNIX SOCK_SEQPACKET: one packet is one frame of at most FRAME_MAX octets, its first
 * two the type (little-endian), the rest fields of wire.h. The kinds and their layouts are in frames.h. */
#ifndef STORE_FRAME_H
#define STORE_FRAME_H

#include "store/wire.h"

#include <sys/types.h>

enum { FRAME_MAX = 65536, FRAME_BODY_MAX = FRAME_MAX - 2 };

struct frame {
    uint16_t type;
    struct span body; /* a view into the buffer that was received into */
    int fd;           /* the one descriptor that came with it, or -1; the receiver owns it */
    pid_t sender;     /* from SCM_CREDENTIALS when the socket has SO_PASSCRED, else 0 */
};

/* Both ends close-on-exec; `nonblocking` for both. 0, or -1 with errno. */
int frame_pair(int fds_out[2], bool nonblocking) MUST_USE;

/* Sends one frame (blocking or not as the socket is). 0, or -1 with errno: EAGAIN when a non-blocking channel is full
 * (nothing was sent), EPIPE when the other end is gone. Never raises SIGPIPE, retries EINTR. */
int frame_send(int fd, uint16_t type, struct span body) MUST_USE;

/* The same with a descriptor, of which the kernel takes a copy: the caller still owns its own. */
int frame_send_fd(int fd, uint16_t type, struct span body, int passed) MUST_USE;

enum frame_status {
    FRAME_ERROR = 0, /* errno says why */
    FRAME_RECEIVED,
    FRAME_NONE,     /* non-blocking and nothing there */
    FRAME_CLOSED,   /* the other end is gone */
    FRAME_MALFORMED /* shorter than a type, longer than FRAME_MAX, or more than one descriptor */
};

/* Receives one frame into `storage` (FRAME_MAX octets). Descriptors beyond the first, and any when
 * `fd_wanted` is false, are closed and make the frame FRAME_MALFORMED. */
enum frame_status frame_receive(int fd, uint8_t *storage, bool fd_wanted, struct frame *out) MUST_USE;

/* Receives what is there at once, at most `n` frames and never waiting: frame i into storage[i], without descriptors.
 * Returns how many came; a malformed one has type 0 and no body. 0: *status_out says why (FRAME_NONE, FRAME_CLOSED,
 * FRAME_ERROR). */
enum { FRAMES_MAX = 16 };
size_t frames_receive(int fd, uint8_t (*storage)[FRAME_MAX], size_t n, struct frame *out,
                      enum frame_status *status_out) MUST_USE;

/* For the session, which may not use sendmsg: one writev(2). SIGPIPE must be ignored. */
int frame_send_plain(int fd, uint16_t type, struct span body) MUST_USE;

/* A FRAME_BUNDLE that grows in storage of the caller's. Frames that do not fit are not added: send it, clear it, try
 * again; false for an empty one means that it goes by itself. */
struct frame_bundle {
    struct buf b;
    size_t frames;
};
enum { FRAME_BUNDLE_HEAD = 6 }; /* octets before each frame in it */
bool frame_bundle_add(struct frame_bundle *bundle, uint16_t type, struct span body) MUST_USE;
/* What is to be sent: a bundle, or the one frame that is in it. */
uint16_t frame_bundle_type(const struct frame_bundle *bundle, struct span *body_out);
static inline void frame_bundle_clear(struct frame_bundle *bundle) {
    buf_clear(&bundle->b), bundle->frames = 0;
}

/* The next frame of a bundle's body; sender as in `out`. False at its end, or with w->bad where it is malformed. */
bool frame_bundle_next(struct wire *w, struct frame *out) MUST_USE;

/* One row of a receiver's table: `states` is the set of peer states (bits) in which the type is permitted. The
 * handler returns 0, or -1 when the frame is malformed or a lie. A row of FRAME_BUNDLE has none: it permits bundles
 * of what the other rows permit in that state. */
struct frame_row {
    uint16_t type;
    uint32_t states;
    int (*handle)(void *peer, struct frame *frame);
};

/* Finds the row for the frame's type permitted in `state` (a single bit) and calls it; -1 when there is none. The
 * caller then drops the peer (a session) or aborts (a trusted one). A handler that keeps the descriptor sets
 * frame->fd to -1; what it leaves is closed here. */
int frame_dispatch(const struct frame_row *rows, size_t n, uint32_t state, void *peer, struct frame *frame) MUST_USE;

/* Output that could not be sent yet: a queue of whole frames for one non-blocking channel, capped. */
struct frame_backlog {
    struct frame_waiting *first, *last;
    size_t bytes, cap_bytes;
};

/* Sends now when nothing waits, else queues a copy (and a dup of `passed`, or -1 for none). -1: the cap is reached or
 * the channel is broken; the caller drops the peer. */
int frame_backlog_send(struct frame_backlog *backlog, int fd, uint16_t type, struct span body, int passed) MUST_USE;

/* Sends what waits, as far as the channel takes it. 0, or -1 when the channel is broken. */
int frame_backlog_flush(struct frame_backlog *backlog, int fd) MUST_USE;

static inline bool frame_backlog_empty(const struct frame_backlog *backlog) {
    return !backlog->first;
}
void frame_backlog_free(struct frame_backlog *backlog);

#endif
