/* spawner.h - what delivery and outbound have in common: a parent without work of its own that forks one confined
 * agent per destination and hands the queue the other end of its channel. */
#ifndef SERVER_OUTBOUND_SPAWNER_H
#define SERVER_OUTBOUND_SPAWNER_H

#include "server/outbound/job.h"
#include "store/loop.h"
#include "store/role.h"

enum { SPAWNER_AGENTS_MAX = 2048, SPAWNER_MAILBOXES_MAX = 2048, SPAWNER_DESTINATION_MAX = 1024 };

struct spawner_order { /* one AGENT_WANTED, or a mailbox agent */
    uint32_t agent;
    uint8_t kind; /* enum destination_kind */
    bool mailbox; /* by spawner_fork_mailbox: its channel is not the queue's */
    uint16_t destination_bytes;
    uint8_t destination[SPAWNER_DESTINATION_MAX];
};

struct spawner {
    struct role_start *start;
    struct loop loop;
    uint32_t agents_max, mailboxes_max; /* the owner keeps them as its setup says */
    /* Takes an order: spawner_fork, now or later, or spawner_refuse. */
    void (*wanted)(const struct spawner_order *order);
    /* In the agent, which has only inbox, log socket and descriptor `keep` (6 then). Returns the exit status. */
    int (*agent)(const struct spawner_order *order, struct job_inbox *inbox, int keep);
    /* Something came from the master: ROLE_EVENT_SETUP, _CHANNEL (another than the queue's), _DESCRIPTOR. May be
     * NULL. */
    void (*changed)(enum role_event event, const struct role_link *link, int old);
    /* ROLE_EVENT_DIALED; NULL where it cannot come. Takes over the descriptor. */
    void (*dialed)(uint32_t request, int fd, int error);

    struct loop_watch control, queue, children;
    struct frame_backlog backlog;
    int lifeline[2];
    struct spawner_agent {
        pid_t pid;
        bool mailbox;
    } agents[SPAWNER_AGENTS_MAX + SPAWNER_MAILBOXES_MAX];
    size_t n_agents, n_mailboxes; /* in all; of them mailbox agents */
    bool draining;
};

/* Watches the master, the queue and the children. The owner has set the fields above the blank line, but for the
 * loop. 0 or -1. */
int spawner_open(struct spawner *spawner) MUST_USE;

/* Forks an agent for the order and tells the queue. `keep`: a descriptor for it (it gets a copy), or -1. */
void spawner_fork(struct spawner *spawner, const struct spawner_order *order, int keep);

/* Forks an agent that serves over `channel`, which is closed here whatever comes of it; nobody is told. The number of
 * these takes nothing from the queue's. False: there is none (it has been logged). */
bool spawner_fork_mailbox(struct spawner *spawner, const struct spawner_order *order, int channel, int keep) MUST_USE;

/* Agents end after the message that they have now; those forked from here on stay. */
void spawner_retire(struct spawner *spawner);

/* Tells the queue that there will be no agent. */
void spawner_refuse(struct spawner *spawner, const struct spawner_order *order, const char *why);

/* Rounds until the master is gone, or until MASTER_DRAIN and the last agent's end; the exit status. `tick` (or
 * NULL) is called after each round and says how many ms the next may wait at most, -1: for ever. */
int spawner_run(struct spawner *spawner, int (*tick)(void));

#endif
