/* test_command.c - the command line: options and operands, what it suggests, rows as tables and JSON, new
 * passwords. */
#include "server/process/command_line.h"
#include "server/process/command_print.h"
#include "server/process/command_secret.h"
#include "server/process/version.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <unistd.h>

enum { WORDS_MAX = 40, TEXT_MAX = 16384 };

/* Parses a line of words parted by blanks ('' is the empty word). The result and `said` are void at the next call. */
static int parse(const char *text, struct command_line *line, char **said) {
    static char words[512], errors[TEXT_MAX];
    char *argv[WORDS_MAX + 1] = {NULL}, *rest = words, *word;
    int argc = 0;
    snprintf(words, sizeof words, "gatepost %s", text);
    while ((word = strsep(&rest, " "))) {
        if (strcmp(word, "''") == 0)
            *word = 0;
        else if (!*word)
            continue;
        cr_assert_lt(argc, WORDS_MAX);
        argv[argc++] = word;
    }
    memset(errors, 0, sizeof errors);
    FILE *out = fmemopen(errors, sizeof errors - 1, "w");
    int code = command_parse(&command_table, argc, argv, line, out);
    fclose(out);
    *said = errors;
    return code;
}

static const struct {
    const char *text, *command, *values; /* "name=text ..." */
} good[] = {
    {"serve", "serve", ""},
    {"serve --background --pid-file /run/x", "serve", "background=yes pid-file=/run/x"},
    {"serve --announce=a=b", "serve", "announce=a=b"},
    {"user login add a@example.test mailer", "user login add", "login=a@example.test name=mailer"},
    {"user app-password add a@x --name phone --scope=smtp", "user app-password add",
     "login=a@x name=phone scope=smtp"},
    {"user add a@example.test --generate", "user add", "login=a@example.test generate=yes"},
    {"user add --generate a@example.test", "user add", "generate=yes login=a@example.test"},
    {"alias add a@x b@x c@x --forward", "alias add", "address=a@x target=b@x target=c@x forward=yes"},
    {"alias remove a@x", "alias remove", "address=a@x"},
    {"sender list", "sender list", ""},
    {"user import - --dry-run --scheme SSHA", "user import", "file=- dry-run=yes scheme=SSHA"},
    {"user import", NULL, NULL},
    {"user export", "user export", ""},
    {"user show -- -odd@x", "user show", "login=-odd@x"},
    {"queue list --from '' --json", "queue list", "from="},
    {"queue remove 1 2", NULL, NULL},
    {"queue cat -", "queue cat", "id=-"},
    {"--json status", "status", ""},
    {"explain --ip ::1 --role mx --from '' --to a@b --tls", "explain", "ip=::1 role=mx from= to=a@b tls=yes"},
};

Test(command, values) {
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        struct command_line line;
        char values[512] = "", *said;
        int code = parse(good[i].text, &line, &said);
        if (!good[i].command) {
            cr_expect_eq(code, CONTROL_USAGE, "%s", good[i].text);
            continue;
        }
        cr_assert_eq(code, 0, "%s: %s", good[i].text, said);
        cr_expect_str_eq(line.command->name, good[i].command);
        for (size_t j = 0; j < line.n; j++) {
            size_t n = strlen(values);
            snprintf(values + n, sizeof values - n, "%s%s=%s", j ? " " : "", line.values[j].name,
                     line.values[j].text);
        }
        cr_expect_str_eq(values, good[i].values, "%s: %s", good[i].text, values);
    }
}

