/* data.h - the body of a message on its way in: where it ends, what is stuffed, and whether it may be taken at all.
 * Pure: octets in, octets out. RFC 5321 2.3.8, 4.1.1.4, 4.5.2; RFC 3030. */
#ifndef SERVER_INBOUND_DATA_H
#define SERVER_INBOUND_DATA_H

#include "store/buf.h"

enum {
    DATA_LINE_MAX = 1000,   /* RFC 5321 4.5.3.1.6, with its CRLF and without a stuffed dot */
    DATA_RECEIVED_MAX = 100 /* RFC 5321 6.3: that many Received lines may be there */
};

/* Named by the octets seen last. */
enum data_state {
    DATA_LINE_START = 0, /* CRLF, or nothing yet */
    DATA_DOT,            /* a dot at the start of a line, not passed on */
    DATA_DOT_CR,         /* that dot and CR */
    DATA_TEXT,           /* within a line */
    DATA_CR,             /* CR within a line, not passed on yet */
    DATA_END             /* CRLF.CRLF: all that follows is commands */
};

enum data_fault { DATA_FINE = 0, DATA_BARE_CR, DATA_BARE_LF, DATA_NUL, DATA_LONG_LINE, DATA_LOOP, DATA_TOO_LARGE };

struct data {
    enum data_state state;
    enum data_fault fault; /* the first one; from then on octets are consumed and dropped */
    bool stuffed;          /* DATA: dots are stuffed and end the message. BDAT: they are only dots */
    bool in_header;
    uint8_t name_matched; /* octets of "received:" seen in this header line; NAME_OTHER: it is another one */
    uint32_t received;    /* Received lines */
    size_t line_bytes;    /* of this line, as passed on */
    uint64_t bytes;       /* passed on */
    uint64_t limit_bytes; /* more is DATA_TOO_LARGE */
    uint8_t tail[4];      /* the octets taken last */
};

void data_start(struct data *data, bool stuffed, uint64_t limit_bytes);

/* Takes octets of `in` until the end of the message or of `in`, appends the body to `out`, which has room for
 * in.n + 2, and returns how many it took. What it took of a faulty message is dropped. */
size_t data_take(struct data *data, struct span in, struct buf *out);

/* Whether the octets so far stop at LF.LF, LF.CRLF or CRLF.LF, which is no end, though the client may think so. */
bool data_ends_falsely(const struct data *data);

/* After the last octet of BDAT LAST: ends the last line where the client did not (`out` has room for 2 octets); a CR
 * at the very end is at fault. */
void data_finish(struct data *data, struct buf *out);

/* Whether the fault is one by which one message is passed off as two. */
bool data_is_smuggling(enum data_fault fault);

#endif
