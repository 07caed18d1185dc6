/* log.h - saying something to the log writer. One event is one line; values are escaped by the writer, which also
 * adds time, process, and for sessions the session's name and client. Nothing here takes a struct secret. */
#ifndef STORE_LOG_H
#define STORE_LOG_H

#include "store/frame.h"
#include "store/log_names.h"
#include "store/netaddr.h"

enum { LOG_LINE_MAX = 4096, LOG_VALUE_MAX = 1024 };

struct log_line {
    struct buf b;
    uint8_t storage[LOG_LINE_MAX];
};

void log_open(struct log_line *line, enum log_event event);
/* Values longer than LOG_VALUE_MAX are cut. */
void log_span(struct log_line *line, enum log_key key, struct span value);
void log_text(struct log_line *line, enum log_key key, const char *value);
void log_number(struct log_line *line, enum log_key key, uint64_t value);
/* How a process ended, by what waitpid said: its signal or its status, and its pid. */
void log_exit(struct log_line *line, uint64_t pid, int status);
/* A connection's other end: client=ADDRESS port=PORT. Lines that only belong to it say client=ADDRESS alone. */
void log_client(struct log_line *line, const struct netaddr *client);
/* Sends it; what cannot be sent within a second is dropped (the log writer is gone: master says so), and what follows
 * at once, until the writer reads again: a log that hangs holds nobody up. */
void log_send(struct log_line *line);

/* From now on this process's lines wait until log_flush, or until there are many of them; a fault's and a bug's do
 * not. Flush before a wait, and before what must not be seen earlier than its line. Not for a process that forks. */
void log_gather(void);
void log_flush(void);
bool log_waiting(void); /* whether there is something to flush */

/* From the master only: what this process is; ROLE_NONE (enum role): it has ended. */
void log_role(uint32_t pid, unsigned role);

/* From auth only: from now on lines of this process are a session's, of this name and client; with an empty name no
 * longer. */
void log_session(uint32_t pid, struct span name, const struct netaddr *client);

/* A fault of ours in one call: what we did, and errno as it is now. */
void log_fault(const char *what, int error);

/* A trusted peer broke its contract, or an invariant does not hold: logs and aborts. */
_Noreturn void log_bug(const char *what);

/* Where lines go: descriptor 4 (LOG_FD) unless a test says otherwise. */
enum { LOG_FD = 4 };
int log_use(int fd); /* returns the one before */

#endif
