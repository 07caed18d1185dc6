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
    PRINT_OCTETS     /* the octets of CONTROL_LINE, nothing else: a message */
};

struct command_print {
    FILE *out;
    enum print_form form;
    size_t rows;             /* printed or held */
    struct print_row **held; /* of the table, until the widths are known */
    size_t n_held;
};

/* Begins an answer. */
void command_print_open(struct command_print *print, FILE *out, enum print_form form);

/* Takes the body of a CONTROL_ROW. A row with a CONTROL_LINE shows as that line, but in JSON with all its values.
 * False when it is malformed (nothing is printed of it). */
bool command_print_row(struct command_print *print, struct span row) MUST_USE;

/* Prints what is held and ends the answer. */
void command_print_close(struct command_print *print);

/* Text for a terminal: control characters, malformed UTF-8 and what turns the direction of writing as \xHH. */
void command_print_clean(struct span text, FILE *out);

/* Text as a JSON string, with its quotes; malformed UTF-8 becomes U+FFFD. RFC 8259 7. */
void command_print_json(struct span text, FILE *out);

#endif
