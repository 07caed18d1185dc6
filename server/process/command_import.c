/* command_import.c - users who come from another server, and users on their way to one.
 * Runs in: the command line. Trusts: the owner's file for who is in it. Never: changes anything before all of it was
 * found good here and by auth, writes over a file. */
#include "server/process/command_ask.h"
#include "server/process/command_run.h"
#include "server/process/import_file.h"
#include "server/process/stand_alone.h"

#include "auth/password.h"
#include "auth/prepare.h"
#include "store/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

enum { BATCH_BYTES = FRAME_BODY_MAX - 1024, DAY_MS = 24 * 60 * 60 * 1000 };

/* In a password's place as long as nothing is kept. */
static const char some_hash[] = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$c29tZWhhc2hzb21laGFzaA";

struct import {
    struct import_file file;
    struct command_print print; /* of answers: faults, counts */
    const struct conf *conf;
    bool replace, json;
    int fd;
    uint64_t added, replaced;
    char (*hashes)[VERIFY_HASH_BYTES]; /* of users whose passwords the file holds; by their index */
};

/* ---- asking auth */

static struct span get_value(struct wire *w, char name[32], uint64_t *number_out) {
    wire_get_text(w, name, 32);
    uint8_t kind = wire_get_u8(w);
    if (kind == CONTROL_TEXT || kind == CONTROL_LINE) return wire_get_span(w, FRAME_BODY_MAX);
    *number_out = wire_get_u64(w);
    return (struct span){0};
}

/* Rows: line, login, why of what cannot be; or added, replaced. */
static bool take_answer(void *context, struct span row) {
    struct import *import = context;
    struct span login = {0}, why = {0};
    uint64_t line = 0;
    struct wire w = wire_over(row);
    while (w.rest.n && !w.bad) {
        char name[32];
        uint64_t number = 0;
        struct span text = get_value(&w, name, &number);
        if (strcmp(name, "line") == 0) line = number;
        if (strcmp(name, "login") == 0) login = text;
        if (strcmp(name, "why") == 0) why = text;
        if (strcmp(name, "added") == 0) import->added = number;
        if (strcmp(name, "replaced") == 0) import->replaced = number;
    }
    if (!line || !import_file_fault(&import->file, line)) return true;
    if (!span_starts_nocase(why, login)) command_print_clean(login, stderr), fputs(": ", stderr);
    command_print_clean(why, stderr);
    fputc('\n', stderr);
    return true;
}

static void put_user(const struct import *import, size_t i, struct buf *b) {
    const struct import_user *user = &import->file.users[i];
    buf_put_number(b, user->line);
    buf_put_text(b, user->locked ? "\t0\t" : "\t1\t");
    buf_put_span(b, user->login);
    buf_put_octet(b, '\t');
    if (user->scheme != PASSWORD_NONE)
        buf_put_span(b, user->hash);
    else
        buf_put_text(b, import->hashes && import->hashes[i][0] ? import->hashes[i] : some_hash);
    buf_put_octet(b, '\n');
}

static int send_batch(struct import *import, const char *text, bool first, const char *end) {
    struct command_value values[4];
    size_t n = 0;
    if (first) values[n++] = (struct command_value){"begin", "yes"};
    if (import->replace) values[n++] = (struct command_value){"replace", "yes"};
    values[n++] = (struct command_value){"users", text};
    if (end) values[n++] = (struct command_value){"end", end};
    command_print_open(&import->print, stdout, PRINT_OCTETS);
    import->print.take = take_answer, import->print.context = import;
    return command_exchange(import->fd, "user import", values, n, &import->print);
}

/* All users in as many requests as they need; the last one has `end`. The exit code. */
static int send_all(struct import *import, const char *end) {
    static char text[BATCH_BYTES + 1];
    size_t i = 0, n = import->file.n;
    int code = 0;
    for (bool first = true; !code && (i < n || first); first = false) {
        struct buf b = buf_over(text, BATCH_BYTES);
        while (i < n && buf_ok(&b)) {
            size_t before = b.n;
            put_user(import, i, &b);
            if (buf_ok(&b))
                i++;
            else
                text[before] = '\0';
            if (buf_ok(&b)) text[b.n] = '\0';
        }
        if (n == 0) text[0] = '\0';
        code = send_batch(import, text, first, i == n ? end : NULL);
    }
    explicit_bzero(text, sizeof text);
    return code;
}

