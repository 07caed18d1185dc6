/* command_print.c - rows for people and for programs.
 * Runs in: the command line. Trusts: the asked process for the shape of a row. Never: lets a value speak to the
 * terminal. */
#include "server/process/command_print.h"

#include "auth/utf8.h"
#include "store/clock.h"

#include <stdlib.h>

enum { COLUMNS_MAX = PRINT_COLUMNS, NAME_MAX_OCTETS = 32 };

struct print_cell {
    char name[NAME_MAX_OCTETS];
    enum control_kind kind;
    struct span text; /* CONTROL_TEXT, CONTROL_LINE: a view into the row */
    uint64_t number;
};

struct print_row {
    uint8_t *octets; /* a copy of the row, which the cells look into */
    size_t n;
    struct print_cell cells[]; /* n */
};

/* ---- one text */

/* The character at the start, which is `n` octets of well-formed UTF-8. */
static uint32_t code_point(struct span s, size_t n) {
    if (n == 1) return s.p[0];
    uint32_t c = s.p[0] & (0xffu >> (n + 1));
    for (size_t i = 1; i < n; i++) c = c << 6 | (s.p[i] & 0x3f);
    return c;
}

/* C0, DEL, C1; the line separators; what changes the direction of writing (Unicode 15, UAX 9). */
static bool is_control(uint32_t c) {
    return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x200e || c == 0x200f || (c >= 0x2028 && c <= 0x202e) ||
           (c >= 0x2066 && c <= 0x2069);
}

/* How many octets at the start are printable ASCII, which is most of all that is printed. */
static size_t plain_octets(struct span s) {
    size_t n = 0;
    while (n < s.n && s.p[n] >= 0x20 && s.p[n] < 0x7f) n++;
    return n;
}

/* Prints (when `out` is there) and returns the width in characters. */
static size_t put_clean(struct span text, FILE *out) {
    size_t width = 0;
    while (text.n) {
        size_t plain = plain_octets(text);
        if (out && plain) fwrite(text.p, 1, plain, out);
        width += plain;
        text = span_from(text, plain);
        if (!text.n) break;
        size_t n = utf8_step(text);
        if (n && !is_control(code_point(text, n))) {
            if (out) fwrite(text.p, 1, n, out);
            width++;
        } else {
            if (!n) n = 1;
            for (size_t i = 0; out && i < n; i++) fprintf(out, "\\x%02x", text.p[i]);
            width += 4 * n;
        }
        text = span_from(text, n);
    }
    return width;
}

void command_print_clean(struct span text, FILE *out) {
    put_clean(text, out);
}

void command_print_json(struct span text, FILE *out) {
    fputc('"', out);
    while (text.n) {
        size_t plain = 0, ascii = plain_octets(text);
        while (plain < ascii && text.p[plain] != '"' && text.p[plain] != '\\') plain++;
        if (plain) fwrite(text.p, 1, plain, out);
        text = span_from(text, plain);
        if (!text.n) break;
        size_t n = utf8_step(text);
        uint32_t c = n ? code_point(text, n) : 0xfffd;
        if (c == '"' || c == '\\')
            fprintf(out, "\\%c", (char)c);
        else if (!n || is_control(c))
            fprintf(out, "\\u%04x", c);
        else
            fwrite(text.p, 1, n, out);
        text = span_from(text, n ? n : 1);
    }
    fputc('"', out);
}

/* ---- one value */

static struct span time_text(const struct print_cell *cell, bool exact, struct buf *b) {
    clock_put_iso(b, cell->number);
    if (exact || b->n < 5) return buf_span(b);
    b->n -= 5; /* ".123Z" */
    buf_put_octet(b, 'Z');
    return buf_span(b);
}

static struct span cell_text(const struct print_cell *cell, struct buf *b) {
    if (cell->kind == CONTROL_TIME) return cell->number ? time_text(cell, false, b) : SPAN("-");
    if (cell->kind == CONTROL_BOOL) return cell->number ? SPAN("yes") : SPAN("no");
    if (cell->kind == CONTROL_NUMBER) {
        buf_put_number(b, cell->number);
        return buf_span(b);
    }
    return cell->text;
}

static size_t put_cell(const struct print_cell *cell, FILE *out) {
    uint8_t storage[64];
    struct buf b = BUF_OVER(storage);
    struct span text = cell_text(cell, &b);
    return put_clean(text.n ? text : SPAN("-"), out);
}

static void put_cell_json(const struct print_cell *cell, FILE *out) {
    uint8_t storage[64];
    struct buf b = BUF_OVER(storage);
    if (cell->kind == CONTROL_BOOL)
        fputs(cell->number ? "true" : "false", out);
    else if (cell->kind == CONTROL_NUMBER)
        fprintf(out, "%llu", (unsigned long long)cell->number);
    else if (cell->kind == CONTROL_TIME && !cell->number)
        fputs("null", out);
    else if (cell->kind == CONTROL_TIME)
        command_print_json(time_text(cell, true, &b), out);
    else
        command_print_json(cell->text, out);
}

