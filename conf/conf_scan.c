/* conf_scan.c - a first look at the files themselves. libconfig stops at the first syntax error without saying what
 * is unclosed, cuts large numbers to 32 bits in silence, and ends the process when an @include names a directory.
 * Runs in: master and command line. Trusts: nothing in the files. Never: interprets a value. */
#include "conf/conf_reader.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { DEPTH_MAX = 32, INCLUDES_MAX = 9, FILES_MAX = 256, FILE_BYTES_MAX = 8 << 20 };

/* A name that was set in a group; `group` counts the opening braces. */
struct name {
    struct span word;
    unsigned group;
    struct conf_place place;
};

struct lexer {
    struct conf_scan *scan;
    struct {
        char bracket;
        unsigned group;
        struct conf_place place;
    } open[DEPTH_MAX];
    size_t depth;
    struct conf_grammar grammar;
    unsigned groups;
    struct name *names;
    size_t n_names;
    bool stop; /* libconfig must not see these files */
    bool lost; /* nothing more can be read for what it is */
};

/* One file while it is read; `i` is the next octet. */
struct cursor {
    const char *text;
    size_t n, i;
    struct conf_place place;
    unsigned depth;
    const struct cursor *includer;
};

static void scan_file(struct lexer *lexer, char *name, const struct cursor *includer);

char *conf_scan_name(const struct conf_scan *scan, const char *included) {
    const char *slash = strrchr(scan->path, '/');
    char *name = NULL;
    if (!slash || included[0] == '/') return conf_copy(included, strlen(included));
    if (asprintf(&name, "%.*s/%s", (int)(slash - scan->path), scan->path, included) < 0) abort();
    return name;
}

static int octet_at(const struct cursor *c, size_t offset) {
    return c->i + offset < c->n ? (unsigned char)c->text[c->i + offset] : -1;
}

static void advance(struct cursor *c) {
    if (c->text[c->i++] == '\n') c->place.line++;
}

static void skip_line(struct cursor *c) {
    while (octet_at(c, 0) >= 0 && octet_at(c, 0) != '\n') c->i++;
}

static void fault(struct lexer *lexer, struct conf_place place, const char *what) {
    conf_mistake(lexer->scan->mistakes, place, "%s", what);
    lexer->stop = true;
}

static void skip_comment(struct lexer *lexer, struct cursor *c) {
    struct conf_place start = c->place;
    c->i += 2;
    while (octet_at(c, 0) >= 0 && !(octet_at(c, 0) == '*' && octet_at(c, 1) == '/')) advance(c);
    if (octet_at(c, 0) < 0)
        fault(lexer, start, "the comment that begins here is not closed");
    else
        c->i += 2;
}

/* Nothing after an unclosed text can be read for what it is. */
static void give_up(struct lexer *lexer, struct cursor *c) {
    c->i = c->n;
    lexer->depth = 0;
    lexer->lost = true;
}

static char inside(const struct lexer *lexer, size_t outwards) {
    return lexer->depth > outwards ? lexer->open[lexer->depth - 1 - outwards].bracket : 0;
}

static void token(struct lexer *lexer, struct cursor *c, enum conf_token token, char outside) {
    const char *expected = conf_grammar_take(&lexer->grammar, token, inside(lexer, 0), outside);
    if (!expected) return;
    conf_mistake(lexer->scan->mistakes, c->place, "syntax error: expected %s here%s", expected,
                 octet_at(c, 0) == '.' ? "; what manuals call group.key is written group = { key = value; };" : "");
    lexer->stop = true;
    give_up(lexer, c);
}

/* No value holds an end of line, so a text ends on the line it begins on: that names the quote that is missing. */
static void skip_text(struct lexer *lexer, struct cursor *c) {
    token(lexer, c, CONF_TOKEN_TEXT, 0);
    if (lexer->lost) return;
    for (c->i++; octet_at(c, 0) >= 0 && octet_at(c, 0) != '"' && octet_at(c, 0) != '\n'; c->i++) {
        if (octet_at(c, 0) != '\\' || octet_at(c, 1) < 0 || octet_at(c, 1) == '\n') continue;
        if (octet_at(c, 1) == 'x' && octet_at(c, 2) == '0' && octet_at(c, 3) == '0')
            fault(lexer, c->place, "a text holds a NUL octet, \\x00");
        c->i++;
    }
    if (octet_at(c, 0) == '"') {
        c->i++;
        return;
    }
    fault(lexer, c->place, "the text in quotes that begins on this line is not closed on it");
    give_up(lexer, c);
}