static const struct {
    const char *text, *says;
} bad[] = {
    {"", "Commands:"},
    {"sevre", "did you mean 'serve'?"},
    {"usr list", "did you mean 'user'?"},
    {"user lst", "did you mean 'user list'?"},
    {"user login", "what about 'user login'?"},
    {"user login ad", "did you mean 'user login add'?"},
    {"user app-passwrd add", "did you mean 'user app-password'?"},
    {"user logi", "did you mean 'user login'?"},
    {"user login frobnicate", "no command 'user login frobnicate'. See gatepost user login --help"},
    {"user ''", "no command 'user '"},
    {"user add-a-word-that-is-far-too-long-for-a-command", "no command 'user add-a-word"},
    {"user app-password add a@x", "'user app-password add' needs --name NAME"},
    {"que", "did you mean 'queue'?"},
    {"queue", "what about 'queue'?"},
    {"frobnicate", "no command 'frobnicate'. See gatepost --help"},
    {"queue frobnicate", "See gatepost queue --help"},
    {"queue list --frm a", "'queue list' has no option --frm; did you mean --from?"},
    {"queue list --frm=a", "has no option --frm; did you mean --from?"},
    {"queue list --zzzz", "has no option --zzzz. See gatepost queue list --help"},
    {"--from a queue list", "before the command"},
    {"status -x", "has no option -x"},
    {"serve --background=1", "--background takes no value"},
    {"queue list --from", "--from needs a value: --from SENDER"},
    {"queue list --from a --from b", "--from is given twice"},
    {"user add", "'user add' needs LOGIN"},
    {"alias add a@x", "'alias add' needs TARGET..."},
    {"user show a b", "does not know what to do with 'b'"},
    {"explain --ip ::1 --role mx --from a@b", "'explain' needs --to RECIPIENT"},
    {"serve --json", "'serve' has no output for --json"},
    {"alias add a 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32",
     "more than 31"},
};

Test(command, mistakes) {
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct command_line line;
        char *said;
        cr_expect_eq(parse(bad[i].text, &line, &said), CONTROL_USAGE, "%s", bad[i].text);
        cr_expect(strstr(said, bad[i].says), "%s: %s", bad[i].text, said);
    }
}

Test(command, configuration) {
    struct command_line line;
    char *said;
    unsetenv("GATEPOST_CONFIG");
    cr_assert_eq(parse("status", &line, &said), 0);
    cr_expect_str_eq(line.config, COMMAND_CONFIG);
    setenv("GATEPOST_CONFIG", "/from/environment", 1);
    cr_assert_eq(parse("status", &line, &said), 0);
    cr_expect_str_eq(line.config, "/from/environment");
    cr_assert_eq(parse("-c /one status", &line, &said), 0);
    cr_expect_str_eq(line.config, "/one");
    cr_assert_eq(parse("status --config=/two", &line, &said), 0);
    cr_expect_str_eq(line.config, "/two");
}

/* Every command has help that names it, and so has every group; each needs somebody to do it. */
Test(command, help) {
    for (size_t i = 0; i < command_table.n; i++) {
        const struct command *command = &command_table.commands[i];
        char text[200], help[TEXT_MAX] = "", *said;
        struct command_line line;
        snprintf(text, sizeof text, "%s --help", command->name);
        cr_assert_eq(parse(text, &line, &said), 0, "%s: %s", text, said);
        cr_assert(line.help && line.command == command, "%s", text);
        cr_assert(command->run);
        FILE *out = fmemopen(help, sizeof help - 1, "w");
        command_help(&command_table, &line, out);
        fclose(out);
        cr_expect(strstr(help, command->name) && strstr(help, command->help), "%s", help);
    }
}

/* ---- rows */

static void print(enum print_form form, struct control_row *rows, size_t n, char *text, size_t size) {
    struct command_print print;
    memset(text, 0, size);
    FILE *out = fmemopen(text, size - 1, "w");
    command_print_open(&print, out, form);
    for (size_t i = 0; i < n; i++) cr_assert(command_print_row(&print, buf_span(&rows[i].b)));
    command_print_close(&print);
    fclose(out);
}

static struct control_row rows[4];

static void fill_rows(void) {
    control_row_open(&rows[0]);
    control_row_text(&rows[0], "login", SPAN("alice@example.test"));
    control_row_number(&rows[0], "mails", 7);
    control_row_bool(&rows[0], "enabled", true);
    control_row_time(&rows[0], "last", 1763924400123);
    control_row_open(&rows[1]);
    control_row_text(&rows[1], "login", SPAN("\xc3\xa4@x"));
    control_row_number(&rows[1], "mails", 123456);
    control_row_bool(&rows[1], "enabled", false);
    control_row_time(&rows[1], "last", 0);
    control_row_open(&rows[2]);
    control_row_text(&rows[2], "login", SPAN("b"));
    control_row_number(&rows[2], "mails", 0);
}