/* ---- one row */

static const struct print_cell *find_line(const struct print_row *row) {
    for (size_t i = 0; i < row->n; i++)
        if (row->cells[i].kind == CONTROL_LINE) return &row->cells[i];
    return NULL;
}

static void free_row(struct print_row *row) {
    if (row) free(row->octets);
    free(row);
}

static void get_cell(struct wire *w, struct print_cell *cell) {
    cell->text = (struct span){0}, cell->number = 0;
    wire_get_text(w, cell->name, sizeof cell->name);
    cell->kind = wire_get_u8(w);
    if (cell->kind == CONTROL_TEXT || cell->kind == CONTROL_LINE)
        cell->text = wire_get_span(w, FRAME_BODY_MAX);
    else if (cell->kind >= CONTROL_NUMBER && cell->kind <= CONTROL_BOOL)
        cell->number = wire_get_u64(w);
    else
        w->bad = true;
}

/* NULL when the row is malformed. */
static struct print_row *parse_row(struct span octets) {
    struct print_row *row = malloc(sizeof *row + COLUMNS_MAX * sizeof row->cells[0]);
    if (!row || !(row->octets = malloc(octets.n + 1))) abort();
    row->n = 0;
    if (octets.n) memcpy(row->octets, octets.p, octets.n);
    struct wire w = wire_over(span_of(row->octets, octets.n));
    while (w.rest.n && !w.bad && row->n < COLUMNS_MAX) get_cell(&w, &row->cells[row->n++]);
    if (!wire_end(&w)) {
        free_row(row);
        return NULL;
    }
    struct print_row *smaller = realloc(row, sizeof *row + row->n * sizeof row->cells[0]);
    return smaller ? smaller : row;
}

/* With names and kinds alone. */
static struct print_row *copy_row(const struct print_row *row) {
    if (!row) return NULL;
    struct print_row *copy = malloc(sizeof *copy + row->n * sizeof copy->cells[0]);
    if (!copy) abort();
    memcpy(copy, row, sizeof *copy + row->n * sizeof copy->cells[0]);
    copy->octets = NULL;
    return copy;
}

static size_t next_of_name(const struct print_row *row, size_t i) {
    const char *name = row->cells[i].name;
    while (++i < row->n && strcmp(row->cells[i].name, name) != 0) {
    }
    return i;
}

static bool is_first_of_name(const struct print_row *row, size_t i) {
    size_t first = 0;
    while (strcmp(row->cells[first].name, row->cells[i].name) != 0) first++;
    return first == i;
}

/* A name that a row has more than once is a list. */
static void put_row_json(const struct print_row *row, FILE *out) {
    fputc('{', out);
    for (size_t i = 0; i < row->n; i++) {
        if (!is_first_of_name(row, i)) continue;
        if (i) fputs(", ", out);
        command_print_json(span_text(row->cells[i].name), out);
        fputs(": ", out);
        bool list = next_of_name(row, i) < row->n;
        if (list) fputc('[', out);
        put_cell_json(&row->cells[i], out);
        for (size_t j = next_of_name(row, i); j < row->n; j = next_of_name(row, j)) {
            fputs(", ", out);
            put_cell_json(&row->cells[j], out);
        }
        if (list) fputc(']', out);
    }
    fputc('}', out);
}

static void put_row_tall(const struct print_row *row, FILE *out) {
    int width = 0;
    for (size_t i = 0; i < row->n; i++)
        if ((int)strlen(row->cells[i].name) > width) width = (int)strlen(row->cells[i].name);
    for (size_t i = 0; i < row->n; i++) {
        int n = (int)put_clean(span_text(row->cells[i].name), out);
        fprintf(out, "%*s  ", width > n ? width - n : 0, "");
        put_cell(&row->cells[i], out);
        fputc('\n', out);
    }
}

static void put_line(struct span text, FILE *out) {
    while (text.n && (text.p[text.n - 1] == '\n' || text.p[text.n - 1] == '\r')) text.n--;
    put_clean(text, out);
    fputc('\n', out);
}

/* Line ends stay, and what else moves the cursor does not. */
static void put_shown(struct span text, FILE *out) {
    while (text.n) {
        size_t n = 0;
        while (n < text.n && text.p[n] != '\n' && text.p[n] != '\r' && text.p[n] != '\t') n++;
        put_clean(span_part(text, 0, n), out);
        if (n < text.n && text.p[n] != '\r') fputc(text.p[n], out);
        text = span_from(text, n + 1);
    }
}

/* ---- the table */

/* Rows of one table: those with fewer columns than others lack the last ones. */
static bool same_head(const struct print_row *a, const struct print_row *b) {
    for (size_t i = 0; i < a->n && i < b->n; i++)
        if (strcmp(a->cells[i].name, b->cells[i].name) != 0 || a->cells[i].kind != b->cells[i].kind) return false;
    return true;
}

