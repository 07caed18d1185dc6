/* submit_address.h - the addresses in a header field or an argument, RFC 5322 3.4. Pure. */
#ifndef SERVER_SUBMIT_SUBMIT_ADDRESS_H
#define SERVER_SUBMIT_SUBMIT_ADDRESS_H

#include "store/span.h"

enum { SUBMIT_ADDRESS_MAX = 512 };

struct submit_mailbox {
    uint8_t address[SUBMIT_ADDRESS_MAX]; /* without comments and blanks */
    size_t n;
    size_t end;    /* offset in the text behind the address's last octet: where a domain would go */
    bool bare;     /* it has none */
    bool too_long; /* for `address`, which holds its beginning */
};

/* The next mailbox from offset *at on; false when there is none. Names and comments are passed over, groups are their
 * members, "<>" has n = 0. Anything else is for the server to judge. */
bool submit_address_next(struct span text, size_t *at, struct submit_mailbox *out);

#endif