static bool is_word(int c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' ||
           c == '*';
}

static bool is_digit(int c) {
    return c >= '0' && c <= '9';
}

/* A number as libconfig writes them: 12, -3, 12L, 0x1F, 1.5, 1e9. */
static bool number_valid(const char *digits, size_t n) {
    size_t i = digits[0] == '-' || digits[0] == '+';
    bool hex = n > i + 2 && digits[i] == '0' && (digits[i + 1] == 'x' || digits[i + 1] == 'X'), point = false;
    while (n && digits[n - 1] == 'L') n--;
    if (hex) {
        for (i += 2; i < n && strchr("0123456789abcdefABCDEF", digits[i]);) i++;
        return i == n;
    }
    for (; i < n && (is_digit(digits[i]) || (digits[i] == '.' && !point)); i++) point = point || digits[i] == '.';
    return i == n ||
           ((digits[i] == 'e' || digits[i] == 'E') && i + 1 < n && strspn(digits + i + 1, "0123456789") >= n - i - 1);
}

static bool number_fits(const char *digits, size_t n) {
    char copy[32];
    char *end;
    bool wide = false;
    if (n >= sizeof copy) return false;
    memcpy(copy, digits, n);
    copy[n] = 0;
    while (n && copy[n - 1] == 'L') copy[--n] = 0, wide = true;
    bool hex = strstr(copy, "0x") || strstr(copy, "0X");
    errno = 0;
    long long value = strtoll(copy, &end, hex ? 16 : 10);
    if (*end) return true; /* with a point: no key takes one */
    return errno == 0 && (wide || (value >= INT32_MIN && value <= (hex ? (long long)UINT32_MAX : INT32_MAX)));
}

static void scan_number(struct lexer *lexer, struct cursor *c) {
    size_t start = c->i++, n;
    while (is_word(octet_at(c, 0)) || octet_at(c, 0) == '.') c->i++;
    n = c->i - start;
    int shown = n > 40 ? 40 : (int)n;
    token(lexer, c, CONF_TOKEN_SCALAR, 0);
    if (lexer->lost) return;
    if (!number_valid(c->text + start, n)) {
        conf_mistake(lexer->scan->mistakes, c->place, "%.*s is not a number", shown, c->text + start);
        lexer->stop = true;
    } else if (!number_fits(c->text + start, n)) {
        conf_mistake(lexer->scan->mistakes, c->place, "%.*s is too large a number", shown, c->text + start);
    }
}

/* A word is a key when = or : follows; a key may be set once in its group. */
static void scan_word(struct lexer *lexer, struct cursor *c) {
    struct name name = {.place = c->place, .group = lexer->depth ? lexer->open[lexer->depth - 1].group : 0};
    size_t start = c->i;
    while (is_word(octet_at(c, 0))) c->i++;
    name.word = span_of(c->text + start, c->i - start);
    bool truth = span_equal_nocase(name.word, SPAN("true")) || span_equal_nocase(name.word, SPAN("false"));
    bool odd = c->text[start] == '_' || c->text[start] == '-';
    token(lexer, c, odd ? CONF_TOKEN_OTHER : truth ? CONF_TOKEN_SCALAR : CONF_TOKEN_KEY, 0);
    if (lexer->lost || truth) return;
    while (octet_at(c, 0) == ' ' || octet_at(c, 0) == '\t' || octet_at(c, 0) == '\n' || octet_at(c, 0) == '\r')
        advance(c);
    if (octet_at(c, 0) != '=' && octet_at(c, 0) != ':') return;
    for (size_t i = 0; i < lexer->n_names; i++) {
        if (lexer->names[i].group != name.group || !span_equal(lexer->names[i].word, name.word)) continue;
        conf_mistake(lexer->scan->mistakes, name.place, "\"%.*s\" is set twice, first at %s:%u", (int)name.word.n,
                     (const char *)name.word.p, lexer->names[i].place.file, lexer->names[i].place.line);
        return;
    }
    lexer->names = conf_grow(lexer->names, lexer->n_names, sizeof *lexer->names);
    lexer->names[lexer->n_names++] = name;
}

