/* conf_print.c - the effective configuration in the file's own syntax, each value with the place it came from.
 * Runs in: command line. Trusts: a struct conf that conf_read made. Never: prints what is in a key or password
 * file. */
#include "conf/conf_reader.h"

enum { VALUE_MAX = 8192 };

struct printer {
    const struct conf *conf;
    FILE *out;
    unsigned depth;
};

static void indent(const struct printer *printer) {
    fprintf(printer->out, "%*s", (int)(printer->depth * 4), "");
}

static void print_origin(const struct printer *printer, const void *field, bool element) {
    const struct conf_place *place = conf_origin_find(printer->conf, field, element);
    if (!place) {
        fputs(" # default\n", printer->out);
        return;
    }
    fputs(" # ", printer->out);
    for (const char *p = place->file; *p; p++) fputc((unsigned char)*p < 32 ? '?' : *p, printer->out);
    fprintf(printer->out, ":%u\n", place->line);
}

static void print_value(const struct printer *printer, const struct conf_key *key, const void *item) {
    char storage[VALUE_MAX];
    struct buf b = BUF_OVER(storage);
    conf_value_text(key, item, &b);
    bool quoted = conf_value_quoted(key->kind);
    if (quoted) fputc('"', printer->out);
    for (size_t i = 0; i < b.n; i++) {
        if (storage[i] == '"' || storage[i] == '\\') fputc('\\', printer->out);
        fputc(storage[i], printer->out);
    }
    if (quoted) fputc('"', printer->out);
}

/* One item a line when there are several, each with its own origin. */
static void print_items(struct printer *printer, const struct conf_key *key, const void *field) {
    struct conf_array array = conf_array_get(field);
    const uint8_t *items = array.items;
    if (array.n < 2) {
        fputs("[ ", printer->out);
        if (array.n) print_value(printer, key, items);
        fputs(array.n ? " ];" : "];", printer->out);
        print_origin(printer, field, false);
        return;
    }
    fputs("[\n", printer->out);
    printer->depth++;
    for (size_t i = 0; i < array.n; i++) {
        indent(printer);
        print_value(printer, key, items + i * key->size);
        if (i + 1 < array.n) fputc(',', printer->out);
        print_origin(printer, items + i * key->size, true);
    }
    printer->depth--;
    indent(printer);
    fputs("];\n", printer->out);
}

static void print_elements(struct printer *printer, const struct conf_key *key, void *field);

static void print_key(struct printer *printer, const struct conf_key *key, void *base) {
    void *field = conf_key_field(key, base);
    indent(printer);
    fprintf(printer->out, "%s = ", conf_key_name(key));
    if (key->kind == CONF_KIND_GROUPS) {
        print_elements(printer, key, field);
    } else if (key->many) {
        print_items(printer, key, field);
    } else {
        print_value(printer, key, field);
        fputc(';', printer->out);
        print_origin(printer, field, false);
    }
}

static void print_elements(struct printer *printer, const struct conf_key *key, void *field) {
    struct conf_array array = conf_array_get(field);
    if (array.n == 0) {
        fputs("();", printer->out);
        print_origin(printer, field, false);
        return;
    }
    fputs("(\n", printer->out);
    printer->depth++;
    for (size_t i = 0; i < array.n; i++) {
        void *element = (uint8_t *)array.items + i * key->size;
        indent(printer);
        fputs("{\n", printer->out);
        printer->depth++;
        for (size_t j = 0; j < key->elements->n; j++) print_key(printer, &key->elements->keys[j], element);
        printer->depth--;
        indent(printer);
        fputs(i + 1 < array.n ? "},\n" : "}\n", printer->out);
    }
    printer->depth--;
    indent(printer);
    fputs(");\n", printer->out);
}

/* Octets of `path` up to and with its last dot: the groups it stands in. */
static size_t groups_length(const char *path) {
    const char *dot = strrchr(path, '.');
    return dot ? (size_t)(dot - path) + 1 : 0;
}

static void close_groups(struct printer *printer, const char *path, size_t from, size_t to) {
    for (size_t i = to; i-- > from;) {
        if (path[i] != '.') continue;
        printer->depth--;
        indent(printer);
        fputs("};\n", printer->out);
    }
}

static void open_groups(struct printer *printer, const char *path, size_t from, size_t to) {
    for (size_t i = from, start = from; i < to; i++) {
        if (path[i] != '.') continue;
        if (printer->depth == 0) fputc('\n', printer->out);
        indent(printer);
        fprintf(printer->out, "%.*s = {\n", (int)(i - start), path + start);
        printer->depth++;
        start = i + 1;
    }
}

void conf_print(const struct conf *conf, FILE *out) {
    struct printer printer = {conf, out, 0};
    const char *last = "";
    for (size_t i = 0; i < conf_keys_n; i++) {
        const char *path = conf_keys[i].path;
        size_t old = groups_length(last), new = groups_length(path), common = 0;
        for (size_t j = 0; j < old && j < new &&last[j] == path[j]; j++)
            if (path[j] == '.') common = j + 1;
        close_groups(&printer, last, common, old);
        open_groups(&printer, path, common, new);
        print_key(&printer, &conf_keys[i], (void *)(uintptr_t)conf);
        last = path;
    }
    close_groups(&printer, last, 0, groups_length(last));
}
