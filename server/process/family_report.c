/* family_report.c - what is told of the children: in the log when one ends, and on the status socket.
 * Runs in: master. Trusts: its own tables. Never: changes a child. */
#include "server/process/family.h"

#include "store/log.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

void family_log_end(const struct child *child, int status, bool expected) {
    struct log_line line;
    log_open(&line, LOG_CHILD_EXITED);
    log_text(&line, KEY_PROCESS, role_name(child->role));
    log_exit(&line, (uint64_t)child->pid, status);
    if (expected) log_text(&line, KEY_WHY, "it was told to leave");
    log_send(&line);
}

void family_put_missing(struct buf *out, uint32_t missing) {
    static const char *const words[] = {"user", "root", "landlock", "seccomp"};
    bool first = true;
    for (unsigned i = 0; i < 4; i++) {
        if (!(missing & 1U << i)) continue;
        if (!first) buf_put_octet(out, ' ');
        buf_put_text(out, words[i]);
        first = false;
    }
}

static void put_process(const struct child *child, struct control_peer *peer) {
    struct control_row row;
    uint8_t text[64];
    struct buf missing = BUF_OVER(text);
    family_put_missing(&missing, child->missing);
    control_row_open(&row);
    control_row_text(&row, "process", span_text(role_name(child->role)));
    control_row_number(&row, "pid", (uint64_t)child->pid);
    control_row_text(&row, "state", span_text(child->draining ? "leaving" : child->ready ? "serving" : "starting"));
    control_row_time(&row, "since", child->started_wall_ms);
    control_row_number(&row, "restarts", child->restarts);
    control_row_text(&row, "missing", buf_span(&missing));
    if (role_listens(child->role)) {
        control_row_number(&row, "sessions", child->busy);
        control_row_number(&row, "accepted", child->accepted);
    }
    (void)control_row_send(&row, peer); /* a peer that has gone is dropped by the server */
}

static void answer_status(void *context, struct control_peer *peer, const struct control_request *request) {
    struct family *family = context;
    if (strcmp(request->verb, "status") != 0) {
        control_end(peer, CONTROL_USAGE, "the master answers only \"status\"");
        return;
    }
    for (size_t i = 0; i < CHILDREN_MAX; i++)
        if (family->children[i].pid) put_process(&family->children[i], peer);
    control_end(peer, CONTROL_OK, "");
}

int family_serve_status(struct family *family, struct control_server *server) {
    int fd = sockets_control(family->conf->run_directory, "status.sock");
    *server = (struct control_server){
        .loop = family->loop, .owner_uid = geteuid(), .handle = answer_status, .context = family};
    if (fd >= 0 && control_serve(server, fd) == 0) return 0;
    fprintf(stderr, "gatepost: cannot make a control socket in %s: %s\n", family->conf->run_directory,
            strerrordesc_np(errno));
    return -1;
}