static void scan_bracket(struct lexer *lexer, struct cursor *c) {
    static const char opening[] = "{[(", closing[] = "}])";
    char bracket = c->text[c->i++];
    const char *closed = strchr(closing, bracket);
    if (!closed) {
        token(lexer, c, CONF_TOKEN_OPEN, bracket);
        if (lexer->lost) return;
        if (lexer->depth == DEPTH_MAX) {
            fault(lexer, c->place, "brackets are nested too deep");
            give_up(lexer, c);
            return;
        }
        lexer->open[lexer->depth].bracket = bracket;
        lexer->open[lexer->depth].place = c->place;
        lexer->open[lexer->depth++].group = ++lexer->groups;
        return;
    }
    char partner = opening[closed - closing];
    if (lexer->depth && lexer->open[lexer->depth - 1].bracket == partner) {
        token(lexer, c, CONF_TOKEN_CLOSE, inside(lexer, 1));
        if (!lexer->lost) lexer->depth--;
        return;
    }
    if (!lexer->depth)
        conf_mistake(lexer->scan->mistakes, c->place, "this %c closes nothing", bracket);
    else
        conf_mistake(lexer->scan->mistakes, c->place, "this %c does not close the %c of line %u", bracket,
                     lexer->open[lexer->depth - 1].bracket, lexer->open[lexer->depth - 1].place.line);
    lexer->stop = true;
    give_up(lexer, c);
}

/* libconfig takes @include only at the start of a line. */
static bool scan_include(struct lexer *lexer, struct cursor *c) {
    static const char word[] = "@include";
    size_t back = c->i, n = sizeof word - 1;
    while (back && (c->text[back - 1] == ' ' || c->text[back - 1] == '\t')) back--;
    if ((back && c->text[back - 1] != '\n') || c->n - c->i <= n || memcmp(c->text + c->i, word, n) != 0) return false;
    size_t from = c->i + n;
    while (from < c->n && (c->text[from] == ' ' || c->text[from] == '\t')) from++;
    size_t to = ++from;
    while (to < c->n && c->text[to] != '"' && c->text[to] != '\n') to++;
    if (from >= c->n || c->text[from - 1] != '"' || to >= c->n || c->text[to] != '"') return false;
    if (memchr(c->text + from, '\\', to - from)) {
        fault(lexer, c->place, "the name of an included file must not hold a backslash");
        c->i = to + 1;
        return true;
    }
    char *included = conf_copy(c->text + from, to - from);
    c->i = to + 1;
    scan_file(lexer, conf_scan_name(lexer->scan, included), c);
    free(included);
    return true;
}

static void scan_octet(struct lexer *lexer, struct cursor *c) {
    int now = octet_at(c, 0), next = octet_at(c, 1);
    bool number = is_digit(now) || ((now == '-' || now == '+') && (is_digit(next) || next == '.')) ||
                  (now == '.' && is_digit(next));
    if (now == '#' || (now == '/' && next == '/'))
        skip_line(c);
    else if (now == '/' && next == '*')
        skip_comment(lexer, c);
    else if (now == '"')
        skip_text(lexer, c);
    else if (now == '@' && scan_include(lexer, c))
        return;
    else if (now && strchr("{[()]}", now))
        scan_bracket(lexer, c);
    else if (number)
        scan_number(lexer, c);
    else if (is_word(now))
        scan_word(lexer, c);
    else if (now == '=' || now == ':')
        token(lexer, c, CONF_TOKEN_ASSIGN, 0), c->i += !lexer->lost;
    else if (now == ',' || now == ';')
        token(lexer, c, now == ',' ? CONF_TOKEN_COMMA : CONF_TOKEN_SEMICOLON, 0), c->i += !lexer->lost;
    else if (now && strchr(" \t\r\n\f", now))
        advance(c);
    else
        token(lexer, c, CONF_TOKEN_OTHER, 0);
}

/* The whole regular file; NULL with errno, which is EFBIG or EISDIR for what is not one. */
static char *read_whole(const char *name, size_t *n_out) {
    struct stat status;
    char *text = NULL;
    int fd = open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return NULL;
    if (fstat(fd, &status) < 0) goto out;
    errno = S_ISDIR(status.st_mode)           ? EISDIR
            : !S_ISREG(status.st_mode)        ? EINVAL
            : status.st_size > FILE_BYTES_MAX ? EFBIG
                                              : 0;
    if (errno) goto out;
    size_t size = (size_t)status.st_size, n = 0;
    text = conf_alloc(size + 1, 1);
    while (n < size) {
        ssize_t got = read(fd, text + n, size - n);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) goto out;
        if (got == 0) break;
        n += (size_t)got;
    }
    *n_out = n;
    close(fd);
    return text;
