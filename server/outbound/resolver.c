/* resolver.c - look-ups by hosts file and DNS, many at once.
 * Runs in: resolver. Trusts: master and outbound. Never: opens a file, lets one look-up wait for another. */
#include "server/outbound/resolver.h"

#include "server/outbound/dns.h"
#include "server/outbound/hosts.h"
#include "server/outbound/zone_probe.h"
#include "store/clock.h"
#include "store/log.h"
#include "store/loop.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

enum { TEXT_BYTES_MAX = 64 << 10, LOOKUPS_MAX = 1024, LOOKUP_MS = 30000, BACKLOG_BYTES = 1 << 20 };

struct lookup {
    uint64_t request, until_ms;
    bool used, answered; /* used until DNS has called back */
    struct dns *dns;
};

static struct {
    struct role_start *start;
    struct loop loop;
    struct loop_watch control, client, answers;
    struct frame_backlog backlog;
    struct dns *dns;
    uint8_t hosts[TEXT_BYTES_MAX];
    size_t n_hosts;
    struct lookup lookups[LOOKUPS_MAX];
    bool done;
} room;

static size_t read_text(enum role_descriptor kind, uint8_t *text, size_t size) {
    int fd = role_descriptor(room.start, kind, 0);
    size_t n = 0;
    for (ssize_t got = 1; fd >= 0 && got > 0 && n<size; n += got> 0 ? (size_t)got : 0)
        got = pread(fd, text + n, size - n, (off_t)n);
    return n;
}

static void drop_client(void) {
    if (room.client.fd < 0) return;
    loop_remove(&room.loop, &room.client);
    room.client.fd = -1;
    frame_backlog_free(&room.backlog);
    for (size_t i = 0; i < LOOKUPS_MAX; i++) room.lookups[i].answered = true;
}

static void answer(uint64_t request, enum resolve_outcome outcome, const struct netaddr *list, size_t n) {
    uint8_t storage[DNS_ADDRESSES_MAX * 24 + 16];
    struct buf b = BUF_OVER(storage);
    wire_put_u64(&b, request);
    wire_put_u8(&b, (uint8_t)outcome);
    wire_put_u16(&b, (uint16_t)n);
    for (size_t i = 0; i < n; i++) wire_put_netaddr(&b, &list[i]);
    if (room.client.fd < 0) return;
    if (frame_backlog_send(&room.backlog, room.client.fd, RESOLVE_RESULT, buf_span(&b), -1) != 0 ||
        loop_change(&room.loop, &room.client, EPOLLIN | (frame_backlog_empty(&room.backlog) ? 0 : EPOLLOUT)) != 0)
        drop_client();
}

static void found(void *context, enum resolve_outcome outcome, const struct netaddr *list, size_t n) {
    struct lookup *lookup = context;
    if (!lookup->answered) answer(lookup->request, outcome, list, n);
    lookup->used = false;
}

static struct lookup *free_lookup(void) {
    for (size_t i = 0; i < LOOKUPS_MAX; i++)
        if (!room.lookups[i].used) return &room.lookups[i];
    return NULL;
}

static void take_request(const struct frame *frame) {
    struct netaddr list[DNS_ADDRESSES_MAX];
    struct wire w = wire_over(frame->body);
    uint64_t request = wire_get_u64(&w);
    struct span name = wire_get_span(&w, DNS_NAME_MAX);
    if (frame->type != RESOLVE_REQUEST || !wire_end(&w)) log_bug("frame from outbound does not parse");
    size_t n = hosts_find(span_of(room.hosts, room.n_hosts), name, list, DNS_ADDRESSES_MAX);
    struct lookup *lookup = n ? NULL : free_lookup();
    if (n)
        answer(request, RESOLVE_FOUND, list, n);
    else if (!lookup || !room.dns)
        answer(request, RESOLVE_TEMPORARY, NULL, 0);
    else {
        *lookup =
            (struct lookup){.request = request, .until_ms = clock_ms() + LOOKUP_MS, .used = true, .dns = room.dns};
        if (dns_addresses(room.dns, name, found, lookup) == 0) return;
        lookup->used = false;
        answer(request, errno == EINVAL ? RESOLVE_NOT_FOUND : RESOLVE_TEMPORARY, NULL, 0);
    }
}

