/* test_command_ask.c - whole commands against a control socket that a fake auth or queue serves. */
#include "auth/credential.h"
#include "auth/password.h"
#include "auth/password_app.h"
#include "auth/scram.h"
#include "server/process/command.h"
#include "server/process/command_ask.h"
#include "server/process/nt_key.h"
#include "store/base64.h"
#include "tests/unit/conf_fixture.h"

#include <criterion/criterion.h>
#include <criterion/redirect.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static pid_t server_pid;
static char conf_path[128];

static void open_world(void) {
    fixture_begin();
    struct conf *conf = fixture_read_good("state_directory = \"%D\"; run_directory = \"%D\";\n", 0);
    conf_free(conf);
    snprintf(conf_path, sizeof conf_path, "%s/t.conf", fixture_directory);
}

static void close_world(void) {
    if (server_pid > 0) {
        kill(server_pid, SIGKILL);
        waitpid(server_pid, NULL, 0);
    }
    fixture_end();
}

static const uint8_t salt[ACCOUNT_SALT_BYTES] = "sixteen octets!";

/* Knows alice, and gives a malformed answer about mallory. */
static void enrol(struct control_peer *peer, struct span login) {
    struct control_row row;
    bool alice = span_equal(login, SPAN("alice@example.test")), mallory = span_equal(login, SPAN("mallory@x"));
    control_row_open(&row);
    control_row_text(&row, "login", login);
    control_row_text(&row, "salt", alice ? SPAN("c2l4dGVlbiBvY3RldHMhAA==") : SPAN("c2l4"));
    control_row_bool(&row, "spa", false);
    if ((alice || mallory) && !control_row_send(&row, peer)) _exit(1);
    control_end(peer, alice || mallory ? CONTROL_OK : CONTROL_NOT_FOUND, alice || mallory ? "" : "no such user");
}

/* Says back every argument in a row, then ends as the verb says. */
static void answer(void *context, struct control_peer *peer, const struct control_request *request) {
    struct control_row row;
    (void)context;
    if (strcmp(request->verb, "queue show") == 0) {
        control_end(peer, CONTROL_NOT_FOUND, "no message\x1b[2J of this name");
        return;
    }
    if (strcmp(request->verb, "user remove") == 0) _exit(0); /* dies without an answer */
    if (strcmp(request->verb, "user enrolment") == 0) {
        enrol(peer, control_argument(request, "login"));
        return;
    }
    for (size_t i = 0; i < request->n; i++) {
        control_row_open(&row);
        if (strcmp(request->verb, "queue cat") == 0) {
            control_row_line(&row, SPAN("From: a\r\n\0\xff"));
        } else {
            control_row_text(&row, "name", span_text(request->arguments[i].name));
            control_row_text(&row, "value", request->arguments[i].value);
        }
        if (!control_row_send(&row, peer)) _exit(1);
    }
    control_end(peer, CONTROL_OK, strcmp(request->verb, "alias add") == 0 ? "added" : "");
}

static void serve(const char *name) {
    static struct loop loop;
    static struct control_server server;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    snprintf(address.sun_path, sizeof address.sun_path, "%s/%s.sock", fixture_directory, name);
    cr_assert(fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof address) == 0 && listen(fd, 8) == 0);
    server_pid = fork();
    cr_assert(server_pid >= 0);
    if (server_pid > 0) {
        close(fd);
        return;
    }
    server = (struct control_server){.loop = &loop, .owner_uid = geteuid(), .handle = answer};
    if (loop_open(&loop) != 0 || control_serve(&server, fd) != 0) _exit(1);
    for (;;)
        if (loop_round(&loop, -1) != 0) _exit(1);
}

/* Runs `gatepost -c CONF WORDS`; words are parted by blanks. */
static int run(const char *text) {
    static char words[512];
    char *argv[24] = {NULL}, *rest = words, *word;
    int argc = 0;
    snprintf(words, sizeof words, "gatepost -c %s %s", conf_path, text);
    while ((word = strsep(&rest, " ")) && argc < 23) argv[argc++] = word;
    return command_main(argc, argv);
}