Test(command, table, .init = fill_rows) {
    char text[TEXT_MAX];
    print(PRINT_TABLE, rows, 3, text, sizeof text);
    cr_expect_str_eq(text,
                     "LOGIN                MAILS  ENABLED  LAST\n"
                     "alice@example.test       7  yes      2025-11-23T19:00:00Z\n"
                     "\xc3\xa4@x                 123456  no       -\n"
                     "b                        0  -        -\n",
                     "%s", text);
}

Test(command, tall, .init = fill_rows) {
    char text[TEXT_MAX];
    print(PRINT_TALL, rows, 1, text, sizeof text);
    cr_expect_str_eq(text, "login    alice@example.test\nmails    7\nenabled  yes\nlast     2025-11-23T19:00:00Z\n",
                     "%s", text);
}

Test(command, json, .init = fill_rows) {
    char text[TEXT_MAX];
    print(PRINT_JSON, rows, 2, text, sizeof text);
    cr_expect_str_eq(text,
                     "[\n  {\"login\": \"alice@example.test\", \"mails\": 7, \"enabled\": true, "
                     "\"last\": \"2025-11-23T19:00:00.123Z\"},\n"
                     "  {\"login\": \"\xc3\xa4@x\", \"mails\": 123456, \"enabled\": false, \"last\": null}\n]",
                     "%s", text);
    print(PRINT_JSON, rows, 0, text, sizeof text);
    cr_expect_str_eq(text, "[]");
}

Test(command, json_list) {
    char text[TEXT_MAX];
    control_row_open(&rows[0]);
    control_row_text(&rows[0], "alias", SPAN("a"));
    control_row_number(&rows[0], "n", 1);
    control_row_text(&rows[0], "alias", SPAN("b"));
    control_row_text(&rows[0], "alias", SPAN("c"));
    control_row_text(&rows[0], "last", SPAN("d"));
    print(PRINT_JSON, rows, 1, text, sizeof text);
    cr_expect_str_eq(text, "[\n  {\"alias\": [\"a\", \"b\", \"c\"], \"n\": 1, \"last\": \"d\"}\n]", "%s", text);
}

Test(command, lines) {
    char text[TEXT_MAX];
    control_row_open(&rows[0]);
    control_row_text(&rows[0], "rule", SPAN("relay-denied"));
    control_row_line(&rows[0], SPAN("relay-denied: \x1b[2J foreign\r\n"));
    print(PRINT_TABLE, rows, 1, text, sizeof text);
    cr_expect_str_eq(text, "relay-denied: \\x1b[2J foreign\n");
    print(PRINT_OCTETS, rows, 1, text, sizeof text);
    cr_expect_str_eq(text, "relay-denied: \x1b[2J foreign\r\n");
    print(PRINT_JSON, rows, 1, text, sizeof text);
    cr_expect(
        strstr(text, "{\"rule\": \"relay-denied\", \"line\": \"relay-denied: \\u001b[2J foreign\\u000d\\u000a\"}"));
}

Test(command, an_object_per_line, .init = fill_rows) {
    char text[TEXT_MAX];
    print(PRINT_LINES, rows, 3, text, sizeof text);
    cr_expect_str_eq(text,
                     "{\"login\": \"alice@example.test\", \"mails\": 7, \"enabled\": true, "
                     "\"last\": \"2025-11-23T19:00:00.123Z\"}\n"
                     "{\"login\": \"\xc3\xa4@x\", \"mails\": 123456, \"enabled\": false, \"last\": null}\n"
                     "{\"login\": \"b\", \"mails\": 0}\n",
                     "%s", text);
    print(PRINT_LINES, rows, 0, text, sizeof text);
    cr_expect_str_eq(text, "");
}

