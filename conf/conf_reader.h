/* conf_reader.h - what the files of the configuration reader share: mistakes, origins, the raw text of the files, and
 * values. Not for other rooms. */
#ifndef CONF_CONF_READER_H
#define CONF_CONF_READER_H

#include "conf/conf_table.h"

/* A place in a file; line 0: the file as a whole. `file` lives as long as the reader or the origins that hold it. */
struct conf_place {
    const char *file;
    unsigned line;
};

/* Mistakes, in order of finding; printed in order of place. */
struct conf_mistakes {
    struct conf_mistake *items;
    size_t n;
};
void conf_mistake(struct conf_mistakes *mistakes, struct conf_place place, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void conf_mistakes_print(struct conf_mistakes *mistakes, FILE *out);
void conf_mistakes_free(struct conf_mistakes *mistakes);

/* Where values were set. `field` is the address of a field; `element` tells an element of a list from its first
 * field, which has the same address. */
void conf_origin_add(struct conf *conf, const void *field, bool element, struct conf_place place);
const struct conf_place *conf_origin_find(const struct conf *conf, const void *field, bool element);
/* The field was set, to something wrong: its value is not what the file says. */
void conf_origin_mark_faulty(struct conf *conf, const void *field);
bool conf_origin_is_faulty(const struct conf *conf, const void *field);
void conf_origins_free(struct conf_origins *origins);

/* The raw files, read before libconfig sees them: it tells us less than the owner needs. */
struct conf_file {
    char *name; /* as mistakes show it */
    char *text;
    size_t n;
    size_t *lines; /* offset of each line, made when first needed */
    size_t n_lines;
};
struct conf_scan {
    struct conf_file *files;
    size_t n;
    struct conf_mistakes *mistakes;
    const char *path; /* of the main file */
};

/* The order of tokens. */
enum conf_token {
    CONF_TOKEN_OTHER = 0,
    CONF_TOKEN_KEY,
    CONF_TOKEN_ASSIGN,
    CONF_TOKEN_TEXT,
    CONF_TOKEN_SCALAR, /* number, true or false */
    CONF_TOKEN_COMMA,
    CONF_TOKEN_SEMICOLON,
    CONF_TOKEN_OPEN,
    CONF_TOKEN_CLOSE,
    CONF_TOKEN_END /* of the main file */
};
struct conf_grammar {
    unsigned state;
    bool text; /* the last token was a text */
};

/* NULL when the token may stand here, else what was expected, a constant. `inside` is the innermost open bracket, 0
 * at the top; `outside` the bracket around it for CLOSE, the new one for OPEN. */
const char *conf_grammar_take(struct conf_grammar *grammar, enum conf_token token, char inside,
                              char outside) MUST_USE;

/* Reads `path` and what it includes; reports unreadable files, syntax errors, what is not closed, keys set twice and
 * numbers out of range. False when libconfig must not be given these files. */
bool conf_scan_read(struct conf_scan *scan) MUST_USE;
void conf_scan_free(struct conf_scan *scan);

/* The name under which mistakes show a file that @include names. The caller frees. */
char *conf_scan_name(const struct conf_scan *scan, const char *included);

/* libconfig dates a text in a list from the token after it: the line at or before `line` that holds it. */
unsigned conf_scan_line(const struct conf_scan *scan, struct conf_place place, const char *text);

/* Values from text, and back. */
enum { CONF_WHY_MAX = 400 };

/* Makes the value of one item; `out` is a field of key->size octets (LISTEN: room for two). Returns the number of
 * items made, or 0 with the reason in `why`, a whole sentence about `text`. */
size_t conf_value_parse(const struct conf_key *key, const char *text, void *out, char why[CONF_WHY_MAX]) MUST_USE;

/* One item as text, without quotes. */
void conf_value_text(const struct conf_key *key, const void *item, struct buf *out);

/* "1 to 256", for COUNT, BYTES and TIME. */
void conf_value_range(const struct conf_key *key, struct buf *out);

/* Whether the file writes this kind in quotes. */
bool conf_value_quoted(enum conf_kind kind);

/* A domain in A-labels and lower case without trailing dot, allocated; NULL with a reason (a constant) when it is
 * not one. RFC 5321 4.1.2, RFC 5890. */
char *conf_domain_normal(const char *text, const char **why_out) MUST_USE;

/* Where local mail goes, allocated: "maildir", or "lmtp:" and what store/endpoint.h reads, with names as above; NULL
 * with the reason. */
char *conf_delivery_normal(const char *text, char why[CONF_WHY_MAX]) MUST_USE;

/* Frees the text that a char * field points to; and the items of a list that is no list of groups. */
void conf_text_free(void *field);
void conf_items_free(const struct conf_key *key, struct conf_array array);

/* Gives the field of `key` in `base` its default; a required key and a list of groups have none. */
void conf_default_set(const struct conf_key *key, void *base);

/* The defaults that depend on other values. */
void conf_default_derive(struct conf *conf);

/* What no single value shows: unsafe combinations, files, duplicates. */
void conf_check(const struct conf *conf, const char *path, struct conf_mistakes *mistakes);

/* malloc and strdup of a process that cannot go on without: they abort. */
void *conf_alloc(size_t n, size_t size);
char *conf_copy(const char *text, size_t n);
void *conf_grow(void *items, size_t n, size_t size); /* room for item number n */

#endif
