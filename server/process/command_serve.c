/* command_serve.c - starting the server, checking its configuration, and what backup has to say.
 * Runs in: command line, which becomes the master. Trusts: the owner. Never: serves with a configuration that has a
 * mistake. */
#include "server/process/command_run.h"

#include "conf/conf.h"
#include "server/process/master.h"

int command_run_serve(const struct command_line *line) {
    struct master_options options = {
        .log_json = command_value(line, "json-log"),
        .background = command_value(line, "background"),
        .pid_file = command_value(line, "pid-file"),
        .announce_file = command_value(line, "announce"),
    };
    struct conf *conf = conf_read(line->config, stderr);
    if (!conf) return CONTROL_FAILED;
    return master_serve(conf, line->config, &options); /* takes the configuration */
}

int command_run_check(const struct command_line *line) {
    struct conf *conf = conf_read(line->config, stderr);
    if (!conf) return CONTROL_FAILED;
    if (!command_value(line, "quiet")) conf_print(conf, stdout);
    conf_free(conf);
    return CONTROL_OK;
}

int command_run_backup(const struct command_line *line) {
    struct conf *conf = conf_read(line->config, stderr);
    if (!conf) return CONTROL_FAILED;
    fprintf(stderr,
            "gatepost: backup of a running server is not in this version. Stop the server, copy %s\n"
            "and %s as they are, start it again. Nothing was written to %s.\n",
            conf->state_directory, line->config, command_value(line, "directory"));
    conf_free(conf);
    return CONTROL_REFUSED;
}
