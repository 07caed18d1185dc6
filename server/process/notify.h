/* notify.h - the service manager's two plain protocols: readiness (sd_notify) and passed sockets (LISTEN_FDS). */
#ifndef SERVER_PROCESS_NOTIFY_H
#define SERVER_PROCESS_NOTIFY_H

/* Sends "READY=1" and the like to $NOTIFY_SOCKET; nothing happens without one. */
void notify_send(const char *state);

/* How many sockets were passed to this process (from descriptor 3 up); 0 when none. They are made close-on-exec. */
int notify_sockets(void);

#endif