/* ---- passwords that the file holds */

static int hash_one(struct import *import, size_t i) {
    struct import_user *user = &import->file.users[i];
    struct secret password = {0};
    const char *why = NULL;
    if (!prepare_password(user->hash, &password))
        why = "this password holds control characters, or is not UTF-8";
    else if (password_hash(secret_span(&password), import->conf->auth.argon2_memory_bytes,
                           import->conf->auth.argon2_passes, import->hashes[i]) != 0)
        why = "the password could not be hashed: too little memory";
    secret_wipe(&password);
    if (why && import_file_fault(&import->file, user->line)) fprintf(stderr, "%s\n", why);
    return why ? CONTROL_REFUSED : 0;
}

static int hash_all(struct import *import) {
    int code = 0;
    import->hashes = calloc(import->file.n + 1, sizeof *import->hashes);
    if (!import->hashes) return CONTROL_FAILED;
    for (size_t i = 0; i < import->file.n && !code; i++)
        if (import->file.users[i].scheme == PASSWORD_NONE) code = hash_one(import, i);
    return code;
}

/* ---- what was done */

static void say_row(struct command_print *print, uint64_t users, const char *what, const char *how) {
    static struct control_row row;
    if (!users) return;
    control_row_open(&row);
    control_row_number(&row, "users", users);
    control_row_text(&row, "what", span_text(what));
    control_row_text(&row, "how", span_text(how));
    (void)!command_print_row(print, buf_span(&row.b));
}

static void say_summary(const struct import *import, bool dry) {
    struct command_print print;
    command_print_open(&print, stdout, import->json ? PRINT_JSON : PRINT_TABLE);
    for (int scheme = 0; scheme < PASSWORD_SCHEMES; scheme++) {
        uint64_t n[2] = {0};
        for (size_t i = 0; i < import->file.n; i++)
            if ((int)import->file.users[i].scheme == scheme) n[import->file.users[i].locked]++;
        const char *name = scheme ? password_scheme_name((enum password_scheme)scheme) : "PLAIN, hashed";
        say_row(&print, n[0], dry ? "to import" : "imported", name);
        say_row(&print, n[1], dry ? "to import, disabled" : "imported, disabled", name);
    }
    for (size_t i = 0; i < IMPORT_SKIPS && import->file.skips[i].why; i++)
        say_row(&print, import->file.skips[i].n, "skipped", import->file.skips[i].why);
    command_print_close(&print);
    if (import->json)
        fputc('\n', stdout);
    else
        printf("\n%lu new, %lu replaced%s\n", (unsigned long)import->added, (unsigned long)import->replaced,
               dry ? "; nothing was changed" : "");
}

/* Everything is checked before anything is hashed, and hashed before anything is kept. What auth has to say of the
 * users is heard also when the file has faults of its own: all is said at once. */
static int import_users(struct import *import, bool dry) {
    size_t faults = import->file.faults;
    int code = send_all(import, "check");
    if (!code && faults) code = CONTROL_REFUSED;
    if (!code && !dry) code = hash_all(import);
    if (!code && !dry) code = send_all(import, "keep");
    faults = import->file.faults;
    if (faults > IMPORT_SAID_MAX) fprintf(stderr, "gatepost: and %zu more\n", faults - IMPORT_SAID_MAX);
    if (faults) fputs("gatepost: nothing was imported\n", stderr);
    if (!code) say_summary(import, dry);
    if (import->hashes) explicit_bzero(import->hashes, import->file.n * sizeof *import->hashes);
    free(import->hashes);
    return code;
}

static int read_options(const struct command_line *line, struct import *import) {
    struct import_file *file = &import->file;
    const char *format = command_value(line, "format"), *scheme = command_value(line, "scheme");
    file->format = format ? import_format_of(span_text(format)) : IMPORT_NONE;
    file->scheme = span_text(scheme ? scheme : "CRYPT");
    if (format && file->format == IMPORT_NONE)
        fputs("gatepost: --format is dovecot, htpasswd or shadow\n", stderr);
    else if (!password_import_scheme(file->scheme))
        fprintf(stderr, "gatepost: there is no scheme '%s'; Dovecot's names are meant, such as CRYPT or SSHA256\n",
                scheme);
    else
        return 0;
    return CONTROL_USAGE;
}