out:;
    int error = errno;
    close(fd);
    free(text);
    errno = error;
    return NULL;
}

static bool is_open(const struct cursor *c, const char *name) {
    for (; c; c = c->includer)
        if (strcmp(c->place.file, name) == 0) return true;
    return false;
}

/* Takes `name`; opens the file and adds it to the scan. NULL after a mistake. */
static const struct conf_file *open_file(struct lexer *lexer, char *name, const struct cursor *includer) {
    struct conf_scan *scan = lexer->scan;
    struct conf_file file = {.name = name};
    if (is_open(includer, name)) {
        conf_mistake(scan->mistakes, includer->place, "@include of %s within itself", name);
    } else if (scan->n == FILES_MAX || (includer && includer->depth == INCLUDES_MAX)) {
        conf_mistake(scan->mistakes, includer->place, "@include is nested too deep, or there are too many");
    } else if ((file.text = read_whole(name, &file.n))) {
        scan->files = conf_grow(scan->files, scan->n, sizeof *scan->files);
        scan->files[scan->n] = file;
        return &scan->files[scan->n++];
    } else if (includer) {
        conf_mistake(scan->mistakes, includer->place, "cannot read %s: %s", name, strerror(errno));
    } else {
        conf_mistake(scan->mistakes, (struct conf_place){scan->path, 0}, "%s%s", strerror(errno),
                     errno == EACCES && geteuid() != 0 ? CONF_RUN_AS_ROOT : "");
    }
    lexer->stop = true;
    free(name);
    return NULL;
}

static void scan_file(struct lexer *lexer, char *name, const struct cursor *includer) {
    const struct conf_file *file = open_file(lexer, name, includer);
    size_t depth_before = lexer->depth;
    if (!file) return;
    struct cursor c = {file->text, file->n, 0, {file->name, 1}, includer ? includer->depth + 1 : 0, includer};
    const char *nul = memchr(c.text, 0, c.n);
    while (nul && c.text + c.i < nul) advance(&c);
    if (nul) {
        fault(lexer, c.place, "the file holds a NUL octet");
        return;
    }
    while (c.i < c.n && !lexer->lost) scan_octet(lexer, &c);
    if (!includer && !lexer->lost && !lexer->depth) token(lexer, &c, CONF_TOKEN_END, 0);
    for (; lexer->depth > depth_before; lexer->depth--)
        fault(lexer, lexer->open[lexer->depth - 1].place, "the bracket here is not closed");
}

bool conf_scan_read(struct conf_scan *scan) {
    struct lexer lexer = {.scan = scan};
    scan_file(&lexer, conf_copy(scan->path, strlen(scan->path)), NULL);
    free(lexer.names);
    return !lexer.stop;
}

void conf_scan_free(struct conf_scan *scan) {
    for (size_t i = 0; i < scan->n; i++) {
        free(scan->files[i].name);
        free(scan->files[i].text);
        free(scan->files[i].lines);
    }
    free(scan->files);
}

static void index_lines(struct conf_file *file) {
    file->lines = conf_grow(NULL, 0, sizeof *file->lines);
    file->lines[file->n_lines++] = 0;
    for (size_t i = 0; i < file->n; i++) {
        if (file->text[i] != '\n') continue;
        file->lines = conf_grow(file->lines, file->n_lines, sizeof *file->lines);
        file->lines[file->n_lines++] = i + 1;
    }
}

unsigned conf_scan_line(const struct conf_scan *scan, struct conf_place place, const char *text) {
    struct conf_file *file = NULL;
    size_t n = strlen(text);
    for (size_t i = 0; i < scan->n && !file; i++)
        if (strcmp(scan->files[i].name, place.file) == 0) file = &scan->files[i];
    if (!file || place.line == 0) return place.line;
    if (!file->lines) index_lines(file);
    if (place.line > file->n_lines) return place.line;
    size_t i = place.line < file->n_lines ? file->lines[place.line] : file->n;
    for (unsigned line = place.line; i-- > 0;) {
        while (i < file->lines[line - 1]) line--;
        const char *here = file->text + i;
        if (i + n + 2 <= file->n && *here == '"' && memcmp(here + 1, text, n) == 0 && here[1 + n] == '"') return line;
    }
    return place.line;
}
