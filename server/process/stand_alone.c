/* stand_alone.c - auth or queue for one command, when no server runs: the same program, user and lock as under a server.
 * Runs in: command line. Trusts: the person at the terminal. Never: opens the database or the queue itself. */
#include "server/process/directories.h"
#include "server/process/family.h"
#include "server/process/master.h"
#include "store/log.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

int master_stand_alone(const struct conf *conf, int role) {
    static struct family family;
    int pair[2];
    uint8_t command[2] = {ROLE_COMMAND, 0};
    family.facts.stand_alone = true;
    family.facts.as_root = geteuid() == 0;
    signal(SIGPIPE, SIG_IGN);
    if (child_programs()[0] == 0) {
        fprintf(stderr, "gatepost: the programs of its processes (gatepost-auth and others) are not installed\n");
        return -1;
    }
    if (family.facts.as_root && family_check_users(conf, stderr) != 0) return -1;
    if (directories_make(conf, family.facts.as_root, stderr) != 0) return -1;
    if (family_open(&family, conf, NULL, NULL, NULL) != 0) return -1;
    struct child *child = child_add(&family, (enum role)role, 0);
    if (!child || child_spawn(child) != 0 || frame_pair(pair, true) != 0) {
        fprintf(stderr, "gatepost: cannot start the %s process: %s\n", role_name((enum role)role), strerrordesc_np(errno));
        return -1;
    }
    child_tell(child, MASTER_CHANNEL, span_of(command, sizeof command), pair[1]);
    child_begin(child);
    close(pair[1]);
    int flags = fcntl(pair[0], F_GETFL);
    if (flags >= 0 && fcntl(pair[0], F_SETFL, flags & ~O_NONBLOCK) == 0) return pair[0];
    close(pair[0]);
    return -1;
}
