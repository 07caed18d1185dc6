/* files.c - RLIMIT_NOFILE against the number of sessions.
 * Runs in: master, command line. Trusts: the kernel's answer. Never: lets a limit be lower than what is configured
 * without a word. */
#include "server/process/files.h"

#include <stdio.h>
#include <sys/resource.h>

enum { FILES_BASE = 256, FILES_PER_SESSION = 4, FILES_PER_AGENT = 4, FILES_MOST = 1 << 20 };

static uint64_t needed(const struct conf *conf, uint64_t sessions) {
    return FILES_BASE + FILES_PER_SESSION * sessions + FILES_PER_AGENT * (uint64_t)conf->delivery.agents;
}

static uint64_t hard_limit(void) {
    struct rlimit limit;
    return getrlimit(RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_max : 0;
}

uint64_t files_limit(const struct conf *conf) {
    uint64_t hard = hard_limit(), least = needed(conf, conf->limits.connections);
    if (hard > FILES_MOST) hard = FILES_MOST;
    return hard > least ? hard : least;
}

/* Only root's processes may. */
static void raise_limit(uint64_t to) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
    limit.rlim_max = to;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0) return;
}

int files_fit(struct conf *conf, char text_out[FILES_TEXT_MAX]) {
    uint32_t wanted = conf->limits.connections;
    uint64_t least = needed(conf, wanted), none = needed(conf, 0);
    text_out[0] = '\0';
    if (hard_limit() < least) raise_limit(least);
    uint64_t hard = hard_limit();
    if (hard >= least) return 0;
    uint64_t fit = hard > none ? (hard - none) / FILES_PER_SESSION : 0;
    if (fit == 0) {
        snprintf(text_out, FILES_TEXT_MAX, "the limit on open files (ulimit -Hn) is %llu: at least %llu are needed",
                 (unsigned long long)hard, (unsigned long long)(none + FILES_PER_SESSION));
        return -1;
    }
    snprintf(text_out, FILES_TEXT_MAX,
             "limits.connections is lowered from %u to %u: %u would need %llu open files, and the limit (ulimit -Hn, "
             "LimitNOFILE=) is %llu",
             wanted, (unsigned)fit, wanted, (unsigned long long)least, (unsigned long long)hard);
    conf->limits.connections = (uint32_t)fit;
    return 0;
}
