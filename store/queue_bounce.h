/* queue_bounce.h - the text of a report on a message: multipart/report with a delivery status, RFC 3462, 3464. */
#ifndef STORE_QUEUE_BOUNCE_H
#define STORE_QUEUE_BOUNCE_H

#include "store/message.h"

struct bounce_recipient {
    struct recipient recipient;
    uint8_t state; /* RECIPIENT_WAITING (delayed; then all are), _DELIVERED, _RELAYED or _FAILED */
    struct span status, diagnostic, remote;
};

struct bounce {
    struct span hostname;
    uint64_t number;   /* of the report */
    uint64_t now_ms;   /* wall clock */
    uint64_t until_ms; /* wall clock: when what waits is given up */
    struct span to;    /* whom it is for; empty: postmaster */
    const struct message *original;
    struct span original_body; /* as far as it is at hand; only its header block is used unless `full` */
    bool full;                 /* return all of it (RET=FULL) */
    const struct bounce_recipient *recipients;
    size_t n;
};

/* Room that bounce_put needs at most. */
size_t bounce_bytes(const struct bounce *bounce);
void bounce_put(struct buf *b, const struct bounce *bounce);

/* A message to the postmaster: so many reports to strangers were not sent. `head` has its number and time. */
void bounce_put_count(struct buf *b, struct span hostname, const struct message *head, uint64_t count,
                      unsigned limit);

/* A message to the postmaster: this account was suspended, and why ("5 messages were refused..."). ENVELOPE_UTF8 is
 * not set in `head`: what is not ASCII shows as ?. */
void bounce_put_suspended(struct buf *b, struct span hostname, const struct message *head, struct span about,
                          struct span why);

/* The header block of a message, with its last line end and without the empty line. */
struct span bounce_headers(struct span body);

#endif