static void put_name_upper(const char *name, FILE *out) {
    for (; *name; name++) fputc(*name >= 'a' && *name <= 'z' ? *name - 32 : *name < ' ' ? '?' : *name, out);
}

static size_t put_column(const struct print_row *row, size_t column, FILE *out) {
    static const struct print_cell absent = {.kind = CONTROL_TEXT};
    return put_cell(column < row->n ? &row->cells[column] : &absent, out);
}

/* One line of the table; `row` NULL prints the head. The last column is not padded. */
static void put_columns(const struct print_row *head, const struct print_row *row, const size_t *widths, FILE *out) {
    for (size_t i = 0; i < head->n; i++) {
        const char *name = head->cells[i].name;
        bool right = head->cells[i].kind == CONTROL_NUMBER;
        int blanks = (int)(widths[i] - (row ? put_column(row, i, NULL) : strlen(name)));
        if (right) fprintf(out, "%*s", blanks, "");
        if (row)
            put_column(row, i, out);
        else
            put_name_upper(name, out);
        if (i + 1 < head->n) fprintf(out, "%*s", (right ? 0 : blanks) + 2, "");
    }
    fputc('\n', out);
}

static const struct print_row *longest_row(const struct command_print *print) {
    const struct print_row *longest = print->n_held ? print->held[0] : NULL;
    for (size_t j = 1; j < print->n_held; j++)
        if (print->held[j]->n > longest->n) longest = print->held[j];
    return longest;
}

static void free_head(struct command_print *print) {
    free_row(print->head);
    print->head = NULL;
    memset(print->widths, 0, sizeof print->widths);
}

/* Prints what is held. A long table comes in parts: columns may grow from one to the next, the head comes once. */
static void flush_table(struct command_print *print) {
    const struct print_row *longest = longest_row(print);
    bool first = !print->head;
    if (first) print->head = copy_row(longest);
    const struct print_row *head = print->head;
    for (size_t i = 0; head && i < head->n; i++) {
        if (first) print->widths[i] = strlen(head->cells[i].name);
        for (size_t j = 0; j < print->n_held; j++) {
            size_t n = put_column(print->held[j], i, NULL);
            if (n > print->widths[i]) print->widths[i] = n;
        }
    }
    if (head && first) put_columns(head, NULL, print->widths, print->out);
    for (size_t j = 0; j < print->n_held; j++) put_columns(head, print->held[j], print->widths, print->out);
    for (size_t j = 0; j < print->n_held; j++) free_row(print->held[j]);
    free(print->held);
    print->held = NULL;
    print->n_held = 0;
}

static void end_table(struct command_print *print) {
    flush_table(print);
    free_head(print);
}

static void hold(struct command_print *print, struct print_row *row) {
    const struct print_row *before = print->n_held ? print->held[0] : print->head;
    if (before && !same_head(before, row)) {
        end_table(print);
        fputc('\n', print->out);
    }
    if (print->n_held == PRINT_HELD) flush_table(print);
    if ((print->n_held & (print->n_held - 1)) == 0) { /* room doubles at powers of two */
        size_t room = print->n_held ? 2 * print->n_held : 1;
        print->held = reallocarray(print->held, room, sizeof(struct print_row *));
        if (!print->held) abort();
    }
    print->held[print->n_held++] = row;
}

/* ---- an answer */

void command_print_open(struct command_print *print, FILE *out, enum print_form form) {
    *print = (struct command_print){.out = out, .form = form};
}

bool command_print_row(struct command_print *print, struct span octets) {
    if (!octets.n) return true; /* a sign of life */
    if (print->take && print->take(print->context, octets)) return true;
    struct print_row *row = parse_row(octets);
    if (!row) return false;
    const struct print_cell *line = find_line(row);
    bool first = print->rows++ == 0;
    if (print->form == PRINT_JSON) {
        fputs(first ? "[\n  " : ",\n  ", print->out);
        put_row_json(row, print->out);
    } else if (print->form == PRINT_LINES) {
        put_row_json(row, print->out);
        fputc('\n', print->out);
    } else if (print->form == PRINT_OCTETS) {
        if (line) fwrite(line->text.p, 1, line->text.n, print->out);
    } else if (print->form == PRINT_SHOWN) {
        if (line) put_shown(line->text, print->out);
    } else if (line) {
        end_table(print);
        put_line(line->text, print->out);
    } else if (print->form == PRINT_TALL) {
        if (!first) fputc('\n', print->out);
        put_row_tall(row, print->out);
    } else {
        hold(print, row);
        return true;
    }
    free_row(row);
    return true;
}

bool command_print_row_json(struct span octets, FILE *out) {
    struct print_row *row = parse_row(octets);
    if (!row) return false;
    put_row_json(row, out);
    free_row(row);
    return true;
}

void command_print_close(struct command_print *print) {
    end_table(print);
    if (print->form == PRINT_JSON) fputs(print->rows ? "\n]" : "[]", print->out);
}
