/* markup.h - text within XML and HTML. */
#ifndef SERVER_LAB_MARKUP_H
#define SERVER_LAB_MARKUP_H

#include "store/buf.h"

/* Text as content or as the value of a quoted attribute: & < > and both quotes as references, which XML 1.0 and HTML
 * read alike. What neither may hold (control characters, noncharacters, malformed UTF-8) is U+FFFD. */
void markup_put(struct buf *out, struct span text);

struct markup_field {
    const char *name;
    struct span value;
};

/* Our own text, in which each {name} is replaced by the field's value, escaped as above. A name that is no field's is
 * a bug. */
void markup_fill(struct buf *out, const char *text, const struct markup_field *fields, size_t n);

#define MARKUP_FILL(out, text, fields) markup_fill((out), (text), (fields), sizeof(fields) / sizeof *(fields))

#endif
