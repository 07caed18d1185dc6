/* submit_text.h - octets that grow as they come: a message has no size before it has ended. */
#ifndef SERVER_SUBMIT_SUBMIT_TEXT_H
#define SERVER_SUBMIT_SUBMIT_TEXT_H

#include "store/span.h"

/* More is no mail: what the server takes at most, and a little. */
enum { SUBMIT_BYTES_MAX = 2047 << 20 };

/* Zeroed is empty. */
struct submit_text {
    uint8_t *p;
    size_t n, cap;
    bool failed; /* no memory, or more than SUBMIT_BYTES_MAX: what came after is not in it */
};

void submit_text_put(struct submit_text *text, struct span octets);
void submit_text_free(struct submit_text *text);

static inline struct span submit_text_span(const struct submit_text *text) {
    return span_of(text->p, text->n);
}

#endif
