/* from.h - whom a message says it is from: the addresses of its one From field, taken from the body as it passes.
 * Pure: octets in, addresses out. RFC 5322 2.2, 3.4, 3.6.2; RFC 6532. */
#ifndef SERVER_INBOUND_FROM_H
#define SERVER_INBOUND_FROM_H

#include "store/frames.h"
#include "store/span.h"

enum { FROM_FIELD_MAX = 8192 }; /* of its value, unfolded */

/* Named by the octets seen last. */
enum from_state {
    FROM_LINE_START = 0, /* CRLF, or nothing yet */
    FROM_NAME,           /* within a field's name */
    FROM_NAME_END,       /* blanks after the name: RFC 5322 4.5.8 */
    FROM_VALUE,          /* after the colon */
    FROM_OVER            /* the header has ended */
};

struct from {
    enum from_state state;
    bool broken;                   /* a line of the header is neither a field nor the continuation of one */
    bool here;                     /* the field at hand is From */
    bool cr;                       /* the octet before was CR */
    bool too_long;                 /* what is kept of it is not the whole */
    uint8_t matched;               /* octets of "from" seen in the name; FROM_OTHER: it is another one */
    uint32_t fields;               /* From fields */
    size_t name, n;                /* octets of the name; of the value */
    uint8_t value[FROM_FIELD_MAX]; /* of the first one, without line ends */
};

void from_start(struct from *from);

/* The next octets of the body: dots unstuffed, lines ended by CRLF. */
void from_take(struct from *from, struct span octets);

enum from_verdict {
    FROM_MALFORMED = 0, /* a header that is none, a list that does not parse, too long, too many, or a group */
    FROM_MISSING,
    FROM_SEVERAL, /* fields */
    FROM_GOOD
};

/* Addresses without comments and blanks: views into `octets`. */
struct from_addresses {
    struct span of[FROM_ADDRESSES_MAX];
    size_t n, octets_n;
    uint8_t octets[FROM_FIELD_MAX];
};

/* After the last octet of the body. At least one address when GOOD; whether each is one is for auth to judge. */
enum from_verdict from_end(const struct from *from, struct from_addresses *out) MUST_USE;

#endif