Test(command, octets_for_a_terminal) {
    char text[TEXT_MAX];
    control_row_open(&rows[0]);
    control_row_line(&rows[0], SPAN("a\x1b[2J\tb\r\n\xff\r\n\r\nend"));
    print(PRINT_SHOWN, rows, 1, text, sizeof text);
    cr_expect_str_eq(text, "a\\x1b[2J\tb\n\\xff\n\nend", "%s", text);
}

/* Of a long table no more than a part is in memory; the head comes once, and what is empty is a sign of life. */
Test(command, a_long_table, .init = fill_rows) {
    static char text[200 * PRINT_HELD];
    struct command_print print;
    FILE *out = fmemopen(text, sizeof text - 1, "w");
    size_t lines = 0, heads = 0;
    command_print_open(&print, out, PRINT_TABLE);
    for (size_t i = 0; i < 2 * PRINT_HELD + 5; i++) {
        cr_assert(command_print_row(&print, (struct span){0}));
        cr_assert(command_print_row(&print, buf_span(&rows[i == PRINT_HELD + 1 ? 1 : 2].b)));
        cr_assert_leq(print.n_held, (size_t)PRINT_HELD);
    }
    command_print_close(&print);
    fclose(out);
    for (char *line = text; line && *line; line = strchr(line, '\n') + 1) {
        lines++;
        heads += strncmp(line, "LOGIN", 5) == 0;
    }
    cr_expect_eq(lines, 2u * PRINT_HELD + 6);
    cr_expect_eq(heads, 1u);
    cr_expect(strstr(text, "\xc3\xa4@x    123456"), "columns grow where they must");
}

static const struct {
    struct span text;
    const char *clean, *json;
} escapes[] = {
    {{(const uint8_t *)"", 0}, "", "\"\""},
    {SPAN("plain \"q\" \\"), "plain \"q\" \\", "\"plain \\\"q\\\" \\\\\""},
    {SPAN("a\0b\t\x7f"), "a\\x00b\\x09\\x7f", "\"a\\u0000b\\u0009\\u007f\""},
    {SPAN("\xc2\x9b"
          "31m"),
     "\\xc2\\x9b31m", "\"\\u009b31m\""}, /* C1: CSI in one character */
    {SPAN("\xe2\x80\xae"
          "gpj"),
     "\\xe2\\x80\\xaegpj", "\"\\u202egpj\""},               /* right-to-left override */
    {SPAN("\xff\xc3"), "\\xff\\xc3", "\"\\ufffd\\ufffd\""}, /* not UTF-8 */
    {SPAN("\xf0\x9f\x93\xab"), "\xf0\x9f\x93\xab", "\"\xf0\x9f\x93\xab\""},
};

Test(command, escaping) {
    for (size_t i = 0; i < sizeof escapes / sizeof escapes[0]; i++) {
        char text[256] = "";
        FILE *out = fmemopen(text, sizeof text - 1, "w");
        command_print_clean(escapes[i].text, out);
        fclose(out);
        cr_expect_str_eq(text, escapes[i].clean, "row %zu: %s", i, text);
        memset(text, 0, sizeof text);
        out = fmemopen(text, sizeof text - 1, "w");
        command_print_json(escapes[i].text, out);
        fclose(out);
        cr_expect_str_eq(text, escapes[i].json, "row %zu: %s", i, text);
    }
}

Test(command, malformed_rows, .init = fill_rows) {
    struct command_print print;
    char text[256] = "";
    FILE *out = fmemopen(text, sizeof text - 1, "w");
    struct span whole = buf_span(&rows[0].b);
    command_print_open(&print, out, PRINT_TABLE);
    /* Cut anywhere but between two values it is no row. */
    size_t taken = 0;
    for (size_t n = 1; n < whole.n; n++) taken += command_print_row(&print, span_part(whole, 0, n));
    cr_expect_eq(taken, 3);
    uint8_t unknown[] = {1, 0, 0, 0, 'x', 9, 0, 0, 0, 0, 0, 0, 0, 0};
    cr_expect_not(command_print_row(&print, span_of(unknown, sizeof unknown)));
    command_print_close(&print);
    fclose(out);
}

