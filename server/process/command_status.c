/* command_status.c - what runs: versions, processes, logins and queue.
 * Runs in: the command line. Trusts: the server's own sockets. Never: starts anything to find out. */
#include "server/process/command_ask.h"
#include "server/process/command_run.h"
#include "server/process/version.h"

#include <errno.h>
#include <unistd.h>

enum { STATUS_SECONDS = 10 }; /* who watches the server wants to know soon */

static void put_json_text(const char *name, const char *text) {
    printf("  \"%s\": ", name);
    command_print_json(span_text(text), stdout);
    fputs(",\n", stdout);
}

static void put_versions(bool json, bool running, int error) {
    char installed[VERSION_TEXT_MAX];
    bool newer = version_openssl_installed(installed) && version_newer(installed, version_openssl_linked());
    if (json) {
        fputs("{\n", stdout);
        put_json_text("version", version_gatepost());
        put_json_text("openssl", version_openssl_linked());
        if (newer) put_json_text("openssl_installed", installed);
        printf("  \"running\": %s", running ? "true" : "false");
        return;
    }
    printf("gatepost %s with OpenSSL %s\n", version_gatepost(), version_openssl_linked());
    if (newer) printf("OpenSSL %s is installed and newer: build and restart gatepost to use it\n", installed);
    if (!running && error != ENOENT && error != ECONNREFUSED)
        printf("the status socket: %s\n", command_why(error));
    else if (!running)
        fputs("not running\n", stdout);
}

/* One of the three answers; the worst exit code of all is the command's. */
static int put_section(const struct conf *conf, enum role role, const char *verb, const char *name, bool json) {
    struct command_print print;
    int fd = command_connect(conf, role);
    if (json)
        printf(",\n  \"%s\": ", name);
    else
        printf("\n%s:\n", name);
    command_print_open(&print, stdout, json ? PRINT_JSON : role == ROLE_MASTER ? PRINT_TABLE : PRINT_TALL);
    if (fd < 0) {
        fprintf(stderr, "gatepost: %s: %s\n", role_name(role), command_why(errno));
        command_print_close(&print);
        return CONTROL_UNAVAILABLE;
    }
    int code = command_exchange(fd, verb, NULL, 0, &print);
    close(fd);
    return code;
}

int command_run_status(const struct command_line *line) {
    static const struct {
        enum role role;
        const char *verb, *name;
    } sections[] = {
        {ROLE_MASTER, "status", "processes"}, {ROLE_AUTH, "status", "auth"}, {ROLE_QUEUE, "queue status", "queue"}};
    struct conf *conf = conf_read(line->config, stderr);
    int code = CONTROL_OK;
    if (!conf) return CONTROL_FAILED;
    if (command_patience_seconds > STATUS_SECONDS) command_patience_seconds = STATUS_SECONDS;
    int fd = command_connect(conf, ROLE_MASTER);
    put_versions(line->json, fd >= 0, errno);
    if (fd >= 0)
        close(fd);
    else
        code = CONTROL_UNAVAILABLE;
    for (size_t i = 0; fd >= 0 && i < sizeof sections / sizeof sections[0]; i++) {
        int result = put_section(conf, sections[i].role, sections[i].verb, sections[i].name, line->json);
        if (result > code) code = result;
    }
    if (line->json) fputs("\n}\n", stdout);
    conf_free(conf);
    return code;
}
