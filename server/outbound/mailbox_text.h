/* mailbox_text.h - a message's file as it goes out by POP3: every line ends with CRLF, the last too. */
#ifndef SERVER_OUTBOUND_MAILBOX_TEXT_H
#define SERVER_OUTBOUND_MAILBOX_TEXT_H

#include "store/frames.h"
#include "store/span.h"

#include <sys/types.h>

enum { MAILBOX_TEXT_BYTES = 64 << 10 };

struct mailbox_text {
    int fd;
    bool lf_only;   /* a CR before LF is text */
    uint32_t lines; /* of the body still wanted; MAILBOX_WHOLE: all */
    bool in_body, done;
    uint64_t at; /* of the file, that was read */
    uint64_t line_n;
    bool cr, any, ended; /* of what went out: the last octet is CR; there was one; it ended a line */
    size_t from, to;     /* of `octets`, that have not gone out */
    uint8_t octets[MAILBOX_TEXT_BYTES];
};

/* `lines`: how many lines of the body (RFC 1939 7, TOP), or MAILBOX_WHOLE. The descriptor stays the caller's. */
void mailbox_text_begin(struct mailbox_text *text, int fd, bool lf_only, uint32_t lines);

/* The next octets, at most n, which is 3 at least; 0 at the end, -1 with errno. */
ssize_t mailbox_text_read(struct mailbox_text *text, uint8_t *out, size_t n) MUST_USE;

#endif
