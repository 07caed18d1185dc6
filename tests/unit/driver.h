/* driver.h - runs one of our programs' loops in a child of the test, with the test in the master's place. */
#ifndef TESTS_UNIT_DRIVER_H
#define TESTS_UNIT_DRIVER_H

#include "store/role.h"

struct driver {
    pid_t pid;
    int control; /* our end of the child's descriptor 3, non-blocking */
    int log;     /* our end of its descriptor 4, with SO_PASSCRED */
};

/* Forks; the child receives its start from frames like any program of ours and calls `run`. `links` are passed first:
 * channels where `channel` is true, else descriptors. Fails the test when the child is not ready in time. */
struct driver_link {
    bool channel;
    struct role_link link;
};
struct driver driver_start(int (*run)(struct role_start *, uint32_t), enum role role, struct span payload,
                           const struct driver_link *links, size_t n);

/* Receives one frame, waiting for it as long as needed. False when the channel is closed. `storage` has FRAME_MAX
 * octets. */
bool driver_receive(int fd, uint8_t *storage, struct frame *out);

/* Sends a link at run time. */
void driver_link(const struct driver *driver, struct driver_link link);

/* 1: try every row of a table of combinations. Under valgrind, where each row's new processes are dear,
 * $GATEPOST_THIN says to try one in so many. */
size_t driver_stride(void);

/* Closes the control channel and returns the child's wait status. */
int driver_stop(struct driver *driver);

#endif
