/* import_line.h - lines of other servers' password files: Dovecot's passwd-file, htpasswd, shadow(5). */
#ifndef AUTH_IMPORT_LINE_H
#define AUTH_IMPORT_LINE_H

#include "store/span.h"

enum import_format { IMPORT_NONE = 0, IMPORT_DOVECOT, IMPORT_HTPASSWD, IMPORT_SHADOW };

enum import_line_kind {
    IMPORT_LINE_FAULT = 0, /* `why`, to follow the line's number */
    IMPORT_LINE_BLANK,     /* nothing, or a comment */
    IMPORT_LINE_SKIPPED,   /* `name`, and `why` it can be no user here */
    IMPORT_LINE_USER
};

struct import_line {
    struct span name, field; /* views into the line; the field is for auth/password_import.h */
    bool locked;             /* there is a password, but it does not open the account */
    const char *why;
};

/* The format of that name ("dovecot", "htpasswd", "shadow"), or NONE. */
enum import_format import_format_of(struct span name);

/* What the lines of a file look like: NONE when none holds a user. */
enum import_format import_format_guess(struct span text);

/* Cuts the next line off the front, without its end; false at the end of the text. */
bool import_line_next(struct span *text, struct span *line_out);

/* Reads a line; `today` in days since 1970: a shadow account that has expired is locked. */
enum import_line_kind import_line_read(struct span line, enum import_format format, uint64_t today,
                                       struct import_line *out);

#endif
