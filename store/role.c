/* role.c - what a child hears from the master.
 * Runs in: every process but the master. Trusts: the master. Never: reads anything but the control channel. */
#include "store/role.h"

#include "store/log.h"

#include <errno.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

const char *role_name(enum role role) {
    static const char *const names[ROLE_COUNT] = {"none", "master", "listener", "auth",     "verifier",
                                                  "keys", "queue",  "delivery", "outbound", "resolver",
                                                  "log",  "policy", "pop3",     "command"};
    return role < ROLE_COUNT ? names[role] : "none";
}

void role_setup_put(struct buf *b, const struct role_start *start) {
    wire_put_u8(b, start->common.role);
    wire_put_u8(b, start->common.as_root);
    wire_put_u8(b, start->common.directory_is_empty);
    wire_put_u8(b, start->common.dumpable);
    wire_put_u32(b, start->common.uid);
    wire_put_u32(b, start->common.gid);
    wire_put_u64(b, start->common.files_max);
    wire_put_u64(b, start->common.file_bytes_max);
    wire_put_u64(b, start->common.memory_bytes_max);
    wire_put_span(b, start->common.filter);
    wire_put_span(b, start->common.child_filter);
    wire_put_span(b, start->payload);
}

static int setup_get(struct role_start *start) {
    struct wire w = wire_over(start->memory);
    start->common.role = wire_get_u8(&w);
    start->common.as_root = wire_get_u8(&w);
    start->common.directory_is_empty = wire_get_u8(&w);
    start->common.dumpable = wire_get_u8(&w);
    start->common.uid = wire_get_u32(&w);
    start->common.gid = wire_get_u32(&w);
    start->common.files_max = wire_get_u64(&w);
    start->common.file_bytes_max = wire_get_u64(&w);
    start->common.memory_bytes_max = wire_get_u64(&w);
    start->common.filter = wire_get_span(&w, FRAME_MAX);
    start->common.child_filter = wire_get_span(&w, FRAME_MAX);
    start->payload = wire_get_span(&w, SIZE_MAX);
    return wire_end(&w) ? 0 : -1;
}

static int map_setup(struct role_start *start, int fd) {
    struct stat status;
    if (fd < 0 || fstat(fd, &status) != 0 || status.st_size <= 0) return -1;
    void *p = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (p == MAP_FAILED) return -1;
    if (start->memory.p) munmap((void *)(uintptr_t)start->memory.p, start->memory.n);
    start->memory = span_of(p, (size_t)status.st_size);
    return setup_get(start);
}

/* Files a link; one of the same kind and index gives way and is closed. */
static int file_link(struct role_link *links, size_t *n, size_t cap, struct role_link link, int *old_out) {
    for (size_t i = 0; i < *n; i++) {
        if (links[i].kind != link.kind || links[i].index != link.index) continue;
        *old_out = links[i].fd;
        close(links[i].fd);
        links[i] = link;
        return 0;
    }
    if (*n == cap) return -1;
    links[(*n)++] = link;
    return 0;
}

static int take_link(struct role_start *start, struct frame *frame, struct role_link *link_out, int *old_out) {
    struct wire w = wire_over(frame->body);
    *link_out = (struct role_link){.kind = wire_get_u8(&w), .fd = frame->fd};
    link_out->index = wire_get_u8(&w);
    if (!wire_end(&w) || frame->fd < 0) return -1;
    frame->fd = -1;
    if (frame->type == MASTER_CHANNEL)
        return file_link(start->channels, &start->n_channels, ROLE_CHANNELS, *link_out, old_out);
    return file_link(start->descriptors, &start->n_descriptors, ROLE_DESCRIPTORS, *link_out, old_out);
}

