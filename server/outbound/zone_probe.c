/* zone_probe.c - the questions of the zone check, one after the other.
 * Runs in: a resolver that is started for it. Trusts: the command line for what to ask, nothing that the DNS says.
 * Never: waits longer than ZONE_PROBE_MS in all, or on when nobody wants to know any more. */
#include "server/outbound/zone_probe.h"

#include "server/lab/zone.h"
#include "server/outbound/dns.h"
#include "store/clock.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

/* A name server that did not answer so often is not asked again. */
enum { RESOLV_BYTES_MAX = 64 << 10, QUESTION_MS = 8000, SILENCES_MAX = 3 };

static struct {
    struct dns *dns;
    struct zone zone;
    struct zone_setup setup;
    uint64_t until_ms;
    unsigned silences;
    struct {
        unsigned number; /* of the question whose answer is waited for; others come too late */
        bool answered;
        struct zone_answer *out;
    } now;
} probe;

static void found(void *context, enum resolve_outcome outcome, const struct dns_records *records) {
    struct zone_answer *out = probe.now.out;
    if ((uintptr_t)context != probe.now.number) return;
    struct buf b = BUF_OVER(out->storage);
    probe.now.answered = true;
    out->outcome = outcome == RESOLVE_FOUND ? ZONE_FOUND : outcome == RESOLVE_NOT_FOUND ? ZONE_NONE : ZONE_UNANSWERED;
    out->alias = records->alias;
    for (size_t i = 0; i < records->n && out->n < ZONE_RECORDS_MAX; i++) {
        if (records->list[i].n > b.cap - b.n) break;
        out->records[out->n++] = span_of(b.p + b.n, records->list[i].n);
        buf_put_span(&b, records->list[i]);
    }
}

static void ask(void *context, const char *name, enum zone_type type, struct zone_answer *out) {
    (void)context;
    uint64_t start = clock_ms(), end = start + QUESTION_MS;
    if (end > probe.until_ms) end = probe.until_ms;
    *out = (struct zone_answer){.outcome = ZONE_UNANSWERED};
    probe.now.number++;
    probe.now.answered = false;
    probe.now.out = out;
    if (probe.silences >= SILENCES_MAX || start >= end) return;
    if (dns_records(probe.dns, name, (uint16_t)type, found, (void *)(uintptr_t)probe.now.number) != 0) return;
    for (uint64_t now; !probe.now.answered && (now = clock_ms()) < end;) {
        struct pollfd wait[] = {{dns_descriptor(probe.dns), POLLIN, 0}, {ROLE_CONTROL_FD, 0, 0}};
        if (poll(wait, 2, (int)(end - now)) <= 0) continue;
        if (wait[1].revents & (POLLHUP | POLLERR)) _exit(0); /* whoever asked has gone */
        if (wait[0].revents) dns_work(probe.dns);
    }
    probe.silences = probe.now.answered ? 0 : probe.silences + 1;
}

/* Waits while the other side has enough to read. */
static void tell(enum frame_type type, struct span body) {
    struct pollfd wait = {ROLE_CONTROL_FD, POLLOUT, 0};
    while (frame_send_plain(ROLE_CONTROL_FD, (uint16_t)type, body) != 0)
        if (errno != EAGAIN || poll(&wait, 1, ZONE_PROBE_MS) <= 0) _exit(1);
}

static void say(void *context, const struct zone_finding *finding) {
    uint8_t storage[4096];
    struct buf b = BUF_OVER(storage);
    (void)context;
    wire_put_u8(&b, (uint8_t)finding->level);
    wire_put_text(&b, finding->what);
    wire_put_span(&b, finding->name);
    wire_put_span(&b, finding->text);
    wire_put_span(&b, finding->line);
    if (buf_ok(&b)) tell(CHILD_FINDING, buf_span(&b));
}

static size_t read_resolv(const struct role_start *start, uint8_t *text, size_t size) {
    int fd = role_descriptor(start, DESCRIPTOR_RESOLV, 0);
    size_t n = 0;
    for (ssize_t got = 1; fd >= 0 && got > 0 && n<size; n += got> 0 ? (size_t)got : 0)
        got = pread(fd, text + n, size - n, (off_t)n);
    return n;
}

int zone_probe_run(struct role_start *start) {
    static uint8_t text[RESOLV_BYTES_MAX];
    if (zone_setup_get(&probe.setup, start->payload) != 0) return 1;
    probe.dns = dns_new(span_of(text, read_resolv(start, text, sizeof text)));
    if (!probe.dns) return 1;
    probe.until_ms = clock_ms() + ZONE_PROBE_MS;
    probe.zone = (struct zone){.setup = &probe.setup, .ask = ask, .say = say};
    zone_check(&probe.zone);
    tell(CHILD_CHECKED, span_of(NULL, 0));
    return 0;
}
