/* import_line.c - the fields of a line between colons, and who is no user for us.
 * Runs in: command line. Trusts: nothing in the octets. Never: reads a hash. */
#include "auth/import_line.h"

enum { FIELDS_MAX = 16, SHADOW_FIELDS = 9, SHADOW_EXPIRES = 7, DOVECOT_EXTRA = 7 };

static const struct {
    const char *name;
    enum import_format format;
} formats[] = {{"dovecot", IMPORT_DOVECOT}, {"htpasswd", IMPORT_HTPASSWD}, {"shadow", IMPORT_SHADOW}};

enum import_format import_format_of(struct span name) {
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++)
        if (span_equal_nocase(name, span_text(formats[i].name))) return formats[i].format;
    return IMPORT_NONE;
}

bool import_line_next(struct span *text, struct span *line_out) {
    if (text->n == 0) return false;
    size_t n = span_find(*text, '\n');
    *line_out = span_part(*text, 0, n);
    *text = span_from(*text, n + 1);
    if (line_out->n && line_out->p[line_out->n - 1] == '\r') line_out->n--;
    return true;
}

/* How many there are; those beyond FIELDS_MAX are counted only. */
static size_t split(struct span line, struct span fields_out[FIELDS_MAX]) {
    size_t n = 0;
    for (bool more = true; more; n++) {
        size_t at = span_find(line, ':');
        more = at < line.n;
        if (n < FIELDS_MAX) fields_out[n] = span_part(line, 0, at);
        line = span_from(line, at + 1);
    }
    return n;
}

static bool is_blank(struct span line) {
    return span_trim(line).n == 0 || line.p[0] == '#';
}

static bool is_number(struct span s) {
    uint64_t value;
    return span_number(s, UINT64_MAX, &value);
}

/* Days, and nothing else, behind name and password: no home directory begins with a digit. */
static bool looks_shadow(const struct span *fields, size_t n) {
    if (n != SHADOW_FIELDS) return false;
    for (size_t i = 2; i < n; i++)
        if (fields[i].n && !is_number(fields[i])) return false;
    return true;
}

enum import_format import_format_guess(struct span text) {
    struct span line, fields[FIELDS_MAX];
    bool shadow = true, pairs = true, any = false;
    while (import_line_next(&text, &line)) {
        if (is_blank(line)) continue;
        size_t n = split(line, fields);
        any = true;
        pairs = pairs && n == 2;
        shadow = shadow && looks_shadow(fields, n);
    }
    if (!any) return IMPORT_NONE;
    return shadow ? IMPORT_SHADOW : pairs ? IMPORT_HTPASSWD : IMPORT_DOVECOT;
}

/* The words "nologin" or "nologin=..." among Dovecot's extra fields. */
static bool has_nologin(struct span extra) {
    while (extra.n) {
        size_t n = span_find(extra, ' ');
        struct span word = span_part(extra, 0, n), name = span_part(word, 0, span_find(word, '='));
        struct span value = span_from(word, name.n + 1);
        if (span_equal(name, SPAN("nologin")) && !span_starts_nocase(value, SPAN("n"))) return true;
        extra = span_from(extra, n + 1);
    }
    return false;
}

static bool has_expired(struct span day, uint64_t today) {
    uint64_t value;
    return span_number(day, UINT64_MAX, &value) && value <= today;
}

/* "!" in front locks what is behind it; a star, or nothing behind it, is no password of anybody. */
static enum import_line_kind read_password(struct import_line *out) {
    while (out->field.n && out->field.p[0] == '!') {
        out->locked = true;
        out->field = span_from(out->field, 1);
    }
    struct span field = out->field;
    size_t scheme = field.n && field.p[0] == '{' ? span_find(field, '}') : field.n;
    struct span behind = scheme < field.n ? span_from(field, scheme + 1) : field;
    if (behind.n == 0) out->why = out->locked ? "is locked, without a password" : "has no password";
    if (behind.n && behind.p[0] == '*') out->why = "has no password, but a *";
    if (behind.n && behind.p[0] == '!') out->why = "is locked";
    if (span_equal(field, SPAN("x"))) out->why = "has its password in another file (x)";
    return out->why ? IMPORT_LINE_SKIPPED : IMPORT_LINE_USER;
}

/* A guess at a mail account is to be none at the host's. */
static bool is_root(struct span name) {
    return span_equal(name, SPAN("root"));
}

enum import_line_kind import_line_read(struct span line, enum import_format format, uint64_t today,
                                       struct import_line *out) {
    struct span fields[FIELDS_MAX] = {{0}};
    *out = (struct import_line){0};
    for (size_t i = 0; i < line.n; i++)
        if ((line.p[i] < ' ' && line.p[i] != '\t') || line.p[i] == 0x7f) {
            out->why = "holds a control character";
            return IMPORT_LINE_FAULT;
        }
    if (is_blank(line)) return IMPORT_LINE_BLANK;
    size_t n = split(line, fields);
    out->name = fields[0];
    out->field = fields[1];
    if (n < 2) out->why = "is no line of a password file: there is no colon";
    if (fields[0].n == 0) out->why = "names nobody";
    if (format == IMPORT_SHADOW && n != SHADOW_FIELDS) out->why = "is no line of a shadow file, which has 9 fields";
    if (out->why) return IMPORT_LINE_FAULT;
    if (format == IMPORT_SHADOW) {
        out->locked = has_expired(fields[SHADOW_EXPIRES], today);
        if (is_root(out->name)) out->why = "is the system's administrator, whose password is none for mail";
        if (out->why) return IMPORT_LINE_SKIPPED;
    }
    if (format == IMPORT_DOVECOT && n > DOVECOT_EXTRA)
        out->locked = has_nologin(span_from(line, (size_t)(fields[DOVECOT_EXTRA].p - line.p)));
    return read_password(out);
}
