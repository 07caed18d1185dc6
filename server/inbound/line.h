/* line.h - lines in what has arrived from the client (client_rest). */
#ifndef SERVER_INBOUND_LINE_H
#define SERVER_INBOUND_LINE_H

#include "store/span.h"

enum line_kind {
    LINE_NONE = 0, /* its end has not come yet */
    LINE_GOOD,
    LINE_BAD,    /* with a NUL, or a CR or LF that ends nothing */
    LINE_ENDLESS /* an LF that ends nothing, and no CRLF after it */
};

/* The next line in `rest`, without its CRLF; *used_out counts that too. Nothing is taken. */
enum line_kind line_find(struct span rest, struct span *line_out, size_t *used_out);

/* Takes and wipes octets up to the end of a line that is too long; true when that end was there. */
bool line_skip(void) MUST_USE;

#endif
