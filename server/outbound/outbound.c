/* outbound.c - the parent of the SMTP and LMTP agents.
 * Runs in: outbound. Trusts: master, queue, resolver. Never: connects to another host, reads mail. */
#include "server/outbound/outbound.h"

#include "server/outbound/agent_smtp.h"
#include "server/outbound/spawner.h"
#include "store/clock.h"
#include "store/endpoint.h"
#include "store/log.h"

#include <errno.h>
#include <unistd.h>

enum { WAITING_MAX = SPAWNER_AGENTS_MAX, RESOLVE_MS = 40000 };

static struct {
    struct spawner spawner;
    struct outbound_setup setup, lmtp; /* lmtp: nothing but our name */
    struct agent_smtp agent;
    struct tls_client *tls;
    struct loop_watch resolver;
    struct waiting { /* orders that wait for the addresses; agent 0 is an agent like any other: n counts */
        struct spawner_order order;
        uint64_t request, until_ms;
    } waiting[WAITING_MAX];
    size_t n_waiting;
    uint64_t requests;
} room = {.resolver.fd = -1};

static void take_certificates(const struct role_start *start) {
    struct tls_client *tls = tls_client_new(role_descriptor(start, DESCRIPTOR_CA, 0));
    if (!tls) {
        log_fault("preparing TLS", errno);
        return;
    }
    tls_client_free(room.tls);
    room.tls = tls;
}

int outbound_prepare(const struct role_start *start) {
    take_certificates(start);
    return room.tls ? 0 : -1;
}

static void take_setup(void) {
    if (outbound_setup_get(&room.setup, room.spawner.start->payload) != 0)
        log_bug("setup of outbound does not parse");
    room.lmtp = (struct outbound_setup){.hostname = room.setup.hostname, .tls = SMARTHOST_TLS_NONE};
    room.spawner.agents_max = room.setup.agents_max;
}

static struct span destination_of(const struct spawner_order *order) {
    return span_of(order->destination, order->destination_bytes);
}

/* What the order's mail is for; false when that does not exist. */
static bool find_target(const struct spawner_order *order, struct endpoint *out) {
    if (order->kind == DESTINATION_LMTP) return endpoint_parse(out, destination_of(order));
    *out = (struct endpoint){.host = room.setup.host, .port = room.setup.port};
    out->literal = netaddr_parse(&out->address, out->host);
    out->address.port = out->port;
    return order->kind == DESTINATION_SMARTHOST && out->host.n;
}

static int be_agent(const struct spawner_order *order, struct job_inbox *inbox, int keep) {
    struct endpoint target;
    bool lmtp = order->kind == DESTINATION_LMTP;
    if (!find_target(order, &target)) return 1;
    room.agent.start = room.spawner.start;
    room.agent.setup = lmtp ? &room.lmtp : &room.setup;
    room.agent.tls = room.tls;
    room.agent.lmtp = lmtp;
    room.agent.line.fd = keep;
    room.agent.host = target.path.n ? SPAN("localhost") : target.host;
    room.agent.destination = destination_of(order);
    return agent_smtp_run(&room.agent, inbox);
}

static void drop_waiting(size_t i) {
    room.waiting[i] = room.waiting[--room.n_waiting];
}

static void lose_resolver(void) {
    if (room.resolver.fd >= 0) loop_remove(&room.spawner.loop, &room.resolver);
    room.resolver.fd = -1;
    for (; room.n_waiting; drop_waiting(0))
        spawner_refuse(&room.spawner, &room.waiting[0].order, "the resolver is not there");
}

static void take_addresses(struct wire *w) {
    uint16_t n = wire_get_u16(w);
    room.agent.addresses.n = 0;
    for (uint16_t i = 0; i < n; i++) {
        struct netaddr address;
        wire_get_netaddr(w, &address);
        if (room.agent.addresses.n < SMTP_ADDRESSES_MAX)
            room.agent.addresses.list[room.agent.addresses.n++] = address;
    }
}

static void answered(const struct spawner_order *order, uint8_t outcome) {
    struct endpoint target;
    bool smarthost = order->kind == DESTINATION_SMARTHOST;
    if (outcome == RESOLVE_FOUND && room.agent.addresses.n && find_target(order, &target)) {
        for (size_t i = 0; i < room.agent.addresses.n; i++) room.agent.addresses.list[i].port = target.port;
        spawner_fork(&room.spawner, order, -1);
    } else if (outcome == RESOLVE_TEMPORARY) {
        spawner_refuse(&room.spawner, order,
                       smarthost ? "the smarthost's name cannot be looked up now"
                                 : "the LMTP server's name cannot be looked up now");
    } else {
        spawner_refuse(&room.spawner, order,
                       smarthost ? "the smarthost's name has no address" : "the LMTP server's name has no address");
    }
}

