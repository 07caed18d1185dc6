/* delivery.c - the parent of the Maildir agents: those that deliver for the queue, and those that serve a POP3
 * session whose user auth has named.
 * Runs in: delivery. Trusts: master, queue and auth. Never: opens a mailbox itself, reads mail, hears a session. */
#include "server/outbound/delivery.h"

#include "server/outbound/agent_mailbox.h"
#include "server/outbound/agent_maildir.h"
#include "server/outbound/outbound_setup.h"
#include "server/outbound/spawner.h"
#include "store/log.h"

#include <unistd.h>

static struct spawner spawner;
static struct delivery_setup setup;
static struct loop_watch auth = {.fd = -1};
static struct span session; /* whose mailbox agent is being forked */

static void take_setup(void) {
    if (delivery_setup_get(&setup, spawner.start->payload) != 0) log_bug("setup of delivery does not parse");
    spawner.agents_max = setup.agents_max;
    spawner.mailboxes_max = setup.mailboxes_max;
}

static void wanted(const struct spawner_order *order) {
    unsigned index = order->kind == DESTINATION_CAPTURE ? 1 : 0;
    int directory = role_descriptor(spawner.start, DESCRIPTOR_DIRECTORY, index);
    if (order->kind != DESTINATION_MAILDIR && order->kind != DESTINATION_CAPTURE)
        spawner_refuse(&spawner, order, "not a local destination");
    else if (directory < 0)
        spawner_refuse(&spawner, order, "no directory for it");
    else
        spawner_fork(&spawner, order, directory);
}

static int be_mailbox(const struct spawner_order *order, const struct job_inbox *inbox, int directory) {
    const struct agent_mailbox agent = {
        .filter = setup.mailbox_filter,
        .session = session,
        .destination = span_of(order->destination, order->destination_bytes),
        .channel = inbox->channel,
        .lifeline = inbox->lifeline,
        .directory = directory,
    };
    return agent_mailbox_run(&agent);
}

static int be_agent(const struct spawner_order *order, struct job_inbox *inbox, int directory) {
    const struct agent_maildir agent = {
        .start = spawner.start,
        .hostname = setup.hostname,
        .capture = order->kind == DESTINATION_CAPTURE,
        .destination = span_of(order->destination, order->destination_bytes),
    };
    if (order->mailbox) return be_mailbox(order, inbox, directory);
    return agent_maildir_run(&agent, inbox, directory);
}

/* ---- auth */

/* The session sees the end of its channel where nobody serves it. */
static void refuse_mailbox(int channel) {
    uint8_t storage[16];
    struct buf b = BUF_OVER(storage);
    wire_put_u8(&b, MAILBOX_FAULT);
    wire_put_u32(&b, 0);
    wire_put_u64(&b, 0);
    if (frame_send(channel, MAILBOX_OPENED, buf_span(&b)) != 0) log_fault("refusing a mailbox", 0);
}

static void take_mailbox(struct frame *frame) {
    struct spawner_order order = {.kind = DESTINATION_MAILDIR, .mailbox = true};
    struct wire w = wire_over(frame->body);
    session = wire_get_span(&w, SESSION_NAME_MAX);
    struct span destination = wire_get_span(&w, SPAWNER_DESTINATION_MAX);
    int directory = role_descriptor(spawner.start, DESCRIPTOR_DIRECTORY, 0);
    if (frame->type != MAILBOX_WANTED || !wire_end(&w) || frame->fd < 0) log_bug("frame from auth does not parse");
    order.destination_bytes = (uint16_t)destination.n;
    if (destination.n) memcpy(order.destination, destination.p, destination.n);
    if (directory < 0) log_fault("a mailbox is wanted, and there is no directory for it", 0);
    bool can = directory >= 0 && !spawner.draining;
    if (!can) refuse_mailbox(frame->fd);
    if (!can)
        close(frame->fd);
    else if (!spawner_fork_mailbox(&spawner, &order, frame->fd, directory))
        log_fault("a session stays without its mailbox", 0);
    frame->fd = -1;
}

static void auth_ready(void *context, uint32_t events) {
    static uint8_t storage[FRAME_MAX];
    struct frame frame;
    (void)context, (void)events;
    switch (frame_receive(auth.fd, storage, true, &frame)) {
    case FRAME_RECEIVED:
        take_mailbox(&frame);
        break;
    case FRAME_NONE:
        break;
    case FRAME_MALFORMED:
        log_bug("malformed frame from auth");
    case FRAME_CLOSED:
    case FRAME_ERROR: /* role.c closes it when another comes */
        loop_remove(&spawner.loop, &auth);
        auth.fd = -1;
        break;
    }
}

static void watch_auth(int fd) {
    if (auth.fd >= 0) loop_remove(&spawner.loop, &auth);
    auth = (struct loop_watch){fd, auth_ready, NULL};
    if (fd >= 0 && loop_add(&spawner.loop, &auth, EPOLLIN) != 0) log_bug("watching auth");
}

/* ---- the master */

static void changed(enum role_event event, const struct role_link *link, int old) {
    if (event == ROLE_EVENT_SETUP) take_setup();
    if (event != ROLE_EVENT_CHANNEL || link->kind != ROLE_AUTH) return;
    if (old >= 0 && old == auth.fd) auth.fd = -1; /* closed, and its number may be another's */
    watch_auth(link->fd);
}

int delivery_run(struct role_start *start, uint32_t missing) {
    spawner = (struct spawner){.start = start, .wanted = wanted, .agent = be_agent, .changed = changed};
    take_setup();
    if (spawner_open(&spawner) != 0) return 1;
    watch_auth(role_channel(start, ROLE_AUTH, 0));
    role_ready(missing);
    return spawner_run(&spawner, NULL);
}
