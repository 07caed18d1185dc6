/* import_file.c - from the octets of a password file to users.
 * Runs in: the command line. Trusts: nothing in the file. Never: keeps what it read. */
#include "server/process/import_file.h"

#include "auth/address.h"
#include "store/frames.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

enum { USER_BYTES = ADDRESS_MAX + VERIFY_HASH_BYTES + 256 /* a password itself */ };

/* ---- reading */

static int read_all(struct import_file *file, int fd) {
    size_t cap = 1 << 16;
    ssize_t n = -1;
    file->text = malloc(cap);
    while (file->text && (n = read(fd, file->text + file->text_n, cap - file->text_n)) > 0) {
        file->text_n += (size_t)n;
        if (file->text_n < cap) continue;
        /* realloc would leave hashes behind */
        uint8_t *more = cap < IMPORT_BYTES_MAX ? malloc(2 * cap) : NULL;
        if (more) memcpy(more, file->text, file->text_n);
        explicit_bzero(file->text, file->text_n);
        free(file->text);
        file->text = more;
        cap *= 2;
        if (!more) errno = EFBIG;
    }
    if (file->text && n == 0) return 0;
    fprintf(file->errors, "gatepost: %s: %s\n", file->name, strerrordesc_np(errno));
    return -1;
}

/* ---- messages */

bool import_file_fault(struct import_file *file, uint64_t line) {
    if (++file->faults > IMPORT_SAID_MAX) return false;
    fprintf(file->errors, "gatepost: %s:%lu: ", file->name, (unsigned long)line);
    return true;
}

static void say_span(const struct import_file *file, struct span s) {
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] >= ' ' && s.p[i] < 0x7f)
            fputc(s.p[i], file->errors);
        else
            fprintf(file->errors, "\\x%02x", s.p[i]);
}

static void fault(struct import_file *file, uint64_t line, struct span name, const char *between, const char *why) {
    if (!import_file_fault(file, line)) return;
    say_span(file, name);
    fprintf(file->errors, "%s%s\n", between, why);
}

static void skip(struct import_file *file, const char *why) {
    size_t i = 0;
    while (i + 1 < IMPORT_SKIPS && file->skips[i].why && strcmp(file->skips[i].why, why) != 0) i++;
    if (!file->skips[i].why) file->skips[i].why = why;
    file->skips[i].n++;
}

/* ---- users */

/* Appends the login: the name, with the domain where it has none, in the case that the server compares it in. */
static const char *put_login(const struct import_file *file, struct span name, struct buf *out) {
    uint8_t storage[ADDRESS_MAX];
    struct buf whole = BUF_OVER(storage);
    struct address address;
    buf_put_span(&whole, name);
    if (span_find(name, '@') == name.n) {
        if (!file->domain) return "has no domain; name it by --domain";
        buf_put_octet(&whole, '@');
        buf_put_text(&whole, file->domain);
    }
    bool sound = buf_ok(&whole) && address_parse_plain(&address, buf_span(&whole)) && !address.literal &&
                 address_local_normal(&address, out);
    if (!sound) return "is no address";
    buf_put_octet(out, '@');
    address_domain_lower(&address, out);
    return buf_ok(out) ? NULL : "is no address";
}

static void take_user(struct import_file *file, uint32_t number, const struct import_line *line,
                      struct buf *storage) {
    struct password_cost cost;
    const char *why;
    size_t began = storage->n;
    if ((why = put_login(file, line->name, storage))) {
        storage->n = began;
        fault(file, number, line->name, " ", why);
        return;
    }
    size_t behind = storage->n;
    struct buf hash = buf_over(storage->p + behind, USER_BYTES - (behind - began));
    enum password_import kind = password_import(line->field, file->scheme, &hash, &cost, &why);
    if (kind == PASSWORD_IMPORT_FAULT) {
        storage->n = began;
        fault(file, number, line->name, ": the hash ", why);
        return;
    }
    storage->n = behind + hash.n;
    file->users[file->n++] = (struct import_user){number, cost.scheme, line->locked,
                                                  span_of(storage->p + began, behind - began), buf_span(&hash)};
}

static void read_lines(struct import_file *file, struct buf *storage) {
    struct span text = span_of(file->text, file->text_n), line;
    struct import_line parts;
    for (uint32_t number = 1; import_line_next(&text, &line); number++) {
        switch (import_line_read(line, file->format, file->today, &parts)) {
        case IMPORT_LINE_FAULT:
            fault(file, number, SPAN("it "), "", parts.why);
            break;
        case IMPORT_LINE_BLANK:
            break;
        case IMPORT_LINE_SKIPPED:
            skip(file, parts.why);
            break;
        case IMPORT_LINE_USER:
            take_user(file, number, &parts, storage);
            break;
        }
    }
}

static int by_login(const void *a, const void *b) {
    const struct import_user *x = a, *y = b;
    size_t n = x->login.n < y->login.n ? x->login.n : y->login.n;
    int order = memcmp(x->login.p, y->login.p, n);
    if (order) return order;
    if (x->login.n != y->login.n) return x->login.n < y->login.n ? -1 : 1;
    return (x->line > y->line) - (x->line < y->line);
}

/* Sorts, and drops the later ones of those that come twice. */
static void find_doubles(struct import_file *file) {
    char why[48];
    size_t kept = 0;
    if (file->n) qsort(file->users, file->n, sizeof *file->users, by_login);
    for (size_t i = 0; i < file->n; i++) {
        struct import_user user = file->users[i];
        bool twice = kept && span_equal(user.login, file->users[kept - 1].login);
        if (!twice) file->users[kept++] = user;
        if (!twice) continue;
        snprintf(why, sizeof why, "line %lu already", (unsigned long)file->users[kept - 1].line);
        fault(file, user.line, user.login, " is on ", why);
    }
    file->n = kept;
}

int import_file_read(struct import_file *file, int fd) {
    if (read_all(file, fd) != 0) return -1;
    struct span text = span_of(file->text, file->text_n), line;
    size_t lines = 0;
    while (import_line_next(&text, &line)) lines++;
    if (file->format == IMPORT_NONE) file->format = import_format_guess(span_of(file->text, file->text_n));
    file->users = calloc(lines + 1, sizeof *file->users);
    file->storage = malloc((lines + 1) * USER_BYTES);
    if (!file->users || !file->storage) {
        fprintf(file->errors, "gatepost: %s: %s\n", file->name, strerrordesc_np(ENOMEM));
        return -1;
    }
    struct buf storage = buf_over(file->storage, (lines + 1) * USER_BYTES);
    read_lines(file, &storage);
    file->storage_n = storage.n;
    find_doubles(file);
    return 0;
}

void import_file_free(struct import_file *file) {
    if (file->text) explicit_bzero(file->text, file->text_n);
    if (file->storage) explicit_bzero(file->storage, file->storage_n);
    free(file->text);
    free(file->storage);
    free(file->users);
    file->text = file->storage = NULL;
    file->users = NULL;
    file->n = 0;
}