Test(command_ask, table, .init = open_world, .fini = close_world) {
    cr_redirect_stdout();
    serve("auth");
    cr_assert_eq(run("alias add all@example.test a@example.test b@example.test --forward"), CONTROL_OK);
    cr_assert_stdout_eq_str("NAME     VALUE\naddress  all@example.test\ntarget   a@example.test\n"
                            "target   b@example.test\nforward  yes\n\nadded\n");
}

Test(command_ask, json, .init = open_world, .fini = close_world) {
    cr_redirect_stdout();
    serve("auth");
    cr_assert_eq(run("sender list a@example.test --json"), CONTROL_OK);
    cr_assert_stdout_eq_str("[\n  {\"name\": \"login\", \"value\": \"a@example.test\"},\n"
                            "  {\"name\": \"json\", \"value\": \"yes\"}\n]\n");
}

Test(command_ask, refused, .init = open_world, .fini = close_world) {
    cr_redirect_stderr();
    serve("queue");
    cr_assert_eq(run("queue show 1"), CONTROL_NOT_FOUND);
    cr_assert_stderr_eq_str("gatepost: no message\\x1b[2J of this name\n");
}

Test(command_ask, no_answer, .init = open_world, .fini = close_world) {
    cr_redirect_stderr();
    serve("auth");
    cr_assert_eq(run("user remove a@example.test"), CONTROL_UNAVAILABLE);
    cr_assert_stderr_eq_str("gatepost: the server ended the connection before its answer was complete\n");
}

/* Who accepts and says nothing, and who does not even accept, are waited for no longer than is said. */
Test(command_ask, no_word, .init = open_world, .fini = close_world, .timeout = 60) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    cr_redirect_stderr();
    command_patience_seconds = 1;
    snprintf(address.sun_path, sizeof address.sun_path, "%s/auth.sock", fixture_directory);
    cr_assert(fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof address) == 0 && listen(fd, 0) == 0);
    cr_assert_eq(run("user list"), CONTROL_UNAVAILABLE);
    cr_assert_eq(run("user list"), CONTROL_UNAVAILABLE); /* the one before still has the only place */
    char *wanted =
        fixture_replace("gatepost: no answer from the server within 1 seconds\n"
                        "gatepost: %D/auth.sock: the server takes no question; it is stopped, or has too many "
                        "to answer\n",
                        "%D", fixture_directory);
    fflush(stderr);
    cr_assert_stderr_eq_str(wanted);
    free(wanted), close(fd);
}

/* The returned text is what the command printed: void at the next call. */
static char *run_into_file(const char *text, int *code_out) {
    static char octets[2048];
    char *path = fixture_replace("%D/out", "%D", fixture_directory);
    fflush(stdout);
    cr_assert(freopen(path, "w", stdout));
    *code_out = run(text);
    FILE *file = fopen(path, "r");
    size_t n = file ? fread(octets, 1, sizeof octets - 1, file) : 0;
    octets[n] = 0;
    if (file) fclose(file);
    free(path);
    return octets;
}

Test(command_ask, export, .init = open_world, .fini = close_world) {
    int code;
    serve("queue");
    char *octets = run_into_file("queue cat 1", &code);
    cr_assert_eq(code, CONTROL_OK);
    cr_expect(span_equal(span_of(octets, 12), SPAN("From: a\r\n\0\xff\0")));
}

static void type(const char *text) {
    int ends[2];
    size_t n = strlen(text);
    cr_assert_eq(pipe(ends), 0);
    cr_assert_eq(write(ends[1], text, n), (ssize_t)n);
    cr_assert_eq(dup2(ends[0], STDIN_FILENO), STDIN_FILENO);
    close(ends[0]);
    close(ends[1]);
}

/* What was sent under this name; "" when nothing was. Void at the next call. */
static const char *sent(const char *said, const char *name) {
    static char value[256];
    char line[320];
    for (const char *p = said; p; p = (p = strchr(p, '\n')) ? p + 1 : NULL)
        if (sscanf(p, "%31s %255s", line, value) == 2 && strcmp(line, name) == 0) return value;
    return "";
}

