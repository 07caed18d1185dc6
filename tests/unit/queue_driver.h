/* queue_driver.h - a queue process in a directory of its own, driven from a test as master, auth, sessions and
 * delivery. */
#ifndef TESTS_UNIT_QUEUE_DRIVER_H
#define TESTS_UNIT_QUEUE_DRIVER_H

#include "store/control.h"
#include "store/message.h"
#include "store/queue_setup.h"
#include "store/role.h"
#include "tests/unit/scratch.h"

struct queue_driver {
    char path[SCRATCH_BYTES]; /* of the queue's directory */
    pid_t pid;
    int master, auth, delivery, command, log;
    struct queue_setup setup;
    bool ready;            /* it came up */
    uint8_t dsn_return;    /* of the envelopes that it opens */
    const char *principal; /* the same; NULL: none */
};

struct drive_job {
    uint64_t number, body_bytes;
    int fd;
    uint8_t again;
    uint16_t n, index[16];
    char name[32], sender[256], address[16][256];
    struct buf body;
    uint8_t storage[1 << 20];
};

/* Makes the directory and usual values of the setup, which the test may change before drive_start. */
void drive_make(struct queue_driver *driver);
void drive_start(struct queue_driver *driver);
/* kill -9, or a drain; returns the wait status. */
int drive_end(struct queue_driver *driver, bool kill_it);
/* Removes the directory. */
void drive_remove(struct queue_driver *driver);

/* As auth: opens T for the session, with one recipient per name in the list (NULL ends it). */
void drive_open(struct queue_driver *driver, uint8_t t, uint64_t session, const char *sender,
                const char *const *recipients);
void drive_open_flags(struct queue_driver *driver, uint8_t t, uint64_t session, const char *sender,
                      const char *const *recipients, uint8_t flags, uint8_t notify, uint64_t limit_bytes);
/* As auth: hands the queue one end; returns the session's. */
int drive_session(struct queue_driver *driver, uint64_t session);
void drive_data(int channel, uint8_t t, struct span octets);
void drive_commit(int channel, uint8_t t, uint32_t recipients);
/* Waits for BODY_RESULT; returns its outcome, or -1 when the channel is closed. */
int drive_result(int channel, char name_out[32]);
/* Everything at once: open, body, commit. */
int drive_submit(struct queue_driver *driver, int channel, uint8_t t, uint64_t session, const char *sender,
                 const char *recipient, const char *body, char name_out[32]);

/* As delivery: waits for AGENT_WANTED (false: none came within the time), answers with a channel, which is
 * returned. */
int drive_agent(struct queue_driver *driver, int wait_ms, char destination_out[256]);
bool drive_job(int agent, int wait_ms, struct drive_job *out);
void drive_answer(int agent, const struct drive_job *job, enum job_outcome outcome, uint16_t code, const char *status,
                  const char *diagnostic);

/* Receives one frame within the time. */
bool drive_frame(int fd, int wait_ms, struct frame *out);
/* Another connection to the queue, over its control socket. */
int drive_connect(struct queue_driver *driver);
/* Asks a control verb with one argument; the exit code, and how many rows came. */
int drive_control(struct queue_driver *driver, const char *verb, const char *argument, const char *value,
                  int *rows_out);

#endif
