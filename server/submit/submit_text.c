/* submit_text.c - octets that grow.
 * Runs in: the command line. Trusts: nothing. Never: holds more than its limit. */
#include "server/submit/submit_text.h"

#include <stdlib.h>

void submit_text_put(struct submit_text *text, struct span octets) {
    if (text->failed || octets.n == 0) return;
    if (octets.n > SUBMIT_BYTES_MAX - text->n) {
        text->failed = true;
        return;
    }
    if (text->n + octets.n > text->cap) {
        size_t cap = text->cap ? 2 * text->cap : 16 << 10;
        while (cap < text->n + octets.n) cap *= 2;
        uint8_t *p = realloc(text->p, cap);
        if (!p) {
            text->failed = true;
            return;
        }
        text->p = p;
        text->cap = cap;
    }
    memcpy(text->p + text->n, octets.p, octets.n);
    text->n += octets.n;
}

void submit_text_free(struct submit_text *text) {
    free(text->p);
    *text = (struct submit_text){0};
}
