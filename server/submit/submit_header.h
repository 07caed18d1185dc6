/* submit_header.h - the header of a message that a program hands over: whom it names, and what it lacks. */
#ifndef SERVER_SUBMIT_SUBMIT_HEADER_H
#define SERVER_SUBMIT_SUBMIT_HEADER_H

#include "server/submit/submit_text.h"

/* Addresses, one after another, each ended by a NUL. */
struct submit_recipients {
    struct submit_text text;
    size_t n;
    bool too_long; /* one of them: longer than any address */
};

/* Adds those of a list, `domain` behind each that has none. */
void submit_header_addresses(struct submit_recipients *out, struct span list, struct span domain);

struct submit_header {
    struct span domain;    /* for addresses that have none */
    struct span from_name; /* for a From that is missing; may be empty */
    struct span from;      /* its address */
    bool take_recipients;  /* -t */
};

/* Writes `message` (lines ended by CRLF) to *out with its header in order: without Bcc, Return-Path and
 * Content-Length; addresses completed; From where there is none; and an empty line before a body that has no header.
 * Recipients of To, Cc and Bcc, or of the Resent- fields where there is one, go to *recipients. Date and Message-ID
 * are the queue's to add (store/trace.h). */
void submit_header_put(const struct submit_header *header, struct span message, struct submit_text *out,
                       struct submit_recipients *recipients);

/* A display name as it may stand before <address>: quoted, or in encoded words (RFC 2047) where it is not ASCII. */
void submit_header_name(struct submit_text *out, struct span name);

#endif
