/* command_serve.c - starting the server, and checking its configuration.
 * Runs in: command line, which becomes the master. Trusts: the owner. Never: serves with a configuration that has a
 * mistake. */
#include "conf/conf.h"
#include "server/process/command_ask.h"
#include "server/process/command_dns.h"
#include "server/process/command_run.h"
#include "server/process/judge.h"
#include "server/process/master.h"
#include "server/process/stand_alone.h"

#include <errno.h>
#include <limits.h>
#include <unistd.h>

int command_run_serve(const struct command_line *line) {
    struct master_options options = {
        .log_json = command_value(line, "json-log"),
        .background = command_value(line, "background"),
        .pid_file = command_value(line, "pid-file"),
        .announce_file = command_value(line, "announce"),
#ifdef GATEPOST_FAULTS
        .faults = {command_value(line, "faults")},
#endif
    };
    struct conf *conf = conf_read(line->config, stderr);
    if (!conf) return CONTROL_FAILED;
    return master_serve(conf, line->config, &options); /* takes the configuration */
}

/* Asks auth, the running one or one started for it, whether somebody gets postmaster's mail. A warning, not a
 * mistake: users are added after the configuration is written. */
static void warn_postmaster(const struct conf *conf) {
    struct command_print print;
    char path[PATH_MAX];
    command_patience_seconds = 10;
    int fd = command_connect(conf, ROLE_AUTH);
    if (fd < 0 && (errno == ENOENT || errno == ECONNREFUSED)) {
        int n = snprintf(path, sizeof path, "%s/auth/gatepost.db", conf->state_directory);
        if (n < 0 || (size_t)n >= sizeof path) return;
        if (access(path, F_OK) == 0)
            fd = stand_alone_start(conf, ROLE_AUTH);
        else if (errno == ENOENT)
            fputs("gatepost: there is no user yet, so mail for postmaster will be put off; add one with user add\n",
                  stderr);
    }
    if (fd < 0) return;
    command_print_open(&print, stderr, PRINT_TABLE);
    (void)command_exchange(fd, "postmaster", NULL, 0, &print);
    stand_alone_end(fd);
}

/* What serve would refuse to start with, or warn of; then, where it was asked for, the DNS. */
static int check_all(const struct command_line *line, struct conf *conf) {
    struct material material;
    int code = CONTROL_FAILED;
    bool dns = command_value(line, "dns");
    if (material_read(&material, conf, 1, stderr) != 0) return CONTROL_FAILED;
    bool good = judge_material(conf, line->config, &material, stderr, stderr) == 0;
    if (good && !dns && !command_value(line, "quiet")) conf_print(conf, stdout);
    fflush(stdout);
    if (good) conf_warn(conf, line->config, stderr);
    if (good) code = dns ? command_check_dns(line, conf, &material) : CONTROL_OK;
    if (good && !dns) warn_postmaster(conf);
    material_close(&material);
    return code;
}

int command_run_check(const struct command_line *line) {
    bool dns = command_value(line, "dns");
    if (!dns && (line->json || command_value(line, "server"))) {
        fputs("gatepost: --json and --server go with check --dns\n", stderr);
        return CONTROL_USAGE;
    }
    struct conf *conf = conf_read(line->config, stderr);
    if (!conf) return CONTROL_FAILED;
    int code = check_all(line, conf);
    conf_free(conf);
    return code;
}
