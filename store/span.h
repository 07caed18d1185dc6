/* span.h - a view of bytes somebody else owns. All network input is parsed as spans: pointer and length,
 * no terminator, no C string functions. */
#ifndef STORE_SPAN_H
#define STORE_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define MUST_USE __attribute__((warn_unused_result))

struct span {
    const uint8_t *p;
    size_t n;
};

/* A literal as a span, without its terminator. */
#define SPAN(literal) ((struct span){(const uint8_t *)("" literal), sizeof(literal) - 1})

/* The bytes of a C string that is our own (never a client's). */
static inline struct span span_text(const char *text) {
    return (struct span){(const uint8_t *)text, text ? strlen(text) : 0};
}

static inline struct span span_of(const void *p, size_t n) {
    return (struct span){p, n};
}

/* The part from offset `from` (at most the end) for `n` octets (at most what is left). */
static inline struct span span_part(struct span s, size_t from, size_t n) {
    if (from > s.n) from = s.n;
    if (n > s.n - from) n = s.n - from;
    return (struct span){s.p ? s.p + from : NULL, n};
}

static inline struct span span_from(struct span s, size_t from) {
    return span_part(s, from, SIZE_MAX);
}

static inline bool span_equal(struct span a, struct span b) {
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

/* ASCII only; locale-free, unlike tolower(3). */
static inline uint8_t octet_lower(uint8_t c) {
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c + 32) : c;
}

/* Equal but for ASCII case. */
bool span_equal_nocase(struct span a, struct span b);

/* Whether `s` begins with `prefix`, but for ASCII case. */
bool span_starts_nocase(struct span s, struct span prefix);

/* Offset of the first octet `c`, or s.n when there is none. */
size_t span_find(struct span s, uint8_t c);

/* Whether no octet is above 127. */
bool span_is_ascii(struct span s);

/* Without spaces and tabs at either end. */
struct span span_trim(struct span s);

/* Reads all of `s` as a decimal number of at most `max`; false when it is empty, too large or holds any
 * other octet. */
bool span_number(struct span s, uint64_t max, uint64_t *value_out) MUST_USE;

#endif