static int run(const struct command_line *line, struct import *import) {
    const char *path = command_value(line, "file");
    bool is_stdin = strcmp(path, "-") == 0;
    import->file.name = is_stdin ? "standard input" : path;
    int from = is_stdin ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    if (from < 0) {
        fprintf(stderr, "gatepost: %s: %s\n", path, strerrordesc_np(errno));
        return CONTROL_FAILED;
    }
    int code = import_file_read(&import->file, from) == 0 ? 0 : CONTROL_FAILED;
    if (!is_stdin) close(from);
    if (code) return code;
    import->fd = command_reach(import->conf, ROLE_AUTH);
    if (import->fd < 0) return CONTROL_UNAVAILABLE;
    code = import_users(import, command_value(line, "dry-run"));
    stand_alone_end(import->fd);
    return code;
}

int command_run_import(const struct command_line *line) {
    struct import import = {.replace = command_value(line, "replace"), .json = line->json};
    int code = read_options(line, &import);
    if (code) return code;
    struct conf *conf = conf_read(line->config, stderr);
    if (!conf) return CONTROL_FAILED;
    import.conf = conf;
    import.file.errors = stderr;
    import.file.today = clock_wall_ms() / DAY_MS;
    import.file.domain = command_value(line, "domain");
    if (!import.file.domain && conf->n_local_domains == 1) import.file.domain = conf->local_domains[0].name;
    code = run(line, &import);
    import_file_free(&import.file);
    conf_free(conf);
    return code;
}

/* ---- user export */

static bool write_user(void *context, struct span row) {
    FILE *out = context;
    struct span texts[3] = {{0}};
    uint64_t numbers[3] = {0};
    struct wire w = wire_over(row);
    static const char *const text_names[] = {"login", "password", "home"};
    static const char *const number_names[] = {"locked", "uid", "gid"};
    while (w.rest.n && !w.bad) {
        char name[32];
        uint64_t number = 0;
        struct span text = get_value(&w, name, &number);
        for (size_t i = 0; i < 3; i++) {
            if (strcmp(name, text_names[i]) == 0) texts[i] = text;
            if (strcmp(name, number_names[i]) == 0) numbers[i] = number;
        }
    }
    fwrite(texts[0].p, 1, texts[0].n, out);
    fputs(numbers[0] ? ":!" : ":", out);
    fwrite(texts[1].p, 1, texts[1].n, out);
    fprintf(out, ":%lu:%lu::", (unsigned long)numbers[1], (unsigned long)numbers[2]);
    fwrite(texts[2].p, 1, texts[2].n, out);
    fputs("::\n", out);
    return true;
}

static int export_to(const struct command_line *line, const struct conf *conf, FILE *out) {
    struct command_print print;
    command_print_open(&print, stdout, PRINT_OCTETS);
    print.take = write_user, print.context = out;
    return command_ask_print(line, conf, NULL, 0, &print);
}

/* A file of its own, readable by its owner alone; what is not whole goes again. */
static int export_file(const struct command_line *line, const struct conf *conf, const char *path) {
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    FILE *out = fd < 0 ? NULL : fdopen(fd, "w");
    if (!out) {
        int error = errno;
        fprintf(stderr, "gatepost: %s: %s\n", path, strerrordesc_np(error));
        if (fd >= 0) close(fd);
        return error == EEXIST ? CONTROL_EXISTS : CONTROL_FAILED;
    }
    int code = export_to(line, conf, out);
    bool sound = !ferror(out);
    if (fclose(out) != 0 || !sound) {
        fprintf(stderr, "gatepost: %s: %s\n", path, strerrordesc_np(errno));
        code = CONTROL_FAILED;
    }
    if (code) (void)unlink(path);
    return code;
}

int command_run_user_export(const struct command_line *line) {
    const char *path = command_value(line, "file"), *format = command_value(line, "format");
    if (format && strcmp(format, "dovecot") != 0) {
        fputs("gatepost: --format is dovecot\n", stderr);
        return CONTROL_USAGE;
    }
    struct conf *conf = conf_read(line->config, stderr);
    if (!conf) return CONTROL_FAILED;
    int code = path && strcmp(path, "-") != 0 ? export_file(line, conf, path) : export_to(line, conf, stdout);
    conf_free(conf);
    return code;
}