/* The keys are those of the password and of the salt that was sent or that auth had told. */
static void expect_scram(const char *said, const char *password, bool of_alice) {
    uint8_t salt_sent[ACCOUNT_SALT_BYTES], octets[CREDENTIAL_SCRAM_BYTES];
    struct buf b = BUF_OVER(salt_sent), keys_sent = BUF_OVER(octets);
    struct scram_keys keys;
    cr_assert(base64_decode(span_text(sent(said, "salt")), &b) && b.n == sizeof salt_sent, "%s", said);
    cr_assert(base64_decode(span_text(sent(said, "scram")), &keys_sent) && keys_sent.n == sizeof octets, "%s", said);
    cr_expect_eq(memcmp(salt_sent, salt, sizeof salt) == 0, of_alice);
    scram_keys_make(span_text(password), buf_span(&b), SCRAM_ITERATIONS, &keys);
    cr_expect_arr_eq(octets, keys.stored, 32);
    cr_expect_arr_eq(octets + 32, keys.server, 32);
}

Test(command_ask, user_add_from_stdin, .init = open_world, .fini = close_world) {
    int code;
    serve("auth");
    type("correct horse\n");
    char *said = run_into_file("user add a@example.test --password-stdin", &code);
    cr_assert_eq(code, CONTROL_OK);
    cr_expect_null(strstr(said, "correct horse"));
    cr_expect_null(strstr(said, "password-stdin"));
    cr_expect_str_eq(sent(said, "login"), "a@example.test");
    cr_expect(password_check(SPAN("correct horse"), sent(said, "hash")), "%s", said);
    cr_expect_str_eq(sent(said, "nt"), "");
    expect_scram(said, "correct horse", false);
}

Test(command_ask, user_passwd, .init = open_world, .fini = close_world) {
    int code;
    serve("auth");
    type("correct horse\n");
    char *said = run_into_file("user passwd alice@example.test --password-stdin", &code);
    cr_assert_eq(code, CONTROL_OK);
    cr_expect(password_check(SPAN("correct horse"), sent(said, "hash")), "%s", said);
    expect_scram(said, "correct horse", true);
}

Test(command_ask, user_login_add, .init = open_world, .fini = close_world) {
    int code;
    serve("auth");
    type("correct horse\n");
    char *said = run_into_file("user login add alice@example.test mailer --password-stdin", &code);
    cr_assert_eq(code, CONTROL_OK);
    cr_expect_str_eq(sent(said, "name"), "mailer");
    expect_scram(said, "correct horse", true);
}

Test(command_ask, user_passwd_generated, .init = open_world, .fini = close_world) {
    int code;
    char login[32], password[64] = "";
    serve("auth");
    char *said = run_into_file("user passwd alice@example.test --generate --json", &code);
    cr_assert_eq(code, CONTROL_OK);
    cr_assert_eq(sscanf(said, "[ {\"login\": \"%31[^\"]\", \"password\": \"%63[^\"]\"} ]", login, password), 2, "%s",
                 said);
    cr_expect_str_eq(login, "alice@example.test");
    cr_expect_eq(strlen(password), 23);
}

/* The fake says back what it got; the last line is the password. */
Test(command_ask, app_password, .init = open_world, .fini = close_world) {
    int code;
    char password[64] = "";
    serve("auth");
    char *said =
        run_into_file("user app-password add alice@example.test --name phone --scope smtp --expires 90d", &code);
    cr_assert_eq(code, CONTROL_OK);
    cr_expect_str_eq(sent(said, "scope"), "smtp");
    cr_expect_str_eq(sent(said, "expires"), "90d");
    const char *last = strrchr(said, '\n') - 23;
    cr_assert_eq(sscanf(last, "%63s", password), 1, "%s", said);
    cr_expect_eq(strlen(password), 23);
    cr_expect(password_app_check(span_text(password), sent(said, "hash")), "%s", said);
    expect_scram(said, password, true);
    cr_expect_eq(strstr(said, password), last, "it is shown once");
}

static void expect_nt(const char *said, const char *password) {
    struct conf conf = {.state_directory = fixture_directory};
    uint8_t key[NT_KEY_BYTES], hash[NT_HASH_BYTES], opened[NT_HASH_BYTES], octets[NT_SEALED_BYTES];
    struct buf sealed = BUF_OVER(octets);
    cr_assert(base64_decode(span_text(sent(said, "nt")), &sealed) && buf_ok(&sealed), "%s", said);
    cr_assert_eq(nt_key_get(&conf, key), 0);
    cr_assert(nt_hash_make(span_text(password), hash));
    cr_assert(nt_hash_open(key, SPAN("alice@example.test"), buf_span(&sealed), opened));
    cr_expect_arr_eq(opened, hash, sizeof hash);
}

