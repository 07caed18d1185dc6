/* control.h - the control sockets of auth and queue (and status of the master): the command line asks by verb and
 * named arguments, the answer is rows of named values and an end with an exit code. The command line prints rows as a
 * table or as JSON without knowing the verb. */
#ifndef STORE_CONTROL_H
#define STORE_CONTROL_H

#include "store/frame.h"
#include "store/frames.h"
#include "store/loop.h"

enum { CONTROL_ARGUMENTS = 32, CONTROL_PEERS = 16, CONTROL_BACKLOG_BYTES = 64 << 20 };

enum control_kind {
    CONTROL_TEXT = 1,
    CONTROL_NUMBER,
    CONTROL_TIME, /* ms since 1970 */
    CONTROL_BOOL,
    CONTROL_LINE /* printed as it is */
};

/* Exit codes of CONTROL_END and of the command line. */
enum control_exit {
    CONTROL_OK = 0,
    CONTROL_FAILED = 1,
    CONTROL_USAGE = 2,
    CONTROL_NOT_FOUND = 3,
    CONTROL_EXISTS = 4,
    CONTROL_REFUSED = 5,
    CONTROL_UNAVAILABLE = 69
};

struct control_request {
    char verb[64]; /* "user add" */
    struct {
        char name[32];
        struct span value;
    } arguments[CONTROL_ARGUMENTS];
    size_t n;
};

/* The value of an argument, empty when it was not given. */
struct span control_argument(const struct control_request *request, const char *name);
bool control_given(const struct control_request *request, const char *name);

/* One open answer. A handler may answer later (control_later); it is void after control_end, or when the peer has
 * gone. */
struct control_peer;

/* Who asks, by the kernel's word; UINT32_MAX when that is not to be had. */
uint32_t control_uid(const struct control_peer *peer);
/* Whether something of the answer waits until the peer has read more: an answer of any length pauses then. */
bool control_waits(const struct control_peer *peer);

/* A row: open, put values in order, send. A row that does not fit one frame is a bug of the caller's. */
struct control_row {
    struct buf b;
    uint8_t storage[FRAME_BODY_MAX];
};
void control_row_open(struct control_row *row);
void control_row_text(struct control_row *row, const char *name, struct span value);
void control_row_number(struct control_row *row, const char *name, uint64_t value);
void control_row_time(struct control_row *row, const char *name, uint64_t wall_ms);
void control_row_bool(struct control_row *row, const char *name, bool value);
void control_row_line(struct control_row *row, struct span value);
/* False when the peer has gone or does not read. */
bool control_row_send(struct control_row *row, struct control_peer *peer);
/* For an answer of any length: `more` is called with the server's context, from the loop, each time the peer has read
 * what was sent so far, until control_end. `release` gets `state` back at the end or when the peer goes. */
void control_later(struct control_peer *peer, void (*more)(void *context, struct control_peer *peer, void *state),
                   void (*release)(void *context, void *state), void *state);
void control_end(struct control_peer *peer, enum control_exit code, const char *message);

struct control_server {
    struct loop *loop;
    struct loop_watch watch; /* the listening socket */
    uint32_t owner_uid;      /* besides 0, the uid that may ask */
    void (*handle)(void *context, struct control_peer *peer, const struct control_request *request);
    void *context;
    struct control_peer *peers[CONTROL_PEERS];
    /* Set by a handler: who copies our files; NULL again once that peer has left. `copied` is called then, or
     * NULL. */
    const struct control_peer *copier;
    void (*copied)(void *context);
};

/* Serves the listening socket `fd` in `loop`, which the caller has set in *server with handler and uid. 0 or -1. */
int control_serve(struct control_server *server, int fd) MUST_USE;

/* Serves one connected peer (the offline case: the command line started this process itself and is believed). */
int control_serve_peer(struct control_server *server, int fd) MUST_USE;

/* Ends the connection of who copies our files, if anybody does. Not from a handler. */
void control_drop_copier(struct control_server *server);

/* Drops all peers. */
void control_close(struct control_server *server);

#endif