static void client_ready(void *context, uint32_t events) {
    static uint8_t storage[FRAME_MAX];
    struct frame frame;
    (void)context;
    if ((events & EPOLLOUT) &&
        (frame_backlog_flush(&room.backlog, room.client.fd) != 0 ||
         (frame_backlog_empty(&room.backlog) && loop_change(&room.loop, &room.client, EPOLLIN) != 0))) {
        drop_client();
        return;
    }
    switch (frame_receive(room.client.fd, storage, false, &frame)) {
    case FRAME_RECEIVED:
        take_request(&frame);
        break;
    case FRAME_NONE:
        break;
    case FRAME_MALFORMED:
        log_bug("malformed frame from outbound");
    case FRAME_CLOSED:
    case FRAME_ERROR:
        drop_client();
        break;
    }
}

static void answers_ready(void *context, uint32_t events) {
    (void)context, (void)events;
    dns_work(room.dns);
}

static void watch_client(int fd) {
    drop_client();
    room.client.fd = fd;
    if (fd >= 0 && loop_add(&room.loop, &room.client, EPOLLIN) != 0) log_bug("watching outbound");
}

/* Files are read again when the master sends them anew; name servers are fixed with libunbound's first question,
 * so it is made anew too, and what is still open is given up. */
static void begin_dns(void) {
    static uint8_t text[TEXT_BYTES_MAX];
    if (room.dns) {
        loop_remove(&room.loop, &room.answers);
        for (size_t i = 0; i < LOOKUPS_MAX; i++)
            if (room.lookups[i].used) {
                if (!room.lookups[i].answered) answer(room.lookups[i].request, RESOLVE_TEMPORARY, NULL, 0);
                room.lookups[i].used = false;
            }
        dns_free(room.dns);
    }
    room.dns = dns_new(span_of(text, read_text(DESCRIPTOR_RESOLV, text, sizeof text)));
    if (!room.dns) {
        log_fault("preparing DNS", errno);
        return;
    }
    room.answers.fd = dns_descriptor(room.dns);
    if (loop_add(&room.loop, &room.answers, EPOLLIN) != 0) log_bug("watching DNS");
}

static void take_files(enum role_descriptor changed) {
    if (changed != DESCRIPTOR_RESOLV) room.n_hosts = read_text(DESCRIPTOR_HOSTS, room.hosts, sizeof room.hosts);
    if (changed != DESCRIPTOR_HOSTS) begin_dns();
}

static void control_ready(void *context, uint32_t events) {
    struct role_link link;
    int old;
    uint32_t number;
    (void)context, (void)events;
    switch (role_listen(room.start, &link, &old, &number)) {
    case ROLE_EVENT_GONE:
        _exit(0);
    case ROLE_EVENT_DRAIN:
        room.done = true;
        break;
    case ROLE_EVENT_CHANNEL:
        if (link.kind == ROLE_OUTBOUND) watch_client(link.fd);
        break;
    case ROLE_EVENT_DESCRIPTOR:
        if (link.kind == DESCRIPTOR_RESOLV || link.kind == DESCRIPTOR_HOSTS)
            take_files((enum role_descriptor)link.kind);
        break;
    case ROLE_EVENT_NONE:
    case ROLE_EVENT_SETUP:
    case ROLE_EVENT_LOG_NEW:
    case ROLE_EVENT_ACCEPT:
    case ROLE_EVENT_FORGET:
    case ROLE_EVENT_DIALED:
        break;
    }
}

/* Answers what takes too long; how long the next round may wait. */
static int expire(void) {
    uint64_t now = clock_ms();
    int wait_ms = -1;
    for (size_t i = 0; i < LOOKUPS_MAX; i++) {
        struct lookup *lookup = &room.lookups[i];
        if (!lookup->used || lookup->answered) continue;
        wait_ms = 1000;
        if (now < lookup->until_ms) continue;
        lookup->answered = true;
        answer(lookup->request, RESOLVE_TEMPORARY, NULL, 0);
    }
    return wait_ms;
}

int resolver_run(struct role_start *start, uint32_t missing) {
    if (start->payload.n) return zone_probe_run(start);
    room.start = start;
    room.backlog.cap_bytes = BACKLOG_BYTES;
    room.control = (struct loop_watch){ROLE_CONTROL_FD, control_ready, NULL};
    room.client = (struct loop_watch){-1, client_ready, NULL};
    room.answers = (struct loop_watch){-1, answers_ready, NULL};
    if (signal(SIGPIPE, SIG_IGN) == SIG_ERR || loop_open(&room.loop) != 0 ||
        loop_add(&room.loop, &room.control, EPOLLIN) != 0)
        return 1;
    take_files(DESCRIPTOR_NONE);
    watch_client(role_channel(start, ROLE_OUTBOUND, 0));
    role_ready(missing);
    while (!room.done)
        if (loop_round(&room.loop, expire()) != 0) return 1;
    return 0;
}
