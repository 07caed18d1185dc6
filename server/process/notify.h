/* notify.h - the service manager's two plain protocols: readiness (sd_notify) and passed sockets (LISTEN_FDS). */
#ifndef SERVER_PROCESS_NOTIFY_H
#define SERVER_PROCESS_NOTIFY_H

#include <stdint.h>

/* Sends "READY=1" and the like to $NOTIFY_SOCKET; nothing happens without one. */
void notify_send(const char *state);

/* How many sockets were passed to this process (from descriptor 3 up); 0 when none. They are made close-on-exec. */
int notify_sockets(void);

/* Where the service manager watches us (WATCHDOG_USEC, sd_watchdog_enabled(3)): tells it that the loop goes round,
 * twice in its time. Start before the first; due: clock_ms of the next, UINT64_MAX when nobody watches. */
void notify_watchdog_start(void);
uint64_t notify_watchdog_due(void);
void notify_watchdog(void);

#endif
