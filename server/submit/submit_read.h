/* submit_read.h - a message as programs write it, made into one of lines that end with CRLF. */
#ifndef SERVER_SUBMIT_SUBMIT_READ_H
#define SERVER_SUBMIT_SUBMIT_READ_H

#include "server/submit/submit_text.h"

enum { SUBMIT_LINE_MAX = 998 }; /* RFC 5322 2.1.1, without its CRLF */

/* Zeroed but for the first two, it awaits the first octet. */
struct submit_reader {
    struct submit_text *out;
    bool dots_are_text; /* else a line of one dot ends the message */
    bool eight_bit;     /* an octet above 127 came */
    bool nul;           /* RFC 5322 has no place for it */
    bool ended;         /* by the dot */
    bool after_cr, in_body;
    size_t line_from; /* where the line begins in *out */
};

/* LF, CRLF and CR alone end a line (what a terminal shows as progress is text in a mail of cron's). A line of a body
 * that is too long is broken at its last blank, or between two characters. */
void submit_read(struct submit_reader *reader, struct span octets);

/* The end of the input: a last line without an end gets one. */
void submit_read_end(struct submit_reader *reader);

#endif