/* ---- passwords */

#define LONG_51 "123456789012345678901234567890123456789012345678901"
#define LONG_255 LONG_51 LONG_51 LONG_51 LONG_51 LONG_51
static const struct {
    struct span password;
    bool taken;
} passwords[] = {
    {SPAN("12345678"), true},
    {SPAN("1234567"), false},
    {SPAN(""), false},
    {SPAN("correct horse"), true},
    {SPAN("\xc3\xa4\xc3\xb6\xc3\xbc\xc3\x9f"), false}, /* 4 characters in 8 octets */
    {SPAN("\xc3\xa4\xc3\xb6\xc3\xbc\xc3\x9f"
          "1234"),
     true},
    {SPAN("12345678\xff"), false},
    {SPAN("1234\x07"
          "5678"),
     false},
    {SPAN("1234567\xe2\x80\x8b"), false}, /* a space of no width */
    {SPAN("123456u\xcc\x88"), false},     /* 7 characters, as they are compared */
    {SPAN(LONG_255), true},
    {SPAN(LONG_255 "6"), false},
};

Test(command, password_faults) {
    for (size_t i = 0; i < sizeof passwords / sizeof passwords[0]; i++) {
        struct secret secret;
        cr_assert(secret_set(&secret, passwords[i].password));
        cr_expect_eq(command_secret_fault(&secret) == NULL, passwords[i].taken, "row %zu", i);
        cr_expect(span_equal(secret_span(&secret), passwords[i].password), "row %zu", i);
    }
}

/* Typed where keys make letters of parts, it is the password that was typed elsewhere. */
Test(command, password_prepared) {
    struct secret secret;
    cr_assert(secret_set(&secret, SPAN("Bu\xcc\x88"
                                       "cher\xc2\xa0lesen")));
    cr_expect_null(command_secret_fault(&secret));
    cr_expect(span_equal(secret_span(&secret), SPAN("B\xc3\xbc"
                                                    "cher lesen")));
}

Test(command, password_generated) {
    struct secret a, b;
    cr_assert_eq(command_secret_generate(&a), 0);
    cr_assert_eq(command_secret_generate(&b), 0);
    cr_expect_eq(a.n, 23);
    cr_expect_not(span_equal(secret_span(&a), secret_span(&b)));
    cr_expect_null(command_secret_fault(&a));
    for (size_t i = 0; i < a.n; i++)
        cr_expect(i % 6 == 5 ? a.octets[i] == '-' : strchr("abcdefghijkmnpqrstuvwxyz23456789", a.octets[i]) != NULL);
}

static int read_from(const char *text, size_t n, struct secret *out) {
    int ends[2];
    cr_assert_eq(pipe(ends), 0);
    cr_assert_eq(write(ends[1], text, n), (ssize_t)n);
    close(ends[1]);
    int result = command_secret_read(ends[0], out);
    close(ends[0]);
    return result;
}

Test(command, password_read) {
    static char large[SECRET_MAX + 1];
    struct secret secret;
    cr_expect_eq(read_from("word one\r\nrest", 14, &secret), 0);
    cr_expect(span_equal(secret_span(&secret), SPAN("word one")));
    cr_expect_eq(read_from("no end", 6, &secret), 0);
    cr_expect(span_equal(secret_span(&secret), SPAN("no end")));
    cr_expect_eq(read_from("", 0, &secret), -1);
    memset(large, 'x', sizeof large);
    cr_expect_eq(read_from(large, sizeof large - 1, &secret), 0);
    cr_expect_eq(secret.n, SECRET_MAX);
    cr_expect_eq(read_from(large, sizeof large, &secret), -1);
}

Test(command, versions) {
    cr_expect(version_newer("3.0.17", "3.0.9"));
    cr_expect(version_newer("3.1", "3.0.17"));
    cr_expect(version_newer("3.0.1", "3.0"));
    cr_expect_not(version_newer("3.0", "3.0"));
    cr_expect_not(version_newer("3.0.9", "3.0.17"));
    cr_expect_not(version_newer("3.0.9", "unknown"));
}
