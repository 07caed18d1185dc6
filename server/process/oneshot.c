/* oneshot.c - one process for one question.
 * Runs in: master, command line. Trusts: its own programs. Never: waits longer than it was told. */
#include "server/process/oneshot.h"

#include "server/process/child.h"
#include "store/clock.h"
#include "store/log.h"

#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static bool hear(int channel, const struct oneshot *question) {
    static uint8_t storage[FRAME_MAX];
    struct frame frame;
    uint64_t end_ms = clock_ms() + question->ms;
    for (uint64_t now; (now = clock_ms()) < end_ms;) {
        struct pollfd wait = {channel, POLLIN, 0};
        if (poll(&wait, 1, (int)(end_ms - now)) <= 0) continue;
        enum frame_status status = frame_receive(channel, storage, false, &frame);
        if (status == FRAME_NONE) continue;
        if (status != FRAME_RECEIVED) return false;
        if (!question->take(question->context, &frame)) return true;
    }
    return false;
}

/* Its log has no reader: what matters is said by who asks. */
bool oneshot_run(const struct conf *conf, const struct oneshot *question) {
    uint32_t uid, gid;
    const char *name;
    bool heard = false;
    if (child_programs()[0] == 0) return false;
    struct family *family = calloc(1, sizeof *family);
    if (!family) abort();
    family->conf = conf;
    if (question->material) family->fresh = *question->material;
    family->auth_control = family->queue_control = family->submit = family->login = family->faults = -1;
    family->facts.judge = question->material != NULL;
    family->facts.zone = question->zone;
    /* Before installation there are no users; its other walls stand all the same. */
    family->facts.as_root = geteuid() == 0 && setup_user(conf, question->role, &uid, &gid, &name) == 0;
    if (frame_pair(family->log_fds, true) == 0) {
        int log = log_use(family->log_fds[1]);
        struct child *child = child_add(family, question->role, 0);
        memcpy(family->crowd_fds, family->log_fds, sizeof family->crowd_fds);
        if (child && child_spawn(child) == 0) {
            child_begin(child);
            heard = hear(child->watch.fd, question);
        }
        if (child && child->pid) {
            kill(child->pid, SIGKILL);
            (void)waitpid(child->pid, NULL, 0);
            child_gone(child);
        }
        log_use(log);
        for (int i = 0; i < 2; i++) close(family->log_fds[i]);
    }
    free(family);
    return heard;
}