static void take_result(const struct frame *frame) {
    struct wire w = wire_over(frame->body);
    uint64_t request = wire_get_u64(&w);
    uint8_t outcome = wire_get_u8(&w);
    take_addresses(&w);
    if (frame->type != RESOLVE_RESULT || !wire_end(&w)) log_bug("frame from the resolver does not parse");
    for (size_t i = 0; i < room.n_waiting;) {
        if (room.waiting[i].request != request) {
            i++;
            continue;
        }
        struct spawner_order order = room.waiting[i].order;
        drop_waiting(i);
        answered(&order, outcome);
    }
}

static void resolver_ready(void *context, uint32_t events) {
    static uint8_t storage[FRAME_MAX];
    struct frame frame;
    (void)context, (void)events;
    switch (frame_receive(room.resolver.fd, storage, false, &frame)) {
    case FRAME_RECEIVED:
        take_result(&frame);
        break;
    case FRAME_NONE:
        break;
    case FRAME_MALFORMED:
        log_bug("malformed frame from the resolver");
    case FRAME_CLOSED:
    case FRAME_ERROR:
        lose_resolver();
        break;
    }
}

static void watch_resolver(int fd) {
    lose_resolver();
    room.resolver.fd = fd;
    if (fd >= 0 && loop_add(&room.spawner.loop, &room.resolver, EPOLLIN) != 0) log_bug("watching the resolver");
}

static void ask(const struct spawner_order *order, struct span host) {
    uint8_t storage[512];
    struct buf b = BUF_OVER(storage);
    if (room.n_waiting == WAITING_MAX) {
        spawner_refuse(&room.spawner, order, "too many look-ups");
        return;
    }
    room.waiting[room.n_waiting++] = (struct waiting){*order, ++room.requests, clock_ms() + RESOLVE_MS};
    wire_put_u64(&b, room.requests);
    wire_put_span(&b, host);
    if (room.resolver.fd < 0 || frame_send(room.resolver.fd, RESOLVE_REQUEST, buf_span(&b)) != 0) lose_resolver();
}

/* An agent with a line to us, over which it has itself connected. */
static void fork_local(const struct spawner_order *order, struct span path) {
    int line = dialer_add(path);
    if (line < 0) {
        log_fault("making an agent's line", errno);
        spawner_refuse(&room.spawner, order, "no line");
        return;
    }
    spawner_fork(&room.spawner, order, line);
    close(line);
}

static void wanted(const struct spawner_order *order) {
    struct endpoint target;
    if (!find_target(order, &target))
        spawner_refuse(&room.spawner, order,
                       order->kind == DESTINATION_LMTP ? "no LMTP server has this name"
                                                       : "no smarthost is configured");
    else if (target.path.n)
        fork_local(order, target.path);
    else if (target.literal) {
        room.agent.addresses = (struct smtp_addresses){.list = {target.address}, .n = 1};
        spawner_fork(&room.spawner, order, -1);
    } else
        ask(order, target.host);
}

static void changed(enum role_event event, const struct role_link *link, int old) {
    (void)old;
    if (event == ROLE_EVENT_SETUP) { /* the last of what a reload brings: agents have the host, login and authorities
                                        of before */
        take_setup();
        spawner_retire(&room.spawner);
    } else if (event == ROLE_EVENT_CHANNEL && link->kind == ROLE_RESOLVER)
        watch_resolver(link->fd);
    else if (event == ROLE_EVENT_DESCRIPTOR && link->kind == DESCRIPTOR_CA)
        take_certificates(room.spawner.start);
}

/* Gives up look-ups that the resolver forgot. */
static int tick(void) {
    uint64_t now = clock_ms();
    for (size_t i = 0; i < room.n_waiting;) {
        if (now < room.waiting[i].until_ms) {
            i++;
            continue;
        }
        struct spawner_order order = room.waiting[i].order;
        drop_waiting(i);
        spawner_refuse(&room.spawner, &order, "the resolver does not answer");
    }
    return room.n_waiting ? 1000 : -1;
}

int outbound_run(struct role_start *start, uint32_t missing) {
    room.spawner = (struct spawner){
        .start = start, .wanted = wanted, .agent = be_agent, .changed = changed, .dialed = dialer_take};
    room.resolver = (struct loop_watch){-1, resolver_ready, NULL};
    take_setup();
    if (spawner_open(&room.spawner) != 0) return 1;
    dialer_open(&room.spawner.loop);
    watch_resolver(role_channel(start, ROLE_RESOLVER, 0));
    role_ready(missing);
    return spawner_run(&room.spawner, tick);
}
