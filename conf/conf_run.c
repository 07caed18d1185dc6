/* conf_run.c - the one value that a client needs who may not read the rest, nor what the rest names.
 * Runs in: the command line, as any user of this host. Trusts: the file's owner. Never: complains. */
#include "conf/conf.h"
#include "conf/conf_table.h"

#include <libconfig.h>
#include <stdlib.h>

static const char *standard(void) {
    for (size_t i = 0; i < conf_keys_n; i++)
        if (strcmp(conf_keys[i].path, "run_directory") == 0) return conf_keys[i].standard;
    abort();
}

bool conf_run_directory(const char *path, char *out, size_t size) {
    config_t config;
    const char *value, *slash = strrchr(path, '/');
    char directory[4096];
    config_init(&config);
    int n = snprintf(directory, sizeof directory, "%.*s", slash ? (int)(slash - path) + 1 : 1, slash ? path : ".");
    if (n > 0 && (size_t)n < sizeof directory) config_set_include_dir(&config, directory);
    bool found = config_read_file(&config, path) == CONFIG_TRUE &&
                 config_lookup_string(&config, "run_directory", &value) == CONFIG_TRUE;
    n = snprintf(out, size, "%s", found ? value : standard());
    config_destroy(&config);
    return n > 0 && (size_t)n < size;
}
