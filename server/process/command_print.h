/* command_print.h - rows of a control answer as an aligned table, as one value per line, or as JSON. Whatever a value
 * holds, it cannot move the cursor or forge a line. */
#ifndef SERVER_PROCESS_COMMAND_PRINT_H
#define SERVER_PROCESS_COMMAND_PRINT_H

#include "store/control.h"

#include <stdio.h>

enum print_form {
    PRINT_TABLE = 0, /* a head and aligned columns; a new head when names change (a row may lack the last) */
    PRINT_TALL,      /* one value per line, rows parted by an empty line */
    PRINT_JSON,      /* an array with an object per row */
    PRINT_OCTETS,    /* the octets of CONTROL_LINE, nothing else: a message */
    PRINT_LINES,     /* an object per row and line, for answers of any length */
    PRINT_SHOWN      /* as PRINT_OCTETS, but what is no text shows as \xHH */
};

enum { PRINT_HELD = 1000, PRINT_COLUMNS = 64 };

struct command_print {
    FILE *out;
    enum print_form form;
    size_t rows;             /* printed or held */
    struct print_row **held; /* of the table, until the widths are known; at most PRINT_HELD */
    size_t n_held;
    size_t widths[PRINT_COLUMNS]; /* so far, when a part of this table is printed already */
    struct print_row *head;       /* the row whose names it has */
    /* Unless NULL: is asked first, and true says that it has taken the row. */
    bool (*take)(void *context, struct span row);
    void *context;
    bool stop; /* set by `take`: it has said why, and no more rows are wanted */
};

/* Begins an answer. */
void command_print_open(struct command_print *print, FILE *out, enum print_form form);

/* Takes the body of a CONTROL_ROW. A row with a CONTROL_LINE shows as that line, but in JSON with all its values.
 * False when it is malformed (nothing is printed of it). */
bool command_print_row(struct command_print *print, struct span row) MUST_USE;

/* Prints what is held and ends the answer. */
void command_print_close(struct command_print *print);

/* The same as JSON, whatever the form. */
bool command_print_row_json(struct span row, FILE *out) MUST_USE;

/* Text for a terminal: control characters, malformed UTF-8 and what turns the direction of writing as \xHH. */
void command_print_clean(struct span text, FILE *out);

/* Text as a JSON string, with its quotes; malformed UTF-8 becomes U+FFFD. RFC 8259 7. */
void command_print_json(struct span text, FILE *out);

#endif