/* Sealed with the key that lies beside the database, and is made now. */
Test(command_ask, user_spa, .init = open_world, .fini = close_world) {
    int code;
    char directory[128], path[160];
    snprintf(directory, sizeof directory, "%s/auth", fixture_directory);
    snprintf(path, sizeof path, "%s/" NT_KEY_FILE, directory);
    serve("auth");
    type("correct horse\n");
    char *said = run_into_file("user spa enable alice@example.test --password-stdin", &code);
    cr_expect_eq(code, CONTROL_FAILED, "no directory to keep the key in: %s", said);
    cr_assert_eq(mkdir(directory, 0711), 0);
    type("correct horse\n");
    said = run_into_file("user spa enable alice@example.test --password-stdin", &code);
    cr_assert_eq(code, CONTROL_OK, "%s", said);
    cr_expect(password_check(SPAN("correct horse"), sent(said, "hash")), "%s", said);
    expect_scram(said, "correct horse", true);
    expect_nt(said, "correct horse");
    type("correct horse\n");
    said = run_into_file("user passwd alice@example.test --password-stdin", &code);
    cr_assert_eq(code, CONTROL_OK);
    cr_expect_null(strstr(said, "nt "), "%s", said); /* auth says that she is not enrolled */
    cr_expect_eq(remove(path), 0);
    cr_expect_eq(rmdir(directory), 0);
}

/* Nobody is asked for a password that is of no use. */
Test(command_ask, no_such_user, .init = open_world, .fini = close_world) {
    cr_redirect_stderr();
    serve("auth");
    cr_expect_eq(run("user passwd bob@example.test"), CONTROL_NOT_FOUND);
    cr_expect_eq(run("user app-password add bob@example.test --name x"), CONTROL_NOT_FOUND);
    cr_expect_eq(run("user passwd mallory@x"), CONTROL_FAILED);
    fflush(stderr);
    cr_assert_stderr_eq_str("gatepost: no such user\ngatepost: no such user\n"
                            "gatepost: the server's answer is malformed\n");
}

static const struct {
    const char *typed, *command;
    int code;
} no_password[] = {
    {"short\n", "user add a@example.test --password-stdin", CONTROL_REFUSED},
    {"", "user add a@example.test --password-stdin", CONTROL_FAILED},
    {"long enough\n", "user add a@example.test --password-stdin --generate", CONTROL_USAGE},
};

/* No server is there: what reaches the question would end with another code. */
Test(command_ask, user_add_refused, .init = open_world, .fini = close_world) {
    for (size_t i = 0; i < sizeof no_password / sizeof no_password[0]; i++) {
        type(no_password[i].typed);
        cr_expect_eq(run(no_password[i].command), no_password[i].code, "%s", no_password[i].command);
    }
}

static const char *const whole_queue[] = {"queue remove", "queue retry", "queue remove 1 --all"};

Test(command_ask, selection, .init = open_world, .fini = close_world) {
    cr_redirect_stdout();
    serve("queue");
    for (size_t i = 0; i < sizeof whole_queue / sizeof whole_queue[0]; i++)
        cr_expect_eq(run(whole_queue[i]), CONTROL_USAGE, "%s", whole_queue[i]);
    cr_assert_eq(run("queue remove --all"), CONTROL_OK);
    cr_assert_stdout_eq_str("NAME  VALUE\nall   yes\n");
}

Test(command_ask, status_without_server, .init = open_world, .fini = close_world) {
    cr_redirect_stdout();
    cr_assert_eq(run("status --json"), CONTROL_UNAVAILABLE);
    fflush(stdout);
    FILE *out = cr_get_redirected_stdout();
    char text[512] = "";
    cr_assert(fread(text, 1, sizeof text - 1, out) > 0);
    cr_expect(strstr(text, "\"running\": false\n}\n"), "%s", text);
}

Test(command_ask, backup_refuses, .init = open_world, .fini = close_world) {
    char words[64 + sizeof fixture_directory];
    cr_redirect_stderr();
    cr_expect_eq(run("backup /nowhere/at/all"), CONTROL_REFUSED);
    snprintf(words, sizeof words, "backup %s", fixture_directory);
    cr_expect_eq(run(words), CONTROL_REFUSED, "a directory that holds something");
}
