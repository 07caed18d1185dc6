/* fake_queue.h - the queue's part towards delivery and agents, for tests. */
#ifndef TESTS_UNIT_FAKE_QUEUE_H
#define TESTS_UNIT_FAKE_QUEUE_H

#include "store/frame.h"
#include "store/frames.h"

struct fake_job {
    uint64_t number;
    bool maybe_delivered, as_file;
    uint8_t flags, dsn_return;
    const char *name, *envid, *sender;
    struct span body;
    size_t n;
    struct {
        const char *address, *orcpt;
        uint8_t notify;
    } recipients[8];
};

/* Asks for an agent; its channel, or -1 when it was refused. */
int fake_queue_agent(int channel, uint32_t agent, uint8_t kind, const char *destination);

void fake_queue_send(int agent, const struct fake_job *job);

/* One answer: of a recipient, or (index -1) that the job is done. */
struct fake_answer {
    uint64_t number;
    int index;
    uint8_t outcome;
    uint16_t code;
    char status[16], diagnostic[512], remote[256];
    bool sending; /* JOB_SENDING came before it */
};
bool fake_queue_answer(int agent, struct fake_answer *out);

#endif
