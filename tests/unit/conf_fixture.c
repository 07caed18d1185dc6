/* conf_fixture.c - files for the tests of the configuration reader.
 * Runs in: the test runner. Trusts: the tests. Never: leaves its directory behind. */
#include "tests/unit/conf_fixture.h"

#include <criterion/criterion.h>
#include <ftw.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

char fixture_directory[SCRATCH_BYTES];

static void make(const char *name, mode_t mode) {
    char *path = NULL;
    fixture_write(name, "x\n", 2);
    if (asprintf(&path, "%s/%s", fixture_directory, name) < 0) abort();
    cr_assert(chmod(path, mode) == 0);
    free(path);
}

void fixture_begin(void) {
    scratch_make(fixture_directory);
    make("certificate.pem", 0644);
    make("key.pem", 0600);
    make("key-group.pem", 0640);
    make("key-open.pem", 0644);
    make("password", 0600);
    make("secret", 0600);
    make("password-open", 0604);
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *walk) {
    (void)status, (void)type, (void)walk;
    return remove(path);
}

void fixture_end(void) {
    if (fixture_directory[0]) nftw(fixture_directory, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

char *fixture_replace(const char *text, const char *from, const char *to) {
    char *out = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&out, &size);
    for (const char *next; (next = strstr(text, from)); text = next + strlen(from)) {
        fwrite(text, 1, (size_t)(next - text), stream);
        fputs(to, stream);
    }
    fputs(text, stream);
    fclose(stream);
    return out;
}

void fixture_write(const char *name, const char *text, size_t n) {
    char *path = NULL;
    if (asprintf(&path, "%s/%s", fixture_directory, name) < 0) abort();
    FILE *file = fopen(path, "w");
    cr_assert(file, "%s", path);
    free(path);
    if (memchr(text, 0, n)) {
        fwrite(text, 1, n, file);
    } else {
        char *copy = strndup(text, n);
        char *filled = fixture_replace(copy, "%D", fixture_directory);
        fputs(filled, file);
        free(filled);
        free(copy);
    }
    cr_assert(fclose(file) == 0);
}

/* The tests may be started from the top of the tree or from below it. */
char *fixture_source(const char *name) {
    char path[256];
    char *text = NULL;
    size_t size = 0;
    FILE *file = NULL;
    snprintf(path, sizeof path, "%s", __FILE__);
    char *tests = strstr(path, "tests/unit/");
    cr_assert(tests);
    snprintf(tests, sizeof path - (size_t)(tests - path), "%s", name);
    file = fopen(path, "r");
    cr_assert(file, "%s", path);
    FILE *stream = open_memstream(&text, &size);
    for (int c; (c = getc(file)) != EOF;) putc(c, stream);
    fclose(stream);
    fclose(file);
    return text;
}

struct conf *fixture_read(char **messages_out) {
    char *path = NULL, *messages = NULL, prefix[80];
    size_t size = 0;
    FILE *stream = open_memstream(&messages, &size);
    if (asprintf(&path, "%s/t.conf", fixture_directory) < 0) abort();
    struct conf *conf = conf_read(path, stream);
    fclose(stream);
    free(path);
    snprintf(prefix, sizeof prefix, "%s/", fixture_directory);
    *messages_out = fixture_replace(messages, prefix, "");
    free(messages);
    return conf;
}

char *fixture_print(const struct conf *conf, bool origins) {
    char *text = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&text, &size);
    conf_print(conf, stream);
    fclose(stream);
    char *to = text;
    for (const char *line = text; *line && !origins;) {
        const char *end = strchr(line, '\n'), *cut = end;
        for (const char *from = line; from + 3 < end; from++)
            if (memcmp(from, " # ", 3) == 0) cut = from;
        memmove(to, line, (size_t)(cut - line));
        to += cut - line;
        *to++ = '\n';
        line = end + 1;
    }
    if (!origins) *to = 0;
    return text;
}

struct conf *fixture_read_text(const char *text, unsigned without, char **messages_out) {
    char *whole = NULL;
    int n = asprintf(
        &whole, "%s\n%s%s%s%s", text, without & WITHOUT_HOST ? "" : "hostname = \"mail.example.test\";\n",
        without & WITHOUT_LISTEN ? "" : "listen = ( { role = \"mx\"; address = \"*:25\"; } );\n",
        without & WITHOUT_DOMAIN ? "" : "local_domains = [ \"example.test\" ];\n",
        without & WITHOUT_CERTIFICATE ? ""
                                      : "tls = { certificates = ( { certificate_file = \"%D/certificate.pem\"; "
                                        "key_file = \"%D/key.pem\"; } ); };\n");
    cr_assert(n > 0);
    fixture_write("t.conf", whole, (size_t)n);
    free(whole);
    return fixture_read(messages_out);
}

struct conf *fixture_read_good(const char *text, unsigned without) {
    char *messages;
    struct conf *conf = fixture_read_text(text, without, &messages);
    cr_assert(conf, "\n%s\n%s", text, messages);
    cr_expect_str_empty(messages);
    free(messages);
    return conf;
}
