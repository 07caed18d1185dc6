/* delivery.c - the parent of the Maildir agents.
 * Runs in: delivery. Trusts: master and queue. Never: opens a mailbox itself, reads mail. */
#include "server/outbound/delivery.h"

#include "server/outbound/agent_maildir.h"
#include "server/outbound/outbound_setup.h"
#include "server/outbound/spawner.h"
#include "store/log.h"

static struct spawner spawner;
static struct delivery_setup setup;

static void take_setup(void) {
    if (delivery_setup_get(&setup, spawner.start->payload) != 0) log_bug("setup of delivery does not parse");
    spawner.agents_max = setup.agents_max;
}

static void changed(enum role_event event, const struct role_link *link, int old) {
    (void)link, (void)old;
    if (event == ROLE_EVENT_SETUP) take_setup();
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

static int be_agent(const struct spawner_order *order, struct job_inbox *inbox, int directory) {
    const struct agent_maildir agent = {
        .start = spawner.start,
        .hostname = setup.hostname,
        .capture = order->kind == DESTINATION_CAPTURE,
        .destination = span_of(order->destination, order->destination_bytes),
    };
    return agent_maildir_run(&agent, inbox, directory);
}

int delivery_run(struct role_start *start, uint32_t missing) {
    spawner = (struct spawner){.start = start, .wanted = wanted, .agent = be_agent, .changed = changed};
    take_setup();
    if (spawner_open(&spawner) != 0) return 1;
    role_ready(missing);
    return spawner_run(&spawner, NULL);
}