enum role_event role_listen(struct role_start *start, struct role_link *link_out, int *old_out,
                            uint32_t *number_out) {
    static uint8_t storage[FRAME_MAX];
    struct frame frame;
    struct wire w;
    *old_out = -1;
    switch (frame_receive(ROLE_CONTROL_FD, storage, true, &frame)) {
    case FRAME_NONE:
        return ROLE_EVENT_NONE;
    case FRAME_RECEIVED:
        break;
    default:
        return ROLE_EVENT_GONE;
    }
    switch (frame.type) {
    case MASTER_SETUP:
        if (map_setup(start, frame.fd) != 0) log_bug("setup from the master does not parse");
        close(frame.fd);
        return ROLE_EVENT_SETUP;
    case MASTER_CHANNEL:
    case MASTER_DESCRIPTOR:
        if (take_link(start, &frame, link_out, old_out) != 0) log_bug("link from the master does not parse");
        return frame.type == MASTER_CHANNEL ? ROLE_EVENT_CHANNEL : ROLE_EVENT_DESCRIPTOR;
    case MASTER_DIALED:
        w = wire_over(frame.body);
        *number_out = wire_get_u32(&w);
        *old_out = (int)wire_get_u32(&w);
        *link_out = (struct role_link){.fd = frame.fd};
        if (!wire_end(&w) || (frame.fd < 0) != (*old_out != 0)) log_bug("frame from the master does not parse");
        return ROLE_EVENT_DIALED;
    default:
        break;
    }
    if (frame.fd >= 0) close(frame.fd); /* none belongs to what is left */
    switch (frame.type) {
    case MASTER_DRAIN:
        return ROLE_EVENT_DRAIN;
    case MASTER_LOG_NEW:
        return ROLE_EVENT_LOG_NEW;
    case MASTER_ACCEPT:
        return ROLE_EVENT_ACCEPT;
    case MASTER_FORGET:
        w = wire_over(frame.body);
        *number_out = wire_get_u32(&w);
        if (!wire_end(&w)) log_bug("frame from the master does not parse");
        return ROLE_EVENT_FORGET;
    default:
        break;
    }
    if (frame.type != MASTER_START) log_bug("unknown frame from the master");
    return ROLE_EVENT_NONE;
}

int role_receive(struct role_start *start) {
    static uint8_t storage[FRAME_MAX];
    struct role_link link;
    struct frame frame;
    int old, result = -1;
    *start = (struct role_start){0};
    for (;;) {
        struct pollfd wait = {ROLE_CONTROL_FD, POLLIN, 0};
        if (poll(&wait, 1, -1) < 0) {
            if (errno == EINTR) continue;
            return -1;
        }
        enum frame_status status = frame_receive(ROLE_CONTROL_FD, storage, true, &frame);
        if (status == FRAME_NONE) continue;
        if (status != FRAME_RECEIVED) return -1;
        if (frame.type == MASTER_START) return start->memory.p ? 0 : -1;
        if (frame.type == MASTER_SETUP)
            result = map_setup(start, frame.fd);
        else if (frame.type == MASTER_CHANNEL || frame.type == MASTER_DESCRIPTOR)
            result = take_link(start, &frame, &link, &old);
        else
            result = -1;
        if (frame.fd >= 0) close(frame.fd);
        if (result != 0) return -1;
    }
}

static int find_link(const struct role_link *links, size_t n, unsigned kind, unsigned index) {
    for (size_t i = 0; i < n; i++)
        if (links[i].kind == kind && links[i].index == index) return links[i].fd;
    return -1;
}

int role_channel(const struct role_start *start, enum role peer, unsigned index) {
    return find_link(start->channels, start->n_channels, peer, index);
}

int role_descriptor(const struct role_start *start, enum role_descriptor kind, unsigned index) {
    return find_link(start->descriptors, start->n_descriptors, kind, index);
}

void role_say(enum frame_type type, struct span body) {
    if (frame_send_plain(ROLE_CONTROL_FD, (uint16_t)type, body) != 0) return;
}

void role_ready(uint32_t missing) {
    uint8_t storage[4];
    struct buf b = BUF_OVER(storage);
    wire_put_u32(&b, missing);
    role_say(CHILD_READY, buf_span(&b));
}
