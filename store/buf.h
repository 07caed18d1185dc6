/* buf.h - a buffer with a cap it was born with. Puts never fail one by one: the first that does not fit sets
 * `full`, everything after it is dropped, and the owner asks once (buf_ok) before using the result. */
#ifndef STORE_BUF_H
#define STORE_BUF_H

#include "store/span.h"

struct buf {
    uint8_t *p;
    size_t n, cap;
    bool full;
};

/* A buffer over storage that the caller keeps alive. */
static inline struct buf buf_over(void *storage, size_t cap) {
    return (struct buf){storage, 0, cap, false};
}
#define BUF_OVER(array) buf_over((array), sizeof(array))

/* In a program that forks, what each child writes to shares few pages: its stack, on the page where that begins what
 * the parent writes between two forks and what is gathered for the log, then from the beginning of a page the child's
 * small statics, then the buffer whose beginning is always used. Behind all that lies static storage of many pages.
 */
#define CHILD_STACK __attribute__((section(".bss.child.1"), aligned(4096)))
#define CHILD_PARENT __attribute__((section(".bss.child.2")))
#define CHILD_GATHERED __attribute__((section(".bss.child.3")))
#define CHILD_FIRST __attribute__((section(".bss.child.4"), aligned(4096)))
#define CHILD_STATE __attribute__((section(".bss.child.5")))
#define CHILD_LAST __attribute__((section(".bss.child.6")))
#define BUF_LARGE __attribute__((section(".bss.large")))
#define BUF_LARGEST __attribute__((section(".bss.largest")))
enum { CHILD_GATHERED_BYTES = 16 << 10, CHILD_STACK_BYTES = (320 << 10) - 1536 };

static inline bool buf_ok(const struct buf *b) {
    return !b->full;
}
static inline struct span buf_span(const struct buf *b) {
    return (struct span){b->p, b->n};
}
static inline void buf_clear(struct buf *b) {
    b->n = 0, b->full = false;
}

void buf_put(struct buf *b, const void *p, size_t n);
void buf_put_span(struct buf *b, struct span s);
void buf_put_text(struct buf *b, const char *text);
void buf_put_octet(struct buf *b, uint8_t c);
void buf_put_number(struct buf *b, uint64_t value);

/* printf into the buffer; only for our own formats, never for a client's text as the format. */
void buf_put_format(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Wipes what was held, then clears. For buffers that may hold a secret. */
void buf_wipe(struct buf *b);

#endif
