/* conf_mistake.c - collects what is wrong, all of it, and prints it by file and line; the nearest word; the origins.
 * Runs in: master and command line. Trusts: nothing in the file. Never: stops at the first mistake. */
#include "conf/conf_reader.h"

#include <stdarg.h>
#include <stdlib.h>

struct conf_mistake {
    size_t file, number; /* order of finding */
    struct conf_place place;
    char *text;
};

void *conf_alloc(size_t n, size_t size) {
    void *p = calloc(n ? n : 1, size);
    if (!p) abort();
    return p;
}

char *conf_copy(const char *text, size_t n) {
    char *copy = conf_alloc(n + 1, 1);
    if (n) memcpy(copy, text, n);
    return copy;
}

void *conf_grow(void *items, size_t n, size_t size) {
    if (n & (n - 1)) return items; /* room doubles at powers of two */
    void *grown = reallocarray(items, n ? 2 * n : 1, size);
    if (!grown) abort();
    return grown;
}

void conf_mistake(struct conf_mistakes *mistakes, struct conf_place place, const char *format, ...) {
    struct conf_mistake mistake = {
        mistakes->n, mistakes->n, {conf_copy(place.file, strlen(place.file)), place.line}, NULL};
    va_list arguments;
    va_start(arguments, format);
    if (vasprintf(&mistake.text, format, arguments) < 0) abort();
    va_end(arguments);
    for (size_t i = mistakes->n; i-- > 0;)
        if (strcmp(mistakes->items[i].place.file, place.file) == 0) mistake.file = mistakes->items[i].file;
    mistakes->items = conf_grow(mistakes->items, mistakes->n, sizeof *mistakes->items);
    mistakes->items[mistakes->n++] = mistake;
}

static int compare(const void *left, const void *right) {
    const struct conf_mistake *a = left, *b = right;
    if (a->file != b->file) return a->file < b->file ? -1 : 1;
    /* What concerns the file as a whole comes after its lines. */
    unsigned line_a = a->place.line - 1, line_b = b->place.line - 1;
    if (line_a != line_b) return line_a < line_b ? -1 : 1;
    return a->number < b->number ? -1 : a->number > b->number;
}

/* A value's own control octets must not forge lines on the owner's terminal. */
static void print_clean(const char *text, FILE *out) {
    for (; *text; text++) fputc((unsigned char)*text < 32 || *text == 127 ? '?' : *text, out);
}

void conf_mistakes_print(struct conf_mistakes *mistakes, FILE *out) {
    if (mistakes->n) qsort(mistakes->items, mistakes->n, sizeof *mistakes->items, compare);
    for (size_t i = 0; i < mistakes->n; i++) {
        print_clean(mistakes->items[i].place.file, out);
        if (mistakes->items[i].place.line) fprintf(out, ":%u", mistakes->items[i].place.line);
        fputs(": ", out);
        print_clean(mistakes->items[i].text, out);
        fputc('\n', out);
    }
}

void conf_mistakes_free(struct conf_mistakes *mistakes) {
    for (size_t i = 0; i < mistakes->n; i++) {
        void *file = (void *)(uintptr_t)mistakes->items[i].place.file;
        free(file);
        free(mistakes->items[i].text);
    }
    free(mistakes->items);
    *mistakes = (struct conf_mistakes){0};
}

struct conf_origin {
    const void *field;
    bool element, faulty;
    struct conf_place place;
};

struct conf_origins {
    struct conf_origin *items;
    size_t n;
};

void conf_origin_add(struct conf *conf, const void *field, bool element, struct conf_place place) {
    if (!conf->origins) conf->origins = conf_alloc(1, sizeof *conf->origins);
    struct conf_origins *origins = conf->origins;
    origins->items = conf_grow(origins->items, origins->n, sizeof *origins->items);
    char *file = conf_copy(place.file, strlen(place.file));
    origins->items[origins->n++] = (struct conf_origin){field, element, false, {file, place.line}};
}

static struct conf_origin *find(const struct conf *conf, const void *field, bool element) {
    for (size_t i = 0; conf->origins && i < conf->origins->n; i++) {
        struct conf_origin *origin = &conf->origins->items[i];
        if (origin->field == field && origin->element == element) return origin;
    }
    return NULL;
}

const struct conf_place *conf_origin_find(const struct conf *conf, const void *field, bool element) {
    const struct conf_origin *origin = find(conf, field, element);
    return origin ? &origin->place : NULL;
}

void conf_origin_mark_faulty(struct conf *conf, const void *field) {
    struct conf_origin *origin = find(conf, field, false);
    if (origin) origin->faulty = true;
}

bool conf_origin_is_faulty(const struct conf *conf, const void *field) {
    const struct conf_origin *origin = find(conf, field, false);
    return origin && origin->faulty;
}

void conf_origins_free(struct conf_origins *origins) {
    for (size_t i = 0; origins && i < origins->n; i++) {
        void *file = (void *)(uintptr_t)origins->items[i].place.file;
        free(file);
    }
    if (origins) free(origins->items);
    free(origins);
}
