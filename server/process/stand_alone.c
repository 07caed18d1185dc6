/* stand_alone.c - auth or queue for one command, when no server runs: the same program, user and lock as under a
 * server.
 * Runs in: command line. Trusts: the person at the terminal. Never: opens the database or the queue itself. */
#include "server/process/stand_alone.h"

#include "server/process/directories.h"
#include "server/process/family.h"
#include "store/log.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { END_MS = 10000, STEP_MS = 5 };

static struct family family;
static struct child *worker; /* NULL: none was started */

/* Bounded: what does not end is killed. */
static void await(struct child *child) {
    for (int ms = 0; child && child->pid; ms += STEP_MS) {
        pid_t ended = waitpid(child->pid, NULL, WNOHANG);
        if (ended != 0)
            child->pid = 0;
        else if (ms >= END_MS)
            kill(child->pid, SIGKILL);
        else
            nanosleep(&(struct timespec){.tv_nsec = STEP_MS * 1000000}, NULL);
    }
}

void stand_alone_end(int channel) {
    close(channel);
    if (!worker) return;
    await(worker);
    if (frame_send_plain(family.log_fds[1], LOG_FLUSH, (struct span){0}) == 0)
        await(child_find(&family, ROLE_LOG, 0));
    for (size_t i = 0; i < CHILDREN_MAX; i++)
        if (family.children[i].role != ROLE_NONE) close(family.children[i].watch.fd);
    log_use(-1);
    family_close(&family);
    worker = NULL;
}

/* Its warnings go to standard error. */
static int start_log(void) {
    struct child *writer = child_add(&family, ROLE_LOG, 0);
    if (!writer || child_spawn(writer) != 0) return -1;
    child_begin(writer);
    return 0;
}

/* The role's process inherits what may be opened here. */
static int check_directory(const struct conf *conf, enum role role) {
    int fd = directories_open(conf, role, 0);
    if (fd >= 0) return close(fd);
    fprintf(stderr, "gatepost: cannot open the directory of the %s process in %s: %s%s\n", role_name(role),
            conf->state_directory, strerrordesc_np(errno), errno == EACCES && geteuid() != 0 ? CONF_RUN_AS_ROOT : "");
    return -1;
}

int stand_alone_start(const struct conf *conf, enum role role) {
    int pair[2];
    uint8_t command[2] = {ROLE_COMMAND, 0};
    family = (struct family){.facts = {.stand_alone = true, .as_root = geteuid() == 0}};
    signal(SIGPIPE, SIG_IGN);
    if (child_programs()[0] == 0) {
        fprintf(stderr, "gatepost: the programs of its processes (gatepost-auth and others) are not installed\n");
        return -1;
    }
    if (family.facts.as_root && family_check_users(conf, stderr) != 0) return -1;
    if (directories_make(conf, family.facts.as_root, stderr) != 0) return -1;
    if (check_directory(conf, role) != 0) return -1;
    if (family_open(&family, conf, NULL, NULL, NULL) != 0) return -1;
    worker = start_log() == 0 ? child_add(&family, role, 0) : NULL;
    if (!worker || child_spawn(worker) != 0 || frame_pair(pair, true) != 0) {
        fprintf(stderr, "gatepost: cannot start the %s process: %s\n", role_name(role), strerrordesc_np(errno));
        return -1;
    }
    child_tell(worker, MASTER_CHANNEL, span_of(command, sizeof command), pair[1]);
    child_begin(worker);
    close(pair[1]);
    int flags = fcntl(pair[0], F_GETFL);
    if (flags >= 0 && fcntl(pair[0], F_SETFL, flags & ~O_NONBLOCK) == 0) return pair[0];
    close(pair[0]);
    return -1;
}
